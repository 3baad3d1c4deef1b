-- What: the actions that a caller may take next.
-- Why: clients show buttons for them, and refusals name them.

create function app.possible_action(action public.action, blocked_by text) returns json
language sql stable
return json_build_object('action', action, 'allowed', blocked_by is null, 'blocked_by', blocked_by);
comment on function app.possible_action(public.action, text) is
  'One action as clients see it, with the machine code of what blocks it.';

-- There are few answers, and they change with the lifecycle only: a migration that changes actions or transitions
-- refreshes the view. Most requests need one, and computing it would be most of their cost.
create materialized view app.possible_actions as
select possible.state, possible.rank, possible.is_processing,
  bool_or(possible.needs_room and possible.blocked_by is null) as depends_on_room,
  json_agg(app.possible_action(possible.action, possible.blocked_by) order by possible.position) as actions,
  json_agg(
    app.possible_action(possible.action,
      coalesce(possible.blocked_by, case when possible.needs_room then 'workplace_busy' end))
    order by possible.position
  ) as actions_at_full_workplace
from (
  select s.state, r.rank, p.is_processing, a.action, a.position,
    -- a running operation already has its room
    a.run_effect = 'opens' and s.state <> 'IN_PROGRESS' as needs_room,
    case
      when r.rank < app.role_rank(coalesce(t.least_role, a.least_role)) then 'forbidden'
      when a.run_effect = 'opens' and s.state in ('BLOCKED', 'BLOCKED_BEFORE_START') then 'operation_blocked'
      when a.run_effect = 'opens' and p.is_processing then 'already_running'
      when t.action is null then 'invalid_state_transition'
    end as blocked_by
  from unnest(enum_range(null::public.state)) s (state)
    cross join generate_series(app.role_rank(null), app.role_rank('admin')) r (rank)
    cross join (values (false), (true)) p (is_processing)
    cross join app.actions a
    left join app.transitions t on t.action = a.action and t.from_state = s.state
) possible
group by possible.state, possible.rank, possible.is_processing;
comment on materialized view app.possible_actions is
  'What may be done next, [{"action", "allowed", "blocked_by"}], for each state, rank of the caller''s role, and '
  'whether a PROCESSING run is open; depends_on_room = the two answers differ.';
create unique index possible_actions_key on app.possible_actions (state, rank, is_processing);

-- An API key may take fewer actions than its role.
create function app.actions_in_scope(actions json, scopes public.scope[]) returns json
language sql stable
return case when scopes is null then actions else (
  select json_agg(
    case when a.scope = any(scopes) then possible.value
      else app.possible_action(a.action, coalesce(possible.value ->> 'blocked_by', 'forbidden')) end
    order by possible.ordinality
  )
  from json_array_elements(actions) with ordinality possible
    join app.actions a on a.action = (possible.value ->> 'action')::public.action
) end;
comment on function app.actions_in_scope(json, public.scope[]) is
  'The actions, those beyond the scopes of an API key blocked by "forbidden"; unchanged without scopes.';

create function app.allowed_actions(operation public.mes_operations, caller app.caller) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  possible app.possible_actions;
  capacity integer;
begin
  select * into possible from app.possible_actions p
  where p.state = operation.state and p.rank = app.role_rank(caller.role)
    and p.is_processing = (operation.running_phase is not distinct from 'PROCESSING');
  if possible.depends_on_room then
    select w.capacity into capacity from public.workplaces w where w.name = operation.workplace_name;
  end if;
  if capacity is not null and capacity <= (
    select count(*) from public.mes_operations o
    where o.workplace_name = operation.workplace_name and o.status = 'IN_PROGRESS' and o.id <> operation.id
  ) then
    possible.actions := possible.actions_at_full_workplace;
  end if;
  return case when caller.scopes is null then possible.actions
    else app.actions_in_scope(possible.actions, caller.scopes) end;
end
$$;
comment on function app.allowed_actions(public.mes_operations, app.caller) is
  'For each action whether this caller may take it now, and if not the machine code of the cause. The shape is '
  '{"action", "allowed", "blocked_by"}.';
grant execute on function app.allowed_actions to authenticated, service_role;

create function app.actions_of(caller app.caller) returns json
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(json_agg(a.action order by a.position), '[]') from app.actions a
    where app.role_rank(a.least_role) <= app.role_rank(caller.role)
      and (caller.scopes is null or a.scope = any(caller.scopes))
  );
