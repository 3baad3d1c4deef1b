-- What: the functions behind the endpoints of API keys.
-- Why: only a signed-in admin makes, changes and revokes credentials. Board tickets, which are keys, have functions of
-- their own.

create function app.api_key_json(key app.api_keys, profile public.profiles) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (key).id,
    'name', (profile).full_name,
    'role', (profile).role,
    'workplace_access', (profile).workplace_access,
    'scopes', (key).scopes,
    'status', case
      when (key).revoked_at is not null then 'revoked'
      when (key).expires_at <= clock_timestamp() then 'expired'
      else 'active'
    end,
    'expires_at', app.iso((key).expires_at),
    'allowed_cidrs', (key).allowed_cidrs,
    'previous_secret_until', (
      select app.iso(max(s.valid_until)) from app.api_key_secrets s
      where s.key_id = (key).id and s.valid_until > clock_timestamp() and (key).revoked_at is null
    ),
    'last_used_at', app.iso((key).last_used_at),
    'revoked_at', app.iso((key).revoked_at),
    'created_by', (key).created_by,
    'version', (profile).version,
    'created_at', app.iso((key).created_at),
    'updated_at', app.iso((profile).updated_at)
  );
end;
comment on function app.api_key_json(app.api_keys, public.profiles) is
  'The key as the API writes it, without its secrets.';

