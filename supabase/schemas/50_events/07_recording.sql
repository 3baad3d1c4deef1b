-- What: the one way in which an operation's execution changes: evolve and store what was decided.
-- Why: log, row and runs cannot disagree when one function follows from the event and one writes it.

create function app.with_minutes(inout operation public.mes_operations)
language plpgsql immutable
set search_path = ''
as $$
begin
  operation.t_actual_setup_min := operation.logged_setup_min + operation.unlogged_setup_min;
  operation.t_actual_processing_min := operation.logged_processing_min + operation.unlogged_processing_min;
  -- fewer minutes than the open run has by now may have been stated: it is added when read
  if operation.running_phase is distinct from 'SETUP' then
    operation.t_actual_setup_min := greatest(operation.t_actual_setup_min, 0);
  end if;
  if operation.running_phase is distinct from 'PROCESSING' then
    operation.t_actual_processing_min := greatest(operation.t_actual_processing_min, 0);
  end if;
  operation.t_actual_lead_min := coalesce(app.minutes_between(operation.actual_start_at, operation.actual_end_at),
    operation.t_actual_lead_min);
end
$$;
comment on function app.with_minutes(public.mes_operations) is
  'The operation with its actual minutes: those of its closed runs and the unlogged ones.';

create function app.evolve(
  inout operation public.mes_operations, inout runs public.operation_runs[], event public.operation_events,
  transition app.lifecycle default null
)
language plpgsql stable
set search_path = ''
as $$
declare
  before_state constant public.state := operation.state;
  -- the source took a release back, see app.withdraw_release
  is_withdrawn constant boolean := event.status_before is not null and coalesce(event.changes ? 'status', false);
  sign integer := 1;
  run_count_before constant integer := operation.run_count;
  waited_since constant timestamptz := case when operation.running_since is null then operation.worked_until end;
  closed_run public.operation_runs;
  opened_run public.operation_runs;
  corrected record;
begin
  if transition.action is null then
    select * into transition from app.lifecycle l where l.action = event.action_type and l.from_state = before_state;
  end if;
  operation.last_op_seq := event.op_seq;
  operation.version := operation.version + 1;
  operation.updated_at := event.created_at;

  if is_withdrawn then
    operation.state := event.status_after::text::public.state;
  elsif event.status_before is null then
    operation.state := case event.status_after when 'ON_HOLD' then 'PAUSED'
      else event.status_after::text end::public.state;
  else
    operation.state := transition.to_state;
  end if;
  if operation.state <> before_state then
    operation.status := app.status_of(operation.state);
    operation.hold_kind := app.hold_kind_of(operation.state);
    operation.hold_reason_code := case when operation.hold_kind is not null then event.reason_code end;
  end if;

  if event.qty_good <> 0 or event.qty_scrap <> 0 then
    sign := case transition.quantities when 'taken back' then -1 else 1 end;
    operation.qty_scrap := operation.qty_scrap + sign * event.qty_scrap;
    operation.qty_processed := operation.qty_processed + sign * (event.qty_good + event.qty_scrap);
    -- the table generates it, when it is stored
    operation.qty_good := operation.qty_processed - operation.qty_scrap;
  end if;
  operation.qty_parked := operation.qty_parked + event.qty_parked;
  if transition.quantities = 'added' and transition.follows = 'the start' then
    operation.counted_since := least(operation.counted_since, event.occurred_at);
  end if;

  if event.changes is not null then
    corrected := app.evolve_correction(operation, runs, event);
    operation := corrected.operation;
    runs := corrected.runs;
  else
    runs := null;
  end if;
  if transition.run_effect <> 'none' and operation.running_since is not null then
    closed_run.operation_id := operation.id;
    closed_run.run_no := operation.run_count;
    closed_run.phase := operation.running_phase;
    closed_run.started_at := operation.running_since;
    closed_run.ended_at := event.occurred_at;
    closed_run.end_event_id := event.id;
    runs := array[closed_run];
    operation := app.with_run(operation, closed_run, 1);
    operation.worked_until := event.occurred_at;
    operation.running_since := null;
    operation.running_phase := null;
  end if;
  if transition.run_effect = 'opens' then
    operation.actual_start_at := coalesce(operation.actual_start_at, event.occurred_at);
    operation.running_since := event.occurred_at;
    operation.running_phase := event.phase;
    operation.run_count := operation.run_count + 1;
    operation.worked_until := event.occurred_at;
  end if;
  -- by a START, or by an opening of work that runs
  if operation.run_count > run_count_before then
    opened_run.operation_id := operation.id;
    opened_run.run_no := operation.run_count;
    opened_run.phase := operation.running_phase;
    opened_run.workplace_name := event.workplace_name;
    opened_run.waited_since := waited_since;
    opened_run.started_at := operation.running_since;
    opened_run.start_event_id := event.id;
    opened_run.user_id := event.user_id;
    opened_run.reporter_id := event.reporter_id;
    runs := runs || opened_run;
  end if;
  if operation.state <> before_state and event.status_before is not null then
    if operation.state in ('FINISHED', 'CANCELLED') and operation.actual_start_at is not null then
      operation.actual_end_at := event.occurred_at;
    elsif before_state = 'FINISHED' then
      operation.actual_end_at := null;
      operation.t_actual_lead_min := null;
    end if;
  end if;
  if event.changes is not null and not is_withdrawn
    or operation.actual_start_at is not null and (operation.state <> before_state or transition.run_effect <> 'none')
  then
    operation := app.with_minutes(operation);
  end if;