end
$$;
comment on function app.actions_of(app.caller) is
  'The actions that the caller may take at all; the state of an operation decides the rest.';

create function app.rights_json(caller app.caller) returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return json_build_object(
    'workplace_access', app.places_json(caller),
    'actions', app.actions_of(caller),
    'downtime_actions', app.downtime_actions_of(caller),
    'machine_states', app.speaks_for_machines(caller)
  );
end
$$;
comment on function app.rights_json(app.caller) is
  'What the caller may do: {"workplace_access": names, * = all, "actions", "downtime_actions", "machine_states"}.';
grant execute on function app.rights_json to authenticated, service_role;

create function app.start_hint(operation public.mes_operations, verb text) returns text
language sql stable
return case
  when (operation).state not in ('PLANNED', 'RELEASED', 'BLOCKED_BEFORE_START') then ''
  when not exists (select from app.actions a where a.action::text = verb and a.least_role = 'operator'
    and (a.follows = 'the start' or a.run_effect = 'closes')) then ''
  when (operation).state = 'RELEASED' then '. START it first'
  else '. A supervisor must RELEASE it, then START it first'
end;
comment on function app.start_hint(public.mes_operations, text) is
  'What to do before an operator''s report on an operation that has not started; empty for other refusals.';

create function app.transition_problem(
  operation public.mes_operations, caller app.caller, verb text
) returns app.problem
language sql stable
return app.problem(
  422, 'invalid_state_transition',
  format('Cannot %s operation %s: status is "%s"%s', verb, app.operation_label(operation), (operation).status,
    app.start_hint(operation, verb)),
  jsonb_build_object('current_status', (operation).status, 'allowed_actions', app.allowed_actions(operation, caller))
);
comment on function app.transition_problem(public.mes_operations, app.caller, text) is
  'Makes the problem invalid_state_transition with the current status and what is allowed instead.';

create function app.blocked_problem(operation public.mes_operations, caller app.caller) returns app.problem
language sql stable
return app.problem(
  409, 'operation_blocked',
  format('Cannot START operation %s: it is blocked with reason "%s" until a supervisor releases it',
    app.operation_label(operation), (operation).hold_reason_code),
  jsonb_build_object('current_status', (operation).status, 'hold_reason_code', (operation).hold_reason_code,
    'allowed_actions', app.allowed_actions(operation, caller))
);
comment on function app.blocked_problem(public.mes_operations, app.caller) is
  'Makes the problem operation_blocked with the reason and what is allowed instead.';

create view app.operation_answers as
select (null::app.operation_body).*, null::json as allowed_actions where false;
comment on view app.operation_answers is
  'Has no rows: its row type is the operation as single reads and commands answer it.';

create function app.operation_answer(operation public.mes_operations, caller app.caller) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  body constant app.operation_body := app.operation_body(operation);
begin
  return to_json(row((body).*, app.allowed_actions(operation, caller))::app.operation_answers);
end
$$;
comment on function app.operation_answer(public.mes_operations, app.caller) is
  'The operation as single reads and commands answer it: with allowed_actions.';
grant execute on function app.operation_answer to authenticated, service_role;

-- A page costs 3 ms more with it for 100 operations. app.allowed_actions for each of them would cost 7 ms: it looks at
-- the workplace each time.
create function app.operations_json(operations public.mes_operations[], caller app.caller) returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return (
    with full_workplaces as materialized (
      select w.name from public.workplaces w
      where w.name = any(array(select distinct o.workplace_name from unnest(operations) o))
        and w.capacity <= (
          select count(*) from public.mes_operations o where o.workplace_name = w.name and o.status = 'IN_PROGRESS'
        )
    )
    select coalesce(json_agg(app.json_with(app.operation_json(o), 'allowed_actions',
      case
        when p.depends_on_room and o.workplace_name in (select w.name from full_workplaces w)
          then p.actions_at_full_workplace
        else p.actions
      end)), '[]')
    from unnest(operations) o
      -- one look-up for each operation keeps the order of the page
      cross join lateral (
        select * from app.possible_actions p
        where p.state = o.state and p.rank = app.role_rank(caller.role)
          and p.is_processing = (o.running_phase is not distinct from 'PROCESSING')
        offset 0
      ) p
  );
end
$$;
comment on function app.operations_json(public.mes_operations[], app.caller) is
  'The operations of a page in their order, each with its allowed_actions, as app.operation_answer has them.';
grant execute on function app.operations_json to authenticated, service_role;
