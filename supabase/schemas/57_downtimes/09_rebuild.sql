-- What: the proof that downtimes and machine states follow from their events.
-- Why: what is stored is a fold over an append-only log, and nothing else.

create function app.rebuild_downtime(downtime public.downtimes) returns public.downtimes
language plpgsql stable
set search_path = ''
as $$
declare
  rebuilt public.downtimes;
  event public.downtime_events;
begin
  for event in select * from public.downtime_events e where e.downtime_id = downtime.id order by e.seq loop
    -- the log has no gap in its numbers
    if event.seq <> coalesce(rebuilt.version, 0) + 1 then
      return null;
    end if;
    rebuilt := app.evolve_downtime(rebuilt, event);
  end loop;
  return rebuilt;
end
$$;
comment on function app.rebuild_downtime(public.downtimes) is
  'The downtime computed from its events alone. It must equal the stored row.';

create function app.divergent_downtimes() returns table (stored public.downtimes, rebuilt public.downtimes)
language plpgsql stable
set search_path = ''
as $$
begin
  return query
    select d, b.rebuilt
    from public.downtimes d
    cross join lateral (select app.rebuild_downtime(d) as rebuilt offset 0) b
    where d is distinct from b.rebuilt;
end
$$;
comment on function app.divergent_downtimes() is
  'The downtimes whose row differs from their events; none, unless there is a bug.';

create function app.rebuilt_states() returns setof public.workplace_states
language sql stable
set search_path = ''
as $$
  select spans.workplace_name, (row_number() over (partition by spans.workplace_name order by spans.seq, spans.part))
    ::integer as span_no, spans.state, spans.started_at, spans.ended_at, null::timestamptz as heard_at, spans.event_id
  from (
    select e.workplace_name, e.seq, 1 as part, 'UNKNOWN'::public.machine_state as state, e.silent_since as started_at,
      e.occurred_at as ended_at, e.id as event_id
    from public.workplace_state_events e
    where e.silent_since is not null
    union all
    select e.workplace_name, e.seq, 2, e.state, e.occurred_at,
      lead(coalesce(e.silent_since, e.occurred_at)) over (partition by e.workplace_name order by e.seq), e.id
    from public.workplace_state_events e
  ) spans
$$;
comment on function app.rebuilt_states() is
  'All spans of machine states, computed from their events alone; without heard_at, which repetitions move.';

create function app.divergent_states()
returns table (stored public.workplace_states, rebuilt public.workplace_states)
language plpgsql stable
set search_path = ''
as $$
begin
  return query
    select s, r
    from public.workplace_states s
    full join app.rebuilt_states() r on r.workplace_name = s.workplace_name and r.span_no = s.span_no
    where (s.state, s.started_at, s.ended_at, s.event_id)
      is distinct from (r.state, r.started_at, r.ended_at, r.event_id);
end
$$;
comment on function app.divergent_states() is
  'The spans of machine states that differ from their events; none, unless there is a bug.';