end
$$;
comment on function
  app.evolve(public.mes_operations, public.operation_runs[], public.operation_events, app.lifecycle) is
  'The operation after the event, and the runs that the event opens, closes or moves. Of an event with changes, the '
  'runs before it are the first and the last one; other events need none. The transition is looked up unless it is '
  'given.';

create function app.store_runs(runs public.operation_runs[]) returns void
language plpgsql
set search_path = ''
as $$
declare
  run public.operation_runs;
begin
  foreach run in array runs loop
    if run.start_event_id is null then
      -- closed by an event that did not open it
      update public.operation_runs r set ended_at = run.ended_at, end_event_id = run.end_event_id
      where r.operation_id = run.operation_id and r.run_no = run.run_no;
    else
      insert into public.operation_runs select run.*
      on conflict (operation_id, run_no) do update set started_at = excluded.started_at, ended_at = excluded.ended_at;
    end if;
  end loop;
end
$$;
comment on function app.store_runs(public.operation_runs[]) is
  'Writes runs that app.evolve has opened, closed or moved.';

create function app.store_execution(operation public.mes_operations) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
begin
  update public.mes_operations o
  set state = operation.state, hold_reason_code = operation.hold_reason_code, qty_processed = operation.qty_processed,
    qty_scrap = operation.qty_scrap, qty_parked = operation.qty_parked, actual_start_at = operation.actual_start_at,
    actual_end_at = operation.actual_end_at,
    t_actual_processing_min = operation.t_actual_processing_min, t_actual_setup_min = operation.t_actual_setup_min,
    t_actual_lead_min = operation.t_actual_lead_min, unlogged_processing_min = operation.unlogged_processing_min,
    unlogged_setup_min = operation.unlogged_setup_min, running_since = operation.running_since,
    running_phase = operation.running_phase, run_count = operation.run_count, worked_until = operation.worked_until,
    logged_processing_min = operation.logged_processing_min, logged_setup_min = operation.logged_setup_min,
    counted_since = operation.counted_since, last_op_seq = operation.last_op_seq, updated_at = operation.updated_at
  where o.id = operation.id
  returning o.version, o.updated_at into operation.version, operation.updated_at;
  return operation;
end
$$;
comment on function app.store_execution(public.mes_operations) is
  'Writes the execution of an operation back to its row and returns it with its new version.';

