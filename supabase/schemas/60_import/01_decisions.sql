-- What: what each row of the ERP's change feed means.
-- Why: rows come in any order, any number of times.

create type app.import_decision as (
  index integer,
  outcome text,
  problem json,
  body jsonb,
  existing public.mes_operations,
  wanted public.mes_operations,
  actions text[]
);

comment on type app.import_decision is
  'What becomes of one row: created, updated, deleted, flagged (kept although the source took it away), skipped_stale or rejected; and the lifecycle steps that it stands for.';

-- A dry run writes nothing, not even to undo it, so that it holds no lock that others wait for. This says what its
-- earlier rows of an operation would have done.
create type app.imagined_operation as (
  order_no text,
  operation_no text,
  asset_id integer,
  operation public.mes_operations,
  deleted_at timestamptz
);

comment on type app.imagined_operation is 'An operation as a dry run would have left it; operation is null and deleted_at the source time when it would be gone.';

create function app.imagine(decision app.import_decision) returns app.imagined_operation
language plpgsql stable
set search_path = ''
as $$
declare
  made app.imagined_operation;
  operation public.mes_operations := (decision).wanted;
begin
  made.order_no := (decision).body ->> 'order_no';
  made.operation_no := (decision).body ->> 'operation_no';
  made.asset_id := ((decision).body ->> 'asset_id')::integer;
  if (decision).outcome = 'deleted' then
    made.deleted_at := ((decision).body ->> 'timestamp_ms')::timestamptz;
    return made;
  end if;
  operation.source_conflict := (decision).outcome = 'flagged';
  operation.overrun_tolerance_pct := coalesce(
    operation.overrun_tolerance_pct, ((decision).existing).overrun_tolerance_pct, 0);
  if (decision).outcome = 'created' then
    -- a number that no stored operation has
    operation.id := 0;
    operation.status := case when app.brings_execution(operation) then operation.status
      when (decision).body ->> 'status' = 'RELEASED' then 'RELEASED' else 'PLANNED' end;
    operation.qty_processed := coalesce(operation.qty_processed, 0);
    operation.qty_scrap := coalesce(operation.qty_scrap, 0);
    operation.actual_start_at := coalesce(operation.actual_start_at,
      case when operation.status in ('IN_PROGRESS', 'ON_HOLD') then clock_timestamp() end);
  end if;
  operation.status := case
    when 'CANCEL' = any((decision).actions) then 'CANCELLED'
    when 'RELEASE' = any((decision).actions) then 'RELEASED'
    else coalesce(operation.status, 'PLANNED')
  end;
  made.operation := operation;
  return made;
end
$$;
comment on function app.imagine(app.import_decision) is 'The operation as app.apply_import would leave it after this decision to create, update, flag or delete.';

-- The ERP owns the plan; of the lifecycle it owns release and cancellation, as long as nothing has begun.
create function app.import_decisions(
  rows jsonb, is_takeover boolean, caller app.caller, imagined app.imagined_operation[] default '{}'
) returns setof app.import_decision
language plpgsql stable
set search_path = ''
as $$
declare
  latest_time constant timestamptz := app.latest_time();
