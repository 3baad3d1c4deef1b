-- What: calendars: when a plant plans to work, by shifts and exceptions.
-- Why: planned time comes from here, so a report of the past must not move when the pattern changes.

create type public.exception_kind as enum ('CLOSED', 'EXTRA');
comment on type public.exception_kind is 'What is unusual about a date: shifts that do not take place, or one more.';

create table public.calendars (
  name text collate "C" primary key,
  time_zone text not null,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint calendars_name_is_key check (app.is_key(name)),
  constraint calendars_time_zone_short check (char_length(time_zone) between 1 and 64)
);
comment on table public.calendars is 'Plans of working time: a time zone, shifts and exceptions.';
comment on column public.calendars.name is 'Name of the calendar, e.g. Two shifts.';
comment on column public.calendars.time_zone is 'IANA name of the zone whose local times the shifts have.';
comment on column public.calendars.version is
  'Number of the last change of the calendar, its shifts or its exceptions: the ETag.';
grant select on public.calendars to authenticated, service_role;

-- A change of the pattern is a new row with its own valid_from: the old rows keep the past.
create table public.calendar_shifts (
  id bigint generated always as identity primary key,
  calendar_name text collate "C" not null references public.calendars (name) on delete cascade,
  shift_code text collate "C" not null,
  weekdays integer[] not null,
  start_time time not null,
  end_time time not null,
  breaks jsonb not null default '[]',
  valid_from date not null,
  valid_to date,
  created_at timestamptz not null default now(),
  constraint calendar_shifts_code_is_key check (app.is_key(shift_code)),
  constraint calendar_shifts_weekdays_known check (
    cardinality(weekdays) between 1 and 7 and weekdays <@ array[1, 2, 3, 4, 5, 6, 7]
  ),
  constraint calendar_shifts_start_time_is_minute check (extract(second from start_time) = 0 and start_time < '24:00'),
  constraint calendar_shifts_end_time_is_minute check (extract(second from end_time) = 0 and end_time < '24:00'),
  constraint calendar_shifts_breaks_are_list check (jsonb_typeof(breaks) = 'array'
    and jsonb_array_length(breaks) <= 20),
  constraint calendar_shifts_valid_in_order check (valid_from <= valid_to),
  constraint calendar_shifts_valid_is_real check (
    valid_from >= '1970-01-01' and coalesce(valid_to, valid_from) < '2200-01-01' and valid_from < '2200-01-01'
  )
);
comment on table public.calendar_shifts is 'Shifts of a calendar, each with the dates on which its pattern holds.';
comment on column public.calendar_shifts.shift_code is 'Code of the shift, e.g. EARLY.';
comment on column public.calendar_shifts.weekdays is 'Days on which it begins: 1 = Monday to 7 = Sunday.';
comment on column public.calendar_shifts.start_time is 'Local time at which it begins.';
comment on column public.calendar_shifts.end_time is
  'Local time at which it ends: on the next day unless it is later than the start.';
comment on column public.calendar_shifts.breaks is 'Breaks in local times: [{"start": "09:30", "end": "10:00"}].';
comment on column public.calendar_shifts.valid_from is 'First date on which it begins.';
comment on column public.calendar_shifts.valid_to is 'Last date on which it begins; null = until further notice.';
create index calendar_shifts_by_calendar on public.calendar_shifts (calendar_name, valid_from, start_time);
grant select on public.calendar_shifts to authenticated, service_role;

create table public.calendar_exceptions (
  calendar_name text collate "C" not null references public.calendars (name) on delete cascade,
  on_date date not null,
  kind public.exception_kind not null,
  shift_code text collate "C",
  start_time time,
  end_time time,
  note text,
  created_at timestamptz not null default now(),
  primary key (calendar_name, on_date),
  constraint calendar_exceptions_code_is_key check (app.is_key(shift_code)),
  constraint calendar_exceptions_times_together check ((start_time is null) = (end_time is null)),
  constraint calendar_exceptions_extra_has_times check (kind <> 'EXTRA' or start_time is not null),
  constraint calendar_exceptions_start_time_is_minute
    check (extract(second from start_time) = 0 and start_time < '24:00'),
  constraint calendar_exceptions_end_time_is_minute check (extract(second from end_time) = 0 and end_time < '24:00'),
  constraint calendar_exceptions_note_short check (char_length(note) <= 500),
  constraint calendar_exceptions_date_is_real check (on_date >= '1970-01-01' and on_date < '2200-01-01')
);
comment on table public.calendar_exceptions is
  'Dates of a calendar that are unlike its pattern: closed, wholly or in part, or with one more shift.';
