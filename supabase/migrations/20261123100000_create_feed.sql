-- What: the feed: every event at a position, in an order that never changes behind a reader.
-- Why: a sequence drawn at insert loses events: a later number may commit first, a reader passes it, and the earlier one
-- appears behind him. Here positions are drawn at commit, each commit says beforehand from where on it draws, and
-- readers go no further than where all have finished. Nobody waits for anybody: commits share their flush of the log.

create table app.feed (
  pos bigint generated always as identity (cache 1) primary key,
  -- No foreign key: the trigger of the event itself makes the row, and events are never deleted.
  event_id uuid not null,
  workplace_name text collate "C",
  action_type text not null,
  order_no text collate "C" not null,
  recorded_at timestamptz not null default clock_timestamp()
);
comment on table app.feed is 'Positions of events. A separate table, because events are never changed.';
comment on column app.feed.pos is 'Position: gaps are possible (a commit that failed); those of one operation rise with its op_seq.';
comment on column app.feed.workplace_name is 'The event''s workplace, so that one index serves a reader of few workplaces.';
comment on column app.feed.action_type is 'The event''s action, likewise order_no: filters pass over events without a look at each.';
comment on column app.feed.recorded_at is 'When the position was drawn; for retention. It rises with pos, so it needs no index.';

create unique index feed_by_event on app.feed (event_id);
create index feed_by_workplace on app.feed (workplace_name, pos);
alter table app.feed enable row level security;

-- How far the feed was cut off, and the name of its present life.
create table app.feed_state (
  only_row boolean primary key default true check (only_row),
  generation uuid not null default gen_random_uuid(),
  floor_pos bigint not null default 0,
  retention interval
);
comment on table app.feed_state is 'One row: what the feed is and how much of it is kept.';
comment on column app.feed_state.generation is 'Name of the feed''s life; a new one makes all cursors invalid.';
comment on column app.feed_state.floor_pos is 'Positions up to here are no longer kept.';
comment on column app.feed_state.retention is 'How long positions are kept; null = for ever.';
insert into app.feed_state default values;
alter table app.feed_state enable row level security;

-- Advisory locks of this class are notes that anybody can read: "I draw positions beyond this one". They are shared, so
-- that they block nobody, and vanish when the commit is visible, or when it failed, however it failed.
create function app.drawing_class() returns bigint
language sql immutable parallel safe
return 7206::bigint << 44;
comment on function app.drawing_class() is 'First key of the advisory locks of commits that draw positions; the position is added to it.';

create function app.pruning_lock() returns bigint
language sql immutable parallel safe
return 7207::bigint << 44;
comment on function app.pruning_lock() is 'Key of the advisory lock of whoever removes old positions.';

create function app.settled_position() returns bigint
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  -- by anybody, whether it is committed or not
  drawn constant bigint := (select s.last_value - case when s.is_called then 0 else 1 end from app.feed_pos_seq s);
begin
  if pg_is_in_recovery() then
    perform app.refuse(503, 'unavailable', 'A standby does not know what its primary is committing: read the feed there');
  end if;
  -- In this order nobody is overlooked: whoever leaves his note after this look draws beyond `drawn`.
  return least(drawn, (
    select min((l.classid::bigint << 32) + l.objid::bigint) - app.drawing_class()
    from pg_locks l
    where l.locktype = 'advisory' and l.objsubid = 1
      and l.database = (select d.oid from pg_database d where d.datname = current_database())
      and l.classid::bigint between app.drawing_class() >> 32 and ((app.drawing_class() + (1::bigint << 44)) >> 32) - 1
  ));
end
$$;
comment on function app.settled_position() is
  'Up to here every position is committed and visible to the next statement, or never will be. It may be lower than a moment ago, never wrong. Raises 503 unavailable on a standby.';

