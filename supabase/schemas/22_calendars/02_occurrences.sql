-- What: shifts as they take place: instants, breaks and closed time of each.
-- Why: reports, the list of shifts and the check for overlaps read one expansion, so that all see the same nights.

create type app.occurrence as (
  shift_date date,
  shift_code text,
  starts_at timestamptz,
  ends_at timestamptz,
  breaks tstzmultirange,
  closed tstzmultirange,
  is_extra boolean
);
comment on type app.occurrence is
  'One shift as it takes place: the local date on which it begins, its instants, and what of it is break or closed.';

create function app.local_instant(on_date date, clock time, time_zone text) returns timestamptz
language sql stable parallel safe
return (on_date + clock) at time zone time_zone;
comment on function app.local_instant(date, time, text) is
  'The instant of a local time. One that does not exist or exists twice is read as PostgreSQL reads it.';

create function app.local_range(on_date date, from_clock time, to_clock time, time_zone text) returns tstzrange
language sql stable parallel safe
return tstzrange(
  app.local_instant(on_date, from_clock, time_zone),
  -- where clocks are put forward, a later local time can be an earlier instant
  greatest(
    app.local_instant(on_date, from_clock, time_zone),
    app.local_instant(on_date + (to_clock <= from_clock)::integer, to_clock, time_zone)
  )
);
comment on function app.local_range(date, time, time, text) is
  'From a local time to the first other one after it: on the next day unless it is later.';

create function app.occurrences(calendar public.calendars, dates date[]) returns setof app.occurrence
language sql stable
begin atomic
  with planned as (
    select d.on_date, s.shift_code,
      app.local_range(d.on_date, s.start_time, s.end_time, (calendar).time_zone) as span,
      s.start_time, s.breaks, false as is_extra
    from unnest(dates) d (on_date)
    join public.calendar_shifts s on s.calendar_name = (calendar).name
      and d.on_date between s.valid_from and coalesce(s.valid_to, 'infinity')
      and extract(isodow from d.on_date)::integer = any(s.weekdays)
    union all
    select x.on_date, coalesce(x.shift_code, 'EXTRA'),
      app.local_range(x.on_date, x.start_time, x.end_time, (calendar).time_zone),
      x.start_time, '[]', true
    from public.calendar_exceptions x
    where x.calendar_name = (calendar).name and x.on_date = any(dates) and x.kind = 'EXTRA'
  )
  select p.on_date, p.shift_code, lower(p.span), upper(p.span),
    coalesce((
      select range_agg(p.span * app.local_range(
        p.on_date + ((b.value ->> 'start')::time < p.start_time)::integer,
        (b.value ->> 'start')::time, (b.value ->> 'end')::time, (calendar).time_zone))
      from jsonb_array_elements(p.breaks) b
    ), '{}'),
    case
      when x.on_date is null or p.is_extra then '{}'
      when x.start_time is null then tstzmultirange(p.span)
      -- the hours after midnight of a night shift are hours of its date, too
      else tstzmultirange(
        p.span * app.local_range(x.on_date, x.start_time, x.end_time, (calendar).time_zone),
        p.span * app.local_range(x.on_date + 1, x.start_time, x.end_time, (calendar).time_zone))
    end,
    p.is_extra
  from planned p
  left join public.calendar_exceptions x on x.calendar_name = (calendar).name and x.on_date = p.on_date
    and x.kind = 'CLOSED' and (x.shift_code is null or x.shift_code = p.shift_code)
  where not isempty(p.span);
end;
comment on function app.occurrences(public.calendars, date[]) is
  'The shifts of a calendar that begin on these local dates, closed ones and additional ones included.';

create function app.dates_around(calendar public.calendars, from_at timestamptz, to_at timestamptz) returns date[]
language sql stable
begin atomic
  -- a shift that began the day before reaches into the window
  select array(
    select d::date from generate_series(
      date_trunc('day', from_at at time zone (calendar).time_zone) - interval '1 day',
      date_trunc('day', to_at at time zone (calendar).time_zone),
      interval '1 day') d);
end;
comment on function app.dates_around(public.calendars, timestamptz, timestamptz) is
  'The local dates on which a shift can begin that reaches into the window.';

