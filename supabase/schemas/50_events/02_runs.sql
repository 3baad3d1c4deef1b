-- What: runs, the uninterrupted stretches of work.
-- Why: times and minutes are sums over runs, and an operation is running while it has an open run.

create table public.operation_runs (
  operation_id bigint not null references public.mes_operations (id) on delete cascade,
  run_no integer not null,
  phase public.phase not null,
  workplace_name text collate "C",
  waited_since timestamptz,
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
comment on column public.operation_runs.workplace_name is 'Workplace of the START, where the work was done.';
comment on column public.operation_runs.waited_since is
  'End of the run before, when the operation was paused or blocked in between.';
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
-- Lists of a window: first what runs at its beginning, which is little, then what starts in it.
create index operation_runs_by_range on public.operation_runs using gist (tstzrange(started_at, ended_at));
create index operation_runs_by_start on public.operation_runs (started_at, operation_id, run_no);
-- Reports read what a workplace did in a window, with the pauses before it: almost every run and its pause fit into
-- three days, so a range of starts holds them. The few longer ones and the open ones have indexes of their own.
create index operation_runs_by_workplace on public.operation_runs (workplace_name, started_at, operation_id, run_no);
create index operation_runs_long on public.operation_runs (workplace_name, ended_at)
  where ended_at - coalesce(waited_since, started_at) > interval '3 days';
create index operation_runs_open_by_workplace on public.operation_runs (workplace_name) where ended_at is null;
grant select on public.operation_runs to authenticated, service_role;

create trigger operation_runs_refuse_direct_write before insert or update or delete or truncate on public.operation_runs
  for each statement execute function app.refuse_direct_write();

alter table public.operation_runs enable row level security;

create policy "Users read the runs of operations they see"
  on public.operation_runs for select to authenticated
  using (exists (select from public.mes_operations o where o.id = operation_id));

create function app.event_person(event_id uuid) returns app.named_person
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return (
    select app.person_of(e.person_id) from public.operation_events e
    where e.id = event_person.event_id and e.person_id is not null
  );
end
$$;
comment on function app.event_person(uuid) is 'The person who acted when the event was reported; null when nobody did.';
grant execute on function app.event_person to authenticated, service_role;

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
    'user_email', reporter.user_email,
    'reported_by', reporter.reported_by,
    'person', app.event_person((r).start_event_id)
  )
  from app.stored_reporter((r).reporter_id) reporter;
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

