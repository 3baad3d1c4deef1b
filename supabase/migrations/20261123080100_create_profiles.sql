-- What: profiles, made by sign-up, and the two questions every rule asks: who is calling, and what may they see.
-- Why: access is looked up in the table at each request, so that a revoked workplace or role is gone at the next one.

create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  email text,
  full_name text,
  role text not null default 'operator',
  workplace_access text[] not null default '{}',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint profiles_role_known check (role in ('readonly', 'machine', 'operator', 'supervisor', 'manager', 'admin')),
  constraint profiles_email_short check (char_length(email) <= 320),
  constraint profiles_full_name_short check (char_length(full_name) between 1 and 200),
  constraint profiles_workplace_access_bounded check (
    -- 1,000 names of 64 characters
    cardinality(workplace_access) <= 1000 and array_position(workplace_access, null) is null
    and octet_length(array_to_string(workplace_access, '')) <= 262144
  )
);
comment on table public.profiles is 'Who may do what, where: one row per user of Supabase Auth.';
comment on column public.profiles.role is 'readonly, machine, operator, supervisor, manager or admin.';
comment on column public.profiles.workplace_access is 'Names of the workplaces the user works at; * = all.';
comment on column public.profiles.version is 'Number of the last change, the ETag.';

create index profiles_by_email on public.profiles (coalesce(email, '') collate "C", id);

create trigger profiles_bump_version before update on public.profiles
  for each row execute function app.bump_version();
create trigger profiles_refuse_direct_write before insert or update or delete or truncate on public.profiles
  for each statement execute function app.refuse_direct_write();

-- Role and workplaces never come from what the user typed at sign-up: everybody begins as an operator of no workplace.
create function app.make_profile() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into public.profiles (id, email, full_name)
  values (new.id, new.email, nullif(left(btrim(new.raw_user_meta_data ->> 'full_name'), 200), ''))
  on conflict (id) do nothing;
  return null;
end
$$;
comment on function app.make_profile() is 'Trigger on auth.users: every new user gets a profile, role operator, no workplace.';

create function app.follow_email() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  update public.profiles set email = new.email where id = new.id and email is distinct from new.email;
  return null;
end
$$;
comment on function app.follow_email() is 'Trigger on auth.users: a changed address is changed in the profile too.';

create trigger mes_make_profile after insert on auth.users
  for each row execute function app.make_profile();
create trigger mes_follow_email after update of email on auth.users
  for each row execute function app.follow_email();

create type app.caller as (
  user_id uuid,
  email text,
  role text,
  workplaces text[],
  sees_all boolean,
  is_server boolean
);
comment on type app.caller is 'The user who calls, with role and workplaces, or a server with the secret key (role admin, no user).';

-- One row: what is demanded of callers beyond a valid token. The functions store what their environment says.
create table app.access_rules (
  only_row boolean primary key default true,
  require_aal2 boolean not null default false,
  constraint access_rules_has_one_row check (only_row)
);
comment on table app.access_rules is 'What is demanded of callers beyond a valid token: one row.';
comment on column app.access_rules.require_aal2 is 'True when managers and admins need a token of a session with a second factor.';
insert into app.access_rules default values;
alter table app.access_rules enable row level security;

create function public.require_second_factor(is_required boolean) returns json
language plpgsql security definer
set search_path = ''
as $$
begin
  if current_setting('role') <> 'service_role' then
    perform app.refuse(403, 'forbidden', 'Only the secret key may say who needs a second factor');
  end if;
  update app.access_rules r set require_aal2 = is_required where r.require_aal2 is distinct from is_required;
  return json_build_object('is_required', is_required);
end
$$;
comment on function public.require_second_factor(boolean) is
  'Demands a second factor (claim aal = aal2) of managers and admins from now on, or no longer. For the secret key only.';

-- `role` is what the Data API set for this transaction from the verified credential; unlike current_user it is
-- the same inside security definer functions, and no claim can change it.
create function app.current_caller() returns app.caller
language plpgsql stable security definer
set search_path = ''
as $$
declare
  caller app.caller;
begin
  if current_setting('role') = 'service_role' then
    return row(null, null, 'admin', '{}'::text[], true, true)::app.caller;
  end if;
  select p.id, p.email, p.role, p.workplace_access, p.role in ('manager', 'admin') or '*' = any(p.workplace_access), false into caller
  from public.profiles p
  where p.id = auth.uid() and current_setting('role') = 'authenticated'
    and coalesce(auth.jwt() ->> 'is_anonymous', 'false') <> 'true';
  if caller.role in ('manager', 'admin') and coalesce(auth.jwt() ->> 'aal', '') <> 'aal2'
    and (select r.require_aal2 from app.access_rules r) then
    perform app.refuse(
      403, 'forbidden',
      format('Role %s needs a session with a second factor (aal2), not "%s": verify a factor and use the new token', caller.role, auth.jwt() ->> 'aal'),
      jsonb_build_object('required_aal', 'aal2')
    );
  end if;
  return caller;
