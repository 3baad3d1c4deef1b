-- What: one operation, lists by filter, and the queue of a workplace.
-- Why: conditions are put together from fixed texts and values are bound, so that each filter gets a plan of its own.

-- The filters of operations, for lists and for bulk changes.
create type app.operation_filter as (
  statuses public.status[],
  workplace_names text[],
  workplace_group text,
  order_no text,
  activity_code text,
  planned_start_after timestamptz,
  planned_start_before timestamptz,
  has_remaining_qty boolean,
  is_overdue boolean,
  open_longer_than_h numeric,
  q text
);

comment on type app.operation_filter is
  'Conditions on operations, combined with and; null = no condition. open_longer_than_h is in hours.';

-- Conditions are put together from these fixed texts and every value is bound as $1, so that each combination of
-- filters gets the plan of its own values, and no value can become SQL.
create function app.conditions(filter app.operation_filter) returns text
language sql stable
begin atomic
  select concat_ws(' and ', 'true',
    -- one value is an equality, which the index serves in the list's order
    case
      when cardinality((filter).statuses) = 1 then 'o.status = ($1).statuses[1]'
      when (filter).statuses is not null then 'o.status = any(($1).statuses)'
    end,
    case
      when cardinality((filter).workplace_names) = 1 then 'o.workplace_name = ($1).workplace_names[1]'
      when (filter).workplace_names is not null then 'o.workplace_name = any(($1).workplace_names)'
    end,
    case when (filter).workplace_group is not null then 'o.workplace_group = ($1).workplace_group' end,
    case when (filter).order_no is not null then 'o.order_no = ($1).order_no' end,
    case when (filter).activity_code is not null then 'o.activity_code = ($1).activity_code' end,
    case when (filter).planned_start_after is not null then 'o.planned_start_at >= ($1).planned_start_after' end,
    case when (filter).planned_start_before is not null then 'o.planned_start_at < ($1).planned_start_before' end,
    case (filter).has_remaining_qty
      when true then 'o.status not in (''FINISHED'', ''CANCELLED'') and o.qty_good < o.qty_desired'
      when false then '(o.status not in (''FINISHED'', ''CANCELLED'') and o.qty_good < o.qty_desired) is not true'
    end,
    case (filter).is_overdue
      when true then 'o.status not in (''FINISHED'', ''CANCELLED'') and o.planned_end_at < now()'
      when false then '(o.status not in (''FINISHED'', ''CANCELLED'') and o.planned_end_at < now()) is not true'
    end,
    -- runs that somebody forgot to stop
    case when (filter).open_longer_than_h is not null then
      'o.status = ''IN_PROGRESS'' and o.running_since < now() - ($1).open_longer_than_h * interval ''1 hour'''
    end,
    -- prefixes as ranges of code points: no wildcard to escape, and the index serves them
    case when (filter).q is not null then
      '(o.order_no >= ($1).q and o.order_no < ($1).q || chr(1114111)
        or o.activity_description_folded >= lower(($1).q) and o.activity_description_folded < lower(($1).q) || chr(1114111))'
    end
  );
end;
comment on function app.conditions(app.operation_filter) is
  'The filter as a condition on public.mes_operations o with the filter itself as $1.';
grant execute on function app.conditions to authenticated, service_role;

-- As its owner, who has no row security: the caller is looked up once, for access and for the allowed actions.
create function public.get_operation(order_no text, asset_id integer, operation_no text) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no);
  caller constant app.caller := app.current_caller();
  operation public.mes_operations;
begin
  select * into operation from public.mes_operations o
  where o.order_no = get_operation.order_no and o.operation_no = get_operation.operation_no and o.asset_id = get_operation.asset_id;
  if not found or not app.sees_workplace(caller, operation.workplace_name) then
    perform app.refuse_missing();
  end if;
  return app.operation_answer(operation, caller);
end
$$;
comment on function public.get_operation(text, integer, text) is
  'One operation with what the caller may do to it. Raises 404 not_found.';
grant execute on function public.get_operation to authenticated, service_role;

