-- What: the effect of each row of the ERP's change feed.
-- Why: rows come in any order, any number of times.

create type app.import_row as (
  index integer,
  first_index integer,
  turn_no bigint,
  order_no text,
  operation_no text,
  asset_id integer,
  timestamp_ms timestamptz,
  change_type text,
  status text,
  workplace_name text,
  body jsonb
);

comment on type app.import_row is
  'A row of the change feed: body is the row as it came, and the rest is read from it, once. first_index is the index '
  'of the first of equal rows. turn_no is the place among the rows of its operation; null for a repeated equal row.';

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

create function app.import_fields() returns text[]
language sql immutable parallel safe
return array['order_no', 'operation_no', 'asset_id', 'timestamp_ms', 'change_type'];
comment on function app.import_fields() is 'The fields that a row has besides those of the plan.';

create function app.columns_but(fields text[]) returns text[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select a.attname::text from pg_catalog.pg_attribute a
    where a.attrelid = 'public.mes_operations'::regclass and a.attnum > 0 and a.attname <> all(fields)
  );
end
$$;
comment on function app.columns_but(text[]) is
  'The columns of an operation except these: a row of the feed must not set them.';

-- The ERP owns the plan; of the lifecycle it owns release and cancellation, as long as nothing has begun.
-- `offset 0` keeps the steps apart: merged, they would compute a value each time that a later step names it.
create function app.import_decisions(
  rows app.import_row[], is_takeover boolean, caller app.caller, refused_workplaces text[],
  imagined app.imagined_operation[]
) returns setof app.import_decision
language sql stable
begin atomic
  select
    j.index,
    case
      when (j.problem).code is not null then 'rejected'
      when j.is_stale then 'skipped_stale'
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
  from (
    select w.*,
      case
        -- First, so that no other answer reveals the operation. A caller who sees some workplaces only cannot delete an
        -- unknown operation, because that would block its import by others.
        when w.change_type = 'DELETE' and not app.sees_workplace(caller, (w.existing).workplace_name)
        then app.missing_problem()
        when w.change_type <> 'DELETE' and (
          w.exists and not app.sees_workplace(caller, (w.existing).workplace_name)
          or not app.sees_workplace(caller, w.workplace_name))
        then app.problem(403, 'forbidden', 'You have no access to the workplace of this operation')
        when w.is_stale then null
        when w.change_type = 'DELETE' then app.source_time_problem(w.timestamp_ms)
        else coalesce(
          app.source_time_problem(w.timestamp_ms),
          case when w.workplace_name = any(refused_workplaces) then app.field_problem(
            '/workplace_name', 'unknown_workplace',
            format('There is no workplace "%s": create it first, or import with unknown_workplaces=create',
              w.workplace_name))
          end,
          app.plan_problem(w.wanted),
          case when not w.exists then coalesce(
            app.opening_problem(w.wanted),
            case when not is_takeover and w.status not in ('PLANNED', 'RELEASED', 'CANCELLED')
              then app.field_problem('/status', 'not_planned',
                format('A new operation is PLANNED or RELEASED, not "%s": '
                  'take work of another system over with mode=takeover', w.status))
            end)
          end)
      end as problem
    from (
      select m.index, m.change_type, m.status, m.timestamp_ms, m.body, m.existing,
        (m.existing).id is not null as exists,
        (m.existing).actual_start_at is not null or (m.existing).qty_processed > 0
          or (m.existing).status = 'FINISHED' as has_begun,
        m.timestamp_ms <= m.known_at as is_stale,
        case when m.body ? 'workplace_name' then m.workplace_name else (m.existing).workplace_name end
          as workplace_name,
        case when (m.timestamp_ms <= m.known_at) is not true then jsonb_populate_record(m.existing, case
          when (m.existing).id is null and is_takeover then m.body
          else m.body - case
            when m.change_type = 'DELETE' then (select app.columns_but(app.import_fields()))
            -- null is the same as left out
            when m.body ->> 'overrun_tolerance_pct' is null then (select app.columns_but(
              array_remove(app.import_fields() || app.plan_fields(), 'overrun_tolerance_pct')))
            else (select app.columns_but(app.import_fields() || app.plan_fields()))
          end
        end) end as wanted
      from (
        select r.index, r.change_type, r.status, r.timestamp_ms, r.workplace_name, r.body,
          case when i.order_no is null then o else i.operation end as existing,
          greatest(
            case when i.order_no is null then o.timestamp_ms else (i.operation).timestamp_ms end,
            d.timestamp_ms, i.deleted_at) as known_at
        from unnest(rows) r
        left join unnest(imagined) i
          on i.order_no = r.order_no and i.operation_no = r.operation_no and i.asset_id = r.asset_id
        left join public.mes_operations o on o.order_no = r.order_no and o.operation_no = r.operation_no
          and o.asset_id = r.asset_id
        left join app.deleted_operations d on d.order_no = r.order_no and d.operation_no = r.operation_no
          and d.asset_id = r.asset_id
        offset 0
      ) m
      offset 0
    ) w
    offset 0
  ) j;
end;
comment on function app.import_decisions(app.import_row[], boolean, app.caller, text[], app.imagined_operation[]) is
  'Judges rows of the change feed, one per operation; set-based, changes nothing. An action CORRECT takes a release '
  'back.';

-- Names, order and types of the members, as app.operation_body has them.
create type app.import_result as (index integer, status integer, id text, outcome text, problem json);

comment on type app.import_result is 'The result of a row as the API writes it, without the workplace that it creates.';

create function app.plain_result(index integer, outcome text, problem app.problem, body jsonb) returns json
language sql stable
return to_json(row(
  index,
  case outcome when 'rejected' then (problem).status when 'created' then 201 else 200 end,
  format('%s/%s/%s', body ->> 'order_no', body ->> 'asset_id', body ->> 'operation_no'),
  outcome,
  app.problem_json(problem)
)::app.import_result);
comment on function app.plain_result(integer, text, app.problem, jsonb) is
  'The result of a row, as app.import_result has it.';

create function app.import_result(
  index integer, outcome text, problem app.problem, body jsonb, workplace_name text, unknown_workplaces text[]
) returns json
language sql stable
return case
  when outcome in ('created', 'updated', 'flagged') and workplace_name = any(unknown_workplaces)
  then app.json_with(app.plain_result(index, outcome, problem, body), 'creates_workplace', to_json(workplace_name))
  else app.plain_result(index, outcome, problem, body)
end;
comment on function app.import_result(integer, text, app.problem, jsonb, text, text[]) is
  'The result of a row, with the unknown workplace that it names.';