-- Runs at the beginning of the window are found by their range, whatever the history; they come first in the order of
-- the list. The others begin within the window, in one range of an index for each workplace.
create function public.list_all_runs(
  workplace_names text[] default null,
  from_at timestamptz default null,
  to_at timestamptz default null,
  after_started_at timestamptz default null,
  after_operation_id bigint default null,
  after_run_no integer default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
-- volatile, because an estimate is an EXPLAIN, which Postgres keeps out of stable functions
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('skip', skip) and app.require_bounded('count', count);
  caller constant app.caller := app.current_caller();
  places constant text[] := app.places_to_list(app.distinct_values(workplace_names));
  scope constant text := concat_ws(' and ', 'true',
    case when places is not null then 'r.workplace_name = any($1)' end,
    case when not coalesce(caller.sees_all, false) then
      'exists (select from public.mes_operations o where o.id = r.operation_id and o.workplace_name = any($2))' end,
    case when to_at is not null then 'r.started_at < $4' end);
  running constant text := scope || ' and tstzrange(r.started_at, r.ended_at) @> $3 and r.started_at < $3';
  starting constant text := scope || case when from_at is not null then ' and r.started_at >= $3' else '' end;
  after_key constant text := case when after_started_at is not null
    then ' and (r.started_at, r.operation_id, r.run_no) > ($5, $6, $7)' else '' end;
  rows public.operation_runs[] := '{}'::public.operation_runs[];
  others public.operation_runs[];
  passed integer := 0;
  total bigint;
  plan json;
begin
  -- a direct call of the Data API may ask for any number
  take := greatest(least(take, 500), 1);
  skip := greatest(coalesce(skip, 0), 0);
  if from_at >= to_at then
    return json_build_object('items', '[]'::json, 'next', null, 'total', case when count is not null then 0 end);
  end if;
  if from_at is not null then
    execute format('select array(select r from public.operation_runs r where %s
      order by r.started_at, r.operation_id, r.run_no)', running || after_key)
    into rows
    using places, caller.workplaces, from_at, to_at, after_started_at, after_operation_id, after_run_no;
    passed := least(skip, cardinality(rows));
    rows := rows[passed + 1:passed + take + 1];
  end if;
  if cardinality(rows) <= take then
    execute app.page_query('public.operation_runs', 'r', 'r', starting || after_key,
      app.alternatives('r.workplace_name', '$1',
        -- each alternative costs planning time
        case when cardinality(places) <= 16 then cardinality(places) end),
      'started_at, operation_id, run_no', 'started_at, operation_id, run_no', '$8', '$9')
    into others
    using places, caller.workplaces, from_at, to_at, after_started_at, after_operation_id, after_run_no,
      take + 1 - cardinality(rows), skip - passed;
    rows := rows || others;
  end if;

  -- the planner's estimate includes rows that are hidden from the caller
  if count = 'exact' or count = 'estimated' and not coalesce(caller.sees_all, false) then
    execute format('select (select count(*) from public.operation_runs r where %s)
        + (select count(*) from public.operation_runs r where %s)',
      starting, case when from_at is not null then running else 'false' end)
    into total
    using places, caller.workplaces, from_at, to_at;
  elsif count = 'estimated' then
    execute format('explain (format json) select from public.operation_runs r where %s', starting) into plan
    using places, caller.workplaces, from_at, to_at;
    total := (plan #>> '{0,Plan,Plan Rows}')::bigint;
  end if;

  return json_build_object(
    'items', (
      select coalesce(json_agg(json_build_object(
        'order_no', o.order_no,
        'asset_id', o.asset_id,
        'operation_no', o.operation_no,
        'workplace_name', r.workplace_name,
        'run_no', r.run_no,
        'phase', r.phase,
        'started_at', app.iso(r.started_at),
        'ended_at', app.iso(r.ended_at),
        'duration_min', greatest(app.minutes_between(r.started_at, coalesce(r.ended_at, now())), 0),
        'start_event_id', r.start_event_id,
        'end_event_id', r.end_event_id,
        'user_id', r.user_id,
        'user_email', p.email,
        'reported_by', (app.reporter_body(p)).reported_by,
        'person', app.event_person(r.start_event_id)
      ) order by r.started_at, r.operation_id, r.run_no), '[]')
      from unnest(rows[1:take]) r
        join public.mes_operations o on o.id = r.operation_id
        left join app.reporters p on p.id = r.reporter_id
    ),
    'next', case when cardinality(rows) > take then json_build_array(
      rows[take].started_at, rows[take].operation_id, rows[take].run_no) end,
    'total', case when count is not null then total end
  );
end
$$;
comment on function public.list_all_runs is
  'A page of the runs that overlap a window, those at workplaces of the caller and of operations that the caller sees, '
  'by start: {"items": [...], "next": key of the last item or null, "total": number when asked}. The window is from '
  'from_at until before to_at; null = no bound.';
grant execute on function public.list_all_runs to authenticated, service_role;

create function app.running_problem(operation public.mes_operations) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  run public.operation_runs;
  reporter app.reporter_body;
begin
  select * into run from public.operation_runs r where r.operation_id = operation.id and r.run_no = operation.run_count;
  reporter := app.stored_reporter(run.reporter_id);
  return app.problem(
    409, 'already_running',
    format('Cannot START operation %s: it has been running since %s',
      app.operation_label(operation), app.iso(operation.running_since)),
    jsonb_build_object('running_since', app.iso(operation.running_since), 'phase', operation.running_phase,
      'user_id', run.user_id, 'user_email', reporter.user_email, 'reported_by', reporter.reported_by,
      'person', to_jsonb(app.event_person(run.start_event_id)))
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
