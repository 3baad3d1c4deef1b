-- What: the caller, with role and visible workplaces.
-- Why: each request looks access up in the table, so that a revoked role or workplace has no effect from the next one.

-- Closed sets are types of `public`: the generated TypeScript takes their values from there.
create type public.role as enum ('readonly', 'machine', 'operator', 'supervisor', 'manager', 'admin');
comment on type public.role is 'What a user may do; a machine may do what an operator may.';

create type public.scope as enum (
  'operations:read', 'operations:plan', 'operations:import', 'events:read', 'events:report', 'events:correct',
  'downtimes:report', 'reports:read', 'webhooks:manage', 'stream:read', 'people:act', 'people:manage', 'board:read'
);
comment on type public.scope is 'What an API key may do, within the rights of its role.';

create type public.profile_kind as enum ('person', 'integration');
comment on type public.profile_kind is 'A person signs in; an integration is an API key.';

create type app.caller as (
  user_id uuid,
  email text,
  role public.role,
  workplaces text[],
  sees_all boolean,
  is_server boolean,
  key_id uuid,
  key_name text,
  scopes public.scope[],
  person_id uuid
);

comment on type app.caller is
  'Who calls, with role and workplaces: a user, an API key (key_id, no user), or a server with the secret key (role '
  'admin, no user). scopes bound what a key may do; null = no bound. person_id is the person at a shared terminal.';

create function app.role_rank(role public.role) returns integer
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
comment on function app.role_rank(public.role) is
  'Order of the roles, so that "supervisor or above" is one comparison; -1 = no role.';
grant execute on function app.role_rank to authenticated, service_role;

-- The Data API sets `role` for this transaction from the verified credential. Unlike current_user, it is the same
-- inside security definer functions, and no claim can change it. Every request calls this function, so it parses the
-- claims once and reads the profile by one look-up.
create function app.current_caller() returns app.caller
language plpgsql stable security definer
set search_path = ''
as $$
declare
  claims jsonb;
  caller app.caller;
  kind public.profile_kind;
  name text;
begin
  if not app.is_hook_active() then
    perform app.refuse_unjudged_person();
  end if;
  if current_setting('role') = 'service_role' then
    perform app.refuse_unjudged_key();
    return row(null, null, 'admin', '{}'::text[], true, true, null, null, null, null)::app.caller;
  elsif current_setting('role') <> 'authenticated' then
    return null;
  end if;
  claims := auth.jwt();
  if claims ->> 'is_anonymous' = 'true' then
    return null;
  end if;
  select p.id, p.email, p.role, p.workplace_access,
    p.role in ('manager', 'admin') or '*' = any(p.workplace_access), false, p.kind, p.full_name
  into caller.user_id, caller.email, caller.role, caller.workplaces, caller.sees_all, caller.is_server, kind, name
  from public.profiles p
  where p.id = (claims ->> 'sub')::uuid;
  if not found then
    return null;
  end if;
  if kind = 'integration' then
    -- only app.before_request makes a transaction that of a key
    caller.key_id := nullif(current_setting('mes.key_id', true), '')::uuid;
    if caller.key_id is distinct from caller.user_id then
      return null;
    end if;
    caller.key_name := name;
    caller.scopes := current_setting('mes.key_scopes')::public.scope[];
    if 'board:read' = any(caller.scopes) then
      caller.workplaces := coalesce(app.ticket_workplaces(caller.key_id), caller.workplaces);
    end if;
    caller.user_id := null;
  elsif caller.role in ('manager', 'admin') then
    perform app.refuse_single_factor(caller.role, claims ->> 'aal');
  end if;
  if current_setting('mes.person_id', true) <> '' then
    caller := app.acting_person(caller, current_setting('mes.person_id')::uuid);
  end if;
  return caller;
end
$$;
comment on function app.current_caller() is
  'The caller of this transaction, or null for a signed-in user without a profile, for an anonymous user and for '
  'anon. While a person acts at a terminal, the terminal with what that person may do. Raises 403 forbidden without a '
  'demanded second factor, which an API key does not need, and for a board ticket that shows nothing any more.';
grant execute on function app.current_caller to authenticated, service_role;

create function app.refuse_single_factor(role public.role, level text) returns void
language plpgsql stable security definer
set search_path = ''
as $$
begin
  if coalesce(level, '') <> 'aal2' and (select s.require_aal2 from app.settings s) then
    perform app.refuse(
      403, 'forbidden',
      format('Role %s needs a session with a second factor (aal2), not "%s": verify a factor and use the new token',
        role, level),
      jsonb_build_object('required_aal', 'aal2')
    );
  end if;
