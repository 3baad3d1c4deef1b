-- What: the functions behind the endpoints of workplaces and reason codes.
-- Why: capacity and reasons decide what may be reported, so managers set them under the same rules as everything else.

create index workplaces_by_group on public.workplaces (workplace_group, name) where workplace_group is not null;

create function app.workplace_json(w public.workplaces) returns json
language sql stable
begin atomic
  select json_build_object(
    'name', (w).name,
    'workplace_group', (w).workplace_group,
    'capacity', (w).capacity,
    'active', (w).active,
    'version', (w).version,
    'created_at', app.iso((w).created_at),
    'updated_at', app.iso((w).updated_at)
  );
end;
comment on function app.workplace_json(public.workplaces) is 'The workplace as lists and commands answer it.';

create function public.get_workplace(name text) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name);
  workplace public.workplaces;
begin
  select * into workplace from public.workplaces w where w.name = get_workplace.name;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.json_with(app.workplace_json(workplace), 'running_operations', (
    select coalesce(json_agg(app.operation_json(o) order by o.running_since), '[]')
    from public.mes_operations o
    where o.workplace_name = workplace.name and o.status = 'IN_PROGRESS'
  ));
end
$$;
comment on function public.get_workplace(text) is
  'One workplace with the operations that run there now, as far as the caller sees them. Raises 404 not_found.';

create function public.list_workplaces(
  workplace_group text default null,
  active boolean default null,
  after_name text default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_group', workplace_group)
    and app.require_bounded('after_name', after_name) and app.require_bounded('skip', skip)
    and app.require_bounded('count', count);
  rows public.workplaces[];
begin
  -- straight calls ask for what they like
  take := least(take, 500);
  rows := array(
    select w from public.workplaces w
    where (list_workplaces.workplace_group is null or w.workplace_group = list_workplaces.workplace_group)
      and (list_workplaces.active is null or w.active = list_workplaces.active)
      and (after_name is null or w.name > after_name)
    order by w.name
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (select coalesce(json_agg(app.workplace_json(w)), '[]') from unnest(rows[1:take]) w),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].name) end,
    -- few rows: the exact count is as cheap as an estimate
    'total', case when count is not null then (
      select count(*) from public.workplaces w
      where (list_workplaces.workplace_group is null or w.workplace_group = list_workplaces.workplace_group)
        and (list_workplaces.active is null or w.active = list_workplaces.active)
    ) end
  );
end
$$;
comment on function public.list_workplaces(text, boolean, text, integer, integer, text) is
  'A page of the workplaces, ordered by name: {"items": [...], "next": key of the last item or null, "total": number when asked}.';

-- What to do next: running work first, then the rest in planned order.
create function public.list_queue(name text, take integer default 100) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name);
  caller constant app.caller := app.current_caller();
begin
  if not exists (select from public.workplaces w where w.name = list_queue.name) then
    perform app.refuse_missing();
  end if;
  return (
    select coalesce(json_agg(
      app.json_with(app.json_with(app.operation_json(o), 'allowed_actions', a.actions), 'blocked_by', (
        select action -> 'blocked_by' from json_array_elements(a.actions) action where action ->> 'action' = 'START'
      ))
      order by o.running_since, o.planned_start_at, o.order_no, o.operation_no, o.asset_id), '[]')
    from (
      select * from public.mes_operations o
      where o.workplace_name = list_queue.name and o.status not in ('FINISHED', 'CANCELLED')
      order by o.running_since, o.planned_start_at, o.order_no, o.operation_no, o.asset_id
      limit least(take, 500)
    ) o
    cross join lateral (select app.allowed_actions(o::public.mes_operations, caller) as actions offset 0) a
  );
end
$$;
comment on function public.list_queue(text, integer) is
  'The open operations of a workplace that the caller sees: those running, then by planned start; each with blocked_by, the cause that keeps the caller from starting it. Raises 404 not_found.';

create index mes_operations_queue on public.mes_operations (workplace_name, running_since, planned_start_at, order_no, operation_no, asset_id)
  where status not in ('FINISHED', 'CANCELLED');

