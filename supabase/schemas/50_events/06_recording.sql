-- What: the one way in which an operation's execution changes.
-- Why: log, row and runs cannot disagree when one function writes them.

create function app.append_event(
  operation public.mes_operations, status_before text, caller app.caller, report app.report, reason_kind text, changes jsonb
) returns public.operation_events
language plpgsql
set search_path = ''
as $$
declare
  event public.operation_events;
begin
  insert into public.operation_events (
    id, operation_id, op_seq, action_type, order_no, asset_id, operation_no, workplace_name, status_before, status_after,
    occurred_at, phase, qty_good, qty_scrap, reason_kind, reason_code, note, reverses_event_id, changes, operation_data,
    user_id, reporter_id, report_digest, created_at
  )
  values (
    coalesce(report.id, gen_random_uuid()), operation.id, operation.last_op_seq + 1, report.action_type,
    operation.order_no, operation.asset_id, operation.operation_no, operation.workplace_name,
    status_before, operation.status,
    report.occurred_at, report.phase, coalesce(report.qty_good, 0), coalesce(report.qty_scrap, 0),
    case when report.reason_code is not null then reason_kind end, report.reason_code, report.note, report.reverses_event_id,
    changes, report.operation_data,
    coalesce(report.user_id, caller.user_id),
    app.reporter_of(coalesce(report.user_id, caller.user_id), coalesce(report.user_email, caller.email)), report.digest,
    -- the server's clock may have stepped back
    greatest(
      clock_timestamp(),
      report.occurred_at - interval '2 minutes',
      (select e.created_at from public.operation_events e
       where e.operation_id = operation.id and e.op_seq = operation.last_op_seq)
    )
  )
  returning * into event;
  return event;
end
$$;
comment on function app.append_event(public.mes_operations, text, app.caller, app.report, text, jsonb) is
  'Writes the next event of an operation. Raises 400 integrity_error for an unknown user.';

create function app.store_operation(operation public.mes_operations) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  stored public.mes_operations;
begin
  update public.mes_operations o
  set (reference_url, activity_code, activity_description, workplace_name, workplace_group, qty_desired, overrun_tolerance_pct,
       planned_start_at, planned_end_at, t_target_processing_min, t_target_setup_min, t_target_lead_min, timestamp_ms, change_type,
       source_conflict, status, hold_kind, hold_reason_code, qty_processed, qty_scrap, actual_start_at, actual_end_at,
       t_actual_processing_min, t_actual_setup_min, t_actual_lead_min, unlogged_processing_min, unlogged_setup_min,
       running_since, running_phase, run_count, worked_until, logged_processing_min, logged_setup_min, counted_since,
       last_op_seq)
    = row ((operation).reference_url, (operation).activity_code, (operation).activity_description, (operation).workplace_name,
       (operation).workplace_group, (operation).qty_desired, (operation).overrun_tolerance_pct,
       (operation).planned_start_at, (operation).planned_end_at, (operation).t_target_processing_min, (operation).t_target_setup_min,
       (operation).t_target_lead_min, (operation).timestamp_ms, (operation).change_type,
       (operation).source_conflict, (operation).status, (operation).hold_kind, (operation).hold_reason_code, (operation).qty_processed,
       (operation).qty_scrap, (operation).actual_start_at, (operation).actual_end_at,
       (operation).t_actual_processing_min, (operation).t_actual_setup_min, (operation).t_actual_lead_min,
       (operation).unlogged_processing_min, (operation).unlogged_setup_min,
       (operation).running_since, (operation).running_phase, (operation).run_count, (operation).worked_until,
       (operation).logged_processing_min, (operation).logged_setup_min, (operation).counted_since,
       (operation).last_op_seq)
  where o.id = (operation).id
  returning o.* into stored;
  return stored;
end
$$;
comment on function app.store_operation(public.mes_operations) is
  'Writes plan and execution of an operation back to its row and returns the row, with its new version.';

create function app.store_run(inout run public.operation_runs)
language plpgsql
set search_path = ''
as $$
begin
  insert into public.operation_runs select run.*;
  run := null;
end
$$;
comment on function app.store_run(public.operation_runs) is 'Writes a run to the table and returns null, for none is unstored then.';

