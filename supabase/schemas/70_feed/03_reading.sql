-- What: reading the feed.
-- Why: a read scans a bounded number of positions, whatever it filters.

create view app.followed_events as
select (null::app.event_body).*, null::json as operation, null::text as mark where false;
comment on view app.followed_events is
  'Has no rows: its row type is the event for a server that passes it on, with its operation as it is now, null when '
  'it is gone or not the caller''s to see, and its mark.';

-- Upper bound of one call: a rare filter costs several short calls instead of a long one.
create function app.feed_window() returns integer
language sql immutable parallel safe
return 10000;
comment on function app.feed_window() is 'Most positions that one read of the feed scans.';

create function public.read_feed(
  after_pos bigint default null,
  generation text default null,
  mark text default null,
  workplace_names text[] default null,
  action_types text[] default null,
  order_no text default null,
  take integer default 100,
  with_operations boolean default false,
  with_downtimes boolean default false
) returns json
-- volatile, so that the query takes a new snapshot after the high watermark was read
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('generation', generation) and app.require_bounded('mark', mark)
    and app.require_bounded('workplace_names', workplace_names) and app.require_bounded('action_types', action_types)
    and app.require_bounded('order_no', order_no);
  caller constant app.caller := app.current_caller();
  with_answers constant boolean := app.sees_webhook_answers(caller);
  from_pos constant bigint := coalesce(after_pos, (select s.floor_pos from app.feed_state s));
  settled_pos constant bigint := app.settled_position();
  -- A cursor is at an event, never in the gap of a failed commit: after a crash, the positions of such a gap may be
  -- drawn again.
  head_pos constant bigint := (select max(f.pos) from app.feed f where f.pos <= settled_pos);
  last_pos constant bigint := (
    select max(f.pos) from app.feed f
    where f.pos > from_pos
      and f.pos <= least(head_pos,
        (select min(n.pos) from app.feed n where n.pos > from_pos and n.pos <= head_pos) + app.feed_window())
  );
  -- a downtime belongs to no order
  has_downtimes constant boolean := with_downtimes and order_no is null;
  visible text[];
  events json := '[]'::json;
  downtime_events json := '[]'::json;
  found integer := 0;
  reached bigint;