-- The secret key of a server stays out as well: every API key names the admin who made it.
create function app.require_key_admin(caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
begin
  if caller.user_id is null or app.role_rank(caller.role) < app.role_rank('admin') then
    perform app.refuse(403, 'forbidden', 'Only a signed-in admin may see and change API keys',
      jsonb_build_object('required_role', 'admin'));
  end if;
end
$$;
comment on function app.require_key_admin(app.caller) is
  'Raises 403 forbidden for everybody but a signed-in admin, whatever was asked for.';

-- The profile is the lock, since every change of a key is one of its profile.
create function app.lock_api_key(key_id uuid, if_match integer[]) returns app.api_keys
language plpgsql
set search_path = ''
as $$
declare
  profile public.profiles;
  key app.api_keys;
begin
  select * into profile from public.profiles p where p.id = key_id and p.kind = 'integration' for no key update;
  select * into key from app.api_keys k where k.id = key_id and k.board_group is null;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_version(profile.version, if_match);
  return key;
end
$$;
comment on function app.lock_api_key(uuid, integer[]) is
  'The key, locked against other changes. Raises 404 not_found, 412 stale_version.';

create function app.touch_profile(key_id uuid) returns public.profiles
language plpgsql
set search_path = ''
as $$
declare
  profile public.profiles;
begin
  update public.profiles p set kind = p.kind where p.id = key_id returning * into profile;
  return profile;
end
$$;
comment on function app.touch_profile(uuid) is 'The profile of a key after a change of the key: its next version.';

create function app.require_unrevoked(key app.api_keys) returns void
language plpgsql
set search_path = ''
as $$
begin
  if (key).revoked_at is not null then
    perform app.refuse(409, 'key_revoked',
      format('The API key was revoked at %s: create another one', app.iso((key).revoked_at)));
  end if;
end
$$;
comment on function app.require_unrevoked(app.api_keys) is 'Raises 409 key_revoked.';

-- An address without a length is a network of one; bits beyond the length are cut off.
create function app.read_cidrs(texts jsonb) returns cidr[]
language plpgsql
set search_path = ''
as $$
declare
  cidrs cidr[];
  item record;
begin
  if jsonb_typeof(texts) = 'null' then
    return null;
  end if;
  for item in select t.value, t.ordinality - 1 as index from jsonb_array_elements_text(texts) with ordinality t loop
    begin
      cidrs := cidrs || network(item.value::inet);
    exception when invalid_text_representation then
      perform app.refuse_field('/allowed_cidrs/' || item.index, 'invalid_format',
        'must be an address or a network, such as 203.0.113.0/24 or 2001:db8::/32');
    end;
  end loop;
  return cidrs;
end
$$;
comment on function app.read_cidrs(jsonb) is
  'The networks of a request; null for null. Raises 422 validation_failed for a text that is none.';

-- What a request says of a key; null where it says nothing.
create type app.wanted_key as (
  name text, role public.role, workplace_access text[], scopes public.scope[], expires_at timestamptz
);
comment on type app.wanted_key is 'Fields of a key that a request sets, without its networks.';

create function app.require_key_fields(wanted app.wanted_key) returns void
language plpgsql
set search_path = ''
as $$
begin
  if wanted.role = 'admin' then
    perform app.refuse_field('/role', 'invalid_value', 'a key cannot have the role admin');
  elsif wanted.scopes is null or cardinality(wanted.scopes) = 0 then
    perform app.refuse_field('/scopes', 'too_small', 'must have at least one scope');
  elsif wanted.name is null then
    perform app.refuse_field('/name', 'invalid_type', 'must be a text');
  end if;
end
$$;
comment on function app.require_key_fields(app.wanted_key) is 'Raises 422 validation_failed.';

create function public.create_api_key(key jsonb, digest text) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('key', key) and app.require_bounded('digest', digest);
  caller constant app.caller := app.current_caller();
  wanted constant app.wanted_key := jsonb_populate_record(null::app.wanted_key, key);
  most constant integer := 1000;
  profile public.profiles;
  stored app.api_keys;
begin
  perform app.require_key_admin(caller);
  perform app.require_key_fields(wanted);
  if wanted.expires_at <= clock_timestamp() then
    perform app.refuse_field('/expires_at', 'too_small', 'must lie in the future');
  end if;
  perform pg_advisory_xact_lock(app.lock_key('app.api_keys'));
  if (select count(*) from app.api_keys k where k.revoked_at is null and k.board_group is null) >= most then
    perform app.refuse(409, 'limit_reached', format('There are %s API keys already: revoke one first', most),
      jsonb_build_object('limit', most));
  end if;
  insert into public.profiles (id, kind, full_name, role, workplace_access)
  values (
    (key ->> 'id')::uuid, 'integration', wanted.name, coalesce(wanted.role, 'readonly'),
    coalesce(wanted.workplace_access, '{}')
  )
  returning * into profile;
  insert into app.api_keys (id, scopes, expires_at, allowed_cidrs, created_by)
  values (
    profile.id, app.distinct_scopes(wanted.scopes), wanted.expires_at, app.read_cidrs(key -> 'allowed_cidrs'),
    caller.user_id
  )
  returning * into stored;
  insert into app.api_key_secrets (key_id, digest) values (stored.id, decode(create_api_key.digest, 'hex'));
  return app.api_key_json(stored, profile);
end
$$;
comment on function public.create_api_key(jsonb, text) is
  'Creates an API key: {"id", "name", "role", "workplace_access", "scopes", "expires_at", "allowed_cidrs"} and SHA-256 '
  'of its secret in hex, which the caller made. Raises 403 forbidden, 409 limit_reached, 422 validation_failed.';
grant execute on function public.create_api_key to authenticated, service_role;

create function public.get_api_key(key_id uuid) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  answer json;
begin
  perform app.require_key_admin(app.current_caller());
  select app.api_key_json(k, p) into answer
  from app.api_keys k join public.profiles p on p.id = k.id
  where k.id = key_id and k.board_group is null;
  if not found then
    perform app.refuse_missing();
  end if;
  return answer;
end
$$;
comment on function public.get_api_key(uuid) is
  'One API key, without its secrets. Raises 403 forbidden, 404 not_found.';
grant execute on function public.get_api_key to authenticated, service_role;

create function public.list_api_keys(
  status text default null,
  after_created_at timestamptz default null,
  after_id uuid default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('status', status) and app.require_bounded('skip', skip)
    and app.require_bounded('count', count);
  rows app.api_keys[];
begin
  perform app.require_key_admin(app.current_caller());
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select k from app.api_keys k
    where app.has_key_status(k, list_api_keys.status) and k.board_group is null
      and (after_created_at is null or (k.created_at, k.id) > (after_created_at, after_id))
    order by k.created_at, k.id
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (
      select coalesce(json_agg(app.api_key_json(k, p) order by k.created_at, k.id), '[]')
      from unnest(rows[1:take]) k join public.profiles p on p.id = k.id
    ),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].created_at, rows[take].id) end,
    'total', case when count is not null then (
      select count(*) from app.api_keys k where app.has_key_status(k, list_api_keys.status) and k.board_group is null
    ) end
  );
