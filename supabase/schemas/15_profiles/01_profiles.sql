-- What: profiles, made by sign-up.
-- Why: role and workplaces decide everything else, so that they never come from what a user typed.

create table public.profiles (
  id uuid primary key,
  kind public.profile_kind not null default 'person',
  user_id uuid generated always as (case when kind = 'person' then id end) stored
    references auth.users (id) on delete cascade,
  email text,
  full_name text,
  role public.role not null default 'operator',
  workplace_access text[] not null default '{}',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint profiles_integration_has_no_email check (kind = 'person' or email is null),
  -- a key that leaks must not be able to give rights
  constraint profiles_integration_is_no_admin check (kind = 'person' or role <> 'admin'),
  constraint profiles_email_short check (char_length(email) <= 320),
  constraint profiles_full_name_short check (char_length(full_name) between 1 and 200),
  constraint profiles_workplace_access_bounded check (
    -- 1,000 names of 64 characters
    cardinality(workplace_access) <= 1000 and array_position(workplace_access, null) is null
    and octet_length(array_to_string(workplace_access, '')) <= 262144
  )
);
comment on table public.profiles is
  'Who may do what, where: one row per user of Supabase Auth, and one per API key.';
comment on column public.profiles.kind is 'A person, who signs in, or an integration: the profile of an API key.';
comment on column public.profiles.user_id is 'User of Supabase Auth; null for an integration.';
comment on column public.profiles.workplace_access is 'Names of the workplaces the user works at; * = all.';
comment on column public.profiles.version is 'Number of the last change, the ETag.';
create unique index profiles_by_user on public.profiles (user_id);
create index profiles_by_email on public.profiles (coalesce(email, '') collate "C", id);
grant select on public.profiles to authenticated, service_role;

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
comment on function app.make_profile() is
  'Trigger on auth.users: every new user gets a profile, role operator, no workplace.';

create trigger mes_make_profile after insert on auth.users
  for each row execute function app.make_profile();

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

create trigger mes_follow_email after update of email on auth.users
  for each row execute function app.follow_email();

create function app.sees_profile(caller app.caller, profile public.profiles) returns boolean
language sql immutable parallel safe
return coalesce(
  (profile).id = coalesce((caller).user_id, (caller).key_id)
  or app.role_rank((caller).role) >= 3
  or app.role_rank((caller).role) = 2
    and app.has_workplace(caller)
    and ((caller).sees_all or (profile).workplace_access && (caller).workplaces
      or '*' = any((profile).workplace_access)),
  false
);
comment on function app.sees_profile(app.caller, public.profiles) is
  'True for one''s own profile, for a supervisor''s colleagues at a shared workplace, for managers and admins.';
grant execute on function app.sees_profile to authenticated, service_role;

alter table public.profiles enable row level security;

-- A plant has hundreds of profiles, not millions: here one readable rule per row is fast enough.
create policy "Users read their own profile, supervisors those who share a workplace, managers all"
  on public.profiles for select to authenticated
  using (app.sees_profile((select app.current_caller()), profiles));
