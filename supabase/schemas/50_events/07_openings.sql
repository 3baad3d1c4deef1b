-- What: operations that arrive with work already done.
-- Why: one event explains what they bring.

-- An operation that arrives with work already done begins with one event that explains it.
create function app.record_opening(inout operation public.mes_operations, caller app.caller, opened public.mes_operations, out event public.operation_events)
language plpgsql
set search_path = ''
as $$
declare
  report app.report;
  changes jsonb;
  opened_at constant timestamptz := date_trunc('milliseconds', clock_timestamp());
begin
  operation.status := opened.status;
  operation.hold_kind := case when opened.status = 'ON_HOLD' then 'PAUSED' end;
  operation.qty_processed := opened.qty_processed;
  operation.qty_scrap := opened.qty_scrap;
  operation.actual_start_at := coalesce(date_trunc('milliseconds', opened.actual_start_at), case when opened.status in ('IN_PROGRESS', 'ON_HOLD') then opened_at end);
  operation.actual_end_at := date_trunc('milliseconds', opened.actual_end_at);
  operation.unlogged_setup_min := coalesce(opened.t_actual_setup_min, 0);
  operation.unlogged_processing_min := coalesce(opened.t_actual_processing_min, 0);
  operation.t_actual_lead_min := opened.t_actual_lead_min;
  if opened.status = 'IN_PROGRESS' then
    -- the minutes that it brings are those since its start
    operation.running_since := case
      when operation.unlogged_setup_min + operation.unlogged_processing_min > 0 then opened_at else operation.actual_start_at end;
    operation.running_phase := 'PROCESSING';
    operation.run_count := 1;
    operation.worked_until := operation.running_since;
  end if;
  operation := app.with_minutes(operation);

  report.action_type := 'CORRECT';
  report.occurred_at := opened_at;
  report.qty_good := operation.qty_processed - operation.qty_scrap;
  report.qty_scrap := operation.qty_scrap;
  select jsonb_object_agg(o.key, jsonb_build_object('before', null, 'after', o.value)) into changes
  from jsonb_each(jsonb_strip_nulls(jsonb_build_object(
    'status', operation.status, 'qty_processed', operation.qty_processed, 'qty_scrap', operation.qty_scrap,
    'actual_start_at', app.iso(operation.actual_start_at), 'actual_end_at', app.iso(operation.actual_end_at),
    't_actual_setup_min', opened.t_actual_setup_min, 't_actual_processing_min', opened.t_actual_processing_min,
    't_actual_lead_min', opened.t_actual_lead_min
  ))) o;

  event := app.append_event(operation, null, caller, report, null, changes);
  operation.last_op_seq := event.op_seq;
  if operation.running_since is not null then
    insert into public.operation_runs (operation_id, run_no, phase, started_at, start_event_id, user_id, reporter_id)
    values (operation.id, 1, operation.running_phase, operation.running_since, event.id, event.user_id, event.reporter_id);
  end if;
  operation := app.store_operation(operation);
end
$$;
comment on function app.record_opening(public.mes_operations, app.caller, public.mes_operations) is
  'Opens a new operation with the status, quantities, times and minutes that it brings, explained by one CORRECT event.';
