-- What: the import.
-- Why: rows of one operation are applied in the order of their source times, in one transaction.

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
    -- Imports run one after the other, because two with the same new operation would collide.
    perform pg_advisory_xact_lock(hashtext('app.apply_feed'));
    -- Locks the known operations, in the order in which batches lock them.
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
  -- Applies the rows of one operation as if each came alone, oldest first: the first rows of all operations as one set,
  -- then all second rows, and so on. Of equal rows it applies one.
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
