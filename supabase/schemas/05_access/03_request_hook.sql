-- What: app.before_request, which the Data API calls first in the transaction of each request.
-- Why: an API key becomes the caller within the one call of a request, under row level security like a user.

-- A database whose hook is not active would run the call of a key with the rights of the service role.
create function app.refuse_unjudged_key() returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if position('"x-mes-key"' in current_setting('request.headers', true)) > 0 then
    perform app.refuse(503, 'unavailable',
      'The database''s request hook is not active: API keys cannot be used');
  end if;
end
$$;
comment on function app.refuse_unjudged_key() is
  'Raises 503 unavailable for the service role with the header of an API key.';
grant execute on function app.refuse_unjudged_key to authenticated, service_role;

-- Without the hook, a report would be recorded without its person.
create function app.refuse_unjudged_person() returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if position('"x-acting-for"' in current_setting('request.headers', true)) > 0 then
    perform app.refuse(503, 'unavailable',
      'The database''s request hook is not active: nobody can act at a terminal');
  end if;
end
$$;
comment on function app.refuse_unjudged_person() is
  'Raises 503 unavailable for a request with an acting token, in a transaction without the hook.';

create type app.admitted_key as (id uuid, scopes public.scope[]);
comment on type app.admitted_key is 'An API key that may make this call.';

-- Runs as the caller's role: a function with its owner's rights may not change the role. A read is a READ ONLY
-- transaction, so it writes nothing. Only the functions send the headers of a key, with their own credential.
create function app.before_request() returns void
language plpgsql
set search_path = ''
as $$
declare
  headers json;
  key app.admitted_key;
begin
  -- settings of another request must not stay in a pooled session
  perform set_config('mes.hook', 'active', true), set_config('mes.key_id', '', true),
    set_config('mes.key_scopes', '', true), set_config('mes.person_id', '', true);
  -- a text that the headers lack is found at once: no JSON is parsed for a request without a key
  if current_setting('role') = 'service_role'
    and position('"x-mes-key"' in current_setting('request.headers', true)) > 0
  then
    headers := current_setting('request.headers')::json;
    key := app.admit_key(headers ->> 'x-mes-key', headers ->> 'x-mes-client', current_setting('request.path', true));
    perform set_config('mes.key_id', key.id::text, true), set_config('mes.key_scopes', key.scopes::text, true),
      set_config('request.jwt.claims', json_build_object('sub', key.id, 'role', 'authenticated')::text, true),
      set_config('request.jwt.claim.sub', key.id::text, true),
      set_config('request.jwt.claim.role', 'authenticated', true),
      set_config('role', 'authenticated', true);
  end if;
  -- after the key, which may be that of the terminal
  if position('"x-acting-for"' in current_setting('request.headers', true)) > 0 then
    perform app.act_for(current_setting('request.headers')::json ->> 'x-acting-for');
  end if;
end
$$;
comment on function app.before_request() is
  'Makes an API key the caller of this transaction, and the person of an acting token the one who acts. Raises 401 '
  'unauthenticated, 403 forbidden.';
grant usage on schema app to anon;
grant execute on function app.before_request to anon, authenticated, service_role;

-- PostgREST's db-pre-request; Supabase reads it from this role.
alter role authenticator set pgrst.db_pre_request = 'app.before_request';
notify pgrst, 'reload config';

create function app.is_hook_active() returns boolean
language sql stable
return coalesce(current_setting('mes.hook', true) = 'active', false);
comment on function app.is_hook_active() is 'True when app.before_request has run in this transaction.';
