-- What: what a report is about: workplaces that its caller sees, their windows and their planned time.
-- Why: every report resolves access here, so that no aggregate holds anything of another workplace.

create type public.attribution as enum ('prorated', 'reported');
comment on type public.attribution is
  'Where in time a report places pieces: spread over the processing time in which they were made, or where they were '
  'reported.';

-- Reports count whole milliseconds, in which all times are stored: sums of them are exact. date_part and the sum of an
-- instant and an interval are stable. Declared as anything else, these functions would not be inlined.
create function app.ms(instant timestamptz) returns bigint
language sql stable parallel safe
return (date_part('epoch', instant) * 1000)::bigint;
comment on function app.ms(timestamptz) is 'An instant as milliseconds since 1970.';

create function app.from_ms(ms bigint) returns timestamptz
language sql stable parallel safe
return timestamptz '1970-01-01Z' + ms * interval '1 millisecond';
comment on function app.from_ms(bigint) is 'The instant of milliseconds since 1970.';

create function app.iso_ms(ms bigint) returns text
language sql stable parallel safe
return app.iso(app.from_ms(ms));
comment on function app.iso_ms(bigint) is 'Milliseconds since 1970 as the API writes an instant.';

create function app.span_ms(from_at timestamptz, to_at timestamptz) returns int8range
language sql stable parallel safe
return int8range(app.ms(from_at), greatest(app.ms(from_at), app.ms(to_at)));
comment on function app.span_ms(timestamptz, timestamptz) is
  'A span of time in milliseconds; empty unless it has a length.';

create type app.report_place as (
  place_no integer,
  name text,
  workplace_group text,
  slots integer,
  is_slots boolean,
  micro_stop_s integer,
  calendar_name text,
  calendar_version integer,
  time_zone text,
  from_ms bigint,
  to_ms bigint,
  pot int8multirange,
  breaks int8multirange,
  closed int8multirange
);
comment on type app.report_place is
  'A workplace of a report: its window, cut at now, and its planned time in it. slots are the operations that count at '
  'once: 1 for UNIT, the capacity for SLOTS, null = unknown. pot is null without a calendar.';

create type app.report_scope as (
  from_ms bigint,
  to_ms bigint,
  now_ms bigint,
  time_zone text,
  sees_all boolean,
  places app.report_place[]
);
comment on type app.report_scope is
  'The window of a report as it was asked for, the zone of its days, and its workplaces.';

create function app.report_names(
  caller app.caller, workplace_names text[], workplace_group text
) returns text[]
language plpgsql stable
set search_path = ''
as $$
declare
  names text[];
begin
  perform app.require_plant(caller);
  if exists (
    select from unnest(workplace_names) n
    where not app.sees_workplace(caller, n) or not exists (select from public.workplaces w where w.name = n)
  ) then
    perform app.refuse_missing();
  end if;
  names := array(
    select w.name from public.workplaces w
    where (report_names.workplace_names is null or w.name = any(report_names.workplace_names))
      and (report_names.workplace_group is null or w.workplace_group = report_names.workplace_group)
      and app.sees_workplace(caller, w.name)
    order by w.name
    limit 501
  );
  if cardinality(names) = 0 and coalesce(workplace_names[1], workplace_group) is not null then
    perform app.refuse_missing();
  elsif cardinality(names) > 500 then
    perform app.refuse_field('/workplace_group', 'too_big',
      'A report has at most 500 workplaces: name some, or a group');
  end if;
  return names;
end
$$;
comment on function app.report_names(app.caller, text[], text) is
  'The workplaces of a report: the named ones, those of a group, or all that the caller sees. Raises 404 not_found for '
  'unknown and hidden ones.';

create function app.report_scope(
  caller app.caller, workplace_names text[], workplace_group text,
  from_at timestamptz, to_at timestamptz, shift_date text, shift_code text, time_zone text
) returns app.report_scope
language plpgsql stable
set search_path = ''
as $$
declare
  on_date constant date := app.date_of('/shift_date', shift_date);
  names constant text[] := app.report_names(caller, workplace_names, workplace_group);
  scope app.report_scope;
