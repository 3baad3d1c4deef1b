-- What: the import.
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
    and (d.existing).qty_parked > 0;

  insert into app.deleted_operations as known (order_no, operation_no, asset_id, timestamp_ms)
  select d.body ->> 'order_no', d.body ->> 'operation_no', (d.body ->> 'asset_id')::integer,
    (d.body ->> 'timestamp_ms')::timestamptz
  from unnest(decisions) d
  where d.outcome = 'deleted'
  on conflict on constraint deleted_operations_pkey
    do update set timestamp_ms = greatest(known.timestamp_ms, excluded.timestamp_ms);
  delete from public.mes_operations o using unnest(decisions) d where d.outcome = 'deleted' and o.id = (d.existing).id;

  -- What changes execution goes the one way, an event each: releases and their withdrawal, cancellations, openings.
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
  'What an import answers for each of its rows; of the unknown workplaces, the one that the row names.';

create function app.unknown_workplaces(rows jsonb) returns text[]
language sql stable
begin atomic
  select array(
    select distinct r ->> 'workplace_name' from jsonb_array_elements(rows) r
    where r ->> 'workplace_name' is not null
      and not exists (select from public.workplaces w where w.name = r ->> 'workplace_name')
  );
end;
comment on function app.unknown_workplaces(jsonb) is 'The workplaces that rows name and the plant does not know.';

create function app.apply_feed(
  rows jsonb, is_takeover boolean, is_dry_run boolean, rejects_unknown boolean, caller app.caller
) returns json
language plpgsql
set search_path = ''
as $$
declare
  turn jsonb;
  results json[] := '{}'::json[];
  decisions app.import_decision[];
  imagined app.imagined_operation[] := '{}'::app.imagined_operation[];
  unknown_workplaces text[];
begin
  if not is_dry_run then
    -- Imports run one after the other: two that bring the same new operation would else collide.
    perform pg_advisory_xact_lock(hashtext('app.apply_feed'));
    -- Known operations stand still from here on, in the order in which batches lock them too.
    perform from public.mes_operations o
    where (o.order_no, o.operation_no, o.asset_id) in (
      select r ->> 'order_no', r ->> 'operation_no', (r ->> 'asset_id')::integer from jsonb_array_elements(rows) r
    )
      and app.sees_workplace(caller, o.workplace_name)
    order by o.id
    for update;
  end if;
  -- Before the first row, so that all rows of a new workplace name it, in a dry run too.
  unknown_workplaces := app.unknown_workplaces(rows);
  -- The rows of one operation are taken as if they had come alone, oldest first: the first rows of all operations
  -- at once, then all second ones, ... Of equal rows one is taken.
  for turn in
    select jsonb_agg(r.body)
    from (
      select b.body, row_number() over (
        partition by b.body ->> 'order_no', b.body ->> 'operation_no', b.body ->> 'asset_id'
        order by (b.body ->> 'timestamp_ms')::timestamptz, (b.body ->> 'index')::integer
      ) as turn_no
      from (
        select distinct on (r.value - 'index') r.value as body
        from jsonb_array_elements(rows) r
        order by r.value - 'index', (r.value ->> 'index')::integer
      ) b
    ) r
    group by r.turn_no
    order by r.turn_no
  loop
    if is_dry_run then
      decisions := array(
        select d from app.import_decisions(
          turn, is_takeover, caller, case when rejects_unknown then unknown_workplaces else '{}' end, imagined) d);
      results := results || array(select json_array_elements(app.import_results(decisions, unknown_workplaces)));
      imagined := array(
        select distinct on (i.order_no, i.operation_no, i.asset_id) i::app.imagined_operation
        from (
          select i.*, 1 as age from unnest(imagined) i
          union all
          select i.*, 0 from unnest(decisions) d cross join app.imagine(d) i
          where d.outcome in ('created', 'updated', 'flagged', 'deleted')
        ) known
        cross join lateral (
          select known.order_no, known.operation_no, known.asset_id, known.operation, known.deleted_at
        ) i
        order by i.order_no, i.operation_no, i.asset_id, known.age
      );
    else
      results := results || array(select json_array_elements(
        app.apply_import(turn, is_takeover, caller, unknown_workplaces, rejects_unknown)));
    end if;
  end loop;
  return (
    select coalesce(json_agg(
      case
        when sent.index = sent.first_index then told.result
        else json_build_object(
          'index', sent.index,
          'status', case when told.result ->> 'outcome' = 'rejected' then told.result -> 'status' else '200' end,
          'id', told.result -> 'id',
          'outcome', case when told.result ->> 'outcome' = 'rejected' then 'rejected' else 'skipped_stale' end,
          'problem', told.result -> 'problem'
        )
      end
      order by sent.index), '[]')
    from (
      select (r.value ->> 'index')::integer as index,
        min((r.value ->> 'index')::integer) over (partition by r.value - 'index') as first_index
      from jsonb_array_elements(rows) r
    ) sent
    join (select (r ->> 'index')::integer as index, r as result from unnest(results) r) told
      on told.index = sent.first_index
  );
end
$$;
comment on function app.apply_feed(jsonb, boolean, boolean, boolean, app.caller) is
  'Applies rows of the change feed in one transaction, each operation''s in the order of their source times; a dry '
  'run writes and locks nothing. Answers one result per row.';

create function public.import_operations(
  rows jsonb, is_takeover boolean default false, is_dry_run boolean default false,
  rejects_unknown_workplaces boolean default false, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('rows', rows, 8388608);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  least_role constant public.role := case when is_takeover then 'manager'::public.role else 'supervisor' end;
  answer json;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, least_role, format('Importing operations needs the role %s', least_role));
  perform app.require_workplace(caller);
  if jsonb_array_length(rows) > 1000 then
    perform app.refuse_field('', 'too_big', 'An import takes at most 1000 rows at once');
  end if;
  answer := json_build_object('status', 207, 'body',
    app.apply_feed(rows, is_takeover, is_dry_run, rejects_unknown_workplaces, caller));
  return case when is_dry_run then answer else app.finish_command(command, null, answer) end;
end
$$;
comment on function public.import_operations(jsonb, boolean, boolean, boolean, jsonb) is
  'Imports up to 1000 rows of the ERP''s change feed, each with its index. Answers {"status", "body": [{"index", '
  '"status", "id", "outcome", "problem", "creates_workplace"}]}; the last one only of a row that names an unknown '
  'workplace, which is created, or the row rejected. Raises 403 forbidden, 422 validation_failed for too many rows.';
grant execute on function public.import_operations to authenticated, service_role;
