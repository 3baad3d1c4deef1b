-- What: minutes of an operation, and the CORRECT that moves them.
-- Why: a corrected run corrects the minutes.

-- An operation can have thousands of runs. Its row keeps what they add up to, and each run that closes or moves changes
-- that by its own minutes; the rebuild from events proves the sums.
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
  operation.t_actual_lead_min := coalesce(app.minutes_between(operation.actual_start_at, operation.actual_end_at), operation.t_actual_lead_min);
end
$$;
comment on function app.with_minutes(public.mes_operations) is
  'The operation with its actual minutes: those of its closed runs and the unlogged ones.';

create function app.logged_minutes(operation public.mes_operations, phase text, as_of timestamptz) returns numeric
language sql immutable parallel safe
return case phase when 'SETUP' then (operation).logged_setup_min else (operation).logged_processing_min end
  + case when (operation).running_phase = phase
      then greatest(app.minutes_between((operation).running_since, as_of), 0) else 0 end;
comment on function app.logged_minutes(public.mes_operations, text, timestamptz) is
  'Minutes of the runs of one phase, the open one as far as it had come at that moment.';

-- Moves the times and minutes that a CORRECT states, and says what they were.
create function app.correct_times(inout operation public.mes_operations, report app.report, out changes jsonb)
language plpgsql
set search_path = ''
as $$
declare
  before constant public.mes_operations := operation;
  first_run public.operation_runs;
  last_run public.operation_runs;
  moved_run public.operation_runs;
  starts_run boolean;
  ends_run boolean;
  is_one_run boolean;
  setup_min constant numeric := (operation).unlogged_setup_min + app.logged_minutes(operation, 'SETUP', (report).occurred_at);
  processing_min constant numeric := (operation).unlogged_processing_min + app.logged_minutes(operation, 'PROCESSING', (report).occurred_at);
  new_start constant timestamptz := coalesce(date_trunc('milliseconds', (report).actual_start_at), (operation).actual_start_at);
  new_end constant timestamptz := coalesce(date_trunc('milliseconds', (report).actual_end_at), (operation).actual_end_at);
begin
  changes := '{}';
  select * into first_run from public.operation_runs r where r.operation_id = operation.id and r.run_no = 1;
  select * into last_run from public.operation_runs r
  where r.operation_id = operation.id and r.run_no = operation.run_count;
  -- the first run began with the operation, unless the operation arrived with work done before its first run here
  starts_run := coalesce(first_run.started_at = before.actual_start_at, false);
  -- a run that the end itself closed ends when the operation does; one that was stopped before stays
  ends_run := coalesce(last_run.ended_at = before.actual_end_at, false) and exists (
    select from public.operation_events e where e.id = last_run.end_event_id and e.action_type in ('COMPLETE', 'FINISH'));
  is_one_run := starts_run and ends_run and last_run.run_no = 1;

  if new_start is distinct from before.actual_start_at then
    perform app.require_past('/actual_start_at', new_start);
    if new_start > new_end
      or new_start > (case when is_one_run then new_end when starts_run then first_run.ended_at else first_run.started_at end)
      or new_start > operation.counted_since
    then
      perform app.refuse(
        409, 'out_of_order',
        format('Cannot move the start of operation %s to %s: work was reported before that', app.operation_label(operation), app.iso(new_start))
      );
    end if;
    operation.actual_start_at := new_start;
    if starts_run and last_run.run_no = 1 and last_run.ended_at is null then
      operation.running_since := new_start;
    end if;
    changes := changes || jsonb_build_object('actual_start_at', jsonb_build_object(
      'before', app.iso(before.actual_start_at), 'after', app.iso(new_start)));
  end if;

  if new_end is distinct from before.actual_end_at then
    if before.status <> 'FINISHED' then
      perform app.refuse_field('/actual_end_at', 'not_finished', format('operation %s has not ended: FINISH it', app.operation_label(operation)));
    end if;
    perform app.require_past('/actual_end_at', new_end);
    if new_end < greatest(new_start, case when is_one_run then new_start when ends_run then last_run.started_at else last_run.ended_at end) then
      perform app.refuse(
        409, 'out_of_order',
        format('Cannot move the end of operation %s to %s: it was still worked on then', app.operation_label(operation), app.iso(new_end))
      );
    end if;
    operation.actual_end_at := new_end;
    changes := changes || jsonb_build_object('actual_end_at', jsonb_build_object(
      'before', app.iso(before.actual_end_at), 'after', app.iso(new_end)));
  end if;

  -- start and end of one run move together
  foreach moved_run in array case last_run.run_no when 1 then array[first_run] else array[first_run, last_run] end loop
    if starts_run and moved_run.run_no = 1 and changes ? 'actual_start_at'
      or ends_run and moved_run.run_no = operation.run_count and changes ? 'actual_end_at'
    then
      operation := app.with_run(operation, moved_run, -1);
      if starts_run and moved_run.run_no = 1 then
        moved_run.started_at := new_start;
      end if;
      if ends_run and moved_run.run_no = operation.run_count then
        moved_run.ended_at := new_end;
      end if;
      operation := app.with_run(operation, moved_run, 1);
      if moved_run.run_no = operation.run_count then
        operation.worked_until := coalesce(moved_run.ended_at, moved_run.started_at);
      end if;
      update public.operation_runs r set started_at = moved_run.started_at, ended_at = moved_run.ended_at
      where r.operation_id = operation.id and r.run_no = moved_run.run_no;
    end if;
  end loop;

  -- minutes are stated as they shall be read at that moment, whatever the runs say
  if report.t_actual_setup_min <> greatest(setup_min, 0) or before.t_actual_setup_min is null and report.t_actual_setup_min is not null then
    operation.unlogged_setup_min := report.t_actual_setup_min - app.logged_minutes(operation, 'SETUP', report.occurred_at);
    changes := changes || jsonb_build_object('t_actual_setup_min', jsonb_build_object(
      'before', case when before.t_actual_setup_min is not null then greatest(setup_min, 0) end, 'after', report.t_actual_setup_min));
  end if;

  if report.t_actual_processing_min <> greatest(processing_min, 0) or before.t_actual_processing_min is null and report.t_actual_processing_min is not null then
    operation.unlogged_processing_min := report.t_actual_processing_min - app.logged_minutes(operation, 'PROCESSING', report.occurred_at);
    changes := changes || jsonb_build_object('t_actual_processing_min', jsonb_build_object(
      'before', case when before.t_actual_processing_min is not null then greatest(processing_min, 0) end, 'after', report.t_actual_processing_min));
  end if;

  if report.t_actual_lead_min is distinct from before.t_actual_lead_min and report.t_actual_lead_min is not null then
    if operation.actual_end_at - operation.actual_start_at is not null then
      perform app.refuse_field('/t_actual_lead_min', 'derived', format('operation %s has a start and an end: the lead time lies between them', app.operation_label(operation)));
    end if;
    operation.t_actual_lead_min := report.t_actual_lead_min;
    changes := changes || jsonb_build_object('t_actual_lead_min', jsonb_build_object(
      'before', before.t_actual_lead_min, 'after', report.t_actual_lead_min));
  end if;
end
$$;
comment on function app.correct_times(public.mes_operations, app.report) is
  'Applies the times and minutes of a CORRECT to the operation and its runs. Raises 409 out_of_order when work would lie outside of them.';
