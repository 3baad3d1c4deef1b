-- What: operations that arrive with work already done.
-- Why: one event explains what they bring.

create function app.opening_problem(operation public.mes_operations) returns app.problem
language sql stable
return case when (operation).actual_end_at is not null
  and coalesce((operation).status, 'PLANNED') not in ('FINISHED', 'CANCELLED')
  then app.field_problem('/actual_end_at', 'not_finished', format('operation %s has not ended: its status is "%s"',
    app.operation_label(operation), coalesce((operation).status, 'PLANNED'))) end;
comment on function app.opening_problem(public.mes_operations) is
  'The problem validation_failed of a new operation that brings an end, but is neither finished nor cancelled.';

create function app.record_opening(
  operation public.mes_operations, caller app.caller, opened public.mes_operations
) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  opened_at constant timestamptz := date_trunc('milliseconds', clock_timestamp());
  event public.operation_events;
begin
  event.id := gen_random_uuid();
  event.operation_id := operation.id;
  event.op_seq := 1;
  event.action_type := 'CORRECT';
  event.order_no := operation.order_no;
  event.asset_id := operation.asset_id;
  event.operation_no := operation.operation_no;
  event.workplace_name := operation.workplace_name;
  event.status_after := opened.status;
  event.occurred_at := opened_at;
  event.created_at := clock_timestamp();
  event.qty_good := opened.qty_processed - opened.qty_scrap;
  event.qty_scrap := opened.qty_scrap;
  event.qty_parked := 0;
  event.user_id := caller.user_id;
  event.reporter_id := app.reporter_of(caller, caller.user_id, caller.email);
  event.person_id := caller.person_id;
  select coalesce(jsonb_object_agg(o.key, jsonb_build_object('before', null, 'after', o.value)), '{}')
  into event.changes
  from jsonb_each(jsonb_strip_nulls(jsonb_build_object(
    'status', opened.status, 'qty_processed', opened.qty_processed, 'qty_scrap', opened.qty_scrap,
    'actual_start_at', app.iso(coalesce(date_trunc('milliseconds', opened.actual_start_at),
      case when opened.status in ('IN_PROGRESS', 'ON_HOLD') then opened_at end)),
    'actual_end_at', app.iso(date_trunc('milliseconds', opened.actual_end_at)),
    't_actual_setup_min', opened.t_actual_setup_min, 't_actual_processing_min', opened.t_actual_processing_min,
    't_actual_lead_min', opened.t_actual_lead_min
  ))) o;
  return app.store_execution(app.append_event(operation, null, event));
end
$$;
comment on function app.record_opening(public.mes_operations, app.caller, public.mes_operations) is
  'Opens a new operation with the status, quantities, times and minutes that it brings, explained by one CORRECT '
  'event.';
