-- What: workplaces and the functions behind their endpoints.
-- Why: operations are made at workplaces, whose capacity limits what runs at once.

create type public.time_basis as enum ('UNIT', 'SLOTS');
comment on type public.time_basis is
  'How time is counted where operations overlap: once, or for each of the places that capacity says.';

create table public.workplaces (
  name text collate "C" primary key,
  workplace_group text collate "C",
  capacity integer,
  active boolean not null default true,
  calendar_name text collate "C",
  time_basis public.time_basis not null default 'UNIT',
  micro_stop_s integer not null default 0,
  signal_timeout_s integer,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint workplaces_name_is_key check (app.is_key(name)),
  constraint workplaces_group_is_key check (app.is_key(workplace_group)),
  constraint workplaces_capacity_positive check (capacity > 0),
  constraint workplaces_micro_stop_within_a_day check (micro_stop_s between 0 and 86400),
  constraint workplaces_signal_timeout_within_a_day check (signal_timeout_s between 1 and 86400)
);
comment on table public.workplaces is
  'Where operations are made: a machine, a cell, a bench. An operation that names an unknown workplace adds it.';
comment on column public.workplaces.name is 'Name on the shop floor, e.g. TruLaser 5060 (L76).';
comment on column public.workplaces.workplace_group is 'Group of interchangeable workplaces, e.g. Laser.';
comment on column public.workplaces.capacity is 'Operations that may run here at once; null = no limit.';
comment on column public.workplaces.active is 'False once the workplace is no longer used.';
comment on column public.workplaces.calendar_name is
  'Calendar by which the workplace plans to work; null = none, and no planned time in reports.';
comment on column public.workplaces.time_basis is
  'How reports count the time in which operations overlap.';
comment on column public.workplaces.micro_stop_s is
  'The machine is DOWN longer than these seconds: that is downtime. A shorter stop is a micro stop.';
comment on column public.workplaces.signal_timeout_s is
  'Without a signal for these seconds the state of the machine is UNKNOWN; null = it stays what it was.';
comment on column public.workplaces.version is 'Number of the last change, the ETag.';
create index workplaces_by_group on public.workplaces (workplace_group, name) where workplace_group is not null;
create index workplaces_by_calendar on public.workplaces (calendar_name) where calendar_name is not null;
grant select on public.workplaces to authenticated, service_role;

create trigger workplaces_bump_version before update on public.workplaces
  for each row execute function app.bump_version();

create trigger workplaces_refuse_direct_write before insert or update or delete or truncate on public.workplaces
  for each statement execute function app.refuse_direct_write();

alter table public.workplaces enable row level security;

create policy "Users with a workplace read all workplaces"
  on public.workplaces for select to authenticated
  using ((select app.has_workplace(app.current_caller())));

create function app.workplace_json(w public.workplaces) returns json
language sql stable
begin atomic
  select json_build_object(
    'name', (w).name,
    'workplace_group', (w).workplace_group,
    'capacity', (w).capacity,
    'active', (w).active,
    'calendar_name', (w).calendar_name,
    'time_basis', (w).time_basis,
    'micro_stop_s', (w).micro_stop_s,
    'signal_timeout_s', (w).signal_timeout_s,
    'version', (w).version,
    'created_at', app.iso((w).created_at),
    'updated_at', app.iso((w).updated_at)
  );
end;
comment on function app.workplace_json(public.workplaces) is 'The workplace as lists and commands answer it.';
grant execute on function app.workplace_json to authenticated, service_role;

create function app.running_operations(workplace_name text, most integer default null) returns json
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(json_agg(app.operation_json(o) order by o.running_since), '[]')
    from (
      select * from public.mes_operations o
      where o.workplace_name = running_operations.workplace_name and o.status = 'IN_PROGRESS'
      order by o.running_since
      limit most
    ) o
  );
end
$$;
comment on function app.running_operations(text, integer) is
  'Operations that run at the workplace now, as far as the caller sees them, the longest first; at most so many.';
grant execute on function app.running_operations to authenticated, service_role;

create function public.get_workplace(name text) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name);
  workplace public.workplaces;
  answer json;
begin
  select * into workplace from public.workplaces w where w.name = get_workplace.name;
  if not found then
    perform app.refuse_missing();
  end if;
  answer := app.json_with(
    app.workplace_json(workplace), 'running_operations', app.running_operations(workplace.name));
  answer := app.json_with(answer, 'stopped_by', coalesce(app.stop_json(workplace), 'null'));
  return app.json_with(answer, 'machine_state', coalesce(app.machine_state_json(workplace), 'null'));
end
$$;
comment on function public.get_workplace(text) is
  'One workplace with the operations that run there now, what stops it and the state of its machine, as far as the '
  'caller sees them. Raises 404 not_found.';
grant execute on function public.get_workplace to authenticated, service_role;

