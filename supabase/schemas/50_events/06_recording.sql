-- What: the one way in which an operation's execution changes: decide, evolve, store.
-- Why: log, row and runs cannot disagree when one function makes the event and one follows from it.

create type app.decision as (event public.operation_events, problem app.problem);

comment on type app.decision is 'The event that a report becomes, or the problem that it meets.';

-- Fills in the event, then judges it. The caller of this function has locked the operation and checked that the reporter
-- sees it.
create function app.decide(operation public.mes_operations, caller app.caller, report app.report) returns app.decision
language plpgsql stable
set search_path = ''
as $$
declare
  heard_at constant timestamptz := clock_timestamp();
  action app.actions;
  transition app.transitions;
  event public.operation_events;
  runs public.operation_runs[];
  taken app.pieces;
  available app.pieces;
  sign integer := 1;
  earliest timestamptz;
  processed bigint;
  scrap bigint;
  problem app.problem;
begin
  select * into action from app.actions a where a.action = report.action_type;
  select * into transition from app.transitions t where t.action = report.action_type and t.from_state = operation.state;
  earliest := app.earliest_time(operation, action, transition.to_state);

  event.id := coalesce(report.id, gen_random_uuid());
  event.operation_id := operation.id;
  event.op_seq := operation.last_op_seq + 1;
  event.action_type := report.action_type;
  event.order_no := operation.order_no;
  event.asset_id := operation.asset_id;
  event.operation_no := operation.operation_no;
  event.workplace_name := operation.workplace_name;
  event.status_before := operation.status;
  event.status_after := app.status_of(transition.to_state);
  -- to the millisecond, as clients read it: what they send back as a filter or a condition means the same instant
  event.occurred_at := app.occurred_at(
    date_trunc('milliseconds', report.occurred_at), earliest, date_trunc('milliseconds', heard_at));
  event.phase := case when action.run_effect = 'opens' then coalesce(report.phase, 'PROCESSING') end;
  event.qty_good := coalesce(report.qty_good, 0);
  event.qty_scrap := coalesce(report.qty_scrap, 0);
  event.reason_kind := case when report.reason_code is not null then action.reason_kind end;
  event.reason_code := report.reason_code;
  event.note := report.note;
  event.operation_data := report.operation_data;
  event.user_id := coalesce(report.user_id, caller.user_id);
  event.reporter_id := report.reporter_id;
  event.report_digest := report.digest;
  -- the server's clock may have stepped back
  event.created_at := greatest(heard_at, event.occurred_at - interval '2 minutes', operation.updated_at);

  if action.quantities = 'none' then
    event.qty_good := 0;
    event.qty_scrap := 0;
  elsif action.quantities = 'taken back' then
    sign := -1;
    event.reverses_event_id := report.reverses_event_id;
    available := app.pieces_left(operation, report.reverses_event_id);
    if report.qty_good is null and report.qty_scrap is null then
      event.qty_good := coalesce(available.good, 0);
      event.qty_scrap := coalesce(available.scrap, 0);
    end if;
    taken := row(event.qty_good, event.qty_scrap);
  elsif report.action_type = 'COMPLETE' then
    event.qty_good := coalesce(report.qty_good, greatest(operation.qty_desired - operation.qty_good, 0), 0);
  elsif action.quantities = 'signed' then
    runs := app.runs_to_correct(operation);
    report.actual_start_at := date_trunc('milliseconds', report.actual_start_at);
    report.actual_end_at := date_trunc('milliseconds', report.actual_end_at);
    event.changes :=
      app.before_and_after('actual_start_at', to_jsonb(app.iso(operation.actual_start_at)), to_jsonb(app.iso(report.actual_start_at)))
      || app.before_and_after('actual_end_at', to_jsonb(app.iso(operation.actual_end_at)), to_jsonb(app.iso(report.actual_end_at)))
      || app.before_and_after('t_actual_setup_min',
        to_jsonb(app.minutes_read(operation, 'SETUP', event.occurred_at)), to_jsonb(report.t_actual_setup_min))
      || app.before_and_after('t_actual_processing_min',
        to_jsonb(app.minutes_read(operation, 'PROCESSING', event.occurred_at)), to_jsonb(report.t_actual_processing_min))
      || app.before_and_after('t_actual_lead_min', to_jsonb(operation.t_actual_lead_min), to_jsonb(report.t_actual_lead_min))
      || app.before_and_after('qty_processed', to_jsonb(operation.qty_processed),
        to_jsonb(operation.qty_processed + event.qty_good::bigint + event.qty_scrap))
      || app.before_and_after('qty_scrap', to_jsonb(operation.qty_scrap), to_jsonb(operation.qty_scrap::bigint + event.qty_scrap));
  end if;
  scrap := operation.qty_scrap::bigint + sign * event.qty_scrap;
  processed := operation.qty_processed + sign * (event.qty_good::bigint + event.qty_scrap);

  -- One condition after the other: PL/pgSQL prepares each expression anew in each transaction, but only those it comes to.
  if app.role_rank(caller.role) < app.role_rank(coalesce(transition.least_role, action.least_role)) then
    problem := app.role_problem(caller, coalesce(transition.least_role, action.least_role),
      format('Your role may not %s operation %s', report.action_type, app.operation_label(operation)));
  elsif action.run_effect = 'opens' and operation.hold_kind = 'BLOCKED' then
    problem := app.blocked_problem(operation, caller);
  elsif transition.to_state is null then
    problem := app.transition_problem(operation, caller, report.action_type::text);
  elsif operation.running_phase = event.phase then
    problem := app.running_problem(operation);
  elsif report.occurred_at is not null then
    problem := coalesce(
      app.future_problem('/occurred_at', report.occurred_at),
      app.age_problem(operation, caller, report.action_type, report.occurred_at));
  end if;
  if problem.code is not null then
    return row(event, problem)::app.decision;
  end if;
  if event.occurred_at < earliest then
    problem := app.order_problem(operation, action, transition.to_state, event.occurred_at, earliest);
  elsif report.action_type = 'COMPLETE' and report.qty_good is null and operation.qty_desired is null then
    problem := app.problem(422, 'invalid_quantity',
      format('Cannot COMPLETE operation %s without qty_good: it has no desired quantity', app.operation_label(operation)));
  elsif action.quantities = 'taken back' then
    problem := app.reversal_problem(operation, report.reverses_event_id, taken, available);
  end if;
  if problem.code is null and (event.qty_good <> 0 or event.qty_scrap <> 0) then
    problem := app.quantity_problem(operation, processed, scrap);
  end if;
  if problem.code is null and event.changes is not null then
    problem := coalesce(
      app.age_problem(operation, caller, report.action_type, least(report.actual_start_at, report.actual_end_at)),
      app.correction_problem(operation, report, runs, event.changes));
  end if;
  if problem.code is null and (report.reason_code is not null or action.reason_needed <> 'never') then
    problem := app.reason_problem(
      operation, action, report.reason_code, coalesce(processed - scrap < operation.qty_desired, false));
  end if;
  return row(event, problem)::app.decision;
