-- What: cursors, the positions of readers.
-- Why: a restored database reuses positions for another history, so a reader must learn that its cursor is invalid.

-- The server's identity and timeline change when a server is restored, the table's own number when a dump is restored.
-- They also change when a standby takes over or the data moves with all of its history: readers then start again
-- without need, which is safe.
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
comment on function app.feed_generation() is
  'Name of the feed''s generation, part of every cursor: changes when the database is restored.';

-- A copy of the data folder or of a disk keeps all of these. So a cursor also holds a mark of its event: when the
-- position is missing or has another mark, the history differs. The event's id alone does not suffice, because
-- terminals send lost events again under the same id.
create function app.feed_mark(f app.feed) returns text
language sql stable
return left(md5(
  coalesce((f).event_id, (f).downtime_event_id)::text || '/' || extract(epoch from (f).recorded_at)::text), 12);
comment on function app.feed_mark(app.feed) is
  'Mark by which a cursor recognises its position; it reveals nothing of the event, which may be hidden from its '
  'holder.';

create function app.require_position(pos bigint, generation text, mark text) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  floor_pos bigint;
begin
  if generation <> app.feed_generation() then
    perform app.refuse(410, 'feed_reset',
      'The database was restored since: what you have read may differ from what it holds. '
      'Begin again without a cursor');
  elsif pos is null
    or exists (select from app.feed f where f.pos = require_position.pos and app.feed_mark(f) = mark) then
    return;
  end if;
  -- checked last, because the position may have been pruned meanwhile
  select s.floor_pos into floor_pos from app.feed_state s;
  if pos < floor_pos then
    perform app.refuse(410, 'feed_reset', 'The feed is no longer kept that far back. Begin again without a cursor');
  elsif pos > floor_pos then
    perform app.refuse(410, 'feed_reset',
      'The database was restored since: what you have read may differ from what it holds. '
      'Begin again without a cursor');
  end if;
end
$$;
comment on function app.require_position(bigint, text, text) is
  'Raises 410 feed_reset unless this position has the same history as when its cursor was made; null = the '
  'beginning.';

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
  'A position behind which all events stand that were recorded then or later, by halving; the floor of the feed when '
  'none is older.';