-- Old positions go as new ones come: no scheduler, no long delete. One at a time prunes, from the oldest on, so that
-- what is left is always a whole end of the feed; whoever comes second leaves it to the first and waits for nobody.
create function app.prune_feed(most integer) returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
  kept_since constant timestamptz := (select clock_timestamp() - s.retention from app.feed_state s);
  cut_pos bigint;
begin
  if kept_since is null or not pg_try_advisory_xact_lock(app.pruning_lock()) then
    return null;
  end if;
  select max(f.pos) into cut_pos
  from (select o.pos, o.recorded_at from app.feed o order by o.pos limit most) f
  where f.recorded_at < kept_since;
  if cut_pos is not null then
    update app.feed_state set floor_pos = cut_pos;
    delete from app.feed f where f.pos <= cut_pos;
  end if;
  return cut_pos;
end
$$;
comment on function app.prune_feed(integer) is
  'Removes the oldest positions that are older than the retention, at most so many; the last one removed, or null.';

create function app.draw_position() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  drawn_pos bigint;
begin
  -- Runs at commit, so that a transaction that idles holds nobody up. One note serves all events of the transaction.
  if current_setting('app.drawing_in', true) is distinct from pg_current_xact_id()::text then
    perform pg_advisory_xact_lock_shared(app.drawing_class() + s.last_value - case when s.is_called then 0 else 1 end)
    from app.feed_pos_seq s;
    perform set_config('app.drawing_in', pg_current_xact_id()::text, true);
    -- looked at once: the server's clock may step back, the times of the feed never do
    perform set_config('app.recorded_until', coalesce(
      (select f.recorded_at from app.feed f order by f.pos desc limit 1), '-infinity')::text, true);
  end if;
  insert into app.feed (event_id, workplace_name, action_type, order_no, recorded_at)
  values (new.id, new.workplace_name, new.action_type, new.order_no,
    greatest(clock_timestamp(), current_setting('app.recorded_until')::timestamptz))
  returning pos into drawn_pos;
  -- twice as many go as come, however they come
  if drawn_pos % 16 = 0 then
    perform app.prune_feed(32) from app.feed_state s where s.retention is not null;
  end if;
  return null;
end
$$;
comment on function app.draw_position() is 'Deferred trigger: gives an event its position in the feed, at commit.';

create constraint trigger operation_events_draw_position after insert on public.operation_events
  deferrable initially deferred
  for each row execute function app.draw_position();

-- Events of before this migration, in the order in which they were heard.
insert into app.feed (event_id, workplace_name, action_type, order_no)
select e.id, e.workplace_name, e.action_type, e.order_no from public.operation_events e order by e.created_at, e.operation_id, e.op_seq;

-- A restored database continues an older history under the same positions: whoever read further must be told. The
-- server's identity and timeline change with the restore of a server, the table's own number with that of a dump. They
-- also change when a standby takes over or the data moves, with all of history: told once too often is safe.
create function app.feed_generation() returns text
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return md5(concat_ws('/',
    (select s.generation from app.feed_state s),
    (select c.system_identifier from pg_control_system() c),
    -- of the log that is written now: the control file tells it only after a checkpoint
    left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
    'app.feed'::regclass::oid
  ));
end
$$;
comment on function app.feed_generation() is 'Name of the feed''s life, part of every cursor: changes when the database was restored.';

-- A copy of the data folder or of a disk keeps all of these. So a cursor also knows what it stands at: where the position
-- is not there, or is another one, history has been another one. The event alone would not do, since terminals send
-- again what was lost, under the same id.
create function app.feed_mark(f app.feed) returns text
language sql stable
return left(md5((f).event_id::text || '/' || extract(epoch from (f).recorded_at)::text), 12);
comment on function app.feed_mark(app.feed) is
  'What a cursor knows its position by; it tells nothing of the event, which its holder may not see.';

