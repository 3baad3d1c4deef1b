-- What: creating an operation, and the rules for its plan.
-- Why: planners own the plan; what changes execution goes through app.record_event.

create function app.ensure_workplace(name text, workplace_group text) returns void
language plpgsql
set search_path = ''
as $$
begin
  if name is not null and not exists (select from public.workplaces w where w.name = ensure_workplace.name) then
    insert into public.workplaces (name, workplace_group)
      values (ensure_workplace.name, ensure_workplace.workplace_group)
    on conflict do nothing;
  end if;
end
$$;
comment on function app.ensure_workplace(text, text) is
  'Adds an unknown workplace, because the first service had no list of workplaces.';

create function app.require_own_workplace(caller app.caller, workplace_name text) returns void
language plpgsql
set search_path = ''
as $$
begin
  if not app.sees_workplace(caller, workplace_name) then
    perform app.refuse(403, 'forbidden', coalesce(
      'You have no access to workplace "' || workplace_name || '"',
      'Only someone with access to all workplaces may plan without a workplace'));
  end if;
end
$$;
comment on function app.require_own_workplace(app.caller, text) is
  'Raises 403 forbidden when the caller would put an operation where they do not work.';

create function app.plan_problem(operation public.mes_operations) returns app.problem
language sql stable
return coalesce(
  case when (operation).planned_start_at >= (operation).planned_end_at
    then app.field_problem('/planned_end_at', 'not_after_start',
    format('planned_end_at "%s" must be later than planned_start_at "%s"',
      app.iso((operation).planned_end_at), app.iso((operation).planned_start_at))) end,
  case when (operation).actual_start_at > (operation).actual_end_at
    then app.field_problem('/actual_end_at', 'before_start',
    format('actual_end_at "%s" must not be earlier than actual_start_at "%s"',
      app.iso((operation).actual_end_at), app.iso((operation).actual_start_at))) end,
  -- a call cannot be inlined and reads the last record: most plans have no such time
  case when (operation).actual_start_at is not null
    then app.future_problem('/actual_start_at', (operation).actual_start_at) end,
  case when (operation).actual_end_at is not null
    then app.future_problem('/actual_end_at', (operation).actual_end_at) end,
  app.quantity_problem(operation, coalesce((operation).qty_processed, 0), coalesce((operation).qty_scrap, 0))
);
comment on function app.plan_problem(public.mes_operations) is
  'The problem validation_failed when times are out of order, invalid_quantity when quantities are.';

create function app.brings_execution(operation public.mes_operations) returns boolean
language sql immutable parallel safe
return coalesce((operation).status, 'PLANNED') not in ('PLANNED', 'RELEASED')
  or coalesce((operation).qty_processed, 0) > 0
  or (operation).actual_start_at is not null or (operation).actual_end_at is not null
  or (operation).t_actual_setup_min is not null or (operation).t_actual_processing_min is not null
  or (operation).t_actual_lead_min is not null;
comment on function app.brings_execution(public.mes_operations) is
  'True for a new operation with a status, quantities, times or minutes of work done elsewhere, which an opening '
  'event explains.';

create function public.create_operation(operation jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('operation', operation);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  wanted public.mes_operations := jsonb_populate_record(null::public.mes_operations, operation);
  stored public.mes_operations;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, 'supervisor', 'Your role may not create operations');
  perform app.require_own_workplace(caller, wanted.workplace_name);

  wanted.status := coalesce(wanted.status, 'PLANNED');
  wanted.qty_processed := coalesce(wanted.qty_processed, 0);
  wanted.qty_scrap := coalesce(wanted.qty_scrap, 0);
  wanted.overrun_tolerance_pct := coalesce(wanted.overrun_tolerance_pct, 0);
  perform app.raise_problem(coalesce(
    app.source_time_problem(wanted.timestamp_ms), app.plan_problem(wanted), app.opening_problem(wanted)));
  perform app.ensure_workplace(wanted.workplace_name, wanted.workplace_group);

  insert into public.mes_operations (
    order_no, asset_id, operation_no, state, reference_url, activity_code, activity_description,
    workplace_name, workplace_group,
    qty_desired, overrun_tolerance_pct, planned_start_at, planned_end_at,
    t_target_processing_min, t_target_setup_min, t_target_lead_min, t_target_per_piece_min, timestamp_ms, change_type,
    created_by
  )
  values (
    wanted.order_no, wanted.asset_id, wanted.operation_no,
    case wanted.status when 'RELEASED' then 'RELEASED' else 'PLANNED' end::public.state,
    wanted.reference_url, wanted.activity_code, wanted.activity_description,
    wanted.workplace_name, wanted.workplace_group,
    wanted.qty_desired, wanted.overrun_tolerance_pct, wanted.planned_start_at, wanted.planned_end_at,
    wanted.t_target_processing_min, wanted.t_target_setup_min, wanted.t_target_lead_min,
    wanted.t_target_per_piece_min, wanted.timestamp_ms, wanted.change_type, caller.user_id
  )
  on conflict do nothing
  returning * into stored;
  if not found then
    perform app.refuse(409, 'duplicate_operation', format('Operation %s exists already', app.operation_label(wanted)));
  end if;

  if app.brings_execution(wanted) then
    stored := app.record_opening(stored, caller, wanted);
  end if;
  return app.finish_command(command, array[coalesce(stored.workplace_name, '*')],
    json_build_object('status', 201, 'body', app.operation_answer(stored, caller)));
end
$$;
comment on function public.create_operation(jsonb, jsonb) is
  'Creates an operation from the JSON of the API; one that brings execution begins with an opening event. Answers '
  '{"status", "body"}. Raises 403 forbidden, 409 duplicate_operation, 422 invalid_quantity or validation_failed.';
grant execute on function public.create_operation to authenticated, service_role;
