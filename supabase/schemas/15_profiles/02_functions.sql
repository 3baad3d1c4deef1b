-- What: the functions behind the endpoints of profiles.
-- Why: only these functions check who may set a role or a workplace.

create function app.profile_json(p public.profiles) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (p).id,
    'kind', (p).kind,
    'email', (p).email,
    'full_name', (p).full_name,
    'role', (p).role,
    'workplace_access', (p).workplace_access,
    'version', (p).version,
    'created_at', app.iso((p).created_at),
    'updated_at', app.iso((p).updated_at)
  );
end;
comment on function app.profile_json(public.profiles) is 'The profile as the API writes it.';
grant execute on function app.profile_json to authenticated, service_role;

create function public.get_profile(id uuid) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  profile public.profiles;
begin
  select * into profile from public.profiles p where p.id = get_profile.id;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.profile_json(profile);
end
$$;
comment on function public.get_profile(uuid) is 'One profile. Raises 404 not_found.';
grant execute on function public.get_profile to authenticated, service_role;

create function public.get_own_profile() returns json
language plpgsql stable
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  profile public.profiles;
begin
  if current_setting('role') = 'service_role' then
    perform app.refuse(403, 'forbidden',
      'The secret key is not a person and has no profile: '
      'send the access token of a user, or read a profile by its id');
  end if;
  select * into profile from public.profiles p where p.id = auth.uid();
  if not found then
    perform app.refuse_missing();
  end if;
  return app.json_with(app.json_with(app.json_with(app.profile_json(profile),
    'scopes', coalesce(to_json(caller.scopes), 'null')),
    'person', coalesce(to_json(app.person_of(caller.person_id)), 'null')),
    'may', app.rights_json(caller));
end
$$;
comment on function public.get_own_profile() is
  'The profile of the caller, with the scopes of an API key, the person who acts, and what they may do. Raises 403 '
  'forbidden for the secret key, 404 not_found for a user without a profile.';
grant execute on function public.get_own_profile to authenticated, service_role;

create function public.list_profiles(
  q text default null,
  after_email text default null,
  after_id uuid default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('q', q) and app.require_bounded('after_email', after_email)
    and app.require_bounded('skip', skip) and app.require_bounded('count', count);
  rows public.profiles[];
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select p from public.profiles p
    where (after_id is null or (coalesce(p.email, '') collate "C", p.id) > (after_email, after_id))
      and (q is null or app.begins_with(p.email, q) or app.begins_with(p.full_name, q))
    order by coalesce(p.email, '') collate "C", p.id
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (select coalesce(json_agg(app.profile_json(p)), '[]') from unnest(rows[1:take]) p),
    'next', case when cardinality(rows) > take then json_build_array(coalesce(rows[take].email, ''), rows[take].id) end,
    -- few rows: the exact count is as cheap as an estimate
    'total', case when count is not null then (
      select count(*) from public.profiles p
      where q is null or app.begins_with(p.email, q) or app.begins_with(p.full_name, q)
    ) end
  );
end
$$;
comment on function public.list_profiles(text, text, uuid, integer, integer, text) is
  'A page of the profiles the caller sees, of those whose email or name begins with q, ordered by email: {"items": '
  '[...], "next": key of the last item or null, "total": number when asked}.';
grant execute on function public.list_profiles to authenticated, service_role;

-- The profile of an API key changes together with the key.
create function app.refuse_integration(profile public.profiles) returns void
language plpgsql
set search_path = ''
as $$
begin
  if (profile).kind = 'integration' then
    perform app.refuse(403, 'forbidden',
      format('The profile belongs to an API key: an admin changes and revokes it at /keys/v1/%s', (profile).id));
  end if;
end
$$;
comment on function app.refuse_integration(public.profiles) is
  'Raises 403 forbidden for the profile of an API key, and names the endpoint that changes it.';

create function public.create_profile(profile jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('profile', profile);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  wanted constant public.profiles := jsonb_populate_record(null::public.profiles, profile);
  stored public.profiles;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, 'admin', 'Only an admin may create profiles');

  insert into public.profiles (id, email, full_name, role, workplace_access)
  values (
    wanted.id, coalesce(wanted.email, (select u.email from auth.users u where u.id = wanted.id)), wanted.full_name,
    coalesce(wanted.role, 'operator'), coalesce(wanted.workplace_access, '{}')
  )
  on conflict (id) do nothing
  returning * into stored;
  if not found then
    perform app.refuse(409, 'duplicate_profile', format('Profile "%s" exists already', wanted.id));
  end if;
  return app.finish_command(command, null, json_build_object('status', 201, 'body', app.profile_json(stored)));
end
$$;
comment on function public.create_profile(jsonb, jsonb) is
  'Creates the profile of an existing user. Answers {"status", "body"}. Raises 400 integrity_error for an unknown '
  'user, 403 forbidden, 409 duplicate_profile.';
grant execute on function public.create_profile to authenticated, service_role;

create function public.update_profile(
  id uuid, patch jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('patch', patch) and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  profile public.profiles;
  wanted public.profiles;
  changeable text[];
begin
  if command.answer is not null then
    return command.answer;
  end if;
  select * into profile from public.profiles p where p.id = update_profile.id for update;
  if not found or not app.sees_profile(caller, profile) then
    perform app.refuse_missing();
  end if;

  perform app.refuse_integration(profile);
  changeable := case when caller.role = 'admin' then array['email', 'full_name', 'role', 'workplace_access'] else
    case when profile.id = caller.user_id then array['full_name'] else '{}' end
    || case when caller.role = 'manager' then array['workplace_access'] else '{}' end
  end;
  if exists (select from jsonb_object_keys(patch) k where k <> all(changeable)) then
    perform app.refuse(
      403, 'forbidden', format('Your role may not change %s of this profile', (
        select string_agg(k, ', ' order by k) from jsonb_object_keys(patch) k where k <> all(changeable))),
      jsonb_build_object('changeable_fields', changeable)
    );
  end if;
  perform app.require_version(profile.version, if_match);

  wanted := jsonb_populate_record(profile, patch);
  if wanted is distinct from profile then
    update public.profiles p
    set (email, full_name, role, workplace_access)
      = row (wanted.email, wanted.full_name, coalesce(wanted.role, profile.role),
        coalesce(wanted.workplace_access, profile.workplace_access))
    where p.id = profile.id
    returning * into profile;
  end if;
  return app.finish_command(command, null, json_build_object('status', 200, 'body', app.profile_json(profile)));
end
$$;
comment on function public.update_profile(uuid, jsonb, integer[], jsonb) is
  'Changes a profile: admins everything, managers the workplaces, everybody their own full_name. Answers {"status", '
  '"body"}. Raises 403 forbidden, 404 not_found, 412 stale_version.';
grant execute on function public.update_profile to authenticated, service_role;

create function public.delete_profile(id uuid, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  profile public.profiles;
begin
  select * into profile from public.profiles p where p.id = delete_profile.id for update;
  if not found or not app.sees_profile(caller, profile) then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'admin', 'Only an admin may delete profiles');
  perform app.refuse_integration(profile);
  perform app.require_version(profile.version, if_match);
  delete from public.profiles p where p.id = profile.id;
end
$$;
comment on function public.delete_profile(uuid, integer[]) is
  'Deletes a profile: its user can still sign in and may do nothing. Raises 403 forbidden, 404 not_found, 412 '
  'stale_version.';
grant execute on function public.delete_profile to authenticated, service_role;