end
$$;
comment on function app.decide(public.mes_operations, app.caller, app.report) is
  'The event that a report on a locked operation becomes, or the problem that it meets. Changes nothing; room at the '
  'workplace is looked at by who stores the event.';

create function app.evolve(
  inout operation public.mes_operations, inout runs public.operation_runs[], event public.operation_events
)
language plpgsql stable
set search_path = ''
as $$
declare
  before_state constant public.state := operation.state;
  -- the source took a release back, see app.withdraw_release
  is_withdrawn constant boolean := event.status_before is not null and coalesce(event.changes ? 'status', false);
  action app.actions;
  sign integer := 1;
  closed_run public.operation_runs;
  corrected record;
begin
  select * into action from app.actions a where a.action = event.action_type;
  operation.last_op_seq := event.op_seq;
  operation.version := operation.version + 1;
  operation.updated_at := event.created_at;

  if is_withdrawn then
    operation.state := event.status_after::text::public.state;
  elsif event.status_before is null then
    operation.state := case event.status_after when 'ON_HOLD' then 'PAUSED' else event.status_after::text end::public.state;
  else
    select t.to_state into operation.state from app.transitions t where t.action = event.action_type and t.from_state = before_state;
  end if;
  if operation.state <> before_state then
    operation.status := app.status_of(operation.state);
    operation.hold_kind := app.hold_kind_of(operation.state);
    operation.hold_reason_code := case when operation.hold_kind is not null then event.reason_code end;
  end if;

  if event.qty_good <> 0 or event.qty_scrap <> 0 then
    sign := case action.quantities when 'taken back' then -1 else 1 end;
    operation.qty_scrap := operation.qty_scrap + sign * event.qty_scrap;
    operation.qty_processed := operation.qty_processed + sign * (event.qty_good + event.qty_scrap);
    -- the table generates it, when it is stored
    operation.qty_good := operation.qty_processed - operation.qty_scrap;
  end if;
  if action.quantities = 'added' and action.follows = 'the start' then
    operation.counted_since := least(operation.counted_since, event.occurred_at);
  end if;

  if event.changes is not null then
    corrected := app.evolve_correction(operation, runs, event);
    operation := corrected.operation;
    runs := corrected.runs;
  else
    runs := null;
  end if;
  if action.run_effect <> 'none' and operation.running_since is not null then
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
  if action.run_effect = 'opens' then
    operation.actual_start_at := coalesce(operation.actual_start_at, event.occurred_at);
    operation.running_since := event.occurred_at;
    operation.running_phase := event.phase;
    operation.run_count := operation.run_count + 1;
    operation.worked_until := event.occurred_at;
    runs := runs || app.opened_run(operation, event);
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
    or operation.actual_start_at is not null and (operation.state <> before_state or action.run_effect <> 'none')
  then
    operation := app.with_minutes(operation);
  end if;
