-- What: a broadcast of Supabase Realtime for each commit that adds to the feed, where Realtime is there.
-- Why: broadcasts replace frequent polling; a slow poll makes up for a lost broadcast.

do $migration$
begin
  if to_regprocedure('realtime.send(jsonb, text, text, boolean)') is null then
    return;
  end if;

  create function app.announce_feed() returns trigger
  language plpgsql security definer
  set search_path = ''
  as $$
  begin
    -- once per transaction, however many events it has
    if current_setting('app.announced_in', true) is distinct from pg_current_xact_id()::text then
      perform set_config('app.announced_in', pg_current_xact_id()::text, true);
      -- private: only the service role listens, and the message is empty
      perform realtime.send('{}'::jsonb, 'moved', 'mes-feed', true);
    end if;
    return null;
  end
  $$;
  comment on function app.announce_feed() is 'Trigger: tells the servers that listen that the feed has moved.';
  revoke execute on function app.announce_feed() from public;

  create trigger feed_announce after insert on app.feed
    for each statement execute function app.announce_feed();
end
$migration$;
