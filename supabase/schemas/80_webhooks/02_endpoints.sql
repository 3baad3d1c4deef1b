-- What: the functions behind the endpoints of webhook endpoints.
-- Why: managers decide where events are sent.

create function app.webhook_endpoint_json(e app.webhook_endpoints) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (e).id,
    'url', (e).url,
    'description', (e).description,
    'action_types', (e).action_types,
    'workplace_names', (e).workplace_names,
    'order_prefix', (e).order_prefix,
    'downtimes', (e).downtimes,
    'enabled', (e).enabled,
    'disabled_reason', (e).disabled_reason,
    'disabled_at', app.iso((e).disabled_at),
    'failing_since', (select app.iso(h.failing_since) from app.webhook_health h where h.endpoint_id = (e).id),
    'paused_until', (select app.iso(h.paused_until) from app.webhook_health h
      where h.endpoint_id = (e).id and h.paused_until > clock_timestamp()),
    'previous_secret_until', (select app.iso(max(s.expires_at)) from app.webhook_secrets s
      where s.endpoint_id = (e).id and s.expires_at > clock_timestamp()),
    'version', (e).version,
    'created_at', app.iso((e).created_at),
    'updated_at', app.iso((e).updated_at)
  );
end;
comment on function app.webhook_endpoint_json(app.webhook_endpoints) is
  'The endpoint as the API writes it, without its secrets.';

create function app.require_webhook_manager(caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
begin
  perform app.require_role(caller, 'manager', 'Only managers may see and change webhooks');
end
$$;
comment on function app.require_webhook_manager(app.caller) is
  'Raises 403 forbidden below manager, whatever was asked for.';

create function app.lock_webhook_endpoint(endpoint_id uuid) returns app.webhook_endpoints
language plpgsql
set search_path = ''
as $$
declare
  endpoint app.webhook_endpoints;
begin
  select * into endpoint from app.webhook_endpoints e
    where e.id = endpoint_id and e.deleted_at is null for no key update;
  if not found then
    perform app.refuse_missing();
  end if;
  return endpoint;
end
$$;
comment on function app.lock_webhook_endpoint(uuid) is
  'The endpoint, locked against other changes. Raises 404 not_found.';

create function app.require_enabled(endpoint app.webhook_endpoints) returns void
language plpgsql
set search_path = ''
as $$
begin
  if (endpoint).enabled is not true then
    perform app.refuse(409, 'endpoint_disabled',
      format('Endpoint "%s" is disabled: nothing is sent to it. Enable it first', (endpoint).id));
  end if;
end
$$;
comment on function app.require_enabled(app.webhook_endpoints) is 'Raises 409 endpoint_disabled.';

create function app.require_room_for_endpoint() returns void
language plpgsql
set search_path = ''
as $$
declare
  most constant integer := 100;
begin
  -- serialises enabling until commit, so that the count stays correct
  perform pg_advisory_xact_lock(7209::bigint << 44);
  if (select count(*) from app.webhook_endpoints e where e.enabled) >= most then
    perform app.refuse(
      409, 'limit_reached', format('There are %s enabled webhook endpoints already: disable or delete one first', most),
      jsonb_build_object('limit', most)
    );
  end if;
end
$$;
comment on function app.require_room_for_endpoint() is
  'Raises 409 limit_reached when 100 endpoints are enabled. Call it before one is enabled.';

create function public.list_webhook_endpoints(
  enabled boolean default null,
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
  bounded constant boolean := app.require_bounded('skip', skip) and app.require_bounded('count', count);
  rows app.webhook_endpoints[];
begin
  perform app.require_webhook_manager(app.current_caller());
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select e from app.webhook_endpoints e
    where e.deleted_at is null
      and (list_webhook_endpoints.enabled is null or e.enabled = list_webhook_endpoints.enabled)
      and (after_created_at is null or (e.created_at, e.id) > (after_created_at, after_id))
    order by e.created_at, e.id
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (select coalesce(json_agg(app.webhook_endpoint_json(e)), '[]') from unnest(rows[1:take]) e),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].created_at, rows[take].id) end,
    'total', case when count is not null then (
      select count(*) from app.webhook_endpoints e
      where e.deleted_at is null
        and (list_webhook_endpoints.enabled is null or e.enabled = list_webhook_endpoints.enabled)
    ) end
  );
end
$$;
comment on function public.list_webhook_endpoints(boolean, timestamptz, uuid, integer, integer, text) is
  'A page of the webhook endpoints, oldest first: {"items": [...], "next", "total"}. Raises 403 forbidden.';
grant execute on function public.list_webhook_endpoints to authenticated, service_role;

create function public.get_webhook_endpoint(endpoint_id uuid) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  endpoint app.webhook_endpoints;
begin
  perform app.require_webhook_manager(app.current_caller());
  select * into endpoint from app.webhook_endpoints e where e.id = endpoint_id and e.deleted_at is null;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.webhook_endpoint_json(endpoint);