create function app.require_position(pos bigint, generation text, mark text) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  floor_pos bigint;
begin
  if generation <> app.feed_generation() then
    perform app.refuse(410, 'feed_reset', 'The database was restored since: what you have read may differ from what it holds. Begin again without a cursor');
  elsif pos is null or exists (select from app.feed f where f.pos = require_position.pos and app.feed_mark(f) = mark) then
    return;
  end if;
  -- looked at last, since it may have been cut off meanwhile
  select s.floor_pos into floor_pos from app.feed_state s;
  if pos < floor_pos then
    perform app.refuse(410, 'feed_reset', 'The feed is no longer kept that far back. Begin again without a cursor');
  elsif pos > floor_pos then
    perform app.refuse(410, 'feed_reset', 'The database was restored since: what you have read may differ from what it holds. Begin again without a cursor');
  end if;
end
$$;
comment on function app.require_position(bigint, text, text) is
  'Raises 410 feed_reset unless what follows this position is what followed it when its cursor was made; null = the beginning.';

-- Times of drawing rise with positions, but for the moments between two commits that draw at once.
create function app.position_before(instant timestamptz) returns bigint
language plpgsql stable security definer
set search_path = ''
as $$
declare
  low bigint := (select s.floor_pos from app.feed_state s);
  high bigint := (select max(f.pos) from app.feed f);
  middle bigint;
  next app.feed;
begin
  while low < high loop
    middle := (low + high) / 2;
    select * into next from app.feed f where f.pos > middle order by f.pos limit 1;
    if next.recorded_at < instant - interval '1 second' then
      low := next.pos;
    else
      high := middle;
    end if;
  end loop;
  return low;
end
$$;
comment on function app.position_before(timestamptz) is
  'A position behind which all events stand that were recorded then or later, by halving; the floor of the feed when none is older.';

create function app.followed_event_json(event public.operation_events, caller app.caller) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  operation json;
begin
  select app.operation_json(o) into operation from public.mes_operations o
  where o.id = (event).operation_id and app.sees_workplace(caller, o.workplace_name);
  return app.json_with(
    app.json_with(app.event_json(event), 'operation', coalesce(operation, 'null')),
    'mark', (select to_json(app.feed_mark(f)) from app.feed f where f.event_id = (event).id)
  );
end
$$;
comment on function app.followed_event_json(public.operation_events, app.caller) is
  'The event for whoever passes it on: with its operation as it is now, null when it is gone or not the caller''s to see, and its mark.';

-- One call looks at no more positions than this: a rare filter costs a few calls, not one endless one.
create function app.feed_window() returns integer
language sql immutable parallel safe
return 10000;
comment on function app.feed_window() is 'Most positions that one read of the feed looks at.';

create function public.read_feed(
  after_pos bigint default null,
  generation text default null,
  mark text default null,
  workplace_names text[] default null,
  action_types text[] default null,
  order_no text default null,
  take integer default 100,
  with_operations boolean default false
) returns json
-- volatile: what was settled before a statement began is what that statement sees
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('generation', generation) and app.require_bounded('mark', mark)
    and app.require_bounded('workplace_names', workplace_names) and app.require_bounded('action_types', action_types)
    and app.require_bounded('order_no', order_no);
  caller constant app.caller := app.current_caller();
  from_pos constant bigint := coalesce(after_pos, (select s.floor_pos from app.feed_state s));
  settled_pos constant bigint := app.settled_position();
  -- Cursors stand at events, not in the gaps that failed commits leave: a crash forgets what no commit has written
  -- down, and draws the positions of such gaps again.
  head_pos constant bigint := (select max(f.pos) from app.feed f where f.pos <= settled_pos);
  last_pos constant bigint := (
    select max(f.pos) from app.feed f
    where f.pos > from_pos
      and f.pos <= least(head_pos, (select min(n.pos) from app.feed n where n.pos > from_pos and n.pos <= head_pos) + app.feed_window())
  );
  visible text[];
  events json := '[]';
  found integer := 0;
  reached bigint;
