-- What: runs, the uninterrupted stretches of work.
-- Why: times and minutes are sums over runs, and an operation is running while it has an open run.

create table public.operation_runs (
  operation_id bigint not null references public.mes_operations (id) on delete cascade,
  run_no integer not null,
  phase public.phase not null,
  started_at timestamptz not null,
  ended_at timestamptz,
  start_event_id uuid not null references public.operation_events (id),
  end_event_id uuid references public.operation_events (id),
  user_id uuid,
  reporter_id bigint references app.reporters (id),
  primary key (operation_id, run_no),
  constraint operation_runs_end_after_start check (started_at <= ended_at),
  constraint operation_runs_end_has_event check ((ended_at is null) = (end_event_id is null)),
  constraint operation_runs_do_not_overlap exclude using gist (
    operation_id with =,
    tstzrange(started_at, ended_at) with &&
  )
);
comment on table public.operation_runs is
  'Uninterrupted stretches of work, derived from events; at most one open run per operation.';
comment on column public.operation_runs.run_no is 'Number of the run within its operation: 1, 2, 3, ...';
comment on column public.operation_runs.started_at is 'When work began, corrections included.';
comment on column public.operation_runs.ended_at is 'When work ceased; null while it runs.';
comment on column public.operation_runs.start_event_id is 'Event that opened the run.';
comment on column public.operation_runs.end_event_id is 'Event that closed it.';
comment on column public.operation_runs.user_id is 'User who opened it. It stays when the user is deleted.';
comment on column public.operation_runs.reporter_id is 'Their address at the time: a row of app.reporters.';

-- When two STARTs race, this index rejects one of them.
create unique index operation_runs_one_open on public.operation_runs (operation_id) where ended_at is null;
create index operation_runs_by_start_event on public.operation_runs (start_event_id);
create index operation_runs_by_end_event on public.operation_runs (end_event_id) where end_event_id is not null;
create index operation_runs_open_since on public.operation_runs (started_at) where ended_at is null;
grant select on public.operation_runs to authenticated, service_role;

create trigger operation_runs_refuse_direct_write before insert or update or delete or truncate on public.operation_runs
  for each statement execute function app.refuse_direct_write();

alter table public.operation_runs enable row level security;

create policy "Users read the runs of operations they see"
  on public.operation_runs for select to authenticated
  using (exists (select from public.mes_operations o where o.id = operation_id));

create function app.run_json(r public.operation_runs) returns json
language sql stable
begin atomic
  select json_build_object(
    'run_no', (r).run_no,
    'phase', (r).phase,
    'started_at', app.iso((r).started_at),
    'ended_at', app.iso((r).ended_at),
    'duration_min', greatest(app.minutes_between((r).started_at, coalesce((r).ended_at, now())), 0),
    'start_event_id', (r).start_event_id,
    'end_event_id', (r).end_event_id,
    'user_id', (r).user_id,
    'user_email', app.reporter_email((r).reporter_id)
  );
end;
comment on function app.run_json(public.operation_runs) is
  'The run as the API writes it; the open one as far as it has come.';
grant execute on function app.run_json to authenticated, service_role;

create function public.list_runs(order_no text, asset_id integer, operation_no text) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no);
  operation public.mes_operations;
begin
  select * into operation from public.mes_operations o
  where o.order_no = list_runs.order_no and o.operation_no = list_runs.operation_no and o.asset_id = list_runs.asset_id;
  if not found then
    perform app.refuse_missing();
  end if;
  return (
    select coalesce(json_agg(app.run_json(r) order by r.run_no), '[]')
    from public.operation_runs r
    where r.operation_id = operation.id
  );
end
$$;
comment on function public.list_runs(text, integer, text) is
  'The runs of an operation, oldest first. Raises 404 not_found.';
grant execute on function public.list_runs to authenticated, service_role;

create function app.running_problem(operation public.mes_operations) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  run public.operation_runs;
begin
  select * into run from public.operation_runs r where r.operation_id = operation.id and r.run_no = operation.run_count;
  return app.problem(
    409, 'already_running',
    format('Cannot START operation %s: it has been running since %s',
      app.operation_label(operation), app.iso(operation.running_since)),
    jsonb_build_object('running_since', app.iso(operation.running_since), 'phase', operation.running_phase,
      'user_id', run.user_id, 'user_email', app.reporter_email(run.reporter_id))
  );
end
$$;
comment on function app.running_problem(public.mes_operations) is
  'Makes the problem already_running of an operation that runs, naming who has started it.';

-- The plan may move a running operation; its work continues at the workplace of its START.
create function app.running_place(operation_id bigint) returns text
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select e.workplace_name from public.operation_runs r
    join public.operation_events e on e.id = r.start_event_id
    where r.operation_id = running_place.operation_id and r.ended_at is null
  );
end
$$;
comment on function app.running_place(bigint) is
  'Workplace at which the open run of the operation was started; null when nothing runs.';
