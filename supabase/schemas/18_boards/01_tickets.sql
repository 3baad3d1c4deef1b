-- What: board tickets: keys that open the board of one group of workplaces, for a television.
-- Why: a supervisor hangs a board up without an admin, and what hangs on a wall shows and may do nothing else.

-- Judged at each request: a ticket shows what is in its group now, as far as the person who made it sees it now.
create function app.board_workplaces(key_id uuid) returns text[]
language plpgsql stable security definer
set search_path = ''
as $$
declare
  ticket app.api_keys;
begin
  select * into ticket from app.api_keys k where k.id = key_id and k.board_group is not null;
  if not found then
    return null;
  end if;
  return array(
    select w.name from public.workplaces w
    join public.profiles maker on maker.id = ticket.created_by
    where w.workplace_group = ticket.board_group and app.role_rank(maker.role) >= app.role_rank('supervisor')
      and (maker.role in ('manager', 'admin') or maker.workplace_access && array['*', w.name])
    order by w.name
  );
end
$$;
comment on function app.board_workplaces(uuid) is
  'The workplaces that a board ticket shows now; none once its maker is gone or may see none of them; null for a key '
  'that is no ticket.';

create function app.ticket_workplaces(key_id uuid) returns text[]
language plpgsql stable
set search_path = ''
as $$
declare
  names constant text[] := app.board_workplaces(key_id);
begin
  if names = '{}' then
    perform app.refuse(403, 'forbidden',
      'The board ticket shows nothing any more: no workplace is in its group that the person who made it sees. Make '
      'another one');
  end if;
  return names;
end
$$;
comment on function app.ticket_workplaces(uuid) is
  'The workplaces that a board ticket shows now; null for a key that is no ticket. Raises 403 forbidden for none.';

create function app.require_board_maker(caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
begin
  if caller.user_id is null or caller.person_id is not null
    or app.role_rank(caller.role) < app.role_rank('supervisor') then
    perform app.refuse(403, 'forbidden', 'Only a signed-in supervisor, manager or admin may make and see board tickets',
      jsonb_build_object('required_role', 'supervisor'));
  end if;
  perform app.require_workplace(caller);
end
$$;
comment on function app.require_board_maker(app.caller) is
  'Raises 403 forbidden for everybody below supervisor, for keys and servers, and for who acts at a terminal: a ticket '
  'ends with the access of its maker, so it has one.';

create function app.holds_group(caller app.caller, workplace_group text) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  return (caller).sees_all or (
    select coalesce(bool_and(w.name = any((caller).workplaces)), false) from public.workplaces w
    where w.workplace_group = holds_group.workplace_group
  );
end
$$;
comment on function app.holds_group(app.caller, text) is
  'True for a caller who sees all workplaces of the group, of which there is at least one, or all of the plant.';

create function app.manages_ticket(caller app.caller, ticket app.api_keys) returns boolean
language sql stable
return (ticket).board_group is not null
  and ((ticket).created_by = (caller).user_id or app.holds_group(caller, (ticket).board_group));
comment on function app.manages_ticket(app.caller, app.api_keys) is
  'True for the maker of a ticket, and for who could have made it.';

create function app.board_ticket_json(ticket app.api_keys, profile public.profiles) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (ticket).id,
    'name', (profile).full_name,
    'workplace_group', (ticket).board_group,
    'workplace_names', app.board_workplaces((ticket).id),
    'status', case when (ticket).expires_at <= clock_timestamp() then 'expired' else 'active' end,
    'expires_at', app.iso((ticket).expires_at),
    'last_used_at', app.iso((ticket).last_used_at),
    'created_by', (ticket).created_by,
    'created_at', app.iso((ticket).created_at)
  );
end;
comment on function app.board_ticket_json(app.api_keys, public.profiles) is
  'The ticket as the API writes it, without its secret.';

create type app.wanted_ticket as (id uuid, name text, workplace_group text, expires_at timestamptz);
comment on type app.wanted_ticket is 'What a request says of a new board ticket, and the id that the function made.';

create function public.create_board_ticket(ticket jsonb, digest text) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('ticket', ticket) and app.require_bounded('digest', digest);
  caller constant app.caller := app.current_caller();
  wanted constant app.wanted_ticket := jsonb_populate_record(null::app.wanted_ticket, ticket);
  most constant integer := 20;
  profile public.profiles;
  stored app.api_keys;
