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
  event.reporter_id := app.reporter_of(caller.user_id, caller.email);
  event.changes := app.before_and_after('status', to_jsonb(event.status_before), to_jsonb(event.status_after));
  return app.store_execution(app.append_event(operation, null, event));
end
$$;
comment on function app.withdraw_release(public.mes_operations, app.caller) is
  'Takes the release of a locked operation back, which never started, by a CORRECT event of its status.';

create function app.apply_import(
  rows jsonb, is_takeover boolean, caller app.caller, unknown_workplaces text[], rejects_unknown boolean
) returns json
language plpgsql
set search_path = ''
as $$
declare
  decisions app.import_decision[];
  decision app.import_decision;
  created bigint[];
  operation public.mes_operations;
  opened public.mes_operations;
  report app.report;
  action public.action;
begin
  decisions := array(
    select d from app.import_decisions(
      rows, is_takeover, caller, case when rejects_unknown then unknown_workplaces else '{}' end) d
    order by d.index);

  insert into public.workplaces (name, workplace_group)
  select distinct on ((d.wanted).workplace_name) (d.wanted).workplace_name, (d.wanted).workplace_group
  from unnest(decisions) d
  where d.outcome in ('created', 'updated', 'flagged') and (d.wanted).workplace_name is not null
    and not exists (select from public.workplaces w where w.name = (d.wanted).workplace_name)
  order by (d.wanted).workplace_name, d.index
  on conflict do nothing;

  with inserted as (
    insert into public.mes_operations (
      order_no, asset_id, operation_no, state, reference_url, activity_code, activity_description,
      workplace_name, workplace_group,
      qty_desired, overrun_tolerance_pct, planned_start_at, planned_end_at,
      t_target_processing_min, t_target_setup_min, t_target_lead_min, timestamp_ms, change_type, created_by
    )
    select
      (d.wanted).order_no, (d.wanted).asset_id, (d.wanted).operation_no,
      case when d.body ->> 'status' = 'RELEASED' then 'RELEASED' else 'PLANNED' end::public.state,
      (d.wanted).reference_url, (d.wanted).activity_code, (d.wanted).activity_description,
      (d.wanted).workplace_name, (d.wanted).workplace_group, (d.wanted).qty_desired,
      coalesce((d.wanted).overrun_tolerance_pct, 0), (d.wanted).planned_start_at, (d.wanted).planned_end_at,
      (d.wanted).t_target_processing_min, (d.wanted).t_target_setup_min, (d.wanted).t_target_lead_min,
      (d.wanted).timestamp_ms, (d.wanted).change_type, caller.user_id
    from unnest(decisions) d
    where d.outcome = 'created'
    order by d.index
    on conflict do nothing
    returning id
  )
  select array_agg(i.id) into created from inserted i;
  if cardinality(created) < (select count(*) from unnest(decisions) d where d.outcome = 'created') then
    perform app.refuse(503, 'unavailable',
      'Another request has just created some of these operations: send the rows again');
  end if;

  update public.mes_operations o
  set (reference_url, activity_code, activity_description, workplace_name, workplace_group,
       qty_desired, overrun_tolerance_pct,
       planned_start_at, planned_end_at, t_target_processing_min, t_target_setup_min, t_target_lead_min,
       timestamp_ms, change_type, source_conflict)
    = row ((d.wanted).reference_url, (d.wanted).activity_code, (d.wanted).activity_description,
       (d.wanted).workplace_name, (d.wanted).workplace_group,
       (d.wanted).qty_desired, coalesce((d.wanted).overrun_tolerance_pct, o.overrun_tolerance_pct),
       (d.wanted).planned_start_at, (d.wanted).planned_end_at,
       (d.wanted).t_target_processing_min, (d.wanted).t_target_setup_min, (d.wanted).t_target_lead_min,
       (d.wanted).timestamp_ms, (d.wanted).change_type, d.outcome = 'flagged')
  from unnest(decisions) d
  where d.outcome in ('updated', 'flagged') and o.id = (d.existing).id;
  perform app.settle_parked(o, caller)
  from public.mes_operations o
  join unnest(decisions) d on d.outcome in ('updated', 'flagged') and o.id = (d.existing).id
    and (d.existing).qty_parked > 0 and app.limit_changed(d);

  insert into app.deleted_operations as known (order_no, operation_no, asset_id, timestamp_ms)
  select d.body ->> 'order_no', d.body ->> 'operation_no', (d.body ->> 'asset_id')::integer,
    (d.body ->> 'timestamp_ms')::timestamptz
  from unnest(decisions) d
  where d.outcome = 'deleted'
  on conflict on constraint deleted_operations_pkey
    do update set timestamp_ms = greatest(known.timestamp_ms, excluded.timestamp_ms);
  delete from public.mes_operations o using unnest(decisions) d where d.outcome = 'deleted' and o.id = (d.existing).id;

  -- Every change of execution is an event: releases and their withdrawal, cancellations, openings.
  for decision in
    select * from unnest(decisions) d
    where d.outcome in ('created', 'updated') and (cardinality(d.actions) > 0 or d.outcome = 'created' and is_takeover)
  loop
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

  return app.import_results(decisions, unknown_workplaces);
end
$$;
comment on function app.apply_import(jsonb, boolean, app.caller, text[], boolean) is
  'Applies rows of the change feed, one per operation, whose known operations are locked. Answers one result per row.';

create function app.import_results(decisions app.import_decision[], unknown_workplaces text[]) returns json
language sql stable
begin atomic
  select json_agg(case when d.creates_workplace
    then app.json_with(d.result, 'creates_workplace', to_json((d.wanted).workplace_name))
    else d.result end order by d.index)
  from (
    select d.index, d.wanted,
      d.outcome in ('created', 'updated', 'flagged')
        and (d.wanted).workplace_name = any(unknown_workplaces) as creates_workplace,
      json_build_object(
        'index', d.index,
        'status', case d.outcome when 'rejected' then (d.problem).status when 'created' then 201 else 200 end,
        'id', format('%s/%s/%s', d.body ->> 'order_no', d.body ->> 'asset_id', d.body ->> 'operation_no'),
        'outcome', d.outcome,
        'problem', app.problem_json(d.problem)
      ) as result
    from unnest(decisions) d
  ) d;
end;
comment on function app.import_results(app.import_decision[], text[]) is
  'The result of each row of an import, with the unknown workplace that the row names.';
