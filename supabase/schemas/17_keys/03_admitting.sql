-- What: what the functions ask about a key besides their requests.
-- Why: a guessed key is refused before its body is read, and a stream outlives its request.

-- The functions tell it in the background, at most once a minute for each key.
create function public.note_key_use(key_ids uuid[]) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  update app.api_keys k set last_used_at = clock_timestamp()
  where k.id = any(array(
    select used.id from app.api_keys used
    where used.id = any(key_ids)
      and (used.last_used_at is null or used.last_used_at < clock_timestamp() - interval '30 seconds')
    order by used.id
    for no key update skip locked
  ));
end
$$;
comment on function public.note_key_use(uuid[]) is
  'Stores that these keys have been used just now. For the secret key only.';
grant execute on function public.note_key_use to service_role;

-- Judges nothing itself: app.before_request has. The functions ask it before they read the body of an unknown key.
create function public.admit_key() returns json
language plpgsql stable
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
begin
  if caller.key_id is null then
    perform app.refuse(403, 'forbidden', 'Only API keys ask for this');
  end if;
  return json_build_object('id', caller.key_id);
end
$$;
comment on function public.admit_key() is
  'The id of the API key that calls. Raises 401 unauthenticated, 403 forbidden for every other caller.';
grant execute on function public.admit_key to authenticated, service_role;

-- A stream outlives its request: its isolate asks again, as the key.
create function public.admit_key_stream() returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
begin
  if caller.key_id is null then
    perform app.refuse(403, 'forbidden', 'Only API keys ask for this');
  end if;
  perform app.require_workplace(caller);
  return json_build_object(
    'user_id', caller.key_id,
    'sees_all', caller.sees_all,
    'workplaces', caller.workplaces,
    'needs_aal2', false,
    'is_nameless', 'stream:read' <> all(caller.scopes)
  );
end
$$;
comment on function public.admit_key_stream() is
  'What an API key with the scope stream:read or board:read sees now: {"user_id", "sees_all", "workplaces", '
  '"needs_aal2", "is_nameless"}; the latter alone sees no names. Raises 403 forbidden for every other caller.';
grant execute on function public.admit_key_stream to authenticated, service_role;
