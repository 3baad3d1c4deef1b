-- What: creating, changing and deleting calendars and their exceptions.
-- Why: a change is checked for overlaps in the transaction that makes it, so no two changes overlap together.

create function app.zone_problem(time_zone text) returns app.problem
language plpgsql stable
set search_path = ''
as $$
begin
  return case when not exists (select from pg_catalog.pg_timezone_names z where z.name = time_zone)
    then app.field_problem('/time_zone', 'unknown_time_zone',
      format('"%s" is not an IANA time zone such as Europe/Amsterdam', left(time_zone, 64))) end;
end
$$;
comment on function app.zone_problem(text) is 'The problem validation_failed for a zone that PostgreSQL does not know.';

create function app.minutes_after(clock time, from_clock time) returns integer
language sql immutable parallel safe
return mod((extract(epoch from clock - from_clock) / 60)::integer + 1440, 1440);
comment on function app.minutes_after(time, time) is 'Minutes on a clock from one time to the next other one.';

create function app.breaks_problem(shift public.calendar_shifts, pointer text) returns app.problem
language sql immutable
begin atomic
  select app.field_problem(pointer || '/breaks', 'outside_shift', format(
    'The break %s-%s does not lie in shift "%s"', b.value ->> 'start', b.value ->> 'end', (shift).shift_code))
  from jsonb_array_elements((shift).breaks) b
  cross join lateral (
    select (b.value ->> 'start')::time as starts, (b.value ->> 'end')::time as ends,
      coalesce(nullif(app.minutes_after((shift).end_time, (shift).start_time), 0), 1440) as length_min
  ) t
  where t.starts = t.ends
    or app.minutes_after(t.starts, (shift).start_time) + app.minutes_after(t.ends, t.starts) > t.length_min
  limit 1;
end;
comment on function app.breaks_problem(public.calendar_shifts, text) is
  'The problem validation_failed of a break that is not wholly within its shift, on local clocks.';

create function app.add_shifts(calendar public.calendars, shifts jsonb) returns void
language plpgsql
set search_path = ''
as $$
declare
  shift public.calendar_shifts;
  item record;
begin
  if jsonb_typeof(shifts) <> 'array' or jsonb_array_length(shifts) > 50 then
    perform app.refuse_field('/shifts', 'too_big', 'A calendar takes at most 50 shifts in one call');
  end if;
  for item in select s.value, s.ordinality - 1 as index from jsonb_array_elements(shifts) with ordinality s loop
    shift := jsonb_populate_record(null::public.calendar_shifts, item.value);
    shift.breaks := coalesce((
      select jsonb_agg(jsonb_build_object(
        'start', app.clock_text((b.value ->> 'start')::time), 'end', app.clock_text((b.value ->> 'end')::time))
        order by b.ordinality)
      from jsonb_array_elements(case when jsonb_typeof(shift.breaks) = 'array' then shift.breaks else '[]' end)
        with ordinality b
    ), '[]');
    perform app.raise_problem(coalesce(
      case when shift.valid_to < shift.valid_from then app.field_problem(
        format('/shifts/%s/valid_to', item.index), 'before_start',
        format('valid_to "%s" must not be earlier than valid_from "%s"', shift.valid_to, shift.valid_from)) end,
      app.breaks_problem(shift, format('/shifts/%s', item.index))));
    insert into public.calendar_shifts (
      calendar_name, shift_code, weekdays, start_time, end_time, breaks, valid_from, valid_to
    )
    values (
      calendar.name, shift.shift_code, array(select distinct w from unnest(shift.weekdays) w order by w),
      shift.start_time, shift.end_time, shift.breaks, shift.valid_from, shift.valid_to
    );
  end loop;
  if (select count(*) from public.calendar_shifts s where s.calendar_name = calendar.name) > 500 then
    perform app.refuse(409, 'limit_reached', 'A calendar has at most 500 shifts, closed ones included: begin a new one',
      jsonb_build_object('limit', 500));
  end if;
end
$$;
comment on function app.add_shifts(public.calendars, jsonb) is
  'Adds shifts to a calendar from the JSON of the API. Raises 409 limit_reached, 422 validation_failed.';

