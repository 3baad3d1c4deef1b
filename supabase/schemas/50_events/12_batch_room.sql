-- What: operations that still run at the end of a batch.
-- Why: a run that begins and ends within a batch needs no room at its workplace now.

-- The operation of each report: its place among the operations, -1 for several, null for none.
create function app.operation_positions(reports jsonb, operations public.mes_operations[]) returns integer[]
language plpgsql stable
set search_path = ''
as $$
declare
  closing constant text[] := array(select a.action from app.actions a where a.run_effect = 'closes');
begin
  return array(
    select case
      -- one that is planned there is meant before one that was moved
      when count(*) filter (where o.workplace_name = r.report ->> 'workplace_name') = 1
      then max(o.position) filter (where o.workplace_name = r.report ->> 'workplace_name')
      when count(o.position) > 1 then -1
      else max(o.position)
    end
    from jsonb_array_elements(reports) with ordinality r (report, index)
    left join (select u.id, u.order_no, u.operation_no, u.workplace_name, u.asset_id::text, u.running_since,
        u.ordinality::integer as position
      from unnest(operations) with ordinality u) o
      on o.order_no = r.report ->> 'order_no' and o.operation_no = r.report ->> 'operation_no'
      and (o.workplace_name = r.report ->> 'workplace_name'
        or o.running_since is not null and r.report ->> 'action_type' = any(closing)
          and app.running_place(o.id) = r.report ->> 'workplace_name')
      and o.asset_id = coalesce(r.report ->> 'asset_id', o.asset_id)
    group by r.index
    order by r.index
  );
end
$$;
comment on function app.operation_positions(jsonb, public.mes_operations[]) is
  'For each report the position of its operation in the array; -1 when several are meant, null when none is.';

create function app.running_in_batch(
  operations public.mes_operations[], workplace_name text, is_end boolean, started_by integer[]
) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return app.running_operations(workplace_name, array(select u.id from unnest(operations) u)) || coalesce((
    select jsonb_agg(app.as_running(operations[u.ordinality]) order by u.ordinality)
    from unnest(operations) with ordinality u
    where u.workplace_name = running_in_batch.workplace_name and u.state = 'IN_PROGRESS'
      and (not is_end or started_by[u.ordinality] is null)
  ), '[]');
end
$$;
comment on function app.running_in_batch(public.mes_operations[], text, boolean, integer[]) is
  'Operations that run at a workplace at this point of a batch; at its end, without those that the batch started.';

-- A START for which a batch leaves no room at its end.
create type app.denial as (position integer, from_index integer, problem app.problem);

comment on type app.denial is
  'position of the operation, index of its START among the reports, and the problem workplace_busy.';

-- State of a batch. Its operations and events stay in memory until its end: a row that is stored a thousand times in
-- one transaction takes longer to find each time.
create type app.batch as (
  operations public.mes_operations[],
  started_by integer[],
  results json[]
);

comment on type app.batch is
  'operations, and the index of the START since which each runs (null: it does not, or ran before the batch) have '
  'equal positions.';

-- A START that the same batch ends needs no room, so capacity is checked against the operations that run at the end of
-- the batch. The STARTs get the free capacity in their order.
create function app.denied_starts(batch app.batch, places public.workplaces[]) returns app.denial[]
language plpgsql stable
set search_path = ''
as $$
declare
  denied app.denial[] := '{}'::app.denial[];
  place public.workplaces;
  running jsonb;
  problem app.problem;
  start record;
begin
  foreach place in array places loop
    running := null;
    for start in
      select u.ordinality::integer as position, batch.started_by[u.ordinality] as index,
        batch.operations[u.ordinality] as operation
      from unnest(batch.operations) with ordinality u
      where u.workplace_name = place.name and batch.started_by[u.ordinality] is not null
      order by index
    loop
      running := coalesce(running, app.running_in_batch(batch.operations, place.name, true, batch.started_by));
      problem := app.room_problem(start.operation, place.capacity, running);
      if problem.code is null then
        running := running || app.as_running(start.operation);
      else
        denied := denied || row(start.position, start.index, problem)::app.denial;
      end if;
    end loop;
  end loop;
  return denied;
end
$$;
comment on function app.denied_starts(app.batch, public.workplaces[]) is
  'The operations that a batch leaves running without room for them.';