create function public.list_operations(
  statuses text[] default null,
  workplace_names text[] default null,
  workplace_group text default null,
  order_no text default null,
  activity_code text default null,
  planned_start_after timestamptz default null,
  planned_start_before timestamptz default null,
  has_remaining_qty boolean default null,
  is_overdue boolean default null,
  open_longer_than_h numeric default null,
  q text default null,
  after_order_no text default null,
  after_operation_no text default null,
  after_asset_id integer default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
-- volatile, because an estimate is an EXPLAIN, which Postgres keeps out of stable functions
language plpgsql volatile
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('statuses', statuses)
    and app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group) and app.require_bounded('order_no', order_no)
    and app.require_bounded('activity_code', activity_code) and app.require_bounded('q', q)
    and app.require_bounded('after_order_no', after_order_no)
    and app.require_bounded('after_operation_no', after_operation_no) and app.require_bounded('skip', skip)
    and app.require_bounded('count', count);
  filter constant app.operation_filter := row(app.distinct_values(statuses)::public.status[], app.distinct_values(workplace_names), workplace_group, order_no, activity_code,
    planned_start_after, planned_start_before, has_remaining_qty, is_overdue, open_longer_than_h, q);
  conditions constant text := app.conditions(filter);
  places constant text[] := app.places_to_list((filter).workplace_names);
  page constant text := case when after_order_no is not null then ' and (o.order_no, o.operation_no, o.asset_id) > ($2, $3, $4)' else '' end;
  rows public.mes_operations[];
  total bigint;
  plan json;
begin
  -- straight calls ask for what they like
  take := least(take, 500);
  execute app.page_query('public.mes_operations', 'o', 'o', conditions || page,
    app.all_pairs(
      app.alternatives('o.workplace_name', '$7', cardinality(places)),
      app.alternatives('o.status', '($1).statuses', cardinality((filter).statuses))
    ),
    'order_no, operation_no, asset_id', 'order_no, operation_no, asset_id', '$5', '$6')
  into rows
  using filter, after_order_no, after_operation_no, after_asset_id, take + 1, skip, places;

  -- the planner estimates from statistics of all rows, also of those that the caller must not know about
  if count = 'exact' or count = 'estimated' and not app.sees_all_workplaces() then
    execute format('select count(*) from public.mes_operations o where %s', conditions) into total using filter;
  elsif count = 'estimated' then
    execute format('explain (format json) select from public.mes_operations o where %s', conditions) into plan using filter;
    total := (plan #>> '{0,Plan,Plan Rows}')::bigint;
  end if;

  return json_build_object(
    'items', (select coalesce(json_agg(app.operation_json(o)), '[]') from unnest(rows[1:take]) o),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].order_no, rows[take].operation_no, rows[take].asset_id) end,
    'total', total
  );
end
$$;
comment on function public.list_operations is
  'A page of the operations the caller sees, ordered by order_no, operation_no, asset_id: {"items": [...], "next": '
  'key of the last item or null, "total": number when asked}. The page begins after the given key; count is null, '
  'exact or estimated.';
grant execute on function public.list_operations to authenticated, service_role;

-- What to do next: running work first, then the rest in planned order.
create function public.list_queue(name text, take integer default 100) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name);
  caller constant app.caller := app.current_caller();
begin
  if not exists (select from public.workplaces w where w.name = list_queue.name) then
    perform app.refuse_missing();
  end if;
  return (
    select coalesce(json_agg(
      app.json_with(app.json_with(app.operation_json(o), 'allowed_actions', a.actions), 'blocked_by', (
        select action -> 'blocked_by' from json_array_elements(a.actions) action where action ->> 'action' = 'START'
      ))
      order by o.running_since, o.planned_start_at, o.order_no, o.operation_no, o.asset_id), '[]')
    from (
      select * from public.mes_operations o
      where o.workplace_name = list_queue.name and o.status not in ('FINISHED', 'CANCELLED')
      order by o.running_since, o.planned_start_at, o.order_no, o.operation_no, o.asset_id
      limit least(take, 500)
    ) o
    cross join lateral (select app.allowed_actions(o::public.mes_operations, caller) as actions offset 0) a
  );
end
$$;
comment on function public.list_queue(text, integer) is
  'The open operations of a workplace that the caller sees: those running, then by planned start; each with '
  'blocked_by, the cause that keeps the caller from starting it. Raises 404 not_found.';
grant execute on function public.list_queue to authenticated, service_role;
