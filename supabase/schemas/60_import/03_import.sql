-- What: the import.
-- Why: rows of one operation are applied in the order of their source times, in one transaction.

create function app.read_rows(feed jsonb) returns app.import_row[]
language plpgsql stable
set search_path = ''
as $$
declare
  rows constant app.import_row[] := array(
    select row(
      r.index, r.index, 1, r.order_no, r.operation_no, r.asset_id, r.timestamp_ms, coalesce(r.change_type, 'UPDATE'),
      coalesce(r.status, 'PLANNED'), r.workplace_name, r.body)::app.import_row
    from rows from (
      jsonb_array_elements(feed),
      jsonb_to_recordset(feed) as (
        index integer, order_no text, operation_no text, asset_id integer, timestamp_ms timestamptz,
        change_type text, status text, workplace_name text)
    ) as r (body, index, order_no, operation_no, asset_id, timestamp_ms, change_type, status, workplace_name)
  );
begin
  -- most feeds name each operation once
  if not exists (
    select from unnest(rows) r group by r.order_no, r.operation_no, r.asset_id having count(*) > 1
  ) then
    return rows;
  end if;
  -- Of equal rows the first is applied, and the rows of one operation as if each came alone, oldest first.
  return array(
    select row(
      r.index, r.first_index,
      case when r.index = r.first_index then row_number() over (
        partition by r.order_no, r.operation_no, r.asset_id, r.index = r.first_index order by r.timestamp_ms, r.index
      ) end,
      r.order_no, r.operation_no, r.asset_id, r.timestamp_ms, r.change_type, r.status, r.workplace_name, r.body
    )::app.import_row
    from (
      select r.index, min(r.index) over (
          partition by r.order_no, r.operation_no, r.asset_id, r.body - 'index'
        ) as first_index,
        r.order_no, r.operation_no, r.asset_id, r.timestamp_ms, r.change_type, r.status, r.workplace_name, r.body
      from unnest(rows) r
    ) r
  );
end
$$;
comment on function app.read_rows(jsonb) is
  'Reads rows of the change feed, each a JSON object of the API with its index.';

create function app.unknown_workplaces(rows app.import_row[]) returns text[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select named.workplace_name
    from (select distinct r.workplace_name from unnest(rows) r where r.workplace_name is not null) named
    where not exists (select from public.workplaces w where w.name = named.workplace_name)
  );
end
$$;
comment on function app.unknown_workplaces(app.import_row[]) is
  'The workplaces that rows name and the plant does not know.';

create function app.apply_feed(
  feed jsonb, is_takeover boolean, is_dry_run boolean, rejects_unknown boolean, caller app.caller
) returns json
language plpgsql
set search_path = ''
-- as app.apply_import
set plan_cache_mode = force_generic_plan
as $$
declare
  rows constant app.import_row[] := app.read_rows(feed);
  turn app.import_row[];
  results app.indexed_result[] := '{}'::app.indexed_result[];
  decisions app.import_decision[];
  imagined app.imagined_operation[] := '{}'::app.imagined_operation[];
  unknown_workplaces text[];
  refused_workplaces text[];
begin
  if not is_dry_run then
    -- Imports run one after the other, because two with the same new operation would collide.
    perform pg_advisory_xact_lock(hashtext('app.apply_feed'));
    -- Locks the known operations, in the order in which batches lock them.
    perform from unnest(rows) r
    join public.mes_operations o
      on o.order_no = r.order_no and o.operation_no = r.operation_no and o.asset_id = r.asset_id
    where app.sees_workplace(caller, o.workplace_name)
    order by o.id
    for update of o;
  end if;
  -- Before the first row, so that all rows of a new workplace name it, in a dry run too.
  unknown_workplaces := app.unknown_workplaces(rows);
  refused_workplaces := case when rejects_unknown then unknown_workplaces else '{}' end;
  -- The first rows of all operations are one set, then all second rows, and so on.
  for turn in
    select array_agg(r) from unnest(rows) r where r.turn_no is not null group by r.turn_no order by r.turn_no
  loop
    if is_dry_run then
      decisions := array(
        select d from app.import_decisions(turn, is_takeover, caller, refused_workplaces, imagined) d);
      results := results || array(
        select row(d.index, d.outcome, app.import_result(
          d.index, d.outcome, d.problem, d.body, (d.wanted).workplace_name, unknown_workplaces))::app.indexed_result
        from unnest(decisions) d);
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
      results := results || app.apply_import(turn, is_takeover, caller, unknown_workplaces, refused_workplaces);
    end if;
  end loop;
  return (
    select coalesce(json_agg(
      case
        when sent.index = sent.first_index then told.result
        else json_build_object(
          'index', sent.index,
          'status', case when told.outcome = 'rejected' then told.result -> 'status' else '200' end,
          'id', told.result -> 'id',
          'outcome', case when told.outcome = 'rejected' then 'rejected' else 'skipped_stale' end,
          'problem', told.result -> 'problem'
        )
      end
      order by sent.index), '[]')
    from unnest(rows) sent
    join unnest(results) told on told.index = sent.first_index
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
