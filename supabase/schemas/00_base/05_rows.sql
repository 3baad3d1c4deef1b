-- What: triggers that every table of `public` has.
-- Why: no writer can forget a version, and no client can write a table past the functions.

-- Each table that has a version has this trigger, so no writer can forget the version and none can set it.
create function app.bump_version() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.version := old.version + 1;
  new.created_at := old.created_at;
  new.updated_at := clock_timestamp();
  return new;
end
$$;
comment on function app.bump_version() is 'Trigger: version + 1 and updated_at on every update; created_at stays.';

-- The Data API reaches these tables with the caller's role; the API's functions run as their owner.
create function app.refuse_direct_write() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if current_user in ('anon', 'authenticated', 'service_role') then
    raise sqlstate 'PT403' using
      message = 'forbidden',
      detail = json_build_object('detail', 'This table is written by the functions of the API only')::text;
  end if;
  return null;
end
$$;
comment on function app.refuse_direct_write() is
  'Trigger: refuses writes that reach a table directly, the secret key''s included, because only the functions keep '
  'log and row together.';
grant execute on function app.refuse_direct_write to authenticated, service_role;
