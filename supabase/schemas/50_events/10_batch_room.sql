-- What: which operations of a batch run when it ends.
-- Why: a run that begins and ends within a batch needs no room at its workplace now.

-- Which operation each report means: its place among the operations, -1 for several, null for none.
create function app.operation_positions(reports jsonb, operations public.mes_operations[]) returns integer[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select case when count(o.position) > 1 then -1 else max(o.position) end
    from jsonb_array_elements(reports) with ordinality r (report, index)
    left join (select u.order_no, u.operation_no, u.workplace_name, u.asset_id::text, u.ordinality::integer as position
      from unnest(operations) with ordinality u) o
      on o.order_no = r.report ->> 'order_no' and o.operation_no = r.report ->> 'operation_no'
      and o.workplace_name = r.report ->> 'workplace_name'
      and o.asset_id = coalesce(r.report ->> 'asset_id', o.asset_id)
    group by r.index
    order by r.index
  );
end
$$;
comment on function app.operation_positions(jsonb, public.mes_operations[]) is
  'For each report the position of its operation in the array; -1 when several are meant, null when none is.';

-- State of a batch. Its operations stand in memory until its end: a row that is stored a thousand times in one
-- transaction is slower to find each time.
create type app.batch as (
  operations public.mes_operations[],
  unstored_runs public.operation_runs[],
  started_by integer[],
  results json[]
);

comment on type app.batch is
  'operations, their open runs that are not stored yet, and the index of the START since which each runs (null: it does not, or ran before the batch) have equal positions.';

-- What a dry run of a START meets: what runs at its turn.
create function app.room_now(batch app.batch, operation public.mes_operations, places public.workplaces[]) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return coalesce((
    select app.missing_room(operation, p.capacity,
      app.running_operations(p.name, array(select u.id from unnest(batch.operations) u)) || coalesce((
        select jsonb_agg(app.as_running(batch.operations[u.ordinality]) order by u.ordinality)
        from unnest(batch.operations) with ordinality u
        where u.workplace_name = p.name and u.status = 'IN_PROGRESS' and u.id <> (operation).id
      ), '[]'))
    from unnest(places) p
    where p.name = (operation).workplace_name
  ), '{}');
end
$$;
comment on function app.room_now(app.batch, public.mes_operations, public.workplaces[]) is
  'The room that an operation would find at this point of a batch: what app.missing_room answers, or {}.';

-- A START that a batch itself ends needs no room, so it is judged by what runs when the batch is through. What the
-- workplace has room for is given to the STARTs in their order.
create function app.denied_starts(batch app.batch, places public.workplaces[]) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  denied jsonb := '{}'::jsonb;
  place public.workplaces;
  running jsonb;
  missing jsonb;
  start record;
begin
  foreach place in array places loop
    running := null;
    for start in
      select u.ordinality as position, batch.started_by[u.ordinality] as index,
        batch.operations[u.ordinality] as operation
      from unnest(batch.operations) with ordinality u
      where u.workplace_name = place.name and batch.started_by[u.ordinality] is not null
      order by index
    loop
      running := coalesce(running,
        app.running_operations(place.name, array(select u.id from unnest(batch.operations) u)) || coalesce((
          select jsonb_agg(app.as_running(batch.operations[u.ordinality]) order by u.ordinality)
          from unnest(batch.operations) with ordinality u
          where u.workplace_name = place.name and u.status = 'IN_PROGRESS' and batch.started_by[u.ordinality] is null
        ), '[]'));
      missing := app.missing_room(start.operation, place.capacity, running);
      if missing is null then
        running := running || app.as_running(start.operation);
      else
        denied := denied || jsonb_build_object(
          start.position, jsonb_build_object('from_index', start.index, 'room', missing));
      end if;
    end loop;
  end loop;
  return denied;
end
$$;
comment on function app.denied_starts(app.batch, public.workplaces[]) is
  'The operations that a batch leaves running without room for them: {"<position>": {"from_index": index of the START, "room": what app.missing_room answers}}.';
