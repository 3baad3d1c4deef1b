-- What: acting at a terminal by the token of a sign-in.
-- Why: the token is judged in the one call of a request, and bounds what it may do by the person's workplaces.

-- The Data API's hook calls it for the header X-Acting-For, before the main query. A read is a READ ONLY transaction.
create function app.act_for(token text) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  session app.acting_sessions;
begin
  if token is null then
    return;
  end if;
  select s.* into session from app.acting_sessions s
  join app.people p on p.id = s.person_id and p.active
  where s.token_digest = sha256(convert_to(token, 'UTF8')) and s.terminal_id = auth.uid()
    and s.last_used_at > clock_timestamp() - app.idle_time();
  if not found then
    perform app.refuse(401, 'unauthenticated',
      'X-Acting-For is not the token of a person who is signed in at this terminal: they were signed out, or have not '
      'used it for 30 minutes. Sign in again', jsonb_build_object('credential', 'X-Acting-For'));
  end if;
  if session.last_used_at < clock_timestamp() - interval '1 minute'
    and current_setting('transaction_read_only') = 'off' then
    -- The person first, as changes of a person lock them: otherwise both could wait for each other. While a change is
    -- under way, the token is not renewed, because the report need not wait for that.
    perform from app.people p where p.id = session.person_id for key share skip locked;
    if found then
      -- does not wait for another request of the same person
      update app.acting_sessions s set last_used_at = clock_timestamp()
      where s.ctid = any(array(
        select u.ctid from app.acting_sessions u where u.token_digest = session.token_digest for update skip locked
      ));
    end if;
  end if;
  perform set_config('mes.person_id', session.person_id::text, true);
end
$$;
comment on function app.act_for(text) is
  'Makes the person of an acting token the one who acts in this transaction; null is no token. Raises 401 '
  'unauthenticated for any other token. Renews the token, to the minute, in transactions that write.';
grant execute on function app.act_for to anon, authenticated, service_role;

create function app.acting_person(caller app.caller, person_id uuid) returns app.caller
language plpgsql stable security definer
set search_path = ''
as $$
declare
  person app.people;
begin
  select * into person from app.people p where p.id = acting_person.person_id and p.active;
  -- a user has no scopes, and null is no reason to refuse
  if not found or caller.role <> 'machine' or coalesce('people:act' <> all(caller.scopes), false) then
    perform app.refuse(401, 'unauthenticated', 'The person of X-Acting-For may not act at this terminal any more',
      jsonb_build_object('credential', 'X-Acting-For'));
  end if;
  return app.acting_as(caller, person);
end
$$;
comment on function app.acting_person(app.caller, uuid) is
  'The terminal while this person acts there. Raises 401 unauthenticated once the person is not active, or the caller '
  'no terminal any more.';

create function app.acting_session(caller app.caller) returns app.acting_sessions
language plpgsql stable
set search_path = ''
as $$
declare
  session app.acting_sessions;
begin
  if caller.person_id is null then
    perform app.refuse(404, 'not_found',
      'Nobody acts in this request: sign in, and send the acting token as X-Acting-For');
  end if;
  select * into session from app.acting_sessions s
  where s.terminal_id = app.terminal_of(caller) and s.person_id = caller.person_id;
  return session;
end
$$;
comment on function app.acting_session(app.caller) is
  'The session of the person who acts. Raises 404 not_found when nobody does.';

-- Volatile: it runs in a transaction that writes, so that the hook renews the token.
create function public.get_acting_person() returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  session constant app.acting_sessions := app.acting_session(caller);
  person app.people;
begin
  select * into person from app.people p where p.id = caller.person_id;
  return app.json_with(app.json_with(app.acting_json(session, person, caller), 'actions', app.actions_of(caller)),
    'downtime_actions', app.downtime_actions_of(caller));
end
$$;
comment on function public.get_acting_person() is
  'Who acts in this request, and what they may do. Raises 404 not_found when nobody does.';
grant execute on function public.get_acting_person to authenticated, service_role;

create function public.sign_out_person() returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  session constant app.acting_sessions := app.acting_session(caller);
begin
  delete from app.acting_sessions s where s.token_digest = session.token_digest;
end
$$;
comment on function public.sign_out_person() is
  'Ends the session of the person who acts. Raises 404 not_found when nobody does.';
grant execute on function public.sign_out_person to authenticated, service_role;
