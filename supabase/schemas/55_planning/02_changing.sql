-- What: PATCH of one operation.
-- Why: an absolute status, quantity or time becomes the actions that lead to it.

-- The status changes of the first service, and the actions they become.
create function app.actions_to_status(operation public.mes_operations, wanted public.status) returns public.action[]
language sql immutable
return case
  when wanted = (operation).status then '{}'::public.action[]
  when (operation).status = 'PLANNED' and wanted = 'RELEASED' then '{RELEASE}'
  when (operation).status = 'RELEASED' and wanted = 'IN_PROGRESS' then '{START}'
  when (operation).status = 'RELEASED' and wanted = 'ON_HOLD' then '{HOLD}'
  when (operation).status = 'IN_PROGRESS' and wanted = 'ON_HOLD' then '{STOP}'
  when (operation).status = 'IN_PROGRESS' and wanted = 'FINISHED' then '{FINISH}'
  when (operation).status = 'ON_HOLD' and wanted = 'IN_PROGRESS'
    and (operation).hold_kind = 'BLOCKED' then '{RELEASE,START}'
  when (operation).status = 'ON_HOLD' and wanted = 'IN_PROGRESS' then '{START}'
  when (operation).status not in ('FINISHED', 'CANCELLED') and wanted = 'CANCELLED' then '{CANCEL}'
end;
comment on function app.actions_to_status(public.mes_operations, public.status) is
  'Actions that a PATCH of the status stands for, in order; null when the first service did not allow the change.';

create function app.plan_fields() returns text[]
language sql immutable parallel safe
return array['reference_url', 'activity_code', 'activity_description', 'workplace_name', 'workplace_group',
  'qty_desired', 'overrun_tolerance_pct', 'planned_start_at', 'planned_end_at',
  't_target_processing_min', 't_target_setup_min', 't_target_lead_min', 't_target_per_piece_min'];
comment on function app.plan_fields() is 'The fields of the plan, which the ERP and planners own.';

create function app.role_to_change(patch jsonb) returns public.role
language sql immutable parallel safe
return case when patch ?| app.plan_fields() then 'supervisor'::public.role else 'operator' end;
comment on function app.role_to_change(jsonb) is
  'Role that a PATCH needs at least; the actions that it becomes may need more.';

create function app.store_operation(operation public.mes_operations) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
begin
  update public.mes_operations o
  set (reference_url, activity_code, activity_description, workplace_name, workplace_group,
       qty_desired, overrun_tolerance_pct,
       planned_start_at, planned_end_at, t_target_processing_min, t_target_setup_min, t_target_lead_min,
       t_target_per_piece_min, timestamp_ms, change_type,
       state, hold_reason_code, qty_processed, qty_scrap, qty_parked, actual_start_at, actual_end_at,
       t_actual_processing_min, t_actual_setup_min, t_actual_lead_min, unlogged_processing_min, unlogged_setup_min,
       running_since, running_phase, run_count, worked_until, logged_processing_min, logged_setup_min, counted_since,
       last_op_seq, updated_at)
    = row (operation.reference_url, operation.activity_code, operation.activity_description, operation.workplace_name,
       operation.workplace_group, operation.qty_desired, operation.overrun_tolerance_pct,
       operation.planned_start_at, operation.planned_end_at, operation.t_target_processing_min,
       operation.t_target_setup_min, operation.t_target_lead_min, operation.t_target_per_piece_min,
       operation.timestamp_ms, operation.change_type,
       operation.state, operation.hold_reason_code, operation.qty_processed, operation.qty_scrap, operation.qty_parked,
       operation.actual_start_at, operation.actual_end_at,
       operation.t_actual_processing_min, operation.t_actual_setup_min, operation.t_actual_lead_min,
       operation.unlogged_processing_min, operation.unlogged_setup_min,
       operation.running_since, operation.running_phase, operation.run_count, operation.worked_until,
       operation.logged_processing_min, operation.logged_setup_min, operation.counted_since,
       operation.last_op_seq, operation.updated_at)
  where o.id = operation.id
  returning o.* into operation;
  return operation;
end
$$;
comment on function app.store_operation(public.mes_operations) is
  'Writes plan and execution of an operation back to its row and returns the row, with its new version.';

