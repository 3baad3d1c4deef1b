-- What: rows of the change feed, applied as decided.
-- Why: rows are applied as sets in one transaction, each with its own result.

create function app.withdraw_release(operation public.mes_operations, caller app.caller) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  event public.operation_events;
begin
  event.id := gen_random_uuid();
  event.operation_id := operation.id;
  event.op_seq := operation.last_op_seq + 1;
  event.action_type := 'CORRECT';
  event.order_no := operation.order_no;
  event.asset_id := operation.asset_id;
  event.operation_no := operation.operation_no;
  event.workplace_name := operation.workplace_name;
  event.status_before := operation.status;
  event.status_after := 'PLANNED';
  event.occurred_at := date_trunc('milliseconds', clock_timestamp());
  event.created_at := greatest(clock_timestamp(), operation.updated_at);
  event.qty_good := 0;
  event.qty_scrap := 0;
  event.qty_parked := 0;
  event.user_id := caller.user_id;
  event.reporter_id := app.reporter_of(caller, caller.user_id, caller.email);
  event.person_id := caller.person_id;
  event.changes := app.before_and_after('status', to_jsonb(event.status_before), to_jsonb(event.status_after));
  return app.store_execution(app.append_event(operation, null, event));
end
$$;
comment on function app.withdraw_release(public.mes_operations, app.caller) is
  'Takes the release of a locked operation back, which never started, by a CORRECT event of its status.';

create type app.indexed_result as (index integer, outcome text, result json);

comment on type app.indexed_result is 'The result of a row with its index and outcome, to be told apart unparsed.';

create function app.apply_import(
  rows app.import_row[], is_takeover boolean, caller app.caller, unknown_workplaces text[], refused_workplaces text[]
) returns app.indexed_result[]
language plpgsql
set search_path = ''
-- A plan for the number of rows at hand may read the whole table.
set plan_cache_mode = force_generic_plan
as $$
declare
  results app.indexed_result[];
  created app.import_decision[];
  changed app.import_decision[];
  deleted app.import_decision[];
  -- those with events
  acting app.import_decision[];
  decision app.import_decision;
  operation public.mes_operations;
  opened public.mes_operations;
  report app.report;
  action public.action;
