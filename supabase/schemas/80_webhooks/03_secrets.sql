-- What: secrets that sign messages.
-- Why: an answer is stored without its secret, so that a deleted secret remains nowhere.

create function app.new_webhook_secret(endpoint_id uuid) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  secret_id bigint;
begin
  insert into app.webhook_secrets (endpoint_id, secret)
  values (new_webhook_secret.endpoint_id, 'whsec_' || encode(extensions.gen_random_bytes(32), 'base64'))
  returning id into secret_id;
  return secret_id;
end
$$;
comment on function app.new_webhook_secret(uuid) is
  'Makes the current secret of an endpoint: whsec_ and 32 random bytes in base64. Answers its number.';

-- A stored answer holds the number of a secret only, so a deleted or expired secret is in no answer.
create function app.with_secret(answer json) returns json
language plpgsql
set search_path = ''
as $$
declare
  secret constant text := (
    select s.secret from app.webhook_secrets s
    where s.id = (answer ->> 'secret_id')::bigint and (s.expires_at is null or s.expires_at > clock_timestamp())
  );
begin
  if secret is null then
    perform app.refuse(410, 'secret_gone',
      'The secret that this request made signs no more: the endpoint was deleted, or its secret rotated');
  end if;
  return json_build_object(
    'status', answer -> 'status',
    'body', app.json_with(answer -> 'endpoint', 'secret', to_json(secret)),
    'request_id', answer -> 'request_id',
    'replayed', coalesce((answer ->> 'replayed')::boolean, false)
  );
end
$$;
comment on function app.with_secret(json) is
  'Turns {"status", "endpoint", "secret_id"}, as it is stored, into {"status", "body"}: the endpoint with the secret. '
  'Raises 410 secret_gone when that signs no more.';

create function public.rotate_webhook_secret(
  endpoint_id uuid, overlap_h integer default 24, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  endpoint app.webhook_endpoints;
  secret_id bigint;
begin
  if command.answer is not null then
    return app.with_secret(command.answer);
  end if;
  perform app.require_webhook_manager(caller);
  endpoint := app.lock_webhook_endpoint(endpoint_id);
  -- an endpoint has at most two secrets: an older one ends now
  delete from app.webhook_secrets s where s.endpoint_id = endpoint.id and s.expires_at is not null;
  update app.webhook_secrets s
  set expires_at = clock_timestamp() + least(greatest(overlap_h, 0), 168) * interval '1 hour'
  where s.endpoint_id = endpoint.id;
  secret_id := app.new_webhook_secret(endpoint.id);
  return app.with_secret(app.finish_command(command, null, json_build_object(
    'status', 200, 'endpoint', app.webhook_endpoint_json(endpoint), 'secret_id', secret_id
  )));
end
$$;
comment on function public.rotate_webhook_secret(uuid, integer, jsonb) is
  'Makes a new secret, shown here only; the one before signs too for overlap_h hours (0..168). Answers {"status", '
  '"body"}. Raises 403 forbidden, 404 not_found.';
grant execute on function public.rotate_webhook_secret to authenticated, service_role;
