-- What: API keys, their secrets, and how a key becomes the caller.
-- Why: each machine and integration has a credential that does its work only and can be revoked alone.

-- Name, role, workplaces and version of a key are those of its profile, so that every rule of access holds for keys.
create table app.api_keys (
  id uuid primary key references public.profiles (id),
  scopes public.scope[] not null,
  expires_at timestamptz,
  allowed_cidrs cidr[],
  last_used_at timestamptz,
  revoked_at timestamptz,
  board_group text collate "C",
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default clock_timestamp(),
  constraint api_keys_scopes_bounded check (
    cardinality(scopes) between 1 and 20 and array_position(scopes, null) is null
  ),
  constraint api_keys_allowed_cidrs_bounded check (
    cardinality(allowed_cidrs) between 1 and 50 and array_position(allowed_cidrs, null) is null
  ),
  constraint api_keys_board_group_is_key check (app.is_key(board_group)),
  -- a link that hangs on a wall opens the board, and nothing else
  constraint api_keys_ticket_opens_board_only check (board_group is null or scopes = '{board:read}')
);
comment on table app.api_keys is
  'Credentials of machines and integrations. A revoked key stays, because events name it.';
comment on column app.api_keys.allowed_cidrs is 'Networks that the key may be used from; null = all.';
comment on column app.api_keys.last_used_at is 'To about a minute: a request does not write it.';
comment on column app.api_keys.board_group is
  'Group of workplaces whose board the key opens: it is a board ticket. null = every other key.';
comment on column app.api_keys.created_by is 'The admin, or who made the board ticket; null once they are deleted.';
create index api_keys_listed on app.api_keys (created_at, id);
create index api_keys_by_board_group on app.api_keys (board_group, created_at, id) where board_group is not null;
create index api_keys_by_creator on app.api_keys (created_by) where created_by is not null;

alter table app.api_keys enable row level security;

create table app.api_key_secrets (
  key_id uuid not null references app.api_keys (id) on delete cascade,
  digest bytea not null,
  valid_until timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (key_id, digest),
  constraint api_key_secrets_digest_is_sha256 check (octet_length(digest) = 32)
);
comment on table app.api_key_secrets is
  'SHA-256 of each secret of a key: a reader of this table cannot use the key.';
comment on column app.api_key_secrets.valid_until is 'End of a secret that was replaced; null = the current one.';
create unique index api_key_secrets_one_current on app.api_key_secrets (key_id) where valid_until is null;

alter table app.api_key_secrets enable row level security;

-- Comparing digests of digests and a number that is new each time tells a stopwatch nothing about the stored digest.
create function app.same_digest(a bytea, b bytea) returns boolean
language plpgsql volatile
set search_path = ''
as $$
declare
  salt constant bytea := uuid_send(gen_random_uuid());
begin
  return sha256(a || salt) = sha256(b || salt);
end
$$;
comment on function app.same_digest(bytea, bytea) is 'Compares two digests in a time that tells neither.';

-- The credential is "<id>.<SHA-256 of the secret in hex>". An unknown id costs what a wrong secret costs, and both give
-- the same answer. What follows is told to holders of a right secret only.
create function app.admit_key(credential text, address text, path text) returns app.admitted_key
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  nobody constant bytea := decode(repeat('00', 32), 'hex');
  called constant text := substring(path from '[^/]+$');
  judged_at constant timestamptz := clock_timestamp();
  given bytea := nobody;
  key_id uuid;
  key app.api_keys;
  secret app.api_key_secrets;
  candidate app.api_key_secrets;
  wanted public.scope[];
begin
  if credential ~ '^[0-9a-f-]{36}\.[0-9a-f]{64}$' then
    key_id := left(credential, 36)::uuid;
    given := decode(right(credential, 64), 'hex');
  end if;
  select * into key from app.api_keys k where k.id = key_id;
  for candidate in
    select * from app.api_key_secrets s where s.key_id = key.id
    union all
    select key_id, nobody, null, null where key.id is null
  loop
    if app.same_digest(candidate.digest, given) then
      secret := candidate;
    end if;
  end loop;
  if key.id is null or secret.digest is null then
    perform app.refuse(401, 'unauthenticated', 'The API key is not known');
  elsif key.revoked_at is not null then
    perform app.refuse(401, 'unauthenticated', 'The API key was revoked');
  elsif key.expires_at <= judged_at then
    perform app.refuse(401, 'unauthenticated', 'The API key has expired');
  elsif secret.valid_until <= judged_at then
    perform app.refuse(401, 'unauthenticated', 'The secret of the API key was replaced: use its new one');
  elsif not app.is_allowed_address(key.allowed_cidrs, address) then
    perform app.refuse(403, 'forbidden', format('The API key may not be used from the address %s', address));
  end if;
  select f.scopes into wanted from app.function_scopes f where f.function_name = called;
  if wanted is null then
    perform app.refuse(403, 'forbidden', 'API keys may not do this, whatever their scopes',
      jsonb_build_object('required_scopes', null));
  elsif wanted <> '{}' and not wanted && key.scopes then
    perform app.refuse(403, 'forbidden',
      format('The API key needs the scope %s', array_to_string(wanted, ' or ')),
      jsonb_build_object('required_scopes', wanted));
  end if;
  return row(key.id, key.scopes)::app.admitted_key;
end
$$;
comment on function app.admit_key(text, text, text) is
  'The API key of a request, when its secret, its time, the client''s address and its scopes allow the call. Raises '
  '401 unauthenticated, 403 forbidden.';
grant execute on function app.admit_key to service_role;

create function app.is_allowed_address(allowed cidr[], address text) returns boolean
language plpgsql immutable
set search_path = ''
as $$
begin
  return allowed is null or coalesce(address::inet <<= any(allowed), false);
exception when invalid_text_representation then
  return false;
end
$$;
comment on function app.is_allowed_address(cidr[], text) is
  'True for an address within one of the networks, or without such a bound; false for what is no address.';

create function app.has_key_status(key app.api_keys, status text) returns boolean
language sql stable
return case status
  when 'revoked' then (key).revoked_at is not null
  when 'expired' then (key).revoked_at is null and coalesce((key).expires_at <= clock_timestamp(), false)
  when 'active' then (key).revoked_at is null and coalesce((key).expires_at > clock_timestamp(), true)
  else status is null
end;
comment on function app.has_key_status(app.api_keys, text) is
  'True for a key of this status: active, expired or revoked; for every key when none is named.';

create function app.distinct_scopes(scopes public.scope[]) returns public.scope[]
language sql immutable
return array(select distinct s from unnest(scopes) s order by s);
comment on function app.distinct_scopes(public.scope[]) is 'Each scope once, in the order of the type.';
