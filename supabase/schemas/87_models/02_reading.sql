-- What: answers to questions that a person asks in one breath and the resources answer in several.
-- Why: a tool of a language model makes one call of the database, and every list in it has the rules of its own.

create function public.floor_now(
  workplace_names text[] default null, workplace_group text default null, take integer default 20
) returns json
language plpgsql volatile
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group);
  caller constant app.caller := app.current_caller();
  summary constant json := public.report_summary(workplace_names, workplace_group);
  -- a group is a choice of workplaces; without a choice the lists show what the caller sees
  places constant text[] := case
    when workplace_group is null then workplace_names
    else (array(select json_array_elements_text(summary #> '{scope,workplace_names}')))[1:100]
  end;
begin
  take := least(take, 100);
  return json_build_object(
    'summary', summary,
    'running', case when app.is_open(caller, 'list_operations') then
      public.list_operations(statuses => '{IN_PROGRESS}', workplace_names => places, take => take) -> 'items' end,
    'stopped', case when app.is_open(caller, 'list_downtimes') then
      public.list_downtimes(workplace_names => places, open => true, take => take) -> 'items' end
  );
end
$$;
comment on function public.floor_now(text[], text, integer) is
  'What goes on: the summary, the operations that run and the downtimes that last, each as its resource answers it; '
  'null for what the scopes of a key do not open. Raises what public.report_summary raises.';
grant execute on function public.floor_now to authenticated, service_role;

create function public.get_operation_history(
  order_no text, asset_id integer, operation_no text, take integer default 20
) returns json
language plpgsql volatile
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no);
  caller constant app.caller := app.current_caller();
  operation constant json := public.get_operation(order_no, asset_id, operation_no);
begin
  take := least(take, 100);
  return json_build_object(
    'operation', operation,
    'runs', (
      select coalesce(json_agg(app.run_json(r) order by r.run_no desc), '[]')
      from (
        select r.* from public.mes_operations o join public.operation_runs r on r.operation_id = o.id
        where o.order_no = get_operation_history.order_no and o.operation_no = get_operation_history.operation_no
          and o.asset_id = get_operation_history.asset_id
        order by r.run_no desc
        limit take
      ) r
    ),
    'events', case when app.is_open(caller, 'list_events') then
      public.list_events(order_no, operation_no, asset_id, take => take) -> 'items' end
  );
end
$$;
comment on function public.get_operation_history(text, integer, text, integer) is
  'One operation with what the caller may do to it, its last runs and events, the latest first; events are null for a '
  'key without their scope. Raises 404 not_found.';
grant execute on function public.get_operation_history to authenticated, service_role;

create function public.find_problems(take integer default 20) returns json
language plpgsql volatile
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
begin
  take := least(take, 100);
  return json_build_object(
    'forgotten_runs', public.list_operations(open_longer_than_h => 12, take => take) -> 'items',
    'source_conflicts', public.list_operations(source_conflict => true, take => take) -> 'items',
    'unexplained_stops', case when app.is_open(caller, 'list_downtimes') then
      public.list_downtimes(unexplained => true, take => take) -> 'items' end,
    'failing_webhooks', case
      when app.role_rank(caller.role) >= app.role_rank('manager') and app.is_open(caller, 'list_webhook_endpoints')
      then (
        select coalesce(json_agg(e.endpoint), '[]')
        from (
          select e.endpoint from json_array_elements(public.list_webhook_endpoints(take => 500) -> 'items') e (endpoint)
          where e.endpoint ->> 'failing_since' is not null or e.endpoint ->> 'disabled_reason' in ('failing', 'gone')
          limit take
        ) e
      )
    end
  );
end
$$;
comment on function public.find_problems(integer) is
  'What somebody has to look at: runs of more than 12 hours, operations that the source gave up after work had begun, '
  'stops without a reason, webhooks that fail; null for what the caller may not see.';
grant execute on function public.find_problems to authenticated, service_role;
