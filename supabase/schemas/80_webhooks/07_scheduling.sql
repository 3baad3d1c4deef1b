-- What: the schedule of the dispatcher.
-- Why: with pg_cron and pg_net, the database calls the dispatcher; without them any scheduler does.

-- With pg_cron and pg_net, the database calls the dispatcher; without them any scheduler does.
create function app.is_dispatch_due() returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return app.is_queued(null, null) or exists (
    select from app.webhook_endpoints e
    join app.webhook_health h on h.endpoint_id = e.id
    where app.has_due(h, e, clock_timestamp())
      or e.deleted_at is not null and exists (
        select from app.webhook_deliveries d where d.endpoint_id = e.id and d.status in ('pending', 'delivering')
      )
  );
end
$$;
comment on function app.is_dispatch_due() is 'True when a dispatcher would find something to send or to clear.';

create function app.request_dispatch() returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  functions_url text;
  secret_key text;
begin
  if not app.is_dispatch_due() then
    return;
  end if;
  execute 'select max(decrypted_secret) filter (where name = ''mes_functions_url''),
      max(decrypted_secret) filter (where name = ''mes_secret_key'')
    from vault.decrypted_secrets' into functions_url, secret_key;
  if functions_url is not null and secret_key is not null then
    execute 'select net.http_post(url := $1, headers := $2, body := ''{}''::jsonb, timeout_milliseconds := 60000)'
    using functions_url || '/webhooks/v1/dispatch',
      jsonb_build_object('apikey', secret_key, 'Content-Type', 'application/json');
  end if;
end
$$;
comment on function app.request_dispatch() is
  'Calls the dispatcher by pg_net when something is due; URL and key are the Vault''s mes_functions_url and '
  'mes_secret_key.';

create function app.schedule_dispatch() returns boolean
language plpgsql
set search_path = ''
as $$
begin
  -- not to_regproc, which returns null for overloaded functions
  if to_regclass('vault.decrypted_secrets') is null or (
    select count(distinct p.proname) from pg_proc p
    where p.pronamespace = to_regnamespace('cron') and p.proname = 'schedule'
      or p.pronamespace = to_regnamespace('net') and p.proname = 'http_post'
  ) < 2 then
    return false;
  end if;
  execute 'select cron.schedule(''mes-dispatch-webhooks'', ''2 seconds'', ''select app.request_dispatch()'')';
  return true;
end
$$;
comment on function app.schedule_dispatch() is
  'Has pg_cron look every 2 s whether something is due; false where pg_cron, pg_net or Vault is not installed. Call '
  'it again once they are.';

do $$
begin
  perform app.schedule_dispatch();
exception when others then
  raise notice 'Webhooks are not scheduled: %. See docs/webhooks.md', sqlerrm;
end
$$;
