-- What: what a caller may do next.
-- Why: clients show buttons by it, and refusals say what is possible instead.

create function app.allowed_actions(operation public.mes_operations, caller app.caller) returns json
language plpgsql stable security definer
set search_path = ''
-- for two tiny tables the planner would plan anew for each state
set plan_cache_mode = force_generic_plan
as $$
declare
  state constant text := app.execution_state(operation);
  rank constant integer := app.role_rank((caller).role);
  may_start constant boolean := state in ('RELEASED', 'PAUSED');
  workplace_is_full boolean := false;
begin
  if may_start then
    select w.capacity <= (
      select count(*) from public.mes_operations o
      where o.workplace_name = w.name and o.status = 'IN_PROGRESS' and o.id <> (operation).id
    ) into workplace_is_full
    from public.workplaces w
    where w.name = (operation).workplace_name and w.capacity is not null;
  end if;
  return (
    select json_agg(
      json_build_object('action', possible.action, 'allowed', possible.blocked_by is null, 'blocked_by', possible.blocked_by)
      order by possible.position
    )
    from (
      select a.action, a.position, case
        when rank < app.role_rank(app.least_role(a, operation)) then 'forbidden'
        when a.action = 'START' and (operation).hold_kind = 'BLOCKED' then 'operation_blocked'
        when a.action = 'START' and (operation).running_phase = 'PROCESSING' then 'already_running'
        when t.action is null then 'invalid_state_transition'
        when a.action = 'START' and workplace_is_full then 'workplace_busy'
      end as blocked_by
      from app.actions a left join app.transitions t on t.action = a.action and t.from_state = state
    ) possible
  );
end
$$;
comment on function app.allowed_actions(public.mes_operations, app.caller) is
  'For each action whether this caller may take it now, and if not the machine code of the cause. The shape is {"action", "allowed", "blocked_by"}.';
grant execute on function app.allowed_actions to authenticated, service_role;

create function app.refuse_transition(operation public.mes_operations, caller app.caller, attempt text) returns void
language plpgsql
set search_path = ''
as $$
begin
  perform app.refuse(
    422, 'invalid_state_transition',
    format('Cannot %s operation %s: status is "%s"', attempt, app.operation_label(operation), (operation).status),
    jsonb_build_object('current_status', (operation).status, 'allowed_actions', app.allowed_actions(operation, caller))
  );
end
$$;
comment on function app.refuse_transition(public.mes_operations, app.caller, text) is
  'Raises 422 invalid_state_transition with the current status and what is allowed instead.';

create function app.operation_answer(operation public.mes_operations, caller app.caller) returns json
language sql stable
return app.json_with(app.operation_json(operation), 'allowed_actions', app.allowed_actions(operation, caller));
comment on function app.operation_answer(public.mes_operations, app.caller) is 'The operation as single reads and commands answer it: with allowed_actions.';
grant execute on function app.operation_answer to authenticated, service_role;