create function app.change_operation(
  before public.mes_operations, caller app.caller, patch jsonb
) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  execution_fields constant text[] := array['status', 'qty_processed', 'qty_scrap', 'actual_start_at', 'actual_end_at',
    't_actual_setup_min', 't_actual_processing_min', 't_actual_lead_min', 'reason_code', 'note',
    'timestamp_ms', 'change_type'];
  operation public.mes_operations;
  wanted public.mes_operations;
  actions public.action[];
  action public.action;
  report app.report;
  correction app.report;
  ended_at timestamptz;
begin
  perform app.require_role(caller, app.role_to_change(patch),
    format('Your role may not change operation %s', app.operation_label(before)));
  if patch ?| (app.plan_fields() || array['timestamp_ms', 'change_type']) then
    perform app.require_scope(caller, 'operations:plan',
      format('The API key may not change the plan of operation %s', app.operation_label(before)));
  end if;

  select coalesce(jsonb_object_agg(p.key, p.value), '{}') into patch from jsonb_each(patch) p
    where p.key = any(app.plan_fields() || execution_fields);
  wanted := jsonb_populate_record(before, patch - array['reason_code', 'note']);
  wanted.status := coalesce(wanted.status, before.status);
  wanted.qty_processed := coalesce(wanted.qty_processed, before.qty_processed);
  wanted.qty_scrap := coalesce(wanted.qty_scrap, before.qty_scrap);
  wanted.overrun_tolerance_pct := coalesce(wanted.overrun_tolerance_pct, before.overrun_tolerance_pct);

  actions := app.actions_to_status(before, wanted.status);
  if actions is null then
    perform app.raise_problem(app.transition_problem(before, caller, format('set status "%s" of', wanted.status)));
  end if;
  perform app.raise_problem(app.plan_problem(wanted));
  if patch ? 'timestamp_ms' then
    perform app.raise_problem(app.source_time_problem(wanted.timestamp_ms));
  end if;
  if wanted.workplace_name is distinct from before.workplace_name then
    perform app.require_own_workplace(caller, wanted.workplace_name);
    perform app.ensure_workplace(wanted.workplace_name, wanted.workplace_group);
  end if;

  -- takes the wanted plan and keeps the execution, which only actions change
  operation := jsonb_populate_record(before,
    (select jsonb_object_agg(p.key, p.value) from jsonb_each(to_jsonb(wanted)) p
    where p.key = any(app.plan_fields() || array['timestamp_ms', 'change_type'])));

  -- 1. actions that start it
  report.reason_code := patch ->> 'reason_code';
  report.note := patch ->> 'note';
  foreach action in array actions loop
    if action in ('RELEASE', 'START') then
      report.action_type := action;
      report.occurred_at := case
        when action = 'START' and before.actual_start_at is null then wanted.actual_start_at end;
      operation := (app.record_event(operation, caller, report, is_last => false)).operation;
    end if;
  end loop;

  -- 2. corrections of earlier reports
  correction.action_type := 'CORRECT';
  correction.note := patch ->> 'note';
  correction.actual_start_at := case when wanted.actual_start_at is distinct from operation.actual_start_at
    then wanted.actual_start_at end;
  correction.actual_end_at := case
    when not (actions && '{FINISH,CANCEL}') and wanted.actual_end_at is distinct from before.actual_end_at
      then wanted.actual_end_at end;
  -- a read adds the open run to the stored minutes, so they always differ
  correction.t_actual_setup_min := case
    when wanted.t_actual_setup_min is distinct from before.t_actual_setup_min or operation.running_phase = 'SETUP'
    then (patch ->> 't_actual_setup_min')::numeric end;
  correction.t_actual_processing_min := case
    when wanted.t_actual_processing_min is distinct from before.t_actual_processing_min
      or operation.running_phase = 'PROCESSING'
    then (patch ->> 't_actual_processing_min')::numeric end;
  -- with a start and an end, the lead time follows from them
  correction.t_actual_lead_min := case
    when wanted.t_actual_lead_min is distinct from before.t_actual_lead_min and not coalesce(
      coalesce(wanted.actual_start_at, operation.actual_start_at) is not null
        and (actions && '{FINISH,CANCEL}' or coalesce(wanted.actual_end_at, operation.actual_end_at) is not null),
      false)
    then wanted.t_actual_lead_min end;
  ended_at := case when actions && '{FINISH,CANCEL}' then wanted.actual_end_at end;
  if actions && '{STOP,FINISH,CANCEL}'
    and (correction.t_actual_setup_min is not null or correction.t_actual_processing_min is not null) then
    -- the stated minutes hold at the end of the run
    ended_at := coalesce(ended_at,
      greatest(date_trunc('milliseconds', clock_timestamp()), app.timeline_end(operation)));
    correction.occurred_at := ended_at;
  end if;

  report.action_type := 'REPORT_QUANTITY';
  report.occurred_at := case when 'FINISH' = any(actions) then wanted.actual_end_at end;
  report.qty_scrap := wanted.qty_scrap - before.qty_scrap;
  report.qty_good := wanted.qty_processed - wanted.qty_scrap - before.qty_good;
  if report.qty_good < 0 or report.qty_scrap < 0 or before.status = 'FINISHED'
    or wanted.qty_processed = before.qty_processed then
    correction.qty_good := report.qty_good;
    correction.qty_scrap := report.qty_scrap;
    report.qty_good := 0;
    report.qty_scrap := 0;
  end if;
  if correction.qty_good <> 0 or correction.qty_scrap <> 0
    or correction.actual_start_at is not null or correction.actual_end_at is not null
    or correction.t_actual_setup_min is not null or correction.t_actual_processing_min is not null
    or correction.t_actual_lead_min is not null
  then
    operation := (app.record_event(operation, caller, correction, is_last => false)).operation;
  end if;

  -- 3. pieces made since
  if report.qty_good > 0 or report.qty_scrap > 0 then
    report.reason_code := null;
    operation := (app.record_event(operation, caller, report, is_last => false)).operation;
  end if;

  -- 4. parked pieces that now have room; quantities that the caller states already include them
  if operation.qty_parked > 0 and not patch ?| '{qty_processed,qty_scrap}'
    and (operation.qty_desired, operation.overrun_tolerance_pct)
      is distinct from (before.qty_desired, before.overrun_tolerance_pct)
  then
    operation := app.settle_parked(operation, caller, is_last => false);
  end if;

  -- 5. actions that end it; clients of the first service send no reason
  report.qty_good := null;
  report.qty_scrap := null;
  foreach action in array actions loop
    if action not in ('RELEASE', 'START') then
      report.action_type := action;
      report.occurred_at := ended_at;
      report.reason_code := coalesce(patch ->> 'reason_code', case
        when action in ('HOLD', 'CANCEL') or action = 'FINISH' and operation.qty_good < operation.qty_desired
          then 'UNSPECIFIED' end);
      operation := (app.record_event(operation, caller, report, is_last => false)).operation;
    end if;
  end loop;

  return case when operation is distinct from before then app.store_operation(operation) else operation end;
end
$$;
comment on function app.change_operation(public.mes_operations, app.caller, jsonb) is
  'Changes the plan of a locked operation and records the difference to the stated status, quantities and times as '
  'events. Raises 403 forbidden, 422 invalid_state_transition, invalid_quantity or validation_failed, and what '
  'record_event raises.';

create function public.update_operation(
  order_no text, asset_id integer, operation_no text, patch jsonb, if_match integer[] default null,
  idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no) and app.require_bounded('patch', patch)
    and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  operation public.mes_operations;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  operation := app.lock_operation(caller, order_no, asset_id, operation_no);
  perform app.require_version(operation.version, if_match);
  operation := app.change_operation(operation, caller, patch);
  return app.finish_command(command, array[coalesce(operation.workplace_name, '*')],
    json_build_object('status', 200, 'body', app.operation_answer(operation, caller)));
end
$$;
comment on function public.update_operation(text, integer, text, jsonb, integer[], jsonb) is
  'Changes an operation. Answers {"status", "body"}. Raises 404 not_found, 412 stale_version, and what '
  'app.change_operation raises.';
grant execute on function public.update_operation to authenticated, service_role;