-- The one way in which an operation's execution changes. The caller of this function holds the operation's row lock, has
-- checked that the person sees it, and stores the operation and its open run afterwards. A batch takes many steps on one
-- operation: each version of the row that it would store in between makes all later looks at the row slower.
create function app.take_step(
  inout operation public.mes_operations, inout unstored_run public.operation_runs,
  caller app.caller, report app.report, room jsonb,
  out event public.operation_events
)
language plpgsql
set search_path = ''
as $$
declare
  before constant public.mes_operations := operation;
  transition app.transitions;
  run public.operation_runs;
  closes_run boolean;
  opens_run boolean;
  direction constant integer := case report.action_type when 'REVERSE' then -1 else 1 end;
  reason_kind text;
  corrected record;
  changes jsonb;
begin
  -- who, and whether the lifecycle has such a step
  perform app.require_role(
    caller, (select app.least_role(a, app.execution_state(operation)) from app.actions a where a.action = report.action_type),
    format('Your role may not %s operation %s', report.action_type, app.operation_label(operation))
  );
  if report.action_type = 'START' and operation.hold_kind = 'BLOCKED' then
    perform app.refuse(
      409, 'operation_blocked',
      format('Cannot START operation %s: it is blocked with reason "%s" until a supervisor releases it', app.operation_label(operation), operation.hold_reason_code),
      jsonb_build_object('current_status', operation.status, 'hold_reason_code', operation.hold_reason_code,
        'allowed_actions', app.allowed_actions(operation, caller))
    );
  end if;
  select * into transition from app.transitions t where t.action = report.action_type and t.from_state = app.execution_state(operation);
  if not found then
    perform app.refuse_transition(operation, caller, report.action_type);
  end if;

  -- when
  if report.action_type = 'START' then
    report.phase := coalesce(report.phase, 'PROCESSING');
    if operation.running_phase = report.phase then
      if unstored_run.run_no is null then
        select * into run from public.operation_runs r
        where r.operation_id = operation.id and r.run_no = operation.run_count;
      else
        run := unstored_run;
      end if;
      perform app.refuse(
        409, 'already_running',
        format('Cannot START operation %s: it has been running since %s', app.operation_label(operation), app.iso(operation.running_since)),
        jsonb_build_object('running_since', app.iso(operation.running_since), 'phase', operation.running_phase,
          'user_id', run.user_id, 'user_email', app.reporter_email(run.reporter_id))
      );
    end if;
  end if;
  report.occurred_at := app.occurred_at(operation, caller, report);

  -- status
  closes_run := operation.running_since is not null and report.action_type in ('START', 'STOP', 'COMPLETE', 'FINISH', 'HOLD', 'CANCEL');
  opens_run := report.action_type = 'START';
  if opens_run and not closes_run then
    if room is null then
      perform app.require_free_workplace(operation);
    else
      perform app.require_room(room);
    end if;
  end if;
  operation.status := case when transition.to_state in ('PAUSED', 'BLOCKED', 'BLOCKED_BEFORE_START') then 'ON_HOLD' else transition.to_state end;
  operation.hold_kind := case transition.to_state when 'PAUSED' then 'PAUSED' when 'BLOCKED' then 'BLOCKED' when 'BLOCKED_BEFORE_START' then 'BLOCKED' end;
  operation.hold_reason_code := case
    when report.action_type in ('STOP', 'HOLD') then report.reason_code
    when operation.status = 'ON_HOLD' and report.action_type <> 'RELEASE' then before.hold_reason_code
  end;

  -- quantities
  if report.action_type = 'COMPLETE' then
    if report.qty_good is null and operation.qty_desired is null then
      perform app.refuse(
        422, 'invalid_quantity',
        format('Cannot COMPLETE operation %s without qty_good: it has no desired quantity', app.operation_label(operation))
      );
    end if;
    report.qty_good := coalesce(report.qty_good, greatest(operation.qty_desired - operation.qty_good, 0));
  end if;
  if report.action_type = 'REVERSE' then
    report := app.reversal(operation, report);
  end if;
  if report.qty_good <> 0 or report.qty_scrap <> 0 then
    operation.qty_scrap := app.added_quantity(operation.qty_scrap, direction * coalesce(report.qty_scrap, 0));
    operation.qty_processed := app.added_quantity(
      operation.qty_processed, direction * app.added_quantity(coalesce(report.qty_good, 0), coalesce(report.qty_scrap, 0)));
    perform app.require_quantities(operation);
    -- the table generates it, when it is stored
    operation.qty_good := operation.qty_processed - operation.qty_scrap;
  end if;

  -- times
  if report.action_type = 'CORRECT' then
    perform app.require_recent(operation, caller, 'CORRECT', least(report.actual_start_at, report.actual_end_at));
    if unstored_run.run_no is not null then
      unstored_run := app.store_run(unstored_run);
    end if;
    corrected := app.correct_times(operation, report);
    operation := corrected.operation;
    changes := corrected.changes;
    if operation.qty_processed <> before.qty_processed then
      changes := changes || jsonb_build_object('qty_processed', jsonb_build_object('before', before.qty_processed, 'after', operation.qty_processed));
    end if;
    if operation.qty_scrap <> before.qty_scrap then
      changes := changes || jsonb_build_object('qty_scrap', jsonb_build_object('before', before.qty_scrap, 'after', operation.qty_scrap));
    end if;
  end if;
  if closes_run then
    run.phase := operation.running_phase;
    run.started_at := operation.running_since;
    run.ended_at := report.occurred_at;
    operation := app.with_run(operation, run, 1);
    operation.worked_until := report.occurred_at;
    operation.running_since := null;
    operation.running_phase := null;
  end if;
  if opens_run then
    operation.actual_start_at := coalesce(operation.actual_start_at, report.occurred_at);
    operation.running_since := report.occurred_at;
    operation.running_phase := report.phase;
    operation.run_count := operation.run_count + 1;
    operation.worked_until := report.occurred_at;
  end if;
  if report.action_type = 'REPORT_QUANTITY' then
    operation.counted_since := least(operation.counted_since, report.occurred_at);
  end if;
  if operation.status in ('FINISHED', 'CANCELLED') and operation.status <> before.status and operation.actual_start_at is not null then
    operation.actual_end_at := report.occurred_at;
  elsif before.status = 'FINISHED' and operation.status <> 'FINISHED' then
    operation.actual_end_at := null;
    operation.t_actual_lead_min := null;
  end if;

  -- why
  reason_kind := case report.action_type
    when 'STOP' then 'STOP' when 'REPORT_QUANTITY' then 'SCRAP' when 'COMPLETE' then 'SHORTFALL' when 'FINISH' then 'SHORTFALL'
    when 'HOLD' then 'HOLD' when 'CANCEL' then 'CANCEL' end;
  perform app.require_reason(operation, report, reason_kind, needed =>
    reason_kind in ('HOLD', 'CANCEL')
    or (reason_kind = 'SHORTFALL' and coalesce(operation.qty_processed - operation.qty_scrap < operation.qty_desired, false)));

  -- event, runs, minutes
  event := app.append_event(operation, before.status, caller, report, reason_kind, changes);
  operation.last_op_seq := event.op_seq;
  if closes_run and unstored_run.run_no is not null then
    unstored_run.ended_at := report.occurred_at;
    unstored_run.end_event_id := event.id;
    unstored_run := app.store_run(unstored_run);
  elsif closes_run then
    update public.operation_runs r set ended_at = report.occurred_at, end_event_id = event.id
    where r.operation_id = operation.id and r.run_no = before.run_count;
  end if;
  if opens_run then
    unstored_run.operation_id := operation.id;
    unstored_run.run_no := operation.run_count;
    unstored_run.phase := report.phase;
    unstored_run.started_at := report.occurred_at;
    unstored_run.start_event_id := event.id;
    unstored_run.user_id := event.user_id;
    unstored_run.reporter_id := event.reporter_id;
  end if;
  if report.action_type = 'CORRECT' or operation.actual_start_at is not null and report.action_type not in ('REPORT_QUANTITY', 'RELEASE') then
    operation := app.with_minutes(operation);
  end if;
end
$$;
comment on function app.take_step(public.mes_operations, public.operation_runs, app.caller, app.report, jsonb) is
  'Takes one action on a locked operation: checks role, lifecycle, time, quantities, reason and workplace, appends the event and derives the runs, all or nothing. unstored_run is the open run that is not in the table yet, null when there is none. room is what app.missing_room answered for the workplace, {} when there is room, null to look now. Raises the refusals of the problem table.';

create function app.record_event(
  inout operation public.mes_operations, caller app.caller, report app.report, out event public.operation_events
)
language plpgsql
set search_path = ''
as $$
declare
  taken record;
begin
  taken := app.take_step(operation, null, caller, report, null);
  if (taken.unstored_run).run_no is not null then
    perform app.store_run(taken.unstored_run);
  end if;
  operation := app.store_operation(taken.operation);
  event := taken.event;
end
$$;
comment on function app.record_event(public.mes_operations, app.caller, app.report) is
  'Takes one step on a locked operation and stores what it changed, all or nothing. Raises what app.take_step raises.';