begin
  -- straight calls ask for what they like
  take := greatest(1, least(take, 500));
  if not app.has_workplace(caller) then
    -- The answer tells nothing of the feed, not even its length. The caller goes on from here after a manager has
    -- given them a workplace.
    return json_build_object(
      'events', '[]'::json,
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

  -- null = no condition, which only those who see everything may have
  visible := case
    when caller.sees_all then workplace_names
    when workplace_names is null then coalesce(caller.workplaces, '{}')
    else array(select w from unnest(workplace_names) w where w = any(caller.workplaces))
  end;
  -- named twice, a workplace is followed once
  visible := case when visible is not null then array(select distinct w from unnest(visible) w) end;

  -- the end of the feed is where it is asked for most
  if last_pos is not null then
    with positions as (
      (
        select f.pos, f.event_id from app.feed f
        where visible is null and f.pos > from_pos and f.pos <= last_pos
          and (action_types is null or f.action_type = any(action_types)) and (read_feed.order_no is null or f.order_no = read_feed.order_no)
        order by f.pos
        limit take
      )
      union all
      select f.pos, f.event_id from unnest(visible) w cross join lateral (
        select f.pos, f.event_id from app.feed f
        where f.workplace_name = w and f.pos > from_pos and f.pos <= last_pos
          and (action_types is null or f.action_type = any(action_types)) and (read_feed.order_no is null or f.order_no = read_feed.order_no)
        order by f.pos
        limit take
      ) f
    ),
    page as (
      select p.pos, e as event
      from (select * from positions order by pos limit take) p join public.operation_events e on e.id = p.event_id
    )
    select
      coalesce(json_agg(
        case when with_operations then app.followed_event_json(p.event, caller) else app.event_json(p.event) end
        order by p.pos
      ), '[]'),
      count(*),
      max(p.pos)
    into events, found, reached
    from page p;
  end if;

  reached := case when found = take then reached else coalesce(last_pos, from_pos) end;
  -- judged last, since something may have been cut off meanwhile; whoever begins then begins behind that
  if after_pos is not null then
    perform app.require_position(after_pos, generation, mark);
  elsif reached < (select s.floor_pos from app.feed_state s) then
    return public.read_feed(null, null, null, workplace_names, action_types, read_feed.order_no, take, with_operations);
  end if;
  return json_build_object(
    'events', events,
    'generation', app.feed_generation(),
    'pos', reached,
    'mark', case when reached = after_pos then mark else (select app.feed_mark(f) from app.feed f where f.pos = reached) end,
    'has_more', coalesce(reached < head_pos, false),
    'has_workplace', true
  );
end
$$;
comment on function public.read_feed is
  'Events the caller sees, in the order of the feed, after a position: {"events": [...], "generation", "pos", "mark": where to go on, "has_more", "has_workplace": false when waiting is in vain}. Without after_pos from the oldest kept. With operations, each event has its operation as it is now, null when it is gone or not the caller''s to see, and its mark. Raises 410 feed_reset when that position is unknown here.';

-- The cheap question of whoever waits. Only servers ask it, on behalf of all who wait there.
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
    'is_announced', exists (select from pg_trigger t where t.tgrelid = 'app.feed'::regclass and t.tgname = 'feed_announce')
  );
end
$$;
comment on function public.feed_head() is
  'Where the feed ends: {"generation", "pos", "mark", "is_announced": whether Supabase Realtime tells when it moves}. For the secret key only.';

create function public.prune_feed() returns bigint
language plpgsql security definer
set search_path = ''
as $$
begin
  perform app.require_role(app.current_caller(), 'admin', 'Only an admin may prune the feed');
  return app.prune_feed(app.feed_window());
end
$$;
comment on function public.prune_feed() is
  'Removes at once what is older than the configured retention, up to 10,000 positions a call; answers the last one removed, null when there is none. Raises 403 forbidden.';

revoke execute on function public.read_feed, public.prune_feed, public.feed_head from public, anon, authenticated;
grant execute on function public.read_feed, public.prune_feed to authenticated, service_role;
grant execute on function public.feed_head to service_role;
revoke execute on all functions in schema app from public;