end
$$;
comment on function app.current_caller() is
  'The caller of this transaction, or null for a signed-in user without a profile, for an anonymous user and for anon. Raises 403 forbidden without a demanded second factor.';

create function app.sees_all_workplaces() returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return coalesce((app.current_caller()).sees_all, false);
end
$$;
comment on function app.sees_all_workplaces() is 'True when the caller sees operations and events of every workplace (domain: access table).';

create function app.own_workplaces() returns setof text
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return query select unnest((app.current_caller()).workplaces);
end
$$;
comment on function app.own_workplaces() is 'Names of the workplaces the caller works at.';

create function app.role_rank(role text) returns integer
language sql immutable parallel safe
return case role
  when 'readonly' then 0
  when 'machine' then 1
  when 'operator' then 1
  when 'supervisor' then 2
  when 'manager' then 3
  when 'admin' then 4
  else -1
end;
comment on function app.role_rank(text) is 'Order of the roles, so that "supervisor or above" is one comparison; -1 = no role.';

create function app.sees_workplace(caller app.caller, workplace_name text) returns boolean
language sql immutable parallel safe
return coalesce((caller).sees_all or workplace_name = any((caller).workplaces), false);
comment on function app.sees_workplace(app.caller, text) is 'True when what happens at this workplace exists for the caller.';

-- Anybody can sign up. Until a manager gives them a workplace, the plant does not exist for them.
create function app.has_workplace(caller app.caller) returns boolean
language sql immutable parallel safe
return coalesce((caller).sees_all or cardinality((caller).workplaces) > 0, false);
comment on function app.has_workplace(app.caller) is
  'True for managers and above, servers, and users with at least one workplace. Everybody else sees their own profile only and stores nothing else.';

create function app.sees_profile(caller app.caller, profile public.profiles) returns boolean
language sql immutable parallel safe
return coalesce(
  (profile).id = (caller).user_id
  or app.role_rank((caller).role) >= 3
  or app.role_rank((caller).role) = 2
    and app.has_workplace(caller)
    and ((caller).sees_all or (profile).workplace_access && (caller).workplaces or '*' = any((profile).workplace_access)),
  false
);
comment on function app.sees_profile(app.caller, public.profiles) is
  'True for one''s own profile, for a supervisor''s colleagues at a shared workplace, for managers and admins.';

-- Every refusal of a command is raised here, so that all have one form: SQLSTATE PTxyz is HTTP status xyz to the
-- Data API, the message is the machine code, the detail is JSON: a sentence and what the code needs.
create function app.refuse(status integer, code text, sentence text, more jsonb default '{}') returns void
language plpgsql
set search_path = ''
as $$
begin
  raise exception using
    errcode = 'PT' || status,
    message = code,
    -- a sentence quotes what was sent
    detail = (jsonb_build_object('detail', left(sentence, 1000)) || more)::text;
end
$$;
comment on function app.refuse(integer, text, text, jsonb) is
  'Raises a refusal: HTTP status, machine code of the problem table, one sentence of at most 1,000 characters, further members of the problem.';

create function app.require_role(caller app.caller, least_role text, sentence text) returns void
language plpgsql
set search_path = ''
as $$
begin
  if app.role_rank((caller).role) < app.role_rank(least_role) then
    perform app.refuse(403, 'forbidden', sentence, jsonb_build_object('required_role', least_role));
  end if;
end
$$;
comment on function app.require_role(app.caller, text, text) is 'Raises 403 forbidden unless the caller has at least this role.';

create function app.require_workplace(caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
begin
  if not app.has_workplace(caller) then
    perform app.refuse(403, 'forbidden', 'You have no workplace yet: ask a manager for access to one');
  end if;
end
$$;
comment on function app.require_workplace(app.caller) is 'Raises 403 forbidden for a caller without a workplace, below manager.';

alter table public.profiles enable row level security;
alter table public.workplaces enable row level security;
alter table public.reason_codes enable row level security;

-- A plant has hundreds of profiles, not millions: here one readable rule per row is fast enough.
create policy "Users read their own profile, supervisors those who share a workplace, managers all"
  on public.profiles for select to authenticated
  using (app.sees_profile((select app.current_caller()), profiles));

create policy "Users with a workplace read all workplaces"
  on public.workplaces for select to authenticated
  using ((select app.has_workplace(app.current_caller())));

create policy "Users with a workplace read all reason codes"
  on public.reason_codes for select to authenticated
  using ((select app.has_workplace(app.current_caller())));
