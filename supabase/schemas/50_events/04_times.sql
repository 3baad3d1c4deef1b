-- What: when a report happened.
-- Why: a device's clock may be wrong and the server's may step back.

-- Work cannot begin or end before the last moment of the operation's timeline, corrections included.
create function app.timeline_end(operation public.mes_operations) returns timestamptz
language sql immutable parallel safe
return greatest((operation).worked_until, (operation).actual_start_at, (operation).actual_end_at);
comment on function app.timeline_end(public.mes_operations) is 'Latest start or end of the operation or of one of its runs, or null.';

-- A clock that is behind what the server itself has recorded has stepped back, or the machine was asleep: it cannot say
-- what is in the future. Only times that servers make are evidence, so that no terminal can move the limit.
create function app.last_recorded_at() returns timestamptz
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return greatest(
    (select f.recorded_at from app.feed f order by f.pos desc limit 1),
    to_timestamp((nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'iat')::double precision)
  );
end
$$;
comment on function app.last_recorded_at() is
  'The newest time that a server has made and that is known here: of the last event in the feed, or of the caller''s access token.';

create function app.latest_time() returns timestamptz
language plpgsql stable
set search_path = ''
as $$
declare
  heard_at constant timestamptz := clock_timestamp();
  recorded_at constant timestamptz := app.last_recorded_at();
begin
  return case
    when recorded_at > heard_at + interval '1 second' then recorded_at + interval '24 hours'
    else heard_at + interval '60 seconds'
  end;
end
$$;
comment on function app.latest_time() is
  'What is later is in the future: the server''s clock + 60 s; where that clock has stepped back, the last record + 24 h.';

create function app.ahead_of_clock(instant timestamptz) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  heard_at constant timestamptz := clock_timestamp();
begin
  return format('"%s" is %s ahead of the server''s clock, %s',
    app.iso(instant), app.in_words(instant - heard_at), app.iso(heard_at));
end
$$;
comment on function app.ahead_of_clock(timestamptz) is 'The sentence about a time in the future: it, the offset in words, and the server''s time.';

create function app.require_past(pointer text, instant timestamptz) returns void
language plpgsql
set search_path = ''
as $$
declare
  sentence text;
begin
  -- nearly all is: the record need not be looked at
  if instant is null or instant <= clock_timestamp() + interval '60 seconds' or instant <= app.latest_time() then
    return;
  end if;
  sentence := app.ahead_of_clock(instant);
  perform app.refuse(
    422, 'validation_failed', sentence,
    jsonb_build_object(
      'server_time', app.iso(clock_timestamp()),
      'errors', jsonb_build_array(jsonb_build_object(
        'in', 'body', 'pointer', pointer, 'message', sentence, 'code', 'in_future')))
  );
end
$$;
comment on function app.require_past(text, timestamptz) is
  'Raises 422 validation_failed (in_future), with the server''s time and the offset, for what is later than app.latest_time().';

create function app.require_recent(
  operation public.mes_operations, caller app.caller, action text, instant timestamptz
) returns void
language plpgsql
set search_path = ''
as $$
declare
  heard_at constant timestamptz := clock_timestamp();
  age_limit interval;
begin
  if instant is null or app.role_rank((caller).role) >= app.role_rank('supervisor') then
    return;
  end if;
  select s.report_age_limit into age_limit from app.settings s;
  if instant < heard_at - age_limit then
    perform app.refuse(
      422, 'too_old',
      format('Cannot %s operation %s at %s: that is %s behind the server''s clock, %s; a supervisor may report it',
        action, app.operation_label(operation), app.iso(instant), app.in_words(heard_at - instant), app.iso(heard_at)),
      jsonb_build_object('server_time', app.iso(heard_at), 'limit', app.iso(heard_at - age_limit),
        'limit_days', round(extract(epoch from age_limit) / 86400, 2))
    );
  end if;
end
$$;
comment on function app.require_recent(public.mes_operations, app.caller, text, timestamptz) is
  'Raises 422 too_old for machines and operators when it happened longer ago than app.settings allows: their device''s clock is wrong.';

create function app.occurred_at(
  operation public.mes_operations, caller app.caller, report app.report
) returns timestamptz
language plpgsql
set search_path = ''
as $$
declare
  -- now() is when the transaction began, before it waited for the row: between writers it runs backwards
  -- to the millisecond, as clients read it: what they send back as a filter or a condition means the same instant
  heard_at constant timestamptz := date_trunc('milliseconds', clock_timestamp());
  happened_at constant timestamptz := date_trunc('milliseconds', (report).occurred_at);
  earliest timestamptz;
begin
  if (report).action_type in ('RELEASE', 'START', 'STOP', 'COMPLETE', 'FINISH', 'HOLD', 'CANCEL')
    or (report).action_type = 'REVERSE' and (operation).status = 'FINISHED'
  then
    earliest := app.timeline_end(operation);
  elsif (report).action_type in ('REPORT_QUANTITY', 'REVERSE') then
    earliest := (operation).actual_start_at;
  end if;
  if happened_at is null then
    -- clocks of devices may be ahead, that of the server may have stepped back: what follows has not happened before
    return greatest(heard_at, earliest);
  end if;
  perform app.require_past('/occurred_at', happened_at);
  perform app.require_recent(operation, caller, (report).action_type, happened_at);
  if happened_at >= earliest is not false then
    return happened_at;
  elsif earliest > heard_at and happened_at > heard_at - interval '60 seconds' then
    -- it happens now, and what it follows is in the future of the server's clock: that is the clock's fault
    return earliest;
  elsif (report).action_type in ('REPORT_QUANTITY', 'REVERSE') and (operation).status <> 'FINISHED' then
    perform app.refuse(
      409, 'out_of_order',
      format('Cannot report quantities of operation %s at %s: it started at %s',
        app.operation_label(operation), app.iso(happened_at), app.iso(earliest)),
      jsonb_build_object('last_occurred_at', app.iso(earliest))
    );
  end if;
  perform app.refuse(
    409, 'out_of_order',
    format('Cannot %s operation %s at %s: its last event occurred at %s',
      (report).action_type, app.operation_label(operation), app.iso(happened_at), app.iso(earliest)),
    jsonb_build_object('last_occurred_at', app.iso(earliest))
  );
  return null;
end
$$;
comment on function app.occurred_at(public.mes_operations, app.caller, app.report) is
  'When the report happened: as stated, or now, but never before what it follows. Raises 422 validation_failed (in_future) and too_old, 409 out_of_order before the end of the timeline.';