begin
  if on_date is null and shift_code is null then
    perform app.require_window(from_at, to_at);
    from_at := date_trunc('milliseconds', from_at);
    to_at := date_trunc('milliseconds', to_at);
  elsif on_date is null or shift_code is null or from_at is not null or to_at is not null then
    perform app.refuse_field('/shift_date', 'ambiguous_window',
      'A window is either from and to, or shift_date and shift_code');
  end if;
  if time_zone is not null then
    perform app.raise_problem(app.zone_problem(time_zone));
  end if;
  scope.now_ms := app.ms(date_trunc('milliseconds', clock_timestamp()));
  scope.sees_all := (caller).sees_all;

  scope.places := array(
    with place as materialized (
      select w.*, c as calendar, d.from_ms, d.to_ms
      from public.workplaces w
      left join public.calendars c on c.name = w.calendar_name
      -- a shift by its date, or the window
      left join lateral (
        select o.starts_at, o.ends_at from app.occurrences(c, array[on_date]) o
        where o.shift_code = report_scope.shift_code
      ) s on on_date is not null
      cross join lateral (
        select app.ms(coalesce(s.starts_at, from_at)) as from_ms,
          greatest(least(app.ms(coalesce(s.ends_at, to_at)), scope.now_ms),
            app.ms(coalesce(s.starts_at, from_at))) as to_ms
      ) d
      where w.name = any(names) and (on_date is null or s.starts_at is not null)
    ),
    -- once for all workplaces of a calendar
    planned as materialized (
      select k.calendar, k.from_ms, k.to_ms,
        range_agg(app.span_ms(o.starts_at, o.ends_at)) as pot,
        range_agg(app.span_ms(lower(b), upper(b))) filter (where b is not null) as breaks,
        range_agg(app.span_ms(lower(x), upper(x))) filter (where x is not null) as closed
      from (select distinct p.calendar, p.from_ms, p.to_ms from place p where (p.calendar).name is not null) k
      left join app.occurrences(k.calendar,
        app.dates_around(k.calendar, app.from_ms(k.from_ms), app.from_ms(k.to_ms))) o on true
      left join lateral unnest(o.breaks) b on true
      left join lateral unnest(o.closed) x on true
      group by 1, 2, 3
    )
    select row(
      row_number() over (order by p.name), p.name, p.workplace_group,
      case p.time_basis when 'SLOTS' then p.capacity else 1 end, p.time_basis = 'SLOTS', p.micro_stop_s,
      (p.calendar).name, (p.calendar).version, (p.calendar).time_zone, p.from_ms, p.to_ms,
      case when (p.calendar).name is not null then coalesce(t.pot, '{}') end, coalesce(t.breaks, '{}'),
      coalesce(t.closed, '{}')
    )::app.report_place
    from place p
    left join planned t on t.calendar = p.calendar and t.from_ms = p.from_ms and t.to_ms = p.to_ms
    order by p.name
  );
  if on_date is not null and cardinality(scope.places) = 0 then
    perform app.refuse_field('/shift_code', 'unknown_shift',
      format('There is no shift "%s" on %s at these workplaces', shift_code, on_date));
  end if;
  scope.from_ms := coalesce(app.ms(from_at), (select min(p.from_ms) from unnest(scope.places) p));
  scope.to_ms := coalesce(app.ms(to_at), (
    select max(app.ms(o.ends_at)) from unnest(scope.places) p
    join public.calendars c on c.name = p.calendar_name
    cross join lateral app.occurrences(c, array[on_date]) o
    where o.shift_code = report_scope.shift_code));
  -- days of one zone: that of the calendars, unless they have several
  scope.time_zone := coalesce(time_zone, (
    select min(p.time_zone) from unnest(scope.places) p having count(distinct p.time_zone) = 1), 'UTC');
  return scope;
end
$$;
comment on function app.report_scope(app.caller, text[], text, timestamptz, timestamptz, text, text, text) is
  'What a report is about. Raises 404 not_found for unknown and hidden workplaces, 422 validation_failed for the '
  'window.';

-- Rows of a report by time. Without one, a window is a single period.
create type app.report_period as (
  place_no integer,
  from_ms bigint,
  to_ms bigint,
  period text,
  shift_date date,
  shift_code text
);

create function app.report_periods(scope app.report_scope, by_time text) returns setof app.report_period
language plpgsql stable
set search_path = ''
as $$
begin
  if by_time is null then
    return query select p.place_no, p.from_ms, p.to_ms, null::text, null::date, null::text
      from unnest(scope.places) p;
  elsif by_time = 'shift' then
    return query
      with occurrence as (
        select p.place_no, greatest(app.ms(o.starts_at), p.from_ms) as from_ms,
          least(app.ms(o.ends_at), p.to_ms) as to_ms,
          o.shift_date, o.shift_code
        from unnest(scope.places) p
        join public.calendars c on c.name = p.calendar_name
        cross join lateral app.occurrences(c, app.dates_around(c, app.from_ms(p.from_ms), app.from_ms(p.to_ms))) o
        where app.ms(o.starts_at) < p.to_ms and app.ms(o.ends_at) > p.from_ms
      )
      select o.place_no, o.from_ms, o.to_ms, null::text, o.shift_date, o.shift_code from occurrence o
      union all
      -- what happens between shifts has rows, too: sums over all rows are those of the window
      select p.place_no, lower(g), upper(g), null, null, null
      from unnest(scope.places) p
      cross join lateral unnest(int8multirange(int8range(p.from_ms, p.to_ms)) - coalesce(
        (select range_agg(int8range(o.from_ms, o.to_ms)) from occurrence o where o.place_no = p.place_no), '{}')) g;
  else
    return query
      with bound as (
        select app.ms(d at time zone scope.time_zone) as from_ms,
          app.ms((d + ('1 ' || by_time)::interval) at time zone scope.time_zone) as to_ms,
          to_char(d, case by_time when 'day' then 'YYYY-MM-DD'
            when 'week' then 'IYYY-"W"IW' else 'YYYY-MM' end) as period
        from generate_series(
          date_trunc(by_time, app.from_ms(scope.from_ms) at time zone scope.time_zone),
          app.from_ms(scope.to_ms) at time zone scope.time_zone, ('1 ' || by_time)::interval) d
      )
      select p.place_no, greatest(b.from_ms, p.from_ms), least(b.to_ms, p.to_ms), b.period, null::date, null::text
      from unnest(scope.places) p
      join bound b on b.from_ms < p.to_ms and b.to_ms > p.from_ms;
  end if;
end
$$;
comment on function app.report_periods(app.report_scope, text) is
  'The periods of a report, for each workplace without gap or overlap over its window: shifts and what is between '
  'them, or days, weeks or months of the report''s zone; the window alone for null.';
