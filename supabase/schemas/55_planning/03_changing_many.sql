-- What: PATCH of the operations that match a filter.
-- Why: one operation that rejects the change does not stop the rest.

create function app.apply_bulk(operations public.mes_operations[], caller app.caller, patch jsonb) returns json
language plpgsql
set search_path = ''
as $$
declare
  operation public.mes_operations;
  results json[] := '{}'::json[];
  problem app.problem;
  state text;
  message text;
  detail text;
begin
  foreach operation in array operations loop
    begin
      operation := app.change_operation(operation, caller, patch);
      problem := null;
    exception when others then
      get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail;
      problem := app.caught_problem(state, message, detail);
      if problem.code is null then
        raise;
      end if;
    end;
    results := results || json_build_object(
      'index', cardinality(results),
      'status', coalesce(problem.status, 200),
      'id', app.operation_label(operation),
      'version', operation.version,
      'problem', app.problem_json(problem)
    );
  end loop;
  return array_to_json(results);
end
$$;
comment on function app.apply_bulk(public.mes_operations[], app.caller, jsonb) is
  'Changes locked operations one by one; a failure does not stop the rest. Answers one result per operation.';

create function public.update_operations(
  filter jsonb, patch jsonb, is_dry_run boolean default true, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('filter', filter, 65536) and app.require_bounded('patch', patch);
  most constant integer := 500;
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  wanted constant app.operation_filter := jsonb_populate_record(null::app.operation_filter, filter);
  are_bounded constant boolean := app.require_bounded('statuses', (wanted).statuses::text[])
    and app.require_bounded('workplace_names', (wanted).workplace_names);
  operations public.mes_operations[];
  results json;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, 'supervisor', 'Your role may not change operations in bulk');
  perform app.require_workplace(caller);
  -- The owner has no row security, so the query itself restricts to what the caller sees. It locks in the order of
  -- batches and imports, so they cannot deadlock.
  execute format(
    'with matching as materialized (
      select o.id from public.mes_operations o
      where %1$s and ($2 or o.workplace_name = any($3))
      limit $4
    ), locked as materialized (
      select o from public.mes_operations o
      where o.id in (select m.id from matching m) and %1$s and ($2 or o.workplace_name = any($3))
      order by o.id
      for update
    )
    select array(select l.o from locked l order by (l.o).order_no, (l.o).operation_no, (l.o).asset_id)',
    app.conditions(wanted))
  into operations
  using wanted, caller.sees_all, caller.workplaces, most + 1;
  if patch ->> 'status' = 'IN_PROGRESS' then
    perform from public.workplaces w
    where w.capacity is not null
      and w.name = any(array(select coalesce(patch ->> 'workplace_name', o.workplace_name) from unnest(operations) o))
    order by w.name
    for update;
  end if;
  if cardinality(operations) > most then
    perform app.refuse(422, 'validation_failed', format('The filter matches more than %s operations: narrow it', most),
      jsonb_build_object('limit', most));
  end if;
  if not is_dry_run then
    return app.finish_command(command, array(select distinct coalesce(o.workplace_name, '*') from unnest(operations) o),
      json_build_object('status', 207, 'body', app.apply_bulk(operations, caller, patch)));
  end if;
  begin
    results := app.apply_bulk(operations, caller, patch);
    raise sqlstate 'DRYRN';
  exception when sqlstate 'DRYRN' then
    -- everything since `begin` is undone; the results keep what would have happened
    return json_build_object('status', 207, 'body', results);
  end;
end
$$;
comment on function public.update_operations(jsonb, jsonb, boolean, jsonb) is
  'Changes up to 500 operations that match the filter, as PATCH changes one; is_dry_run stores nothing. '
  'Answers {"status", "body": [{"index", "status", "id", "version", "problem"}]}. Raises 403 forbidden, 422 '
  'validation_failed for too many matches.';
grant execute on function public.update_operations to authenticated, service_role;
