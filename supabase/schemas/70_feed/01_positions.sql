-- What: the feed: every event at a position, in an order that never changes behind a reader.
-- Why: with positions drawn at insert, a later event may commit first, and a reader would miss the earlier one.

create table app.feed (
  pos bigint generated always as identity (cache 1) primary key,
  -- No foreign keys: the trigger of the event itself makes the row, and events are never deleted.
  event_id uuid,
  downtime_event_id uuid,
  workplace_name text collate "C",
  action_type public.action,
  order_no text collate "C",
  recorded_at timestamptz not null default clock_timestamp(),
  constraint feed_has_one_event check (
    (event_id is null) <> (downtime_event_id is null)
    and (event_id is null) = (action_type is null) and (event_id is null) = (order_no is null)
  )
);
comment on table app.feed is
  'Positions of events of operations and of downtimes. A separate table, because events are never changed.';
comment on column app.feed.event_id is 'Event of an operation.';
comment on column app.feed.downtime_event_id is 'Event of a downtime, which readers get who ask for them.';
comment on column app.feed.pos is
  'Position: gaps are possible (a commit that failed); those of one operation rise with its op_seq.';
comment on column app.feed.workplace_name is
  'The event''s workplace, so that one index serves a reader of few workplaces.';
comment on column app.feed.action_type is
  'The event''s action, likewise order_no: filters pass over events without a look at each.';
comment on column app.feed.recorded_at is
  'When the position was drawn; for retention. It rises with pos, so it needs no index.';
create unique index feed_by_event on app.feed (event_id);
create unique index feed_by_downtime_event on app.feed (downtime_event_id) where downtime_event_id is not null;
create index feed_by_workplace on app.feed (workplace_name, pos);

alter table app.feed enable row level security;

-- The oldest stored position, and the name of the current generation.
create table app.feed_state (
  only_row boolean primary key default true check (only_row),
  generation uuid not null default gen_random_uuid(),
  floor_pos bigint not null default 0,
  retention interval
);
comment on table app.feed_state is 'One row: generation and retention of the feed.';
comment on column app.feed_state.generation is 'Name of the generation; a new one makes all cursors invalid.';
comment on column app.feed_state.floor_pos is 'Positions up to here are no longer kept.';
comment on column app.feed_state.retention is 'How long positions are kept; null = for ever.';

alter table app.feed_state enable row level security;

insert into app.feed_state default values;

-- An advisory lock of this class says in pg_locks: "I draw positions beyond this one". The locks are shared, so they
-- block nothing, and they vanish when the commit is visible or has failed, whatever the cause.
create function app.drawing_class() returns bigint
language sql immutable parallel safe
return 7206::bigint << 44;
comment on function app.drawing_class() is
  'First key of the advisory locks of commits that draw positions; the position is added to it.';

create function app.settled_position() returns bigint
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  -- by anybody, whether it is committed or not
  drawn constant bigint := (select s.last_value - case when s.is_called then 0 else 1 end from app.feed_pos_seq s);
begin
  if pg_is_in_recovery() then
    perform app.refuse(503, 'unavailable',
      'A standby does not know what its primary is committing: read the feed there');
  end if;
  -- This order misses no commit: one that takes its lock after this query draws beyond `drawn`.
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
  'The high watermark: every position up to it is committed and visible to the next statement, or failed. It may go '
  'down between two calls and is still correct. Raises 503 unavailable on a standby.';

create function app.begin_drawing() returns timestamptz
language plpgsql
set search_path = ''
as $$
begin
  -- Runs at commit, so that an idle transaction does not delay readers. One lock serves all events of the transaction.
  if current_setting('app.drawing_in', true) is distinct from pg_current_xact_id()::text then
    perform pg_advisory_xact_lock_shared(app.drawing_class() + s.last_value - case when s.is_called then 0 else 1 end),
      set_config('app.drawing_in', pg_current_xact_id()::text, true),
      -- one read: the server's clock may step back, the times of the feed never do
      set_config('app.recorded_until', coalesce(
        (select f.recorded_at from app.feed f order by f.pos desc limit 1), '-infinity')::text, true)
    from app.feed_pos_seq s;
  end if;
  return greatest(clock_timestamp(), current_setting('app.recorded_until')::timestamptz);
end
$$;
comment on function app.begin_drawing() is
  'Holds back readers until the transaction ends. Returns the time at which its next event is recorded.';

create function app.end_drawing(drawn_pos bigint) returns void
language plpgsql
set search_path = ''
as $$
begin
  -- removes twice as many positions as were added
  if drawn_pos % 16 = 0 then
    perform app.prune_feed(32) from app.feed_state s where s.retention is not null;
  end if;
end
$$;
comment on function app.end_drawing(bigint) is 'Removes old positions, now and then.';

create function app.draw_position() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  -- before the position is drawn, which the insert does
  recorded_at constant timestamptz := app.begin_drawing();
  drawn_pos bigint;
begin
  insert into app.feed (event_id, workplace_name, action_type, order_no, recorded_at)
  values (new.id, new.workplace_name, new.action_type, new.order_no, recorded_at)
  returning pos into drawn_pos;
  perform app.end_drawing(drawn_pos);
  return null;
end
$$;
comment on function app.draw_position() is 'Deferred trigger: gives an event its position in the feed, at commit.';

create constraint trigger operation_events_draw_position after insert on public.operation_events
  deferrable initially deferred
  for each row execute function app.draw_position();

create function app.draw_downtime_position() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  recorded_at constant timestamptz := app.begin_drawing();
  drawn_pos bigint;
begin
  insert into app.feed (downtime_event_id, workplace_name, recorded_at)
  values (new.id, new.workplace_name, recorded_at)
  returning pos into drawn_pos;
  perform app.end_drawing(drawn_pos);
  return null;
end
$$;
comment on function app.draw_downtime_position() is 'As app.draw_position, for an event of a downtime.';

create constraint trigger downtime_events_draw_position after insert on public.downtime_events
  deferrable initially deferred
  for each row execute function app.draw_downtime_position();

create function app.pruning_lock() returns bigint
language sql immutable parallel safe
return 7207::bigint << 44;
comment on function app.pruning_lock() is 'Key of the advisory lock for the removal of old positions.';

-- Adding positions removes old ones, without a scheduler and without a long delete. One transaction at a time prunes,
-- oldest first, so that the rest of the feed has no gap. A second caller returns at once and does not wait.
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
  'Removes at once what is older than the configured retention, up to 10,000 positions a call; answers the last one '
  'removed, null when there is none. Raises 403 forbidden.';
grant execute on function public.prune_feed to authenticated, service_role;
