-- What: whether the database answers and can write, and its newest migration.
-- Why: a full disk lets reads through and refuses writes; functions must not serve before their migration is applied.

-- One row, written at most every 5 s for all callers together, so the health check causes no load.
create table app.write_probe (
  is_only boolean primary key default true check (is_only),
  probed_at timestamptz not null
);
comment on table app.write_probe is 'When the health check last wrote.';

alter table app.write_probe enable row level security;

insert into app.write_probe (probed_at) values ('-infinity');

create function app.can_write() returns boolean
language plpgsql
set search_path = ''
set work_mem = '64kB'
as $$
begin
  update app.write_probe p set probed_at = clock_timestamp()
  where p.is_only = (
    select w.is_only from app.write_probe w
    where w.probed_at not between clock_timestamp() - interval '5 seconds' and clock_timestamp()
    for update skip locked
  );
  if found then
    -- An overwritten row needs no new space on the disk. 20,000 numbers exceed work_mem, so Postgres writes them to a
    -- temporary file.
    perform count(*) from generate_series(1, 20000);
  end if;
  return true;
exception when others then
  raise log 'The health check cannot write: %', sqlerrm;
  return false;
end
$$;
comment on function app.can_write() is
  'True when the database can write: it is not read-only, its disk has space. Asks the disk at most every 5 s.';

create function app.newest_migration() returns text
language plpgsql stable
set search_path = ''
as $$
begin
  return (select max(m.version) from supabase_migrations.schema_migrations m);
exception when undefined_table or invalid_schema_name then
  return null;
end
$$;
comment on function app.newest_migration() is
  'Version of the newest migration of the history that the Supabase CLI keeps; null without a history.';

create function public.health(probe_writes boolean default false) returns json
language plpgsql security definer
set search_path = ''
as $$
begin
  return json_build_object(
    'database', 'up',
    'writes', case when not health.probe_writes then 'unknown' when app.can_write() then 'ok' else 'failing' end,
    'migration', app.newest_migration(),
    'request_hook', app.is_hook_active(),
    'time_zone', app.plant_zone()
  );
end
$$;
comment on function public.health(boolean) is
  'Returns the newest migration, whether app.before_request has run, the zone of the plant and, when asked, whether '
  'the database can write.';
grant execute on function public.health to service_role;