create function public.list_workplaces(
  workplace_group text default null,
  active boolean default null,
  q text default null,
  after_name text default null,
  skip integer default 0,
  take integer default 100,
  count text default null,
  with_running boolean default false
) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_group', workplace_group)
    and app.require_bounded('q', q) and app.require_bounded('after_name', after_name)
    and app.require_bounded('skip', skip) and app.require_bounded('count', count);
  rows public.workplaces[];
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select w from public.workplaces w
    where (list_workplaces.workplace_group is null or w.workplace_group = list_workplaces.workplace_group)
      and (list_workplaces.active is null or w.active = list_workplaces.active)
      and (q is null or app.begins_with(w.name, q))
      and (after_name is null or w.name > after_name)
    order by w.name
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (
      select coalesce(json_agg(case
        when with_running
        then app.json_with(app.workplace_json(w), 'running_operations', app.running_operations(w.name, 100))
        else app.workplace_json(w)
      end), '[]')
      from unnest(rows[1:take]) w
    ),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].name) end,
    -- few rows: the exact count is as cheap as an estimate
    'total', case when count is not null then (
      select count(*) from public.workplaces w
      where (list_workplaces.workplace_group is null or w.workplace_group = list_workplaces.workplace_group)
        and (list_workplaces.active is null or w.active = list_workplaces.active)
        and (q is null or app.begins_with(w.name, q))
    ) end
  );
end
$$;
comment on function public.list_workplaces(text, boolean, text, text, integer, integer, text, boolean) is
  'A page of the workplaces, of those whose name begins with q, ordered by name: {"items": [...], "next": key of the '
  'last item or null, "total": number when asked}. On request, each has the operations that run there now, at most '
  '100.';
grant execute on function public.list_workplaces to authenticated, service_role;

create function public.create_workplace(workplace jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace', workplace);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  wanted constant public.workplaces := jsonb_populate_record(null::public.workplaces, workplace);
  stored public.workplaces;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may create workplaces');
  perform app.require_calendar(wanted.calendar_name);
  insert into public.workplaces (
    name, workplace_group, capacity, active, calendar_name, time_basis, micro_stop_s, signal_timeout_s
  )
  values (
    wanted.name, wanted.workplace_group, wanted.capacity, coalesce(wanted.active, true), wanted.calendar_name,
    coalesce(wanted.time_basis, 'UNIT'), coalesce(wanted.micro_stop_s, 0), wanted.signal_timeout_s
  )
  on conflict do nothing
  returning * into stored;
  if not found then
    perform app.refuse(409, 'duplicate_workplace', format('Workplace "%s" exists already', wanted.name));
  end if;
  return app.finish_command(command, null, json_build_object('status', 201, 'body', app.workplace_json(stored)));
end
$$;
comment on function public.create_workplace(jsonb, jsonb) is
  'Creates a workplace. Answers {"status", "body"}. Raises 403 forbidden, 409 duplicate_workplace.';
grant execute on function public.create_workplace to authenticated, service_role;

create function public.update_workplace(
  name text, patch jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('patch', patch)
    and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  workplace public.workplaces;
  wanted public.workplaces;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_plant(caller);
  select * into workplace from public.workplaces w where w.name = update_workplace.name for update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may change workplaces');
  perform app.require_version(workplace.version, if_match);
  wanted := jsonb_populate_record(workplace, patch);
  if wanted is distinct from workplace then
    perform app.require_calendar(wanted.calendar_name);
    update public.workplaces w
    set (workplace_group, capacity, active, calendar_name, time_basis, micro_stop_s, signal_timeout_s) = row (
      wanted.workplace_group, wanted.capacity, coalesce(wanted.active, workplace.active), wanted.calendar_name,
      coalesce(wanted.time_basis, workplace.time_basis), coalesce(wanted.micro_stop_s, workplace.micro_stop_s),
      wanted.signal_timeout_s
    )
    where w.name = workplace.name
    returning * into workplace;
  end if;
  return app.finish_command(command, null, json_build_object('status', 200, 'body', app.workplace_json(workplace)));
end
$$;
comment on function public.update_workplace(text, jsonb, integer[], jsonb) is
  'Changes fields of a workplace; open runs continue. Answers {"status", "body"}. Raises 403 '
  'forbidden, 404 not_found, 412 stale_version.';
grant execute on function public.update_workplace to authenticated, service_role;

create function public.delete_workplace(name text, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  workplace public.workplaces;
begin
  perform app.require_plant(caller);
  select * into workplace from public.workplaces w where w.name = delete_workplace.name for update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may delete workplaces');
  perform app.require_version(workplace.version, if_match);
  delete from public.workplaces w where w.name = workplace.name;
exception when foreign_key_violation then
  perform app.refuse(409, 'in_use',
    format('Workplace "%s" has operations, downtimes or machine states: set it inactive instead', workplace.name));
end
$$;
comment on function public.delete_workplace(text, integer[]) is
  'Deletes a workplace without operations, downtimes and machine states. Raises 403 forbidden, 404 not_found, 409 '
  'in_use, 412 stale_version.';
grant execute on function public.delete_workplace to authenticated, service_role;