begin
  return query
  with parsed as (
    select
      (r.value ->> 'index')::integer as index,
      r.value as body,
      r.value ->> 'order_no' as order_no,
      r.value ->> 'operation_no' as operation_no,
      (r.value ->> 'asset_id')::integer as asset_id,
      coalesce(r.value ->> 'change_type', 'UPDATE') as change_type,
      coalesce(r.value ->> 'status', 'PLANNED') as status,
      (r.value ->> 'timestamp_ms')::timestamptz as timestamp_ms
    from jsonb_array_elements(rows) r
  ),
  -- materialized: `wanted` is made once for each row, not each time that it is named
  matched as materialized (
    select
      r.*, (k.operation).id is not null as exists, k.operation as existing,
      (k.operation).actual_start_at is not null or (k.operation).qty_processed > 0 or (k.operation).status = 'FINISHED'
        as has_begun,
      greatest((k.operation).timestamp_ms, d.timestamp_ms, i.deleted_at) as known_at,
      jsonb_populate_record(
        k.operation,
        case when (k.operation).id is null and is_takeover then r.body - 'index' else (
          select jsonb_object_agg(f.key, f.value) from jsonb_each(r.body) f
          where f.key = any(array['order_no', 'operation_no', 'asset_id', 'timestamp_ms', 'change_type'])
            or r.change_type <> 'DELETE' and f.key = any(app.plan_fields())
        ) end
      ) as wanted
    from parsed r
    left join unnest(imagined) i
      on i.order_no = r.order_no and i.operation_no = r.operation_no and i.asset_id = r.asset_id
    left join public.mes_operations o on o.order_no = r.order_no and o.operation_no = r.operation_no and o.asset_id = r.asset_id
    cross join lateral (select case when i.order_no is null then o else i.operation end as operation) k
    left join app.deleted_operations d on d.order_no = r.order_no and d.operation_no = r.operation_no and d.asset_id = r.asset_id
  ),
  judged as (
    select m.*,
      case
        -- before anything else is told of it; and who sees some workplaces only cannot say of an unknown operation
        -- that it is deleted, which would keep others from importing it
        when m.change_type = 'DELETE' and not app.sees_workplace(caller, (m.existing).workplace_name)
        then app.row_problem(404, 'not_found', 'There is no such resource, or it is not yours to see')
        when m.change_type <> 'DELETE' and (
          m.exists and not app.sees_workplace(caller, (m.existing).workplace_name)
          or not app.sees_workplace(caller, (m.wanted).workplace_name))
        then app.row_problem(403, 'forbidden', 'You have no access to the workplace of this operation')
        when m.timestamp_ms <= m.known_at then null
        -- it would make every row that comes later a stale one
        when m.timestamp_ms > latest_time + interval '24 hours'
        then app.row_problem(422, 'validation_failed', app.ahead_of_clock(m.timestamp_ms), '/timestamp_ms', 'in_future')
        when m.change_type = 'DELETE' then null
        when (m.wanted).planned_start_at >= (m.wanted).planned_end_at
        then app.row_problem(422, 'validation_failed', 'planned_end_at must be later than planned_start_at', '/planned_end_at', 'not_after_start')
        when (m.wanted).actual_start_at > (m.wanted).actual_end_at
        then app.row_problem(422, 'validation_failed', 'actual_end_at must not be earlier than actual_start_at', '/actual_end_at', 'before_start')
        when not m.exists and greatest((m.wanted).actual_start_at, (m.wanted).actual_end_at) > latest_time
        then app.row_problem(422, 'validation_failed',
          app.ahead_of_clock(greatest((m.wanted).actual_start_at, (m.wanted).actual_end_at)),
          case when (m.wanted).actual_start_at > latest_time then '/actual_start_at' else '/actual_end_at' end, 'in_future')
        when not m.exists and (m.wanted).actual_end_at is not null and m.status not in ('FINISHED', 'CANCELLED')
        then app.row_problem(422, 'validation_failed', format('The operation has not ended: its status is "%s"', m.status), '/actual_end_at', 'not_finished')
        when coalesce((m.wanted).qty_scrap, 0) > coalesce((m.wanted).qty_processed, 0)
          or coalesce((m.wanted).qty_processed, 0) - coalesce((m.wanted).qty_scrap, 0)
            > floor((m.wanted).qty_desired * (1 + coalesce((m.wanted).overrun_tolerance_pct, (m.existing).overrun_tolerance_pct, 0) / 100))
        then app.row_problem(422, 'invalid_quantity', 'More pieces than the desired quantity and its tolerance allow, or more scrap than pieces')
        when not m.exists and not is_takeover and m.status not in ('PLANNED', 'RELEASED', 'CANCELLED')
        then app.row_problem(422, 'validation_failed',
          format('A new operation is PLANNED or RELEASED, not "%s": take work of another system over with mode=takeover', m.status),
          '/status', 'not_planned')
      end as problem
    from matched m
  )
  select
    j.index,
    case
      when j.problem is not null then 'rejected'
      when j.timestamp_ms <= j.known_at then 'skipped_stale'
      when j.change_type = 'DELETE' and j.exists and j.has_begun then 'flagged'
      when j.change_type = 'DELETE' then 'deleted'
      when not j.exists then 'created'
      when j.status = 'CANCELLED' and (j.existing).status <> 'CANCELLED' and j.has_begun then 'flagged'
      else 'updated'
    end,
    j.problem,
    j.body,
    j.existing,
    j.wanted,
    case
      when j.change_type = 'DELETE' or j.problem is not null then '{}'::text[]
      when not j.exists and is_takeover then '{}'::text[]
      when j.status = 'CANCELLED' and not coalesce(j.has_begun, false) and (j.existing).status is distinct from 'CANCELLED' then '{CANCEL}'
      when j.status = 'RELEASED' and (j.existing).status = 'PLANNED' then '{RELEASE}'
      else '{}'
    end
  from judged j;
end
$$;
comment on function app.import_decisions(jsonb, boolean, app.caller, app.imagined_operation[]) is
  'Judges rows of the change feed, each a JSON object of the API with its index, one per operation; set-based, changes nothing.';
