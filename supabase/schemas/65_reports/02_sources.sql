-- What: what a report reads: operations of a workplace and window, with their runs and events.
-- Why: each look-up is a range of an index, so that a report costs what is in its window.

-- PL/pgSQL: the queries are planned by themselves, with an index for each workplace and operation.
create function app.report_operation_ids(places app.report_place[]) returns bigint[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
as $$
declare
  place app.report_place;
  from_at timestamptz;
  to_at timestamptz;
  ids bigint[] := '{}'::bigint[];
begin
  foreach place in array places loop
    continue when place.from_ms = place.to_ms;
    from_at := app.from_ms(place.from_ms);
    to_at := app.from_ms(place.to_ms);
    ids := ids || array(
      select r.operation_id from public.operation_runs r
      where r.workplace_name = place.name
        and r.started_at >= from_at - interval '3 days' and r.started_at < to_at + interval '3 days'
        and r.ended_at >= from_at and coalesce(r.waited_since, r.started_at) < to_at
      union all
      select r.operation_id from public.operation_runs r
      where r.workplace_name = place.name and r.ended_at - coalesce(r.waited_since, r.started_at) > interval '3 days'
        and r.ended_at >= from_at and coalesce(r.waited_since, r.started_at) < to_at
      union all
      select r.operation_id from public.operation_runs r
      where r.workplace_name = place.name and r.ended_at is null and coalesce(r.waited_since, r.started_at) < to_at
      union all
      -- paused or blocked now
      select o.id from public.mes_operations o
      where o.workplace_name = place.name and o.status = 'ON_HOLD' and o.actual_start_at < to_at
      union all
      -- ended while paused
      select o.id from public.mes_operations o
      where o.workplace_name = place.name and o.actual_end_at > o.worked_until
        and o.actual_end_at >= from_at and o.actual_end_at < to_at + interval '3 days' and o.worked_until < to_at
      union all
      select o.id from public.mes_operations o
      where o.workplace_name = place.name and o.actual_end_at - o.worked_until > interval '3 days'
        and o.actual_end_at >= from_at and o.worked_until < to_at
      union all
      select e.operation_id from public.operation_events e
      where e.workplace_name = place.name and (e.qty_good <> 0 or e.qty_scrap <> 0)
        and e.occurred_at >= from_at and e.occurred_at < to_at
    );
  end loop;
  return array(select distinct i from unnest(ids) i);
end
$$;
comment on function app.report_operation_ids(app.report_place[]) is
  'The operations that were worked on or paused at the workplaces in their windows, or have pieces reported in them.';

create type app.report_operation as (
  operation_id bigint,
  order_no text,
  asset_id integer,
  operation_no text,
  workplace_name text,
  is_open boolean,
  ended_ms bigint,
  pri numeric
);

-- A target of 0 is what an ERP sends when it has none.
create function app.minutes_per_piece(o public.mes_operations) returns numeric
language sql immutable parallel safe
return nullif(coalesce(
  (o).t_target_per_piece_min, (o).t_target_processing_min / nullif((o).qty_desired, 0)), 0);
comment on function app.minutes_per_piece(public.mes_operations) is
  'Planned minutes per piece (ISO 22400: PRI): stated, or by the planned processing time; null = unknown.';

create function app.report_operations(ids bigint[]) returns setof app.report_operation
language plpgsql stable rows 10000
set search_path = ''
set enable_nestloop = on
as $$
begin
  return query
    select o.id, o.order_no, o.asset_id, o.operation_no, o.workplace_name, o.state not in ('FINISHED', 'CANCELLED'),
      app.ms(o.actual_end_at), app.minutes_per_piece(o)
    from public.mes_operations o
    where o.id = any(ids);
end
$$;

create type app.report_run as (
  operation_id bigint,
  run_no integer,
  place_no integer,
  phase public.phase,
  from_ms bigint,
  to_ms bigint,
  is_open boolean,
  is_in_window boolean
);
comment on type app.report_run is 'A run, whole, and whether a part of it is in the window of its workplace.';

create function app.report_runs(
  places app.report_place[], ids bigint[], now_ms bigint
) returns setof app.report_run
language sql stable
begin atomic
  select r.operation_id, r.run_no, r.place_no, r.phase, r.from_ms, r.to_ms, r.is_open,
    r.from_ms < r.to_ms and r.from_ms < r.window_to_ms and r.to_ms > r.window_from_ms
  from (
    select x.operation_id, x.run_no, p.place_no, x.phase, app.ms(x.started_at) as from_ms,
      greatest(coalesce(app.ms(x.ended_at), now_ms), app.ms(x.started_at)) as to_ms, x.ended_at is null as is_open,
      p.from_ms as window_from_ms, p.to_ms as window_to_ms
    from public.operation_runs x
    join unnest(places) p on p.name = x.workplace_name
    where x.operation_id = any(ids)
    offset 0
  ) r;
end;
comment on function app.report_runs(app.report_place[], bigint[], bigint) is
  'All runs of the operations at these workplaces; an open one lasts until now.';

create type app.report_down as (
  place_no integer,
  id uuid,
  from_ms bigint,
  to_ms bigint,
  is_planned boolean,
  reason_code text,
  source text
);

create function app.report_downs(places app.report_place[]) returns setof app.report_down
language plpgsql stable
set search_path = ''
set enable_nestloop = on
as $$
begin
  return query
    select p.place_no, d.id, greatest(app.ms(d.started_at), p.from_ms),
      least(coalesce(app.ms(d.ended_at), p.to_ms), p.to_ms),
      d.category = 'PLANNED', d.reason_code, d.source::text
    from unnest(places) p
    cross join lateral (
      select * from public.downtimes x
      where x.workplace_name = p.name and x.cancelled_at is null
        and tstzrange(x.started_at, x.ended_at) && tstzrange(app.from_ms(p.from_ms), app.from_ms(p.to_ms))
    ) d
    where greatest(app.ms(d.started_at), p.from_ms) < least(coalesce(app.ms(d.ended_at), p.to_ms), p.to_ms);
end
$$;
comment on function app.report_downs(app.report_place[]) is
  'The downtimes of the workplaces that are not cancelled, cut to their windows.';

create type app.report_silence as (place_no integer, unknown int8multirange);

create function app.report_silences(places app.report_place[]) returns setof app.report_silence
language plpgsql stable
set search_path = ''
set enable_nestloop = on
as $$
begin
  return query
    select p.place_no, range_agg(app.span_ms(s.started_at, coalesce(s.ended_at, app.from_ms(p.to_ms)))
      * int8range(p.from_ms, p.to_ms))
    from unnest(places) p
    cross join lateral app.state_spans(p.name, app.from_ms(p.from_ms), app.from_ms(p.to_ms)) s
    where s.state = 'UNKNOWN'
    group by p.place_no;
end
$$;
comment on function app.report_silences(app.report_place[]) is 'When the machine states of the workplaces are unknown.';

create type app.report_minor_stop as (place_no integer, at_ms bigint, length_ms bigint);

create function app.report_minor_stops(places app.report_place[]) returns setof app.report_minor_stop
language plpgsql stable
set search_path = ''
as $$
begin
  return query
    select p.place_no, app.ms(s.started_at), app.ms(s.ended_at) - app.ms(s.started_at)
    from unnest(places) p
    cross join lateral app.state_spans(p.name, app.from_ms(p.from_ms), app.from_ms(p.to_ms)) s
    where s.state = 'DOWN' and s.ended_at - s.started_at <= make_interval(secs => p.micro_stop_s)
      and app.ms(s.started_at) >= p.from_ms and app.ms(s.started_at) < p.to_ms;
end
$$;
comment on function app.report_minor_stops(app.report_place[]) is
  'Stops of the machines that began in the window and were too short to be a downtime: micro_stop_s decides.';