end
$$;
comment on function app.evolve(public.mes_operations, public.operation_runs[], public.operation_events) is
  'The operation after the event, and the runs that the event opens, closes or moves. Of an event with changes, the '
  'runs before it are the first and the last one; other events need none.';

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
declare
  stored public.mes_operations;
begin
  update public.mes_operations o
  set state = operation.state, hold_reason_code = operation.hold_reason_code, qty_processed = operation.qty_processed,
    qty_scrap = operation.qty_scrap, actual_start_at = operation.actual_start_at, actual_end_at = operation.actual_end_at,
    t_actual_processing_min = operation.t_actual_processing_min, t_actual_setup_min = operation.t_actual_setup_min,
    t_actual_lead_min = operation.t_actual_lead_min, unlogged_processing_min = operation.unlogged_processing_min,
    unlogged_setup_min = operation.unlogged_setup_min, running_since = operation.running_since,
    running_phase = operation.running_phase, run_count = operation.run_count, worked_until = operation.worked_until,
    logged_processing_min = operation.logged_processing_min, logged_setup_min = operation.logged_setup_min,
    counted_since = operation.counted_since, last_op_seq = operation.last_op_seq, updated_at = operation.updated_at
  where o.id = operation.id
  returning o.* into stored;
  return stored;
end
$$;
comment on function app.store_execution(public.mes_operations) is
  'Writes the execution of an operation back to its row and returns the row, with its new version.';

create function app.store_quantities(operation public.mes_operations) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  stored public.mes_operations;
begin
  update public.mes_operations o
  set qty_processed = operation.qty_processed, qty_scrap = operation.qty_scrap, counted_since = operation.counted_since,
    last_op_seq = operation.last_op_seq, updated_at = operation.updated_at
  where o.id = operation.id
  returning o.* into stored;
  return stored;
end
$$;
comment on function app.store_quantities(public.mes_operations) is
  'Like app.store_execution, for an event that changed neither state nor times.';

create type app.recorded as (event public.operation_events, operation public.mes_operations);

create function app.append_event(
  operation public.mes_operations, runs public.operation_runs[], event public.operation_events
) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  evolved record;
begin
  insert into public.operation_events select event.*;
  evolved := app.evolve(operation, runs, event);
  if cardinality(evolved.runs) > 0 then
    perform app.store_runs(evolved.runs);
  end if;
  return evolved.operation;
end
$$;
comment on function app.append_event(public.mes_operations, public.operation_runs[], public.operation_events) is
  'Writes an event to the log and what it does to runs, and returns what it makes of the operation.';

create function app.perform_transition(
  operation public.mes_operations, caller app.caller, report app.report
) returns app.recorded
language plpgsql
set search_path = ''
as $$
declare
  decision app.decision;
begin
  report.reporter_id := app.reporter_of(coalesce(report.user_id, caller.user_id), coalesce(report.user_email, caller.email));
  decision := app.decide(operation, caller, report);
  perform app.raise_problem(decision.problem);
  if (decision.event).phase is not null and operation.running_since is null then
    perform app.require_room(operation);
  end if;
  return row(decision.event, app.append_event(
    operation, case when (decision.event).changes is not null then app.runs_to_correct(operation) end, decision.event
  ))::app.recorded;
end
$$;
comment on function app.perform_transition(public.mes_operations, app.caller, app.report) is
  'Performs one transition of a locked operation, but does not store its row. Raises the problem that app.decide '
  'finds, and 409 workplace_busy.';

create function app.record_event(
  operation public.mes_operations, caller app.caller, report app.report
) returns app.recorded
language plpgsql
set search_path = ''
as $$
declare
  performed app.recorded := app.perform_transition(operation, caller, report);
begin
  performed.operation := case
    when (performed.event).changes is null and (performed.operation).state = operation.state
      and (performed.operation).run_count = operation.run_count
    then app.store_quantities(performed.operation)
    else app.store_execution(performed.operation)
  end;
  return performed;
end
$$;
comment on function app.record_event(public.mes_operations, app.caller, app.report) is
  'Performs one transition of a locked operation and stores the changes, all or nothing. Raises what '
  'app.perform_transition raises.';