create function public.create_calendar(calendar jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('calendar', calendar);
  command constant app.command := app.begin_command(idempotency);
  stored public.calendars;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(command.caller, 'manager', 'Only managers may create calendars');
  perform app.raise_problem(app.zone_problem(calendar ->> 'time_zone'));
  insert into public.calendars (name, time_zone) values (calendar ->> 'name', calendar ->> 'time_zone')
  on conflict do nothing
  returning * into stored;
  if not found then
    perform app.refuse(409, 'duplicate_calendar', format('Calendar "%s" exists already', calendar ->> 'name'));
  end if;
  perform app.add_shifts(stored, coalesce(nullif(calendar -> 'shifts', 'null'), '[]'));
  perform app.raise_problem(app.overlap_problem(stored));
  return app.finish_command(command, null, json_build_object('status', 201, 'body', app.calendar_json(stored)));
end
$$;
comment on function public.create_calendar(jsonb, jsonb) is
  'Creates a calendar with its shifts. Answers {"status", "body"}. Raises 403 forbidden, 409 duplicate_calendar or '
  'shift_overlap, 422 validation_failed.';
grant execute on function public.create_calendar to authenticated, service_role;

create function app.lock_calendar(
  caller app.caller, name text, if_match integer[], sentence text
) returns public.calendars
language plpgsql
set search_path = ''
as $$
declare
  calendar public.calendars;
begin
  perform app.require_plant(caller);
  select * into calendar from public.calendars c where c.name = lock_calendar.name for update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'manager', sentence);
  perform app.require_version(calendar.version, if_match);
  return calendar;
end
$$;
comment on function app.lock_calendar(app.caller, text, integer[], text) is
  'The calendar of a change, locked until commit. Raises 403 forbidden, 404 not_found, 412 stale_version.';

create function app.touch_calendar(inout calendar public.calendars)
language plpgsql
set search_path = ''
as $$
begin
  perform app.raise_problem(app.overlap_problem(calendar));
  update public.calendars c set time_zone = calendar.time_zone where c.name = calendar.name
  returning * into calendar;
end
$$;
comment on function app.touch_calendar(public.calendars) is
  'Gives a changed calendar its next version. Raises 409 shift_overlap.';

-- What was reported of the past must not move: rows that a workplace has used are closed, not deleted.
create function app.replace_shifts(calendar public.calendars, shifts jsonb) returns void
language plpgsql
set search_path = ''
as $$
declare
  today constant date := (clock_timestamp() at time zone calendar.time_zone)::date;
  from_date constant date := coalesce(
    (select min(app.date_of('/shifts', s.value ->> 'valid_from')) from jsonb_array_elements(shifts) s), today);
begin
  if from_date < today and exists (select from public.workplaces w where w.calendar_name = calendar.name) then
    perform app.refuse(409, 'in_use',
      format('Workplaces use calendar "%s": its shifts change from today, %s, on', calendar.name, today));
  end if;
  delete from public.calendar_shifts s where s.calendar_name = calendar.name and s.valid_from >= from_date;
  update public.calendar_shifts s set valid_to = from_date - 1
  where s.calendar_name = calendar.name and coalesce(s.valid_to, 'infinity') >= from_date;
  perform app.add_shifts(calendar, shifts);
end
$$;
comment on function app.replace_shifts(public.calendars, jsonb) is
  'Replaces the shifts of a calendar from the first valid_from of the new ones on, of none from today on; earlier rows '
  'are closed. Raises 409 in_use for the past of a calendar that workplaces use.';

