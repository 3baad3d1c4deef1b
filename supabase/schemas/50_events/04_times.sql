-- What: when a report happened.
-- Why: a device's clock may be wrong and the server's may step back.

-- A clock behind the newest record has stepped back, or the machine was asleep, so it cannot judge the future. Only
-- times that servers make count as records, so that no terminal can move the limit.
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
  'The newest time that a server has made and that is known here: of the last event in the feed, or of the caller''s '
  'access token.';

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
  'A later time is in the future: the server''s clock + 60 s; when that clock has stepped back, the last record + '
  '24 h.';

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
comment on function app.ahead_of_clock(timestamptz) is
  'The sentence about a time in the future: it, the offset in words, and the server''s time.';

create function app.future_problem(pointer text, instant timestamptz) returns app.problem
language sql stable
return case
  -- most times are in the past and need no look-up of the last record
  when instant > clock_timestamp() + interval '60 seconds' and instant > app.latest_time()
  then app.field_problem(pointer, 'in_future', app.ahead_of_clock(instant),
    jsonb_build_object('server_time', app.iso(clock_timestamp())))
end;
comment on function app.future_problem(text, timestamptz) is
  'The problem validation_failed (in_future), with the server''s time and the offset, for what is later than '
  'app.latest_time().';

-- PL/pgSQL: an import calls it for each row, and a SQL function would cost several times as much.
create function app.source_time_problem(instant timestamptz) returns app.problem
language plpgsql stable
set search_path = ''
as $$
begin
  return case
    -- most times are in the past and need no look-up of the last record
    when instant > clock_timestamp() + interval '24 hours' and instant > app.latest_time() + interval '24 hours'
    then app.field_problem('/timestamp_ms', 'in_future', app.ahead_of_clock(instant))
  end;
end
$$;
comment on function app.source_time_problem(timestamptz) is
  'The problem validation_failed (in_future) for a timestamp_ms more than 24 h after app.latest_time(): it would make '
  'every later row of the source stale.';

create function app.is_too_old(caller app.caller, instant timestamptz) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  if app.role_rank(caller.role) >= app.role_rank('supervisor') then
    return false;
  end if;
  return instant < clock_timestamp() - (select s.report_age_limit from app.settings s);
end
$$;
comment on function app.is_too_old(app.caller, timestamptz) is
  'True for machines and operators when it happened longer ago than app.settings allows: their device''s clock is '
  'wrong.';

create function app.too_old_problem(attempt text, instant timestamptz) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  heard_at constant timestamptz := clock_timestamp();
  age_limit constant interval := (select s.report_age_limit from app.settings s);
begin
  return app.problem(
    422, 'too_old',
    format('%s: that is %s behind the server''s clock, %s; a supervisor may report it',
      attempt, app.in_words(heard_at - instant), app.iso(heard_at)),
    jsonb_build_object('server_time', app.iso(heard_at), 'limit', app.iso(heard_at - age_limit),
      'limit_days', round(extract(epoch from age_limit) / 86400, 2)));
end
$$;
comment on function app.too_old_problem(text, timestamptz) is
  'The problem too_old for an attempt to report of this time, with the offset in words and the limit.';

create function app.age_problem(
  operation public.mes_operations, caller app.caller, action public.action, instant timestamptz
) returns app.problem
language plpgsql stable
set search_path = ''
as $$
begin
  return case when app.is_too_old(caller, instant) then app.too_old_problem(
    format('Cannot %s operation %s at %s', action, app.operation_label(operation), app.iso(instant)), instant) end;
end
$$;
comment on function app.age_problem(public.mes_operations, app.caller, public.action, timestamptz) is
  'The problem too_old for an action that the caller may not report of that time any more.';

create function app.order_problem(
  operation public.mes_operations, transition app.lifecycle, occurred_at timestamptz, earliest timestamptz
) returns app.problem
language sql stable
return case when occurred_at < earliest then app.problem(
  409, 'out_of_order',
  case
    when (transition).follows = 'the start' and (transition).to_state = (operation).state
    then format('Cannot report quantities of operation %s at %s: it started at %s',
      app.operation_label(operation), app.iso(occurred_at), app.iso(earliest))
    else format('Cannot %s operation %s at %s: its last event occurred at %s',
      (transition).action, app.operation_label(operation), app.iso(occurred_at), app.iso(earliest))
  end,
  jsonb_build_object('last_occurred_at', app.iso(earliest))
) end;
comment on function app.order_problem(public.mes_operations, app.lifecycle, timestamptz, timestamptz) is
  'The problem out_of_order for a time before the moment that the action must follow.';
