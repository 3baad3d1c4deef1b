-- What: reading calendars, their shifts and exceptions.
-- Why: occurrences are expanded when read, so a calendar has no rows of the future to maintain.

create function public.get_calendar(name text) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name);
  calendar public.calendars;
begin
  select * into calendar from public.calendars c where c.name = get_calendar.name;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.calendar_json(calendar);
end
$$;
comment on function public.get_calendar(text) is 'One calendar with its shifts. Raises 404 not_found.';
grant execute on function public.get_calendar to authenticated, service_role;

create function public.list_calendars(
  q text default null,
  after_name text default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('q', q) and app.require_bounded('after_name', after_name)
    and app.require_bounded('skip', skip) and app.require_bounded('count', count);
  rows public.calendars[];
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select c from public.calendars c
    where (q is null or app.begins_with(c.name, q)) and (after_name is null or c.name > after_name)
    order by c.name
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (select coalesce(json_agg(app.calendar_json(c)), '[]') from unnest(rows[1:take]) c),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].name) end,
    -- few rows: the exact count is as cheap as an estimate
    'total', case when count is not null then (
      select count(*) from public.calendars c where q is null or app.begins_with(c.name, q)
    ) end
  );
end
$$;
comment on function public.list_calendars(text, text, integer, integer, text) is
  'A page of the calendars, of those whose name begins with q, ordered by name: {"items": [...], "next": key of the '
  'last item or null, "total": number when asked}.';
grant execute on function public.list_calendars to authenticated, service_role;

create function app.date_of(pointer text, value text) returns date
language plpgsql immutable
set search_path = ''
as $$
begin
  if value ~ '^\d{4}-\d\d-\d\d$' is false then
    raise exception sqlstate '22007';
  end if;
  return value::date;
exception when datetime_field_overflow or invalid_datetime_format then
  perform app.refuse_field(pointer, 'invalid_format',
    format('"%s" is not a date such as 2026-11-24', left(value, 40)));
  return null;
end
$$;
comment on function app.date_of(text, text) is 'The date of an argument; null for null. Raises 422 validation_failed.';
grant execute on function app.date_of to authenticated, service_role;

create function app.require_window(from_at timestamptz, to_at timestamptz) returns void
language plpgsql
set search_path = ''
as $$
begin
  if from_at is null or to_at is null then
    perform app.refuse_field(case when from_at is null then '/from' else '/to' end, 'missing',
      'A window needs from and to');
  elsif not isfinite(from_at) or not isfinite(to_at) or to_at < from_at then
    perform app.refuse_field('/to', 'before_from', 'to must not be earlier than from');
  elsif to_at - from_at > interval '400 days' then
    perform app.refuse_field('/to', 'too_big', 'A window has at most 400 days');
  end if;
end
$$;
comment on function app.require_window(timestamptz, timestamptz) is
  'Raises 422 validation_failed unless from <= to, at most 400 days apart.';
grant execute on function app.require_window to authenticated, service_role;

-- Runs as its owner, which may expand the shifts; it checks the caller as the policies do.
create function public.list_shifts(
  name text, from_at timestamptz default null, to_at timestamptz default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name);
  calendar public.calendars;
begin
  perform app.require_plant(app.current_caller());
  select * into calendar from public.calendars c where c.name = list_shifts.name;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_window(from_at, to_at);
  return (
    select coalesce(json_agg(app.occurrence_json(o, calendar.time_zone) order by o.starts_at), '[]')
    from app.occurrences(calendar, app.dates_around(calendar, from_at, to_at)) o
    where o.starts_at < to_at and o.ends_at > from_at
  );
end
$$;
comment on function public.list_shifts(text, timestamptz, timestamptz) is
  'The shifts of a calendar that take place in the window of at most 400 days, whole, in order. Raises 404 not_found, '
  '422 validation_failed.';
grant execute on function public.list_shifts to authenticated, service_role;

create function public.list_calendar_exceptions(
  name text, from_date text default null, to_date text default null
) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('from_date', from_date)
    and app.require_bounded('to_date', to_date);
begin
  if not exists (select from public.calendars c where c.name = list_calendar_exceptions.name) then
    perform app.refuse_missing();
  end if;
  return (
    select coalesce(json_agg(app.exception_json(x) order by x.on_date), '[]')
    from (
      select * from public.calendar_exceptions e
      where e.calendar_name = list_calendar_exceptions.name
        and (from_date is null or e.on_date >= app.date_of('/from', from_date))
        and (to_date is null or e.on_date <= app.date_of('/to', to_date))
      order by e.on_date
      limit 1000
    ) x
  );
end
$$;
comment on function public.list_calendar_exceptions(text, text, text) is
  'The exceptions of a calendar between two dates, both included, in order; the first 1,000. Raises 404 not_found.';
grant execute on function public.list_calendar_exceptions to authenticated, service_role;