create function public.create_workplace(workplace jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace', workplace);
  caller constant app.caller := app.current_caller();
  request constant app.idempotency := app.idempotency(idempotency);
  wanted constant public.workplaces := jsonb_populate_record(null::public.workplaces, workplace);
  stored public.workplaces;
  answer json;
begin
  answer := app.replay(caller, request);
  if answer is not null then
    return answer;
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may create workplaces');
  insert into public.workplaces (name, workplace_group, capacity, active)
  values (wanted.name, wanted.workplace_group, wanted.capacity, coalesce(wanted.active, true))
  on conflict do nothing
  returning * into stored;
  if not found then
    perform app.refuse(409, 'duplicate_workplace', format('Workplace "%s" exists already', wanted.name));
  end if;
  return app.remember(caller, request, null, json_build_object('status', 201, 'body', app.workplace_json(stored)));
end
$$;
comment on function public.create_workplace(jsonb, jsonb) is
  'Creates a workplace. Answers {"status", "body"}. Raises 403 forbidden, 409 duplicate_workplace.';

create function public.update_workplace(name text, patch jsonb, if_match integer[] default null, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('patch', patch)
    and app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  request constant app.idempotency := app.idempotency(idempotency);
  workplace public.workplaces;
  wanted public.workplaces;
  answer json;
begin
  answer := app.replay(caller, request);
  if answer is not null then
    return answer;
  end if;
  perform app.require_plant(caller);
  select * into workplace from public.workplaces w where w.name = update_workplace.name for update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may change workplaces');
  perform app.require_version(workplace.version, if_match);
  wanted := jsonb_populate_record(workplace, patch);
  if wanted is distinct from workplace then
    update public.workplaces w
    set (workplace_group, capacity, active) = row (wanted.workplace_group, wanted.capacity, coalesce(wanted.active, workplace.active))
    where w.name = workplace.name
    returning * into workplace;
  end if;
  return app.remember(caller, request, null, json_build_object('status', 200, 'body', app.workplace_json(workplace)));
end
$$;
comment on function public.update_workplace(text, jsonb, integer[], jsonb) is
  'Changes group, capacity or active of a workplace; what runs there goes on. Answers {"status", "body"}. Raises 403 forbidden, 404 not_found, 412 stale_version.';

create function public.delete_workplace(name text, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  workplace public.workplaces;
begin
  perform app.require_plant(caller);
  select * into workplace from public.workplaces w where w.name = delete_workplace.name for update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may delete workplaces');
  perform app.require_version(workplace.version, if_match);
  delete from public.workplaces w where w.name = workplace.name;
exception when foreign_key_violation then
  perform app.refuse(409, 'in_use', format('Workplace "%s" has operations: set it inactive instead', workplace.name));
end
$$;
comment on function public.delete_workplace(text, integer[]) is
  'Deletes a workplace without operations. Raises 403 forbidden, 404 not_found, 409 in_use, 412 stale_version.';

create function app.reason_code_json(r public.reason_codes) returns json
language sql stable
begin atomic
  select json_build_object(
    'kind', (r).kind,
    'code', (r).code,
    'description', (r).description,
    'active', (r).active,
    'version', (r).version,
    'created_at', app.iso((r).created_at),
    'updated_at', app.iso((r).updated_at)
  );
end;
comment on function app.reason_code_json(public.reason_codes) is 'The reason code as the API writes it.';

create function public.get_reason_code(kind text, code text) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('kind', kind) and app.require_bounded('code', code);
  reason public.reason_codes;
begin
  select * into reason from public.reason_codes r where r.kind = get_reason_code.kind and r.code = get_reason_code.code;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.reason_code_json(reason);
end
$$;
comment on function public.get_reason_code(text, text) is 'One reason code. Raises 404 not_found.';

create function public.list_reason_codes(
  kind text default null,
  active boolean default null,
  after_kind text default null,
  after_code text default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('kind', kind) and app.require_bounded('after_kind', after_kind)
    and app.require_bounded('after_code', after_code) and app.require_bounded('skip', skip)
    and app.require_bounded('count', count);
  rows public.reason_codes[];
begin
  -- straight calls ask for what they like
  take := least(take, 500);
  rows := array(
    select r from public.reason_codes r
    where (list_reason_codes.kind is null or r.kind = list_reason_codes.kind)
      and (list_reason_codes.active is null or r.active = list_reason_codes.active)
      and (after_kind is null or (r.kind, r.code) > (after_kind, after_code))
    order by r.kind, r.code
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (select coalesce(json_agg(app.reason_code_json(r)), '[]') from unnest(rows[1:take]) r),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].kind, rows[take].code) end,
    -- few rows: the exact count is as cheap as an estimate
    'total', case when count is not null then (
      select count(*) from public.reason_codes r
      where (list_reason_codes.kind is null or r.kind = list_reason_codes.kind)
        and (list_reason_codes.active is null or r.active = list_reason_codes.active)
    ) end
  );
end
$$;
comment on function public.list_reason_codes(text, boolean, text, text, integer, integer, text) is
  'A page of the reason codes, ordered by kind and code: {"items": [...], "next": key of the last item or null, "total": number when asked}.';

create function public.create_reason_code(reason_code jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('reason_code', reason_code);
  caller constant app.caller := app.current_caller();
  request constant app.idempotency := app.idempotency(idempotency);
  wanted constant public.reason_codes := jsonb_populate_record(null::public.reason_codes, reason_code);
  stored public.reason_codes;
  answer json;
begin
  answer := app.replay(caller, request);
  if answer is not null then
    return answer;
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may create reason codes');
  insert into public.reason_codes (kind, code, description, active)
  values (wanted.kind, wanted.code, wanted.description, coalesce(wanted.active, true))
  on conflict do nothing
  returning * into stored;
  if not found then
    perform app.refuse(409, 'duplicate_reason_code', format('Reason code %s/%s exists already', wanted.kind, wanted.code));
  end if;
  return app.remember(caller, request, null, json_build_object('status', 201, 'body', app.reason_code_json(stored)));
end
$$;
comment on function public.create_reason_code(jsonb, jsonb) is
  'Creates a reason code. Answers {"status", "body"}. Raises 403 forbidden, 409 duplicate_reason_code.';

create function public.update_reason_code(
  kind text, code text, patch jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('kind', kind) and app.require_bounded('code', code)
    and app.require_bounded('patch', patch) and app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  request constant app.idempotency := app.idempotency(idempotency);
  reason public.reason_codes;
  wanted public.reason_codes;
  answer json;
begin
  answer := app.replay(caller, request);
  if answer is not null then
    return answer;
  end if;
  perform app.require_plant(caller);
  select * into reason from public.reason_codes r where r.kind = update_reason_code.kind and r.code = update_reason_code.code for update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may change reason codes');
  perform app.require_version(reason.version, if_match);
  wanted := jsonb_populate_record(reason, patch);
  if wanted is distinct from reason then
    update public.reason_codes r
    set (description, active) = row (wanted.description, coalesce(wanted.active, reason.active))
    where r.kind = reason.kind and r.code = reason.code
    returning * into reason;
  end if;
  return app.remember(caller, request, null, json_build_object('status', 200, 'body', app.reason_code_json(reason)));
end
$$;
comment on function public.update_reason_code(text, text, jsonb, integer[], jsonb) is
  'Changes description or active of a reason code. Answers {"status", "body"}. Raises 403 forbidden, 404 not_found, 412 stale_version.';

create function public.delete_reason_code(kind text, code text, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('kind', kind) and app.require_bounded('code', code)
    and app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  reason public.reason_codes;
begin
  perform app.require_plant(caller);
  select * into reason from public.reason_codes r where r.kind = delete_reason_code.kind and r.code = delete_reason_code.code for update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may delete reason codes');
  perform app.require_version(reason.version, if_match);
  if reason.code = 'UNSPECIFIED' then
    perform app.refuse(409, 'in_use', 'UNSPECIFIED is what the API itself writes: set it inactive instead');
  end if;
  delete from public.reason_codes r where r.kind = reason.kind and r.code = reason.code;
exception when foreign_key_violation then
  perform app.refuse(409, 'in_use', format('Reason code %s/%s stands in events: set it inactive instead', reason.kind, reason.code));
end
$$;
comment on function public.delete_reason_code(text, text, integer[]) is
  'Deletes a reason code that no event has. Raises 403 forbidden, 404 not_found, 409 in_use, 412 stale_version.';

revoke execute on function
  public.get_workplace, public.list_workplaces, public.list_queue, public.create_workplace, public.update_workplace, public.delete_workplace,
  public.get_reason_code, public.list_reason_codes, public.create_reason_code, public.update_reason_code, public.delete_reason_code
from public, anon;
grant execute on function
  public.get_workplace, public.list_workplaces, public.list_queue, public.create_workplace, public.update_workplace, public.delete_workplace,
  public.get_reason_code, public.list_reason_codes, public.create_reason_code, public.update_reason_code, public.delete_reason_code
to authenticated, service_role;
revoke execute on all functions in schema app from public;
grant execute on function app.workplace_json, app.reason_code_json to authenticated, service_role;