end
$$;
comment on function public.get_webhook_endpoint(uuid) is
  'One webhook endpoint, without its secrets. Raises 403 forbidden, 404 not_found.';
grant execute on function public.get_webhook_endpoint to authenticated, service_role;

create function public.create_webhook_endpoint(endpoint jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('endpoint', endpoint);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  wanted constant app.webhook_endpoints := jsonb_populate_record(null::app.webhook_endpoints, endpoint);
  stored app.webhook_endpoints;
begin
  if command.answer is not null then
    return app.with_secret(command.answer);
  end if;
  perform app.require_webhook_manager(caller);
  if wanted.enabled is not false then
    perform app.require_room_for_endpoint();
  end if;
  insert into app.webhook_endpoints (url, description, action_types, workplace_names, order_prefix, downtimes, enabled,
    disabled_reason, disabled_at, created_by)
  values (
    wanted.url, wanted.description, wanted.action_types, wanted.workplace_names, wanted.order_prefix,
    coalesce(wanted.downtimes, false),
    coalesce(wanted.enabled, true),
    case when not wanted.enabled then 'manual' end,
    case when not wanted.enabled then clock_timestamp() end, caller.user_id
  )
  returning * into stored;
  insert into app.webhook_health (endpoint_id) values (stored.id);
  return app.with_secret(app.finish_command(command, null, json_build_object(
    'status', 201, 'endpoint', app.webhook_endpoint_json(stored), 'secret_id', app.new_webhook_secret(stored.id)
  )));
end
$$;
comment on function public.create_webhook_endpoint(jsonb, jsonb) is
  'Creates a webhook endpoint and its secret, which is shown here only. Answers {"status", "body"}. Raises 403 '
  'forbidden, 409 limit_reached, 410 secret_gone.';
grant execute on function public.create_webhook_endpoint to authenticated, service_role;

create function public.update_webhook_endpoint(
  endpoint_id uuid, patch jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('patch', patch) and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  endpoint app.webhook_endpoints;
  wanted app.webhook_endpoints;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_webhook_manager(caller);
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  perform app.require_version(endpoint.version, if_match);
  wanted := jsonb_populate_record(endpoint, patch);
  wanted.enabled := coalesce(wanted.enabled, endpoint.enabled);
  if wanted.enabled and not endpoint.enabled then
    perform app.require_room_for_endpoint();
  end if;
  if wanted.enabled <> endpoint.enabled then
    wanted.disabled_reason := case when not wanted.enabled then 'manual' end;
    wanted.disabled_at := case when not wanted.enabled then clock_timestamp() end;
  else
    wanted.disabled_reason := endpoint.disabled_reason;
    wanted.disabled_at := endpoint.disabled_at;
  end if;
  if wanted.url <> endpoint.url or wanted.enabled and not endpoint.enabled then
    -- a new address or a new start: earlier failures do not count
    update app.webhook_health h set failing_since = null, failed_at = null, paused_until = null
      where h.endpoint_id = endpoint.id;
  end if;
  if wanted is distinct from endpoint then
    update app.webhook_endpoints e
    set (url, description, action_types, workplace_names, order_prefix, downtimes, enabled, disabled_reason,
      disabled_at) = row (
      coalesce(wanted.url, endpoint.url), wanted.description, wanted.action_types,
      wanted.workplace_names, wanted.order_prefix, coalesce(wanted.downtimes, endpoint.downtimes), wanted.enabled,
      wanted.disabled_reason, wanted.disabled_at
    )
    where e.id = endpoint.id
    returning * into endpoint;
  end if;
  return app.finish_command(command, null,
    json_build_object('status', 200, 'body', app.webhook_endpoint_json(endpoint)));
end
$$;
comment on function public.update_webhook_endpoint(uuid, jsonb, integer[], jsonb) is
  'Changes a webhook endpoint; what is queued goes to the new address. Answers {"status", "body"}. Raises 403 '
  'forbidden, 404 not_found, 409 limit_reached, 412 stale_version.';
grant execute on function public.update_webhook_endpoint to authenticated, service_role;

create function public.delete_webhook_endpoint(endpoint_id uuid, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('if_match', if_match);
  endpoint app.webhook_endpoints;
begin
  perform app.require_webhook_manager(app.current_caller());
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  perform app.require_version(endpoint.version, if_match);
  delete from app.webhook_secrets s where s.endpoint_id = endpoint.id;
  update app.webhook_endpoints e
  set enabled = false, disabled_reason = 'manual', disabled_at = clock_timestamp(), deleted_at = clock_timestamp()
  where e.id = endpoint.id;
end
$$;
comment on function public.delete_webhook_endpoint(uuid, integer[]) is
  'Deletes a webhook endpoint and its secrets; what is queued is cancelled by the next dispatcher, its deliveries can '
  'still be read. Raises 403 forbidden, 404 not_found, 412 stale_version.';
grant execute on function public.delete_webhook_endpoint to authenticated, service_role;