end
$$;
comment on function app.refuse_single_factor(public.role, text) is
  'Raises 403 forbidden for a session without a second factor where one is demanded, so that the caller learns why.';

create function public.require_second_factor(is_required boolean) returns json
language plpgsql security definer
set search_path = ''
as $$
begin
  if current_setting('role') <> 'service_role' then
    perform app.refuse(403, 'forbidden', 'Only the secret key may say who needs a second factor');
  end if;
  update app.settings s set require_aal2 = is_required where s.require_aal2 is distinct from is_required;
  return json_build_object('is_required', is_required);
end
$$;
comment on function public.require_second_factor(boolean) is
  'Demands a second factor (claim aal = aal2) of managers and admins from now on, or no longer. For the secret key '
  'only.';
grant execute on function public.require_second_factor to service_role;

-- Anybody can sign up. A user without a workplace sees nothing of the plant.
create function app.has_workplace(caller app.caller) returns boolean
language sql immutable parallel safe
return coalesce((caller).sees_all or cardinality((caller).workplaces) > 0, false);
comment on function app.has_workplace(app.caller) is
  'True for managers and above, servers, and users with at least one workplace. All others see their own profile '
  'only and store nothing else.';
grant execute on function app.has_workplace to authenticated, service_role;

create function app.role_problem(caller app.caller, least_role public.role, sentence text) returns app.problem
language sql stable parallel safe
return case when app.role_rank((caller).role) < app.role_rank(least_role)
  then app.problem(403, 'forbidden', sentence, jsonb_build_object('required_role', least_role)) end;
comment on function app.role_problem(app.caller, public.role, text) is
  'Makes the problem forbidden for a caller with a lesser role.';

create function app.require_role(caller app.caller, least_role public.role, sentence text) returns void
language sql
return app.raise_problem(app.role_problem(caller, least_role, sentence));
comment on function app.require_role(app.caller, public.role, text) is
  'Raises 403 forbidden unless the caller has at least this role.';

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
comment on function app.require_workplace(app.caller) is
  'Raises 403 forbidden for a caller without a workplace, below manager.';

create function app.require_plant(caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
begin
  if not app.has_workplace(caller) then
    perform app.refuse_missing();
  end if;
end
$$;
comment on function app.require_plant(app.caller) is
  'Raises 404 not_found for a caller without a workplace, below manager: operations, workplaces and reason codes do '
  'not exist for them.';

create function app.sees_workplace(caller app.caller, workplace_name text) returns boolean
language sql immutable parallel safe
return coalesce((caller).sees_all or workplace_name = any((caller).workplaces), false);
comment on function app.sees_workplace(app.caller, text) is
  'True when what happens at this workplace exists for the caller.';
grant execute on function app.sees_workplace to authenticated, service_role;

create function app.require_seen(caller app.caller, workplace_names text[]) returns void
language plpgsql
set search_path = ''
as $$
begin
  if exists (select from unnest(workplace_names) w where not app.sees_workplace(caller, w)) then
    perform app.refuse_missing();
  end if;
end
$$;
comment on function app.require_seen(app.caller, text[]) is
  'Raises 404 not_found unless the caller sees all of the workplaces.';

create function app.sees_all_workplaces() returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return coalesce((app.current_caller()).sees_all, false);
end
$$;
comment on function app.sees_all_workplaces() is
  'True when the caller sees operations and events of every workplace (domain: access table).';
grant execute on function app.sees_all_workplaces to authenticated, service_role;

create function app.own_workplaces() returns setof text
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return query select unnest((app.current_caller()).workplaces);
end
$$;
comment on function app.own_workplaces() is 'Names of the workplaces the caller works at.';
grant execute on function app.own_workplaces to authenticated, service_role;

create function app.places_to_list(wanted text[]) returns text[]
language plpgsql stable
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
begin
  if (caller).sees_all then
    return wanted;
  end if;
  return array(select w from unnest(app.distinct_values((caller).workplaces)) w
    where wanted is null or w = any(wanted));
end
$$;
comment on function app.places_to_list(text[]) is
  'Workplaces that a list can show: of the wanted ones (null = all) those that the caller sees; null when these are '
  'all.';
grant execute on function app.places_to_list to authenticated, service_role;
