-- What: the proof that operations follow from their events.
-- Why: nothing here reads what app.record_event wrote but the events themselves.

-- The proof. Nothing here reads what record_event wrote but the events themselves.
create function app.rebuild_operation(operation public.mes_operations) returns public.mes_operations
language plpgsql stable
set search_path = ''
as $$
declare
  rebuilt public.mes_operations := operation;
  event public.operation_events;
  runs public.operation_runs[] := '{}'::public.operation_runs[];
  last integer := 0;
  opening boolean;
  ended_by_end boolean := false;
  starts_run boolean;
  ends_run boolean;
begin
  -- what there was before the first event: the plan, and nothing done
  rebuilt.status := coalesce(
    (select e.status_before from public.operation_events e where e.operation_id = operation.id and e.op_seq = 1),
    operation.status
  );
  rebuilt.hold_kind := null;
  rebuilt.hold_reason_code := null;
  rebuilt.qty_processed := 0;
  rebuilt.qty_scrap := 0;
  rebuilt.actual_start_at := null;
  rebuilt.actual_end_at := null;
  rebuilt.t_actual_setup_min := null;
  rebuilt.t_actual_processing_min := null;
  rebuilt.t_actual_lead_min := null;
  rebuilt.unlogged_setup_min := 0;
  rebuilt.unlogged_processing_min := 0;
  rebuilt.counted_since := null;
  rebuilt.last_op_seq := 0;

  for event in select * from public.operation_events e where e.operation_id = operation.id order by e.op_seq loop
    opening := event.status_before is null;
    rebuilt.last_op_seq := rebuilt.last_op_seq + 1;

    rebuilt.qty_scrap := rebuilt.qty_scrap + case event.action_type when 'REVERSE' then -1 else 1 end * event.qty_scrap;
    rebuilt.qty_processed := rebuilt.qty_processed
      + case event.action_type when 'REVERSE' then -1 else 1 end * (event.qty_good + event.qty_scrap);

    if event.action_type = 'REPORT_QUANTITY' then
      rebuilt.counted_since := least(rebuilt.counted_since, event.occurred_at);
    end if;

    -- runs
    if last > 0 and runs[last].ended_at is null and event.action_type in ('START', 'STOP', 'HOLD', 'COMPLETE', 'FINISH', 'CANCEL') then
      runs[last].ended_at := event.occurred_at;
      ended_by_end := event.action_type in ('COMPLETE', 'FINISH');
    end if;
    if event.action_type = 'START' or opening and event.status_after = 'IN_PROGRESS' then
      last := last + 1;
      runs[last].phase := coalesce(event.phase, 'PROCESSING');
      -- minutes that came along are those before the opening
      runs[last].started_at := case
        when opening and coalesce((event.changes #>> '{t_actual_setup_min,after}')::numeric, 0)
          + coalesce((event.changes #>> '{t_actual_processing_min,after}')::numeric, 0) = 0
        then (event.changes #>> '{actual_start_at,after}')::timestamptz
        else event.occurred_at
      end;
      rebuilt.actual_start_at := coalesce(rebuilt.actual_start_at, case when not opening then event.occurred_at end);
    end if;

    -- times and minutes that were stated
    starts_run := not opening and last > 0 and runs[1].started_at = rebuilt.actual_start_at;
    ends_run := not opening and last > 0 and ended_by_end and runs[last].ended_at = rebuilt.actual_end_at;
    if event.changes ? 'actual_start_at' then
      rebuilt.actual_start_at := (event.changes #>> '{actual_start_at,after}')::timestamptz;
      if starts_run then
        runs[1].started_at := rebuilt.actual_start_at;
      end if;
    end if;
    if event.changes ? 'actual_end_at' then
      rebuilt.actual_end_at := (event.changes #>> '{actual_end_at,after}')::timestamptz;
      if ends_run then
        runs[last].ended_at := rebuilt.actual_end_at;
      end if;
    end if;
    if event.changes ? 't_actual_setup_min' then
      rebuilt.unlogged_setup_min := (event.changes #>> '{t_actual_setup_min,after}')::numeric - coalesce((
        select sum(greatest(app.minutes_between(r.started_at, coalesce(r.ended_at, event.occurred_at)), 0))
        from unnest(runs) r where r.phase = 'SETUP'), 0);
    end if;
    if event.changes ? 't_actual_processing_min' then
      rebuilt.unlogged_processing_min := (event.changes #>> '{t_actual_processing_min,after}')::numeric - coalesce((
        select sum(greatest(app.minutes_between(r.started_at, coalesce(r.ended_at, event.occurred_at)), 0))
        from unnest(runs) r where r.phase = 'PROCESSING'), 0);
    end if;
    rebuilt.t_actual_lead_min := coalesce((event.changes #>> '{t_actual_lead_min,after}')::numeric, rebuilt.t_actual_lead_min);

    -- status
    if event.status_after in ('FINISHED', 'CANCELLED') and event.status_after <> event.status_before and rebuilt.actual_start_at is not null then
      rebuilt.actual_end_at := event.occurred_at;
    elsif event.status_before = 'FINISHED' and event.status_after <> 'FINISHED' then
      rebuilt.actual_end_at := null;
      rebuilt.t_actual_lead_min := null;
    end if;
    rebuilt.status := event.status_after;
    rebuilt.hold_kind := case
      when event.status_after <> 'ON_HOLD' then null
      when event.action_type = 'HOLD' then 'BLOCKED'
      when event.action_type in ('STOP', 'RELEASE') or event.status_before is distinct from 'ON_HOLD' then 'PAUSED'
      else rebuilt.hold_kind
    end;
    rebuilt.hold_reason_code := case
      when event.action_type in ('STOP', 'HOLD') then event.reason_code
      when event.status_after = 'ON_HOLD' and event.action_type <> 'RELEASE' then rebuilt.hold_reason_code
    end;

    -- minutes are known once work has begun or somebody has stated them
    if event.action_type = 'CORRECT' or rebuilt.actual_start_at is not null then
      rebuilt.t_actual_setup_min := 0;
    end if;
  end loop;

  rebuilt.running_since := case when last > 0 and runs[last].ended_at is null then runs[last].started_at end;
  rebuilt.running_phase := case when last > 0 and runs[last].ended_at is null then runs[last].phase end;
  rebuilt.run_count := last;
  rebuilt.worked_until := case when last > 0 then coalesce(runs[last].ended_at, runs[last].started_at) end;
  rebuilt.logged_setup_min := coalesce((
    select sum(app.minutes_between(r.started_at, r.ended_at)) from unnest(runs) r where r.phase = 'SETUP'), 0);
  rebuilt.logged_processing_min := coalesce((
    select sum(app.minutes_between(r.started_at, r.ended_at)) from unnest(runs) r where r.phase = 'PROCESSING'), 0);
  if rebuilt.t_actual_setup_min is not null then
    rebuilt.t_actual_setup_min := rebuilt.unlogged_setup_min + rebuilt.logged_setup_min;
    rebuilt.t_actual_processing_min := rebuilt.unlogged_processing_min + rebuilt.logged_processing_min;
    if rebuilt.running_phase is distinct from 'SETUP' then
      rebuilt.t_actual_setup_min := greatest(rebuilt.t_actual_setup_min, 0);
    end if;
    if rebuilt.running_phase is distinct from 'PROCESSING' then
      rebuilt.t_actual_processing_min := greatest(rebuilt.t_actual_processing_min, 0);
    end if;
    rebuilt.t_actual_lead_min := coalesce(app.minutes_between(rebuilt.actual_start_at, rebuilt.actual_end_at), rebuilt.t_actual_lead_min);
  end if;
  rebuilt.qty_good := rebuilt.qty_processed - rebuilt.qty_scrap;
  return rebuilt;
end
$$;
comment on function app.rebuild_operation(public.mes_operations) is
  'The operation as its events alone say it is: status, quantities, times, minutes and open run. Equal to the stored row, or something is wrong.';

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
comment on function app.divergent_operations() is 'The operations that differ from what their events say: there are none.';
