-- What: what a language model is told about the plant and about itself.
-- Why: a model that knows plant, zone, shift and rights asks what it may ask, and offers what it may do.

-- Times of a plant with calendars of several zones have no zone in common.
create function app.plant_zone() returns text
language plpgsql stable
set search_path = ''
as $$
begin
  return coalesce(
    (select s.time_zone from app.settings s),
    (
      select min(c.time_zone) from public.calendars c
      where exists (select from public.workplaces w where w.calendar_name = c.name)
      having count(distinct c.time_zone) = 1
    ),
    'UTC');
end
$$;
comment on function app.plant_zone() is
  'IANA name of the zone of the plant: as set, else that of the calendars of workplaces, UTC when these have several.';

create function app.is_open(caller app.caller, function_name text) returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return caller.scopes is null or coalesce((
    select f.scopes = '{}' or f.scopes && caller.scopes
    from app.function_scopes f
    where f.function_name = is_open.function_name
  ), false);
end
$$;
comment on function app.is_open(app.caller, text) is
  'True when the scopes of an API key open a function of public; users have no such bound.';
grant execute on function app.is_open to authenticated, service_role;

create function app.shifts_now(caller app.caller, at timestamptz) returns json
language sql stable
begin atomic
  select coalesce(json_agg(json_build_object(
    'calendar_name', s.name, 'time_zone', s.time_zone, 'shift_code', s.shift_code, 'shift_date', s.shift_date,
    'ends_at', app.iso(s.ends_at)) order by s.name), '[]')
  from (
    select c.name, c.time_zone, o.shift_code, o.shift_date, o.ends_at
    from public.calendars c
    cross join lateral app.occurrences(c, app.dates_around(c, at, at)) o
    where o.starts_at <= at and at < o.ends_at and not coalesce(at <@ o.closed, false)
      and exists (
        select from public.workplaces w where w.calendar_name = c.name and app.sees_workplace(caller, w.name))
    order by c.name
    limit 10
  ) s;
end;
comment on function app.shifts_now(app.caller, timestamptz) is
  'The shifts that take place at the caller''s workplaces, of at most 10 calendars.';

create function public.describe_caller() returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  at constant timestamptz := clock_timestamp();
begin
  return json_build_object(
    'plant_name', (select s.plant_name from app.settings s),
    'time_zone', app.plant_zone(),
    'at', app.iso(at),
    'shifts', app.shifts_now(caller, at),
    'kind', case
      when caller.is_server then 'server' when caller.key_id is not null then 'key' else 'user' end,
    'role', caller.role,
    'has_workplace', app.has_workplace(caller),
    'workplaces', case when not coalesce(caller.sees_all, false) then to_json((caller.workplaces)[1:100]) end,
    'functions', case when caller.scopes is not null then (
      select coalesce(json_agg(f.function_name order by f.function_name), '[]')
      from app.function_scopes f
      where app.is_open(caller, f.function_name)
    ) end
  );
end
$$;
comment on function public.describe_caller() is
  'The plant, its zone and shifts now, and who calls: kind, role, workplaces (null = all) and the functions that the '
  'scopes of a key open (null = no such bound).';
grant execute on function public.describe_caller to authenticated, service_role;
