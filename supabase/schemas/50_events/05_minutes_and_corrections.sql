-- What: minutes of an operation, and the CORRECT that moves times and minutes.
-- Why: a corrected run corrects the minutes.

-- An operation can have thousands of runs. Its row stores their sums, and each run that closes or moves changes the
-- sums by its own minutes; the rebuild from events verifies them.
create function app.with_run(inout operation public.mes_operations, run public.operation_runs, direction integer)
language plpgsql immutable
set search_path = ''
as $$
declare
  added_min constant numeric := direction * coalesce(app.minutes_between(run.started_at, run.ended_at), 0);
begin
  if run.phase = 'SETUP' then
    operation.logged_setup_min := operation.logged_setup_min + added_min;
  else
    operation.logged_processing_min := operation.logged_processing_min + added_min;
  end if;
end
$$;
comment on function app.with_run(public.mes_operations, public.operation_runs, integer) is
  'The operation with the minutes of one run added (direction 1) or removed (-1); an open run has none yet.';

create function app.logged_minutes(
  operation public.mes_operations, phase public.phase, as_of timestamptz
) returns numeric
language sql immutable parallel safe
return case phase when 'SETUP' then (operation).logged_setup_min else (operation).logged_processing_min end
  + case when (operation).running_phase = phase
      then greatest(app.minutes_between((operation).running_since, as_of), 0) else 0 end;
comment on function app.logged_minutes(public.mes_operations, public.phase, timestamptz) is
  'Minutes of the runs of one phase, the open one as far as it had come at that moment.';

create function app.runs_to_correct(operation public.mes_operations) returns public.operation_runs[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select r from public.operation_runs r
    where r.operation_id = operation.id and r.run_no in (1, operation.run_count)
    order by r.run_no
  );
end
$$;
comment on function app.runs_to_correct(public.mes_operations) is 'The first and the last run of an operation.';

create type app.end_runs as (
  first_run public.operation_runs,
  last_run public.operation_runs,
  starts boolean,
  ends boolean
);

comment on type app.end_runs is
  'First and last run of an operation: starts = the operation began with the first one, ends = what ended the '
  'operation closed the last one.';

create function app.end_runs(operation public.mes_operations, runs public.operation_runs[]) returns app.end_runs
language plpgsql stable
set search_path = ''
as $$
declare
  ends app.end_runs;
begin
  ends.first_run := runs[1];
  ends.last_run := runs[cardinality(runs)];
  -- false when the operation was taken over with work done before its first run
  ends.starts := coalesce((ends.first_run).started_at = operation.actual_start_at, false);
  -- a run that was stopped before the end does not move
  ends.ends := coalesce((ends.last_run).ended_at = operation.actual_end_at, false) and exists (
    select from public.operation_events e where e.id = (ends.last_run).end_event_id and e.status_after = 'FINISHED');
  return ends;
end
$$;
comment on function app.end_runs(public.mes_operations, public.operation_runs[]) is
  'The first and the last of these runs, and whether they move with the start and the end of the operation.';

create function app.before_and_after(field text, before jsonb, after jsonb) returns jsonb
language sql stable parallel safe
return case when after is not null and after is distinct from before
  then jsonb_build_object(field, jsonb_build_object('before', before, 'after', after)) else '{}' end;
comment on function app.before_and_after(text, jsonb, jsonb) is
  'The change of a field by a CORRECT, as its event stores it; empty when nothing changes.';

-- A CORRECT states the minutes that a read at that moment must show, whatever the runs add up to.
create function app.minutes_read(operation public.mes_operations, phase public.phase, as_of timestamptz) returns numeric
language sql immutable parallel safe
return case when (operation).t_actual_setup_min is not null then greatest(app.logged_minutes(operation, phase, as_of)
  + case phase when 'SETUP' then (operation).unlogged_setup_min else (operation).unlogged_processing_min end, 0) end;
comment on function app.minutes_read(public.mes_operations, public.phase, timestamptz) is
  'Actual minutes of a phase as they are read at that moment; null before work begins.';

create function app.correction_problem(
  operation public.mes_operations, report app.report, runs public.operation_runs[], changes jsonb
) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  ends constant app.end_runs := app.end_runs(operation, runs);
  first_run constant public.operation_runs := ends.first_run;
  last_run constant public.operation_runs := ends.last_run;
  is_one_run constant boolean := ends.starts and ends.ends and last_run.run_no = 1;
  new_start constant timestamptz := coalesce(report.actual_start_at, operation.actual_start_at);
  new_end constant timestamptz := coalesce(report.actual_end_at, operation.actual_end_at);
