-- What: the proof that operations follow from their events.
-- Why: an operation is a fold of app.evolve over its events, and nothing else.

create function app.rebuild_operation(operation public.mes_operations) returns public.mes_operations
language plpgsql stable
set search_path = ''
as $$
declare
  rebuilt public.mes_operations := operation;
  event public.operation_events;
  runs public.operation_runs[] := '{}'::public.operation_runs[];
  run public.operation_runs;
  evolved record;
begin
  -- the operation before its first event: the plan, without execution
  rebuilt.status := coalesce(
    (select coalesce(e.status_before, 'PLANNED') from public.operation_events e
      where e.operation_id = operation.id and e.op_seq = 1),
    operation.status
  );
  rebuilt.state := rebuilt.status::text::public.state;
  rebuilt.hold_kind := null;
  rebuilt.hold_reason_code := null;
  rebuilt.qty_processed := 0;
  rebuilt.qty_scrap := 0;
  rebuilt.qty_good := 0;
  rebuilt.qty_parked := 0;
  rebuilt.actual_start_at := null;
  rebuilt.actual_end_at := null;
  rebuilt.t_actual_setup_min := null;
  rebuilt.t_actual_processing_min := null;
  rebuilt.t_actual_lead_min := null;
  rebuilt.unlogged_setup_min := 0;
  rebuilt.unlogged_processing_min := 0;
  rebuilt.running_since := null;
  rebuilt.running_phase := null;
  rebuilt.run_count := 0;
  rebuilt.worked_until := null;
  rebuilt.logged_setup_min := 0;
  rebuilt.logged_processing_min := 0;
  rebuilt.counted_since := null;
  rebuilt.last_op_seq := 0;

  for event in select * from public.operation_events e where e.operation_id = operation.id order by e.op_seq loop
    evolved := app.evolve(rebuilt, case
      when event.changes is null then null
      when cardinality(runs) < 2 then runs
      else array[runs[1], runs[cardinality(runs)]]
    end, event);
    rebuilt := evolved.operation;
    -- the log must agree with the lifecycle on the status, and have no gap in its numbers
    if rebuilt.status <> event.status_after or event.op_seq <> rebuilt.last_op_seq then
      rebuilt.state := null;
    end if;
    foreach run in array coalesce(evolved.runs, '{}') loop
      -- a closed run keeps the values of its START
      run.start_event_id := coalesce(run.start_event_id, runs[run.run_no].start_event_id);
      runs[run.run_no] := run;
    end loop;
  end loop;

  -- not of its execution
  rebuilt.version := operation.version;
  rebuilt.updated_at := operation.updated_at;
  return rebuilt;
end
$$;
comment on function app.rebuild_operation(public.mes_operations) is
  'The operation computed from its events alone: state, quantities, times, minutes and open run. It must equal the '
  'stored row.';

create function app.divergent_operations() returns table (stored public.mes_operations, rebuilt public.mes_operations)
language plpgsql stable
set search_path = ''
as $$
begin
  return query
    select o, b.rebuilt
    from public.mes_operations o
    cross join lateral (select app.rebuild_operation(o) as rebuilt offset 0) b
    cross join lateral (
      select
        count(*) filter (where r.ended_at is null) as open_runs,
        coalesce(max(r.run_no), 0) as run_count,
        coalesce(sum(app.minutes_between(r.started_at, r.ended_at)) filter (where r.phase = 'SETUP'), 0) as setup_min,
        coalesce(sum(app.minutes_between(r.started_at, r.ended_at)) filter (where r.phase = 'PROCESSING'), 0)
          as processing_min,
        max(coalesce(r.ended_at, r.started_at)) as worked_until
      from public.operation_runs r
      where r.operation_id = o.id
    ) runs
    where o is distinct from b.rebuilt
      or (runs.open_runs, runs.run_count, runs.setup_min, runs.processing_min, runs.worked_until) is distinct from
        (case when o.status = 'IN_PROGRESS' then 1 else 0 end,
          o.run_count, o.logged_setup_min, o.logged_processing_min, o.worked_until);
end
$$;
comment on function app.divergent_operations() is
  'The operations whose row differs from their events; none, unless there is a bug.';