end
$$;
comment on function public.list_api_keys(text, timestamptz, uuid, integer, integer, text) is
  'A page of the API keys, oldest first: {"items": [...], "next", "total"}. Raises 403 forbidden.';
grant execute on function public.list_api_keys to authenticated, service_role;

create function public.update_api_key(key_id uuid, patch jsonb, if_match integer[] default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('patch', patch) and app.require_bounded('if_match', if_match);
  key app.api_keys;
  profile public.profiles;
  wanted app.wanted_key;
begin
  perform app.require_key_admin(app.current_caller());
  key := app.lock_api_key(key_id, if_match);
  perform app.require_unrevoked(key);
  select * into profile from public.profiles p where p.id = key.id;
  wanted := jsonb_populate_record(
    row(profile.full_name, profile.role, profile.workplace_access, key.scopes, key.expires_at)::app.wanted_key, patch);
  perform app.require_key_fields(wanted);
  update public.profiles p
  set (full_name, role, workplace_access)
    = row (wanted.name, coalesce(wanted.role, profile.role), coalesce(wanted.workplace_access, '{}'))
  where p.id = key.id
  returning * into profile;
  update app.api_keys k
  set (scopes, expires_at, allowed_cidrs) = row (
    app.distinct_scopes(wanted.scopes), wanted.expires_at,
    case when patch ? 'allowed_cidrs' then app.read_cidrs(patch -> 'allowed_cidrs') else key.allowed_cidrs end
  )
  where k.id = key.id
  returning * into key;
  return app.api_key_json(key, profile);
end
$$;
comment on function public.update_api_key(uuid, jsonb, integer[]) is
  'Changes an API key. Raises 403 forbidden, 404 not_found, 409 key_revoked, 412 stale_version, 422 '
  'validation_failed.';
grant execute on function public.update_api_key to authenticated, service_role;

-- Each replaced secret keeps the time that it was given: a rotation whose answer was lost can be repeated, and cuts off
-- no client.
create function public.rotate_api_key(
  key_id uuid, digest text, overlap_h integer default 24, if_match integer[] default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('digest', digest) and app.require_bounded('overlap_h', overlap_h)
    and app.require_bounded('if_match', if_match);
  most constant integer := 5;
  key app.api_keys;
begin
  perform app.require_key_admin(app.current_caller());
  key := app.lock_api_key(key_id, if_match);
  perform app.require_unrevoked(key);
  overlap_h := least(greatest(overlap_h, 0), 168);
  delete from app.api_key_secrets s
  where s.key_id = key.id and (overlap_h = 0 or s.valid_until <= clock_timestamp() - interval '30 days');
  if (select count(*) from app.api_key_secrets s where s.key_id = key.id and coalesce(s.valid_until, 'infinity')
    > clock_timestamp()) >= most then
    perform app.refuse(409, 'limit_reached',
      format('The API key has %s valid secrets already: wait until one ends, or end them with overlap_h 0', most),
      jsonb_build_object('limit', most));
  end if;
  update app.api_key_secrets s set valid_until = clock_timestamp() + overlap_h * interval '1 hour'
  where s.key_id = key.id and s.valid_until is null;
  insert into app.api_key_secrets (key_id, digest) values (key.id, decode(rotate_api_key.digest, 'hex'));
  return app.api_key_json(key, app.touch_profile(key.id));
end
$$;
comment on function public.rotate_api_key(uuid, text, integer, integer[]) is
  'Gives an API key another secret, by its SHA-256 in hex; the one before is valid for overlap_h hours more (0..168), '
  'and with 0 all earlier ones end now. Raises 403 forbidden, 404 not_found, 409 key_revoked or limit_reached, 412 '
  'stale_version.';
grant execute on function public.rotate_api_key to authenticated, service_role;

create function public.revoke_api_key(key_id uuid, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('if_match', if_match);
  key app.api_keys;
begin
  perform app.require_key_admin(app.current_caller());
  key := app.lock_api_key(key_id, if_match);
  if key.revoked_at is null then
    update app.api_keys k set revoked_at = clock_timestamp() where k.id = key.id;
    perform app.touch_profile(key.id);
  end if;
end
$$;
comment on function public.revoke_api_key(uuid, integer[]) is
  'Revokes an API key for good; does nothing when it is revoked. Raises 403 forbidden, 404 not_found, 412 '
  'stale_version.';
grant execute on function public.revoke_api_key to authenticated, service_role;