begin
  -- a direct call of the Data API may ask for any number
  take := greatest(1, least(take, 500));
  if not app.has_workplace(caller) then
    -- The answer reveals nothing of the feed, not even its length. The caller continues from here once a manager has
    -- given them a workplace.
    return json_build_object(
      'events', '[]'::json,
      'downtime_events', '[]'::json,
      'generation', coalesce(generation, app.feed_generation()),
      'pos', coalesce(after_pos, 0),
      'mark', mark,
      'has_more', false,
      'has_workplace', false
    );
  end if;
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    perform app.refuse(400, 'malformed_request', 'The feed is read in transactions that are READ COMMITTED');
  end if;

  -- null = no condition, for callers who see everything
  visible := case
    when caller.sees_all then workplace_names
    when workplace_names is null then coalesce(caller.workplaces, '{}')
    else array(select w from unnest(workplace_names) w where w = any(caller.workplaces))
  end;
  -- a workplace that is named twice counts once
  visible := case when visible is not null then array(select distinct w from unnest(visible) w) end;

  -- most reads are at the end of the feed
  if last_pos is not null then
    with positions as (
      (
        select f.pos, f.event_id, f.downtime_event_id from app.feed f
        where visible is null and f.pos > from_pos and f.pos <= last_pos
          and case when f.downtime_event_id is null
            then (action_types is null or f.action_type = any(action_types::public.action[]))
              and (read_feed.order_no is null or f.order_no = read_feed.order_no)
            else has_downtimes end
        order by f.pos
        limit take
      )
      union all
      select f.pos, f.event_id, f.downtime_event_id from unnest(visible) w cross join lateral (
        select f.pos, f.event_id, f.downtime_event_id from app.feed f
        where f.workplace_name = w and f.pos > from_pos and f.pos <= last_pos
          and case when f.downtime_event_id is null
            then (action_types is null or f.action_type = any(action_types::public.action[]))
              and (read_feed.order_no is null or f.order_no = read_feed.order_no)
            else has_downtimes end
        order by f.pos
        limit take
      ) f
    ),
    taken as materialized (
      select * from positions order by pos limit take
    ),
    page as materialized (
      select p.pos, e.operation_id, app.event_body(
        e, p.pos, app.reporter_body(r),
        case when who.id is not null then row(who.id, who.display_name)::app.named_person end, w.is_delivered,
        case when with_answers then w.response end, case when with_answers then w.error_message end
      ) as body
      from taken p
        join public.operation_events e on e.id = p.event_id
        left join app.reporters r on r.id = e.reporter_id
        left join app.people who on who.id = e.person_id
        left join app.webhook_outcomes w on w.event_id = e.id
    ),
    written as (
      select p.pos, case when with_operations then to_json(row((p.body).*,
        (select app.operation_json(o) from public.mes_operations o
         where o.id = p.operation_id and app.sees_workplace(caller, o.workplace_name)),
        (select app.feed_mark(f) from app.feed f where f.pos = p.pos)
      )::app.followed_events) else to_json(p.body) end as event
      from page p
    )
    select
      (select coalesce(json_agg(p.event order by p.pos), '[]') from written p),
      (select coalesce(json_agg(app.json_with(app.downtime_event_json(e, t.pos), 'mark',
          to_json((select app.feed_mark(f) from app.feed f where f.pos = t.pos))) order by t.pos), '[]')
        from taken t join public.downtime_events e on e.id = t.downtime_event_id),
      count(*),
      max(t.pos)
    into events, downtime_events, found, reached
    from taken t;
  end if;

  reached := case when found = take then reached else coalesce(last_pos, from_pos) end;
  -- checked last, because a pruning may have removed positions meanwhile; a reader who begins starts after them
  if after_pos is not null then
    perform app.require_position(after_pos, generation, mark);
  elsif reached < (select s.floor_pos from app.feed_state s) then
    return public.read_feed(null, null, null, workplace_names, action_types, read_feed.order_no, take,
      with_operations, with_downtimes);
  end if;
  return json_build_object(
    'events', events,
    'downtime_events', downtime_events,
    'generation', app.feed_generation(),
    'pos', reached,
    'mark', case when reached = after_pos then mark
      else (select app.feed_mark(f) from app.feed f where f.pos = reached) end,
    'has_more', coalesce(reached < head_pos, false),
    'has_workplace', true
  );
end
$$;
comment on function public.read_feed is
  'Events the caller sees, in the order of the feed, after a position: {"events": [...], "downtime_events": [...], '
  '"generation", "pos", "mark": where to go on, "has_more", "has_workplace": false when waiting is in vain}. Without '
  'after_pos from the oldest kept. Events of downtimes come when asked for, each with its mark. With operations, each '
  'event has its operation as it is now, null when it is gone or not the caller''s to see, and its mark. Raises 410 '
  'feed_reset when that position is unknown here.';
grant execute on function public.read_feed to authenticated, service_role;

-- A cheap query for waiting readers. Only servers call it, once for all readers that wait there.
create function public.feed_head() returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  settled_pos constant bigint := app.settled_position();
  head app.feed;
begin
  select * into head from app.feed f where f.pos <= settled_pos order by f.pos desc limit 1;
  return json_build_object(
    'generation', app.feed_generation(),
    'pos', coalesce(head.pos, (select s.floor_pos from app.feed_state s)),
    'mark', app.feed_mark(head),
    'is_announced', exists (
      select from pg_trigger t where t.tgrelid = 'app.feed'::regclass and t.tgname = 'feed_announce')
  );
end
$$;
comment on function public.feed_head() is
  'The end of the feed: {"generation", "pos", "mark", "is_announced": whether Supabase Realtime announces events}. '
  'For the secret key only.';
grant execute on function public.feed_head to service_role;
