-- What: the effect of each row of the ERP's change feed.
-- Why: rows come in any order, any number of times.

create type app.import_decision as (
  index integer,
  outcome text,
  problem app.problem,
  body jsonb,
  existing public.mes_operations,
  wanted public.mes_operations,
  actions public.action[]
);

comment on type app.import_decision is
  'What becomes of one row: created, updated, deleted, flagged (kept although the source took it away), skipped_stale '
  'or rejected; and the transitions that it stands for.';

create function app.limit_changed(decision app.import_decision) returns boolean
language sql immutable parallel safe
return ((decision).wanted).qty_desired is distinct from ((decision).existing).qty_desired
  -- null is the same as left out
  or ((decision).wanted).overrun_tolerance_pct <> ((decision).existing).overrun_tolerance_pct;
comment on function app.limit_changed(app.import_decision) is
  'True when the row changes how many good pieces the operation may have, so that parked pieces may fit.';

-- A dry run writes nothing, not even to undo it, so that it holds no locks. This type holds the effect that its earlier
-- rows of an operation would have had.
create type app.imagined_operation as (
  order_no text,
  operation_no text,
  asset_id integer,
  operation public.mes_operations,
  deleted_at timestamptz
);

comment on type app.imagined_operation is
  'An operation as a dry run would have left it; operation is null and deleted_at the source time when it would be '
  'gone.';

create function app.imagine(decision app.import_decision) returns app.imagined_operation
language plpgsql stable
set search_path = ''
as $$
declare
  made app.imagined_operation;
  operation public.mes_operations := (decision).wanted;
  fitting integer;
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
    operation.state := case
      when app.brings_execution(operation)
        then case operation.status when 'ON_HOLD' then 'PAUSED' else operation.status::text end::public.state
      when (decision).body ->> 'status' = 'RELEASED' then 'RELEASED' else 'PLANNED' end;
    operation.qty_processed := coalesce(operation.qty_processed, 0);
    operation.qty_scrap := coalesce(operation.qty_scrap, 0);
    operation.actual_start_at := coalesce(operation.actual_start_at,
      case when operation.state in ('IN_PROGRESS', 'PAUSED') then clock_timestamp() end);
  end if;
  operation.state := case
    when 'CANCEL' = any((decision).actions) then 'CANCELLED'::public.state
    when 'RELEASE' = any((decision).actions) then 'RELEASED'
    when 'CORRECT' = any((decision).actions) then 'PLANNED'
    else coalesce(operation.state, 'PLANNED')
  end;
  operation.status := app.status_of(operation.state);
  if operation.qty_parked > 0 and app.limit_changed(decision) then
    fitting := app.fitting(operation);
    operation.qty_processed := operation.qty_processed + fitting;
    operation.qty_good := operation.qty_good + fitting;
    operation.qty_parked := operation.qty_parked - fitting;
  end if;
  made.operation := operation;
  return made;
end
$$;
comment on function app.imagine(app.import_decision) is
  'The operation as app.apply_import would leave it after this decision to create, update, flag or delete.';

-- The ERP owns the plan; of the lifecycle it owns release and cancellation, as long as nothing has begun.
create function app.import_decisions(
  rows jsonb, is_takeover boolean, caller app.caller, refused_workplaces text[] default '{}',
  imagined app.imagined_operation[] default '{}'
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
              -- null is the same as left out
              and (f.key <> 'overrun_tolerance_pct' or f.value <> 'null')
        ) end
      ) as wanted
    from parsed r
    left join unnest(imagined) i
      on i.order_no = r.order_no and i.operation_no = r.operation_no and i.asset_id = r.asset_id
    left join public.mes_operations o on o.order_no = r.order_no and o.operation_no = r.operation_no
      and o.asset_id = r.asset_id
    cross join lateral (select case when i.order_no is null then o else i.operation end as operation) k
    left join app.deleted_operations d on d.order_no = r.order_no and d.operation_no = r.operation_no
      and d.asset_id = r.asset_id
  ),
  judged as (
    select m.*,
      case
        -- First, so that no other answer reveals the operation. A caller who sees some workplaces only cannot delete an
        -- unknown operation, because that would block its import by others.
        when m.change_type = 'DELETE' and not app.sees_workplace(caller, (m.existing).workplace_name)
        then app.missing_problem()
        when m.change_type <> 'DELETE' and (
          m.exists and not app.sees_workplace(caller, (m.existing).workplace_name)
          or not app.sees_workplace(caller, (m.wanted).workplace_name))
        then app.problem(403, 'forbidden', 'You have no access to the workplace of this operation')
        when m.timestamp_ms <= m.known_at then null
        -- it would make every later row stale
        when m.timestamp_ms > latest_time + interval '24 hours'
        then app.field_problem('/timestamp_ms', 'in_future', app.ahead_of_clock(m.timestamp_ms))
        when m.change_type <> 'DELETE' then coalesce(
          case when (m.wanted).workplace_name = any(refused_workplaces) then app.field_problem(
            '/workplace_name', 'unknown_workplace',
            format('There is no workplace "%s": create it first, or import with unknown_workplaces=create',
              (m.wanted).workplace_name))
          end,
          app.plan_problem(m.wanted),
          case when not m.exists then coalesce(
            app.opening_problem(m.wanted),
            case when not is_takeover and m.status not in ('PLANNED', 'RELEASED', 'CANCELLED')
              then app.field_problem('/status', 'not_planned',
                format('A new operation is PLANNED or RELEASED, not "%s": '
                  'take work of another system over with mode=takeover', m.status))
            end)
          end)
      end as problem
    from matched m
  )
  select
    j.index,
    case
      when (j.problem).code is not null then 'rejected'
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
      when j.change_type = 'DELETE' or (j.problem).code is not null then '{}'::public.action[]
      when not j.exists and is_takeover then '{}'::public.action[]
      when j.status = 'CANCELLED' and not coalesce(j.has_begun, false)
        and (j.existing).status is distinct from 'CANCELLED' then '{CANCEL}'
      when j.status = 'RELEASED' and (j.existing).status = 'PLANNED' then '{RELEASE}'
      -- only a row with a status: a row without one changes the plan alone
      when j.body ->> 'status' = 'PLANNED' and (j.existing).status = 'RELEASED' and not j.has_begun then '{CORRECT}'
      else '{}'
    end
  from judged j;
end
$$;
comment on function app.import_decisions(jsonb, boolean, app.caller, text[], app.imagined_operation[]) is
  'Judges rows of the change feed, each a JSON object of the API with its index, one per operation; set-based, '
  'changes nothing. An action CORRECT takes a release back.';