comment on column public.calendar_exceptions.shift_code is
  'The shift that is closed, null = all of the date; the code of the additional shift, null = EXTRA.';
comment on column public.calendar_exceptions.start_time is
  'Local time from which it is closed, null = the whole shift; at which the additional shift begins.';
comment on column public.calendar_exceptions.note is 'Why, in words.';
grant select on public.calendar_exceptions to authenticated, service_role;

create trigger calendars_bump_version before update on public.calendars
  for each row execute function app.bump_version();

create trigger calendars_refuse_direct_write before insert or update or delete or truncate on public.calendars
  for each statement execute function app.refuse_direct_write();

create trigger calendar_shifts_refuse_direct_write
  before insert or update or delete or truncate on public.calendar_shifts
  for each statement execute function app.refuse_direct_write();

create trigger calendar_exceptions_refuse_direct_write
  before insert or update or delete or truncate on public.calendar_exceptions
  for each statement execute function app.refuse_direct_write();

alter table public.calendars enable row level security;
alter table public.calendar_shifts enable row level security;
alter table public.calendar_exceptions enable row level security;

create policy "Users with a workplace read all calendars"
  on public.calendars for select to authenticated
  using ((select app.has_workplace(app.current_caller())));

create policy "Users with a workplace read all shifts"
  on public.calendar_shifts for select to authenticated
  using ((select app.has_workplace(app.current_caller())));

create policy "Users with a workplace read all exceptions"
  on public.calendar_exceptions for select to authenticated
  using ((select app.has_workplace(app.current_caller())));

-- The column is older than this table.
alter table public.workplaces add constraint workplaces_calendar_known
  foreign key (calendar_name) references public.calendars (name);

create function app.require_calendar(name text) returns void
language plpgsql
set search_path = ''
as $$
begin
  if name is not null and not exists (select from public.calendars c where c.name = require_calendar.name) then
    perform app.refuse_field('/calendar_name', 'unknown_calendar', format('There is no calendar "%s"', name));
  end if;
end
$$;
comment on function app.require_calendar(text) is
  'Raises 422 validation_failed for the name of a calendar that does not exist; null = none.';

create function app.clock_text(t time) returns text
language sql immutable parallel safe
return to_char(t, 'HH24:MI');
comment on function app.clock_text(time) is 'A time of day as the API writes it: 06:00.';
grant execute on function app.clock_text to authenticated, service_role;

create function app.calendar_json(c public.calendars) returns json
language sql stable
begin atomic
  select json_build_object(
    'name', (c).name,
    'time_zone', (c).time_zone,
    'shifts', (
      select coalesce(json_agg(json_build_object(
        'shift_code', s.shift_code,
        'weekdays', s.weekdays,
        'start_time', app.clock_text(s.start_time),
        'end_time', app.clock_text(s.end_time),
        'breaks', s.breaks,
        'valid_from', s.valid_from,
        'valid_to', s.valid_to
      ) order by s.valid_from, s.start_time, s.shift_code, s.id), '[]')
      from public.calendar_shifts s
      where s.calendar_name = (c).name
    ),
    'version', (c).version,
    'created_at', app.iso((c).created_at),
    'updated_at', app.iso((c).updated_at)
  );
end;
comment on function app.calendar_json(public.calendars) is 'The calendar with its shifts, as the API writes it.';
grant execute on function app.calendar_json to authenticated, service_role;

create function app.exception_json(x public.calendar_exceptions) returns json
language sql stable
return json_build_object(
  'date', (x).on_date,
  'kind', (x).kind,
  'shift_code', (x).shift_code,
  'start_time', app.clock_text((x).start_time),
  'end_time', app.clock_text((x).end_time),
  'note', (x).note
);
comment on function app.exception_json(public.calendar_exceptions) is 'The exception as the API writes it.';
grant execute on function app.exception_json to authenticated, service_role;