begin
  -- the scope of an import includes the releases and cancellations that its rows stand for
  caller.scopes := null;
  select
    array_agg(row(d.index, d.outcome, app.import_result(
      d.index, d.outcome, d.problem, d.body, (d.wanted).workplace_name, unknown_workplaces))::app.indexed_result),
    array_agg(d order by d.index) filter (where d.outcome = 'created'),
    array_agg(d order by d.index) filter (where d.outcome in ('updated', 'flagged')),
    array_agg(d order by d.index) filter (where d.outcome = 'deleted'),
    array_agg(d order by d.index) filter (where d.outcome in ('created', 'updated')
      and (cardinality(d.actions) > 0 or d.outcome = 'created' and is_takeover))
  into results, created, changed, deleted, acting
  from app.import_decisions(rows, is_takeover, caller, refused_workplaces, '{}') d;

  if unknown_workplaces <> '{}' then
    insert into public.workplaces (name, workplace_group)
    select distinct on ((d.wanted).workplace_name) (d.wanted).workplace_name, (d.wanted).workplace_group
    from unnest(created || changed) d
    where (d.wanted).workplace_name = any(unknown_workplaces)
    order by (d.wanted).workplace_name, d.index
    on conflict do nothing;
  end if;

  if created is not null then
    begin
      insert into public.mes_operations (
        order_no, asset_id, operation_no, state, reference_url, activity_code, activity_description,
        workplace_name, workplace_group,
        qty_desired, overrun_tolerance_pct, planned_start_at, planned_end_at,
        t_target_processing_min, t_target_setup_min, t_target_lead_min, t_target_per_piece_min,
        timestamp_ms, change_type, created_by
      )
      select
        (d.wanted).order_no, (d.wanted).asset_id, (d.wanted).operation_no,
        case when d.body ->> 'status' = 'RELEASED' then 'RELEASED' else 'PLANNED' end::public.state,
        (d.wanted).reference_url, (d.wanted).activity_code, (d.wanted).activity_description,
        (d.wanted).workplace_name, (d.wanted).workplace_group, (d.wanted).qty_desired,
        coalesce((d.wanted).overrun_tolerance_pct, 0), (d.wanted).planned_start_at, (d.wanted).planned_end_at,
        (d.wanted).t_target_processing_min, (d.wanted).t_target_setup_min, (d.wanted).t_target_lead_min,
        (d.wanted).t_target_per_piece_min, (d.wanted).timestamp_ms, (d.wanted).change_type, caller.user_id
      from unnest(created) d;
    exception when unique_violation then
      perform app.refuse(503, 'unavailable',
        'Another request has just created some of these operations: send the rows again');
    end;
  end if;

  if changed is not null then
    update public.mes_operations o
    set (reference_url, activity_code, activity_description, workplace_name, workplace_group,
         qty_desired, overrun_tolerance_pct,
         planned_start_at, planned_end_at, t_target_processing_min, t_target_setup_min, t_target_lead_min,
         t_target_per_piece_min, timestamp_ms, change_type, source_conflict)
      = row ((d.wanted).reference_url, (d.wanted).activity_code, (d.wanted).activity_description,
         (d.wanted).workplace_name, (d.wanted).workplace_group,
         (d.wanted).qty_desired, coalesce((d.wanted).overrun_tolerance_pct, o.overrun_tolerance_pct),
         (d.wanted).planned_start_at, (d.wanted).planned_end_at,
         (d.wanted).t_target_processing_min, (d.wanted).t_target_setup_min, (d.wanted).t_target_lead_min,
         (d.wanted).t_target_per_piece_min, (d.wanted).timestamp_ms, (d.wanted).change_type, d.outcome = 'flagged')
    from unnest(changed) d
    where o.id = (d.existing).id;
    perform app.settle_parked(o, caller)
    from unnest(changed) d
    join public.mes_operations o on o.id = (d.existing).id
    where (d.existing).qty_parked > 0 and app.limit_changed(d);
  end if;

  if deleted is not null then
    insert into app.deleted_operations as known (order_no, operation_no, asset_id, timestamp_ms)
    select d.body ->> 'order_no', d.body ->> 'operation_no', (d.body ->> 'asset_id')::integer,
      (d.body ->> 'timestamp_ms')::timestamptz
    from unnest(deleted) d
    on conflict on constraint deleted_operations_pkey
      do update set timestamp_ms = greatest(known.timestamp_ms, excluded.timestamp_ms);
    delete from public.mes_operations o using unnest(deleted) d where o.id = (d.existing).id;
  end if;

  -- Every change of execution is an event: releases and their withdrawal, cancellations, openings.
  for decision in select * from unnest(acting) loop
    select * into operation from public.mes_operations o
    where o.order_no = decision.body ->> 'order_no' and o.operation_no = decision.body ->> 'operation_no'
      and o.asset_id = (decision.body ->> 'asset_id')::integer
    for update;
    if decision.outcome = 'created' and is_takeover and app.brings_execution(decision.wanted) then
      opened := decision.wanted;
      opened.status := coalesce(opened.status, 'PLANNED');
      opened.qty_processed := coalesce(opened.qty_processed, 0);
      opened.qty_scrap := coalesce(opened.qty_scrap, 0);
      perform app.record_opening(operation, caller, opened);
    end if;
    foreach action in array decision.actions loop
      if action = 'CORRECT' then
        operation := app.withdraw_release(operation, caller);
      else
        report.action_type := action;
        report.reason_code := case action when 'CANCEL' then 'UNSPECIFIED' end;
        operation := (app.record_event(operation, caller, report)).operation;
      end if;
    end loop;
  end loop;

  return results;
end
$$;
comment on function app.apply_import(app.import_row[], boolean, app.caller, text[], text[]) is
  'Applies rows of the change feed, one per operation, whose known operations are locked. Answers one result per row.';
