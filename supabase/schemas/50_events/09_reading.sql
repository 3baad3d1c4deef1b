-- What: one event, and lists by filter.
-- Why: lists are read newest first, whatever the filter.

create function public.get_event(id uuid) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  event public.operation_events;
begin
  select * into event from public.operation_events e where e.id = get_event.id;
  if not found or not app.sees_workplace(app.current_caller(), event.workplace_name) then
    perform app.refuse_missing();
  end if;
  return app.event_json(event);
end
$$;
comment on function public.get_event(uuid) is 'One event. Raises 404 not_found.';
grant execute on function public.get_event to authenticated, service_role;

create type app.event_key as (created_at timestamptz, id uuid);
comment on type app.event_key is 'Where an event stands in lists.';

-- Position, reporter, person and answers of webhooks are in private tables: one call looks them up for a whole page.
create function app.events_json(keys app.event_key[]) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  with_answers constant boolean := app.sees_webhook_answers(caller);
begin
  return (
    select coalesce(json_agg(to_json(app.event_body(
      e, f.pos, app.reporter_body(r),
      case when p.id is not null then row(p.id, p.display_name)::app.named_person end, w.is_delivered,
      case when with_answers then w.response end, case when with_answers then w.error_message end
    )) order by k.created_at desc, k.id desc), '[]')
    from unnest(keys) k
      join public.operation_events e on e.id = k.id and app.sees_workplace(caller, e.workplace_name)
      left join app.feed f on f.event_id = e.id
      left join app.reporters r on r.id = e.reporter_id
      left join app.people p on p.id = e.person_id
      left join app.webhook_outcomes w on w.event_id = e.id
  );
end
$$;
comment on function app.events_json(app.event_key[]) is
  'Those of the events that the caller sees, newest first, as the API writes them; what webhooks answered for '
  'managers and above alone.';
grant execute on function app.events_json to authenticated, service_role;

create function public.list_events(
  order_no text default null,
  operation_no text default null,
  asset_id integer default null,
  action_types text[] default null,
  workplace_name text default null,
  user_id uuid default null,
  person_id uuid default null,
  occurred_after timestamptz default null,
  occurred_before timestamptz default null,
  before_created_at timestamptz default null,
  before_id uuid default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
-- volatile, because an estimate is an EXPLAIN, which Postgres keeps out of stable functions
language plpgsql volatile
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no) and app.require_bounded('action_types', action_types)
    and app.require_bounded('workplace_name', workplace_name) and app.require_bounded('skip', skip)
    and app.require_bounded('count', count);
  filter constant text := concat_ws(' and ', 'true',
    case when order_no is not null then 'e.order_no = $1' end,
    case when operation_no is not null then 'e.operation_no = $2' end,
    case when asset_id is not null then 'e.asset_id = $3' end,
    case when action_types is not null then 'e.action_type = any($4::public.action[])' end,
    case when workplace_name is not null then 'e.workplace_name = $5' end,
    case when user_id is not null then 'e.user_id = $6' end,
    case when person_id is not null then 'e.person_id = $9' end,
    -- an event is recorded after it occurred, except for the error of a device's clock
    case when occurred_after is not null then 'e.occurred_at >= $7 and e.created_at >= $7 - interval ''2 minutes''' end,
    case when occurred_before is not null then 'e.occurred_at < $8' end
  );
  -- The planner takes the two times of an event for independent and would sort everything that happened in the span;
  -- `is true` keeps it on the order of the list, where the page begins within an hour of the span's end.
  page constant text := regexp_replace(filter, 'e.occurred_at \S+ \$\d', '(\&) is true', 'g')
    || case when before_created_at is not null then ' and (e.created_at, e.id) < ($10, $11)' else '' end;
  actions constant public.action[] := app.distinct_values(action_types)::public.action[];
  places constant text[] := app.places_to_list(case when workplace_name is not null then array[workplace_name] end);
  alternatives text[] := app.all_pairs(
    app.alternatives('e.workplace_name', '$14', cardinality(places)),
    app.alternatives('e.action_type', '$4', cardinality(actions))
  );
  keys app.event_key[];
  total bigint;
  plan json;
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  if occurred_before is not null then
    -- Events recorded within an hour lie in one range of the list's own order; later ones have a small index of their
    -- own.
    alternatives := array(select a || ' and e.created_at < $8 + interval ''1 hour''' from unnest(alternatives) a)
      || ('e.created_at - e.occurred_at > interval ''1 hour'' '
        'and e.created_at >= $8 + interval ''1 hour'' and e.occurred_at < $8')::text;
  end if;
  execute app.page_query('public.operation_events', 'e', 'row(e.created_at, e.id)::app.event_key', page, alternatives,
    'created_at, id', 'created_at desc, id desc', '$12', '$13')
  into keys
  using order_no, operation_no, asset_id, actions, workplace_name, user_id, occurred_after, occurred_before,
    person_id, before_created_at, before_id, take + 1, skip, places;

  -- the planner's estimate includes rows that are hidden from the caller
  if count = 'exact' or count = 'estimated' and not app.sees_all_workplaces() then
    execute format('select count(*) from public.operation_events e where %s', filter) into total
    using order_no, operation_no, asset_id, action_types, workplace_name, user_id, occurred_after, occurred_before,
      person_id;
  elsif count = 'estimated' then
    execute format('explain (format json) select from public.operation_events e where %s', filter) into plan
    using order_no, operation_no, asset_id, action_types, workplace_name, user_id, occurred_after, occurred_before,
      person_id;
    total := (plan #>> '{0,Plan,Plan Rows}')::bigint;
  end if;

  return json_build_object(
    'items', app.events_json(keys[1:take]),
    'next', case when cardinality(keys) > take then json_build_array(keys[take].created_at, keys[take].id) end,
    'total', total
  );
end
$$;
comment on function public.list_events is
  'A page of the events the caller sees, newest first: {"items": [...], "next": key of the last item or null, '
  '"total": number when asked}. The page begins after the given key; count is null, exact or estimated.';
grant execute on function public.list_events to authenticated, service_role;