create function public.update_calendar(
  name text, patch jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('patch', patch)
    and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(idempotency);
  calendar public.calendars;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  calendar := app.lock_calendar(command.caller, name, if_match, 'Only managers may change calendars');
  if patch ->> 'time_zone' <> calendar.time_zone then
    perform app.raise_problem(app.zone_problem(patch ->> 'time_zone'));
    if exists (select from public.workplaces w where w.calendar_name = calendar.name) then
      perform app.refuse(409, 'in_use', format(
        'Workplaces use calendar "%s": another time zone would move what was reported of the past', calendar.name));
    end if;
    calendar.time_zone := patch ->> 'time_zone';
  end if;
  if jsonb_typeof(patch -> 'shifts') = 'array' then
    perform app.replace_shifts(calendar, patch -> 'shifts');
  end if;
  calendar := app.touch_calendar(calendar);
  return app.finish_command(command, null, json_build_object('status', 200, 'body', app.calendar_json(calendar)));
end
$$;
comment on function public.update_calendar(text, jsonb, integer[], jsonb) is
  'Changes the zone or, from a date on, the shifts of a calendar. Answers {"status", "body"}. Raises 403 forbidden, '
  '404 not_found, 409 in_use or shift_overlap, 412 stale_version, 422 validation_failed.';
grant execute on function public.update_calendar to authenticated, service_role;

create function public.delete_calendar(name text, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('if_match', if_match);
  calendar public.calendars;
begin
  calendar := app.lock_calendar(app.current_caller(), name, if_match, 'Only managers may delete calendars');
  delete from public.calendars c where c.name = calendar.name;
exception when foreign_key_violation then
  perform app.refuse(409, 'in_use', format('Workplaces use calendar "%s"', name));
end
$$;
comment on function public.delete_calendar(text, integer[]) is
  'Deletes a calendar that no workplace uses. Raises 403 forbidden, 404 not_found, 409 in_use, 412 stale_version.';
grant execute on function public.delete_calendar to authenticated, service_role;

create function public.put_calendar_exceptions(
  name text, exceptions jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('exceptions', exceptions)
    and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(idempotency);
  calendar public.calendars;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  calendar := app.lock_calendar(command.caller, name, if_match, 'Only managers may change calendars');
  if jsonb_typeof(exceptions) <> 'array' or jsonb_array_length(exceptions) > 400 then
    perform app.refuse_field('/exceptions', 'too_big', 'A call takes at most 400 exceptions');
  elsif exists (select from jsonb_array_elements(exceptions) x group by x.value ->> 'date' having count(*) > 1) then
    perform app.refuse_field('/exceptions', 'duplicate_date', 'A date has one exception');
  elsif exists (
    select from jsonb_array_elements(exceptions) x
    where (x.value ->> 'start_time' is null) <> (x.value ->> 'end_time' is null)
      or x.value ->> 'kind' = 'EXTRA' and x.value ->> 'start_time' is null
  ) then
    perform app.refuse_field('/start_time', 'times_needed',
      'start_time and end_time are given together, and an EXTRA shift needs them');
  end if;
  insert into public.calendar_exceptions as e (
    calendar_name, on_date, kind, shift_code, start_time, end_time, note
  )
  select calendar.name, app.date_of('/date', x.value ->> 'date'), (x.value ->> 'kind')::public.exception_kind,
    x.value ->> 'shift_code', (x.value ->> 'start_time')::time, (x.value ->> 'end_time')::time, x.value ->> 'note'
  from jsonb_array_elements(exceptions) x
  on conflict on constraint calendar_exceptions_pkey do update
    set (kind, shift_code, start_time, end_time, note)
      = (excluded.kind, excluded.shift_code, excluded.start_time, excluded.end_time, excluded.note);
  calendar := app.touch_calendar(calendar);
  return app.finish_command(command, null, json_build_object('status', 200, 'body', json_build_object(
    'calendar_name', calendar.name,
    'version', calendar.version,
    'exceptions', (
      select coalesce(json_agg(app.exception_json(e) order by e.on_date), '[]')
      from public.calendar_exceptions e
      where e.calendar_name = calendar.name
        and e.on_date = any(array(select (x.value ->> 'date')::date from jsonb_array_elements(exceptions) x))
    ))));
end
$$;
comment on function public.put_calendar_exceptions(text, jsonb, integer[], jsonb) is
  'Stores up to 400 exceptions of a calendar, each in place of the one of its date. Answers {"status", "body"}: the '
  'exceptions and the new version of the calendar. Raises 403 forbidden, 404 not_found, 409 shift_overlap, 412 '
  'stale_version, 422 validation_failed.';
grant execute on function public.put_calendar_exceptions to authenticated, service_role;

create function public.delete_calendar_exception(
  name text, on_date text, if_match integer[] default null
) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('on_date', on_date)
    and app.require_bounded('if_match', if_match);
  calendar public.calendars;
begin
  calendar := app.lock_calendar(app.current_caller(), name, if_match, 'Only managers may change calendars');
  delete from public.calendar_exceptions e
  where e.calendar_name = calendar.name and e.on_date = app.date_of('/date', delete_calendar_exception.on_date);
  if not found then
    perform app.refuse_missing();
  end if;
  calendar := app.touch_calendar(calendar);
end
$$;
comment on function public.delete_calendar_exception(text, text, integer[]) is
  'Deletes the exception of a date. Raises 403 forbidden, 404 not_found, 409 shift_overlap, 412 stale_version.';
grant execute on function public.delete_calendar_exception to authenticated, service_role;
