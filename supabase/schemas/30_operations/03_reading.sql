-- What: one operation, lists by filter, and the queue of a workplace.
-- Why: each combination of filters gets a plan of its own, and no value can become SQL.

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
  q text,
  has_parked boolean,
  updated_after timestamptz,
  source_conflict boolean
);

comment on type app.operation_filter is
  'Conditions on operations, combined with and; null = no condition. open_longer_than_h is in hours.';

-- Conditions consist of these fixed texts, and every value is bound as $1, so that each combination of filters gets
-- the plan of its own values, and no value can become SQL.
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
    -- nothing settles what a cancelled operation has
    case (filter).has_parked
      when true then 'o.qty_parked > 0 and o.status <> ''CANCELLED'''
      when false then '(o.qty_parked > 0 and o.status <> ''CANCELLED'') is not true'
    end,
    case (filter).source_conflict when true then 'o.source_conflict' when false then 'not o.source_conflict' end,
    -- the index has the hours of the changes
    case when (filter).updated_after is not null then
      'o.updated_hour >= date_trunc(''hour'', ($1).updated_after at time zone ''UTC'')
        and o.updated_at >= ($1).updated_after'
    end,
    -- finds runs that were never stopped
    case when (filter).open_longer_than_h is not null then
      'o.status = ''IN_PROGRESS'' and o.running_since < now() - ($1).open_longer_than_h * interval ''1 hour'''
    end,
    -- prefixes as ranges of code points: no wildcard to escape, and the index serves them
    case when (filter).q is not null then
      '(o.order_no >= ($1).q and o.order_no < ($1).q || chr(1114111)
        or o.activity_description_folded >= lower(($1).q)
          and o.activity_description_folded < lower(($1).q) || chr(1114111))'
    end
  );
end;
comment on function app.conditions(app.operation_filter) is
  'The filter as a condition on public.mes_operations o with the filter itself as $1.';
grant execute on function app.conditions to authenticated, service_role;

-- Runs as its owner, without row security: one look-up of the caller serves access and the allowed actions.
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
  where o.order_no = get_operation.order_no and o.operation_no = get_operation.operation_no
    and o.asset_id = get_operation.asset_id;
  if not found or not app.sees_workplace(caller, operation.workplace_name) then
    perform app.refuse_missing();
  end if;
  return app.operation_answer(operation, caller);
end
$$;
comment on function public.get_operation(text, integer, text) is
  'One operation with what the caller may do to it. Raises 404 not_found.';
grant execute on function public.get_operation to authenticated, service_role;

create function app.lock_operation(
  caller app.caller, order_no text, asset_id integer, operation_no text
) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  operation public.mes_operations;
begin
  perform app.require_plant(caller);
  select * into operation from public.mes_operations o
  where o.order_no = lock_operation.order_no and o.operation_no = lock_operation.operation_no
    and o.asset_id = lock_operation.asset_id
  for update;
  if not found or not app.sees_workplace(caller, operation.workplace_name) then
    perform app.refuse_missing();
  end if;
  return operation;
end
$$;
comment on function app.lock_operation(app.caller, text, integer, text) is
  'The operation of a command, locked until commit. Raises 404 not_found when it is missing or hidden.';

-- A sorted list is one range of an index; where a column can be null, a range for its values and one for its nulls,
-- which come last in both directions.
create type app.page_sort as (key_columns text, page_order text, merge_order text, ranges text[]);

comment on type app.page_sort is
  'How a page of operations is ordered, for app.page_query: the columns, their order within a range and over all, and '
  'the ranges.';

create function app.sort_of_operations(sort text, has_key boolean, has_value boolean) returns app.page_sort
language plpgsql immutable
set search_path = ''
as $$
declare
  column_name constant text := ltrim(sort, '-');
  direction constant text := case when sort like '-%' then ' desc' else '' end;
  beyond constant text := case when sort like '-%' then '<' else '>' end;
  key_order constant text := format('order_no%1$s, operation_no%1$s, asset_id%1$s', direction);
  after_key constant text := format('(o.order_no, o.operation_no, o.asset_id) %s ($2, $3, $4)', beyond);