begin
  perform app.require_board_maker(caller);
  if wanted.name is null then
    perform app.refuse_field('/name', 'invalid_type', 'must be a text');
  -- a supervisor who calls the Data API could take the id of a user whose profile was deleted
  elsif wanted.id is null or exists (select from auth.users u where u.id = wanted.id)
    or exists (select from public.profiles p where p.id = wanted.id) then
    perform app.refuse_field('/id', 'invalid_value', 'must be new');
  elsif wanted.workplace_group is null
    or not exists (select from public.workplaces w where w.workplace_group = wanted.workplace_group) then
    perform app.refuse_field('/workplace_group', 'unknown_group',
      format('There is no workplace of the group "%s"', wanted.workplace_group));
  elsif wanted.expires_at <= clock_timestamp() then
    perform app.refuse_field('/expires_at', 'too_small', 'must lie in the future');
  elsif not app.holds_group(caller, wanted.workplace_group) then
    perform app.refuse(403, 'forbidden',
      format('A board shows all workplaces of the group "%s", and some of them are not yours', wanted.workplace_group));
  end if;
  perform pg_advisory_xact_lock(app.lock_key('app.board_tickets ' || wanted.workplace_group));
  if (select count(*) from app.api_keys k where k.board_group = wanted.workplace_group) >= most then
    perform app.refuse(409, 'limit_reached',
      format('The group "%s" has %s board tickets already: revoke one first', wanted.workplace_group, most),
      jsonb_build_object('limit', most));
  end if;
  insert into public.profiles (id, kind, full_name, role)
  values (wanted.id, 'integration', wanted.name, 'readonly')
  returning * into profile;
  insert into app.api_keys (id, scopes, board_group, expires_at, created_by)
  values (profile.id, '{board:read}', wanted.workplace_group, wanted.expires_at, caller.user_id)
  returning * into stored;
  insert into app.api_key_secrets (key_id, digest) values (stored.id, decode(create_board_ticket.digest, 'hex'));
  return app.board_ticket_json(stored, profile);
end
$$;
comment on function public.create_board_ticket(jsonb, text) is
  'Makes a board ticket: {"id", "name", "workplace_group", "expires_at"} and SHA-256 of its secret in hex, which the '
  'caller made. Raises 403 forbidden, 409 limit_reached, 422 validation_failed.';
grant execute on function public.create_board_ticket to authenticated, service_role;

create function public.list_board_tickets(
  workplace_group text default null,
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
  bounded constant boolean := app.require_bounded('workplace_group', workplace_group)
    and app.require_bounded('skip', skip) and app.require_bounded('count', count);
  caller constant app.caller := app.current_caller();
  rows app.api_keys[];
begin
  perform app.require_board_maker(caller);
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select k from app.api_keys k
    where k.board_group is not null and app.manages_ticket(caller, k)
      and (list_board_tickets.workplace_group is null or k.board_group = list_board_tickets.workplace_group)
      and (after_created_at is null or (k.created_at, k.id) > (after_created_at, after_id))
    order by k.created_at, k.id
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (
      select coalesce(json_agg(app.board_ticket_json(k, p) order by k.created_at, k.id), '[]')
      from unnest(rows[1:take]) k join public.profiles p on p.id = k.id
    ),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].created_at, rows[take].id) end,
    'total', case when count is not null then (
      select count(*) from app.api_keys k
      where k.board_group is not null and app.manages_ticket(caller, k)
        and (list_board_tickets.workplace_group is null or k.board_group = list_board_tickets.workplace_group)
    ) end
  );
end
$$;
comment on function public.list_board_tickets(text, timestamptz, uuid, integer, integer, text) is
  'A page of the board tickets that the caller may revoke, oldest first: {"items": [...], "next", "total"}. Raises 403 '
  'forbidden.';
grant execute on function public.list_board_tickets to authenticated, service_role;

-- Nothing names a ticket, because it reports nothing: its row does not have to stay.
create function public.revoke_board_ticket(ticket_id uuid) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  ticket app.api_keys;
begin
  perform app.require_board_maker(caller);
  select * into ticket from app.api_keys k where k.id = ticket_id for update;
  if not coalesce(app.manages_ticket(caller, ticket), false) then
    perform app.refuse_missing();
  end if;
  delete from app.api_keys k where k.id = ticket.id;
  delete from public.profiles p where p.id = ticket.id;
end
$$;
comment on function public.revoke_board_ticket(uuid) is
  'Ends a board ticket for good. Raises 403 forbidden, 404 not_found.';
grant execute on function public.revoke_board_ticket to authenticated, service_role;