begin
  return coalesce(
    case when changes ? 'actual_start_at' then coalesce(
      app.future_problem('/actual_start_at', new_start),
      case
        when new_start > new_end
          or new_start > (case when is_one_run then new_end when ends.starts then first_run.ended_at
            else first_run.started_at end)
          or new_start > operation.counted_since
        then app.problem(409, 'out_of_order',
          format('Cannot move the start of operation %s to %s: work was reported before that',
          app.operation_label(operation), app.iso(new_start)))
      end)
    end,
    case when changes ? 'actual_end_at' then coalesce(
      case when operation.state <> 'FINISHED' then app.field_problem('/actual_end_at', 'not_finished',
        format('operation %s has not ended: FINISH it', app.operation_label(operation))) end,
      app.future_problem('/actual_end_at', new_end),
      case
        when new_end < greatest(new_start,
          case when is_one_run then new_start when ends.ends then last_run.started_at else last_run.ended_at end)
        then app.problem(409, 'out_of_order',
          format('Cannot move the end of operation %s to %s: it was still worked on then',
          app.operation_label(operation), app.iso(new_end)))
      end)
    end,
    case when changes ? 't_actual_lead_min' and new_end - new_start is not null
      then app.field_problem('/t_actual_lead_min', 'derived',
        format('operation %s has a start and an end: the lead time lies between them', app.operation_label(operation)))
    end
  );
end
$$;
comment on function app.correction_problem(public.mes_operations, app.report, public.operation_runs[], jsonb) is
  'The problem out_of_order when work would lie outside of corrected times, validation_failed for times that are not '
  'to be stated.';

-- Applies the times and minutes of a CORRECT or an opening.
create function app.evolve_correction(
  inout operation public.mes_operations, inout runs public.operation_runs[], event public.operation_events
)
language plpgsql stable
set search_path = ''
as $$
declare
  is_opening constant boolean := event.status_before is null;
  ends constant app.end_runs := app.end_runs(operation, runs);
  new_start constant timestamptz := (event.changes #>> '{actual_start_at,after}')::timestamptz;
  new_end constant timestamptz := (event.changes #>> '{actual_end_at,after}')::timestamptz;
  setup_min constant numeric := (event.changes #>> '{t_actual_setup_min,after}')::numeric;
  processing_min constant numeric := (event.changes #>> '{t_actual_processing_min,after}')::numeric;
  run public.operation_runs;
  moved public.operation_runs[] := '{}'::public.operation_runs[];
begin
  operation.actual_start_at := coalesce(new_start, operation.actual_start_at);
  operation.actual_end_at := coalesce(new_end, operation.actual_end_at);
  if is_opening and operation.state = 'IN_PROGRESS' then
    -- the minutes of an opening end at its time
    operation.running_since := case
      when coalesce(setup_min, 0) + coalesce(processing_min, 0) > 0 then event.occurred_at
        else operation.actual_start_at end;
    operation.running_phase := 'PROCESSING';
    operation.run_count := 1;
    operation.worked_until := operation.running_since;
  end if;
  -- start and end of one run move together
  foreach run in array coalesce(runs, '{}') loop
    if ends.starts and run.run_no = 1 and new_start is not null
      or ends.ends and run.run_no = operation.run_count and new_end is not null
    then
      operation := app.with_run(operation, run, -1);
      if ends.starts and run.run_no = 1 then
        run.started_at := operation.actual_start_at;
      end if;
      if ends.ends and run.run_no = operation.run_count then
        run.ended_at := operation.actual_end_at;
      end if;
      operation := app.with_run(operation, run, 1);
      if run.run_no = operation.run_count then
        operation.worked_until := coalesce(run.ended_at, run.started_at);
        operation.running_since := case when run.ended_at is null then run.started_at end;
      end if;
      moved := moved || run;
    end if;
  end loop;
  runs := moved;
  if setup_min is not null then
    operation.unlogged_setup_min := setup_min
      - case when is_opening then 0 else app.logged_minutes(operation, 'SETUP', event.occurred_at) end;
  end if;
  if processing_min is not null then
    operation.unlogged_processing_min := processing_min
      - case when is_opening then 0 else app.logged_minutes(operation, 'PROCESSING', event.occurred_at) end;
  end if;
  operation.t_actual_lead_min := coalesce((event.changes #>> '{t_actual_lead_min,after}')::numeric,
    operation.t_actual_lead_min);
end
$$;
comment on function app.evolve_correction(public.mes_operations, public.operation_runs[], public.operation_events) is
  'The operation with the times and minutes that an event states, and the runs that this moves. '
  'app.evolve opens the run of an opening.';

-- Clients of the first service sign in as operators and do both by PATCH.
create function app.is_operators_correction(
  operation public.mes_operations, caller app.caller, report app.report, event public.operation_events
) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  return app.role_rank(caller.role) >= app.role_rank('operator')
    and operation.actual_start_at is not null and operation.state not in ('FINISHED', 'CANCELLED')
    and event.changes <> '{}' and event.changes - array['actual_start_at', 'qty_scrap'] = '{}'
    and event.qty_scrap >= 0
    and (not event.changes ? 'actual_start_at' or report.actual_start_at < operation.actual_start_at
      and report.actual_start_at >= (
        select e.created_at - interval '24 hours' from public.operation_events e
        where e.operation_id = operation.id and e.phase is not null
        order by e.op_seq
        limit 1
      ));
end
$$;
comment on function app.is_operators_correction(
  public.mes_operations, app.caller, app.report, public.operation_events
) is
  'True for a CORRECT that does not need a supervisor: of an operation that is not finished, it moves the start to up '
  'to 24 hours before the first START was reported, or makes scrap of good pieces, and changes nothing else.';
