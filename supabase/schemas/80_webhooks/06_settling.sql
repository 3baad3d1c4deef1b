-- What: results of attempts.
-- Why: failed deliveries are retried by a schedule that ends.

create function app.retry_delay(retry_no integer) returns interval
language sql immutable parallel safe
return (array['5 seconds', '5 minutes', '30 minutes', '2 hours', '5 hours', '10 hours', '14 hours', '20 hours',
  '24 hours']::interval[])[retry_no];
comment on function app.retry_delay(integer) is 'Time before the retry after so many failures; null = no further one.';

create function public.settle_delivery(
  delivery_id uuid,
  lease_token uuid,
  duration_ms integer,
  url text,
  status integer default null,
  error_message text default null,
  response text default null,
  retry_after_s integer default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
  is_delivered constant boolean := coalesce(settle_delivery.status between 200 and 299, false);
  -- the receiver asks for a pause, with or without a time
  pause constant interval := case
    when is_delivered then null
    when retry_after_s is not null then least(greatest(retry_after_s, 1), 86400) * interval '1 second'
    when settle_delivery.status in (429, 502, 504) then interval '30 seconds'
  end;
  heard_at timestamptz;
  endpoint app.webhook_endpoints;
  delivery app.webhook_deliveries;
  health app.webhook_health;
  delay interval;
  is_moved boolean;
  is_given_up boolean;
begin
  if caller.is_server is not true then
    perform app.refuse(403, 'forbidden', 'Only servers with the secret key may dispatch webhooks');
  end if;
  -- Locks the endpoint before its deliveries, as every change of an endpoint does.
  select d.endpoint_id into delivery.endpoint_id from app.webhook_deliveries d where d.id = delivery_id;
  select * into health from app.webhook_health h where h.endpoint_id = delivery.endpoint_id;
  if settle_delivery.status = 410
    or not is_delivered and health.failing_since < clock_timestamp() - interval '5 days' then
    perform from app.webhook_endpoints e where e.id = delivery.endpoint_id for no key update;
  end if;
  select * into delivery from app.webhook_deliveries d
  where d.id = delivery_id and d.status = 'delivering' and d.lease_token = settle_delivery.lease_token
  for no key update;
  if not found then
    -- the lease ended and another dispatcher took the delivery: its result stands
    return json_build_object('settled', false,
      'status', (select d.status from app.webhook_deliveries d where d.id = delivery_id));
  end if;
  heard_at := clock_timestamp();
  delivery.attempt_count := delivery.attempt_count + 1;
  insert into app.webhook_attempts (delivery_id, attempt_no, status, duration_ms, error_message, response)
  values (
    delivery.id, delivery.attempt_count, settle_delivery.status, settle_delivery.duration_ms,
    left(settle_delivery.error_message, 500), left(settle_delivery.response, 500)
  );
  select * into endpoint from app.webhook_endpoints e where e.id = delivery.endpoint_id;
  -- a failure at the previous URL does not count against the current one
  is_moved := not is_delivered and endpoint.url <> settle_delivery.url;
  if is_moved then
    delivery.retry_no := 0;
  else
    delivery.retry_no := delivery.retry_no + 1;
    delay := app.retry_delay(delivery.retry_no) * (1 + 0.2 * random());
  end if;
  is_given_up := not is_delivered and not is_moved and (settle_delivery.status = 410 or delay is null);
  update app.webhook_deliveries d
  set status = case when is_delivered then 'delivered' when is_given_up then 'dead' else 'pending' end,
    lease_token = null,
    attempt_count = delivery.attempt_count,
    retry_no = delivery.retry_no,
    next_attempt_at = case when is_moved then heard_at
      else heard_at + coalesce(greatest(delay, pause), interval '0') end,
    response_status = settle_delivery.status,
    error_message = left(settle_delivery.error_message, 500),
    settled_at = case when is_delivered or is_given_up then heard_at end
  where d.id = delivery.id
  returning * into delivery;
  perform app.tell_event(
    delivery.event_id, settle_delivery.status || rtrim(' ' || left(coalesce(settle_delivery.response, ''), 500)));

  if is_delivered then
    -- only its time ends a pause: this delivery was sent before the receiver asked for it
    update app.webhook_health h set failing_since = null, failed_at = null
    where h.endpoint_id = endpoint.id and h.failing_since is not null;
  elsif not is_moved then
    -- after two days without an attempt, the endpoint was not failing all the time
    update app.webhook_health h
    set failing_since = case when h.failed_at > heard_at - interval '2 days' then h.failing_since else heard_at end,
      failed_at = heard_at,
      paused_until = greatest(h.paused_until, heard_at + pause)
    where h.endpoint_id = endpoint.id
    returning * into health;
    if settle_delivery.status = 410 or health.failing_since < heard_at - interval '5 days' then
      update app.webhook_endpoints e
      set enabled = false,
        disabled_reason = case when settle_delivery.status = 410 then 'gone' else 'failing' end,
        disabled_at = heard_at
      where e.id = endpoint.id and e.enabled;
    end if;
  end if;
  return json_build_object('settled', true, 'status', delivery.status);
end
$$;
comment on function public.settle_delivery(uuid, uuid, integer, text, integer, text, text, integer) is
  'For dispatchers: stores the result of an attempt under this lease, at the claimed URL: delivered, retried by '
  'the schedule, or dead. Answers {"settled": false} when another dispatcher has the lease. Raises 403 forbidden.';
grant execute on function public.settle_delivery to service_role;