begin
  if column_name = 'order_no' then
    return row('order_no, operation_no, asset_id', key_order, null,
      array[case when has_key then after_key else 'true' end])::app.page_sort;
  elsif column_name = 'updated_at' then
    return row(
      'updated_hour, updated_at, order_no, operation_no, asset_id',
      format('updated_hour%1$s, updated_at%1$s, %2$s', direction, key_order),
      null,
      array[case when has_key then format(
        'o.updated_hour %1$s= date_trunc(''hour'', $8 at time zone ''UTC'')
         and (o.updated_at, o.order_no, o.operation_no, o.asset_id) %1$s ($8, $2, $3, $4)', beyond) else 'true' end]
    )::app.page_sort;
  elsif column_name in ('planned_start_at', 'planned_end_at') then
    return row(
      column_name || ', order_no, operation_no, asset_id',
      format('%s%s, %s', column_name, direction, key_order),
      format('%s%s nulls last, %s', column_name, direction, key_order),
      case
        when not has_key then array[format('o.%s is not null', column_name), format('o.%s is null', column_name)]
        when not has_value then array[format('o.%s is null and %s', column_name, after_key)]
        else array[
          format('(o.%s, o.order_no, o.operation_no, o.asset_id) %s ($8, $2, $3, $4)', column_name, beyond),
          format('o.%s is null', column_name)
        ]
      end
    )::app.page_sort;
  end if;
  perform app.refuse_field('/sort', 'unknown_sort', format('Operations cannot be sorted by "%s"', sort));
end
$$;
comment on function app.sort_of_operations(text, boolean, boolean) is
  'The order that a name of the API stands for, - for descending, from the beginning or after the key $2, $3, $4 with '
  'the value $8. Raises 422 validation_failed.';
grant execute on function app.sort_of_operations to authenticated, service_role;

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
  has_parked boolean default null,
  updated_after timestamptz default null,
  source_conflict boolean default null,
  sort text default 'order_no',
  after_value timestamptz default null,
  after_order_no text default null,
  after_operation_no text default null,
  after_asset_id integer default null,
  skip integer default 0,
  take integer default 100,
  count text default null,
  with_actions boolean default false
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
    and app.require_bounded('sort', sort) and app.require_bounded('after_order_no', after_order_no)
    and app.require_bounded('after_operation_no', after_operation_no) and app.require_bounded('skip', skip)
    and app.require_bounded('count', count);
  filter constant app.operation_filter := row(app.distinct_values(statuses)::public.status[],
    app.distinct_values(workplace_names), workplace_group, order_no, activity_code,
    planned_start_after, planned_start_before, has_remaining_qty, is_overdue, open_longer_than_h, q, has_parked,
    updated_after, source_conflict);
  conditions constant text := app.conditions(filter);
  places constant text[] := app.places_to_list((filter).workplace_names);
  sorted constant app.page_sort := app.sort_of_operations(
    coalesce(sort, 'order_no'), after_order_no is not null, after_value is not null);
  rows public.mes_operations[];
  total bigint;
  plan json;
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  execute app.page_query('public.mes_operations', 'o', 'o', conditions,
    array(
      select range || ' and ' || pair
      from unnest(sorted.ranges) range, unnest(app.all_pairs(
        app.alternatives('o.workplace_name', '$7', cardinality(places)),
        app.alternatives('o.status', '($1).statuses', cardinality((filter).statuses))
      )) pair
    ),
    sorted.key_columns, sorted.page_order, '$5', '$6', sorted.merge_order)
  into rows
  using filter, after_order_no, after_operation_no, after_asset_id, take + 1, skip, places, after_value;

  -- the planner's estimate includes rows that are hidden from the caller
  if count = 'exact' or count = 'estimated' and not app.sees_all_workplaces() then
    execute format('select count(*) from public.mes_operations o where %s', conditions) into total using filter;
  elsif count = 'estimated' then
    execute format('explain (format json) select from public.mes_operations o where %s', conditions) into plan
      using filter;
    total := (plan #>> '{0,Plan,Plan Rows}')::bigint;
  end if;

  return json_build_object(
    'items', case
      when with_actions then app.operations_json(rows[1:take], app.current_caller())
      else (select coalesce(json_agg(app.operation_json(o)), '[]') from unnest(rows[1:take]) o)
    end,
    'next', case when cardinality(rows) > take then json_build_array(
      case ltrim(sort, '-')
        when 'planned_start_at' then rows[take].planned_start_at
        when 'planned_end_at' then rows[take].planned_end_at
        when 'updated_at' then rows[take].updated_at
      end,
      rows[take].order_no, rows[take].operation_no, rows[take].asset_id) end,
    'total', total
  );
end
$$;
comment on function public.list_operations is
  'A page of the operations the caller sees, ordered by sort, then by order_no, operation_no, asset_id: {"items": '
  '[...], "next": value of the sort and key of the last item or null, "total": number when asked}. The page begins '
  'after the given value and key; count is null, exact or estimated. with_actions: each has what the caller may do.';
grant execute on function public.list_operations to authenticated, service_role;

-- Running operations come first, then the others in planned order.
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