-- The pattern repeats every week. It can overlap itself only in a week that is different: where a row begins or ends,
-- at an exception, and where the zone's offset changes.
create function app.dates_to_check(calendar public.calendars) returns date[]
language sql stable
begin atomic
  with bounds as (
    select min(s.valid_from) as first_date, least(
      max(coalesce(s.valid_to, 'infinity')),
      greatest(max(s.valid_from), current_date) + 3653) as last_date
    from public.calendar_shifts s
    where s.calendar_name = (calendar).name
  ),
  marks (on_date, reach) as (
    select s.valid_from, 8 from public.calendar_shifts s where s.calendar_name = (calendar).name
    union all
    select s.valid_to, 8 from public.calendar_shifts s
    where s.calendar_name = (calendar).name and s.valid_to is not null
    union all
    select x.on_date, 2 from public.calendar_exceptions x where x.calendar_name = (calendar).name and x.kind = 'EXTRA'
    union all
    select d.on_date, 2
    from bounds b
    cross join lateral (
      select g::date as on_date
      from generate_series(b.first_date::timestamp, b.last_date::timestamp, interval '1 day') g
    ) d
    where app.local_instant(d.on_date + 1, '00:00', (calendar).time_zone)
      - app.local_instant(d.on_date, '00:00', (calendar).time_zone) <> interval '24 hours'
  )
  select array(select distinct m.on_date + step from marks m, generate_series(-m.reach, m.reach) step);
end;
comment on function app.dates_to_check(public.calendars) is
  'The dates on which shifts of the calendar can overlap, if they ever do within ten years.';

create function app.overlap_problem(calendar public.calendars) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  clash record;
begin
  select o.shift_code, o.shift_date, o.starts_at, o.before_code, o.before_date, o.before_end into clash
  from (
    select o.shift_code, o.shift_date, o.starts_at,
      lag(o.shift_code) over w as before_code, lag(o.shift_date) over w as before_date,
      lag(o.ends_at) over w as before_end,
      count(*) over (partition by o.shift_date, o.shift_code) as times
    from app.occurrences(calendar, app.dates_to_check(calendar)) o
    window w as (order by o.starts_at, o.ends_at, o.shift_code)
  ) o
  where o.starts_at < o.before_end or o.times > 1
  order by o.starts_at
  limit 1;
  if not found then
    return null;
  end if;
  return app.problem(
    409, 'shift_overlap',
    case when clash.starts_at < clash.before_end then format(
      'Shift "%s" of %s begins at %s, before shift "%s" of %s ends at %s',
      clash.shift_code, clash.shift_date, app.iso(clash.starts_at), clash.before_code, clash.before_date,
      app.iso(clash.before_end))
    else format('Shift "%s" takes place more than once on %s', clash.shift_code, clash.shift_date) end,
    jsonb_build_object('shift_code', clash.shift_code, 'shift_date', clash.shift_date)
  );
end
$$;
comment on function app.overlap_problem(public.calendars) is
  'The problem shift_overlap when two shifts of the calendar take place at once, or one of them twice on a date; where '
  'clocks change, too.';

create function app.occurrence_json(o app.occurrence, time_zone text) returns json
language sql stable
begin atomic
  select json_build_object(
    'shift_date', (o).shift_date,
    'shift_code', (o).shift_code,
    'from', app.iso((o).starts_at),
    'to', app.iso((o).ends_at),
    'from_local', to_char((o).starts_at at time zone time_zone, 'YYYY-MM-DD"T"HH24:MI'),
    'to_local', to_char((o).ends_at at time zone time_zone, 'YYYY-MM-DD"T"HH24:MI'),
    'is_extra', (o).is_extra,
    'breaks', (select coalesce(json_agg(json_build_object('from', app.iso(lower(b)), 'to', app.iso(upper(b)))), '[]')
      from unnest((o).breaks) b),
    'closed', (select coalesce(json_agg(json_build_object('from', app.iso(lower(b)), 'to', app.iso(upper(b)))), '[]')
      from unnest((o).closed) b),
    'length_min', app.minutes_between((o).starts_at, (o).ends_at),
    'planned_min', app.minutes_between((o).starts_at, (o).ends_at) - (
      select coalesce(sum(app.minutes_between(lower(b), upper(b))), 0) from unnest((o).breaks + (o).closed) b)
  );
end;
comment on function app.occurrence_json(app.occurrence, text) is
  'The shift as it takes place, as the API writes it: planned_min is its length without breaks and closed time.';