create function app.store_quantities(operation public.mes_operations) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
begin
  update public.mes_operations o
  set qty_processed = operation.qty_processed, qty_scrap = operation.qty_scrap, qty_parked = operation.qty_parked,
    counted_since = operation.counted_since,
    last_op_seq = operation.last_op_seq, updated_at = operation.updated_at
  where o.id = operation.id
  returning o.version, o.updated_at into operation.version, operation.updated_at;
  return operation;
end
$$;
comment on function app.store_quantities(public.mes_operations) is
  'Like app.store_execution, for an event that changed neither state nor times.';

create type app.recorded as (event public.operation_events, operation public.mes_operations);

create function app.append_event(
  operation public.mes_operations, runs public.operation_runs[], event public.operation_events,
  transition app.lifecycle default null
) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  evolved record;
begin
  insert into public.operation_events select event.*;
  evolved := app.evolve(operation, runs, event, transition);
  if cardinality(evolved.runs) > 0 then
    perform app.store_runs(evolved.runs);
  end if;
  return evolved.operation;
end
$$;
comment on function
  app.append_event(public.mes_operations, public.operation_runs[], public.operation_events, app.lifecycle) is
  'Writes an event to the log and what it does to runs, and returns what it makes of the operation.';

-- A workplace of capacity 2 has at most 2 running operations: the lock on its row makes the count true. It does not
-- keep others from planning operations there.
create function app.require_room(operation public.mes_operations) returns void
language plpgsql
set search_path = ''
as $$
declare
  allowed integer;
begin
  select w.capacity into allowed from public.workplaces w
  where w.name = operation.workplace_name and w.capacity is not null
  for no key update;
  if allowed is not null then
    perform app.raise_problem(app.room_problem(
      operation, allowed, app.running_operations(operation.workplace_name, array[operation.id])));
  end if;
end
$$;
comment on function app.require_room(public.mes_operations) is
  'Raises 409 workplace_busy when the workplace has no room; locks the workplace until commit.';

create function app.record_event(
  operation public.mes_operations, caller app.caller, report app.report, is_last boolean default true
) returns app.recorded
language plpgsql
set search_path = ''
as $$
declare
  decision app.decision;
  evolved public.mes_operations;
begin
  decision := app.decide(operation, caller, report);
  if (decision.problem).code is not null then
    perform app.raise_problem(decision.problem);
  elsif (decision.event).phase is not null and operation.running_since is null then
    perform app.require_room(operation);
  end if;
  -- after the workplace, in the order in which batches lock
  decision.event.reporter_id := app.reporter_of(
    caller, coalesce(report.user_id, caller.user_id), coalesce(report.user_email, caller.email));
  evolved := app.append_event(
    operation, case when (decision.event).changes is not null then app.runs_to_correct(operation) end, decision.event,
    decision.transition);
  if is_last then
    evolved := case
      when (decision.event).changes is null and evolved.state = operation.state
        and evolved.run_count = operation.run_count
      then app.store_quantities(evolved)
      else app.store_execution(evolved)
    end;
  end if;
  return row(decision.event, evolved)::app.recorded;
end
$$;
comment on function app.record_event(public.mes_operations, app.caller, app.report, boolean) is
  'Performs one transition of a locked operation, all or nothing. '
  'Stores the row when the transition is the last one, or leaves that to the caller. '
  'Raises the problem that app.decide finds, and 409 workplace_busy.';

-- Parked pieces are booked once the plan has room for them.
create function app.settle_parked(
  operation public.mes_operations, caller app.caller, is_last boolean default true
) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  fitting constant integer := app.fitting(operation);
  report app.report;
begin
  if fitting = 0 then
    return operation;
  end if;
  -- this follows from a change that the key was allowed to make
  caller.scopes := null;
  report.action_type := 'CORRECT';
  report.qty_good := fitting;
  report.qty_parked := -fitting;
  return (app.record_event(operation, caller, report, is_last)).operation;
end
$$;
comment on function app.settle_parked(public.mes_operations, app.caller, boolean) is
  'Books the parked pieces that fit by now as good, by a CORRECT of the caller who changed the plan.';
