-- What: the reports of a batch, recorded on locked operations, with commands on downtimes between them.
-- Why: one rejected report does not stop the rest, and a batch writes its events and runs as sets.

create function app.store_events(events public.operation_events[], runs public.operation_runs[]) returns void
language plpgsql
set search_path = ''
as $$
begin
  insert into public.operation_events select e.* from unnest(events) e;
  perform app.store_runs(runs);
end
$$;
comment on function app.store_events(public.operation_events[], public.operation_runs[]) is
  'Writes events to the log as one set, and the runs that they opened, closed or moved.';

create function app.is_downtime_command(report jsonb) returns boolean
language sql immutable parallel safe
return coalesce(starts_with(report ->> 'action_type', 'DOWNTIME_'), false);
comment on function app.is_downtime_command(jsonb) is
  'True for an item of a batch that is a command on a downtime, not a report on an operation.';

-- Operations of the batch are in memory: a run that the batch began is where its operation is planned.
create function app.running_positions(
  operations public.mes_operations[], started_by integer[], workplace_name text
) returns integer[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select u.ordinality::integer from unnest(operations) with ordinality u
    where u.running_since is not null and case
      when started_by[u.ordinality] is not null then u.workplace_name
      else app.running_place(u.id)
    end = running_positions.workplace_name
    order by u.ordinality
  );
end
$$;
comment on function app.running_positions(public.mes_operations[], integer[], text) is
  'The positions of those operations of a batch that run at a workplace at this point of it.';

create function app.downtime_ends(reports jsonb) returns timestamptz[]
language sql stable
set search_path = ''
as $$
  select array(
    select case when n.next_action = 'DOWNTIME_END' then n.next_at::timestamptz end
    from (
      select r.ordinality, lead(r.value ->> 'action_type') over places as next_action,
        lead(r.value ->> 'occurred_at') over places as next_at
      from jsonb_array_elements(reports) with ordinality r
      window places as (
        partition by r.value ->> 'workplace_name', r.value ->> 'action_type' in ('DOWNTIME_START', 'DOWNTIME_END')
        order by r.ordinality
      )
    ) n
    order by n.ordinality
  )
$$;
comment on function app.downtime_ends(jsonb) is
  'For each item of a batch the time of the DOWNTIME_END that follows it at its workplace, else null. An offline '
  'terminal reports a downtime in two items, and what others have reported since then may be later than both.';

create function app.record_batch(
  caller app.caller, reports jsonb, is_atomic boolean, looks_ahead boolean,
  locked public.mes_operations[], places public.workplaces[], denied app.denial[]
) returns app.batch
language plpgsql
set search_path = ''
as $$
declare
  positions constant integer[] := app.operation_positions(reports, locked);
  -- these actions read stored events
  look_back constant public.action[] := array(
    select a.action from app.actions a where a.quantities in ('taken back', 'signed'));
  operations public.mes_operations[] := locked;
  started_by integer[] := array_fill(null::integer, array[cardinality(locked)]);
  results json[] := '{}'::json[];
  -- not stored yet: events, runs, and for each operation the place of its open run among these
  events public.operation_events[] := '{}'::public.operation_events[];
  runs public.operation_runs[] := '{}'::public.operation_runs[];
  open_runs integer[] := array_fill(null::integer, array[cardinality(locked)]);
  event_ids uuid[] := '{}'::uuid[];
  item record;
  place integer;
  operation public.mes_operations;
  made app.report;
  reporter app.report;
  known app.outcome;
  decision app.decision;
  evolved record;
  run public.operation_runs;
  outcome record;
  stopped integer[];
  stops app.decision[];
  downtime_ends timestamptz[];
  problem app.problem;
  state text;
  message text;
  detail text;
begin
  if looks_ahead and exists (select from jsonb_array_elements(reports) r where app.is_downtime_command(r)) then
    downtime_ends := app.downtime_ends(reports);
    set constraints public.downtimes_do_not_overlap deferred;
  end if;
  for item in
    select r.value as report, (r.ordinality - 1)::integer as index from jsonb_array_elements(reports) with ordinality r
  loop
    place := positions[item.index + 1];
    operation := operations[place];
    problem := null;
    known := null;
    decision := null;
    if app.is_downtime_command(item.report) then
      begin
        stopped := '{}'::integer[];
        stops := '{}'::app.decision[];
        outcome := app.record_downtime(caller, item.report, downtime_ends[item.index + 1]);
        if not outcome.is_known and (item.report ->> 'stop_runs')::boolean
          and item.report ->> 'action_type' = 'DOWNTIME_START'
        then
          stopped := app.running_positions(operations, started_by, (outcome.downtime).workplace_name);
          made := app.stop_report(caller, outcome.downtime);
          made.reporter_id := (outcome.downtime).reporter_id;
          foreach place in array stopped loop
            decision := app.decide(operations[place], caller, made);
            perform app.raise_problem(decision.problem);
            stops := stops || decision;
          end loop;
        end if;
      exception when others then
        -- the downtime is undone too
        get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail;
        problem := app.caught_problem(state, message, detail);
        if problem.code is null then
          raise;
        end if;
      end;
      if problem.code is null then
        results := results || json_build_object('index', item.index, 'status', case
          when outcome.is_known then 200 else 201 end, 'id', outcome.event_id, 'problem', null);
        for place in 1..cardinality(stopped) loop
          decision := stops[place];
          evolved := app.evolve(operations[stopped[place]], null, decision.event, decision.transition);
          events := events || decision.event;
          event_ids := event_ids || (decision.event).id;
          operations[stopped[place]] := evolved.operation;
          started_by[stopped[place]] := null;
          run := (evolved.runs)[1];
          if open_runs[stopped[place]] is not null then
            runs[open_runs[stopped[place]]].ended_at := run.ended_at;
            runs[open_runs[stopped[place]]].end_event_id := run.end_event_id;
            open_runs[stopped[place]] := null;
          else
            runs := runs || run;
          end if;
        end loop;
        continue;
      elsif is_atomic then
        problem.more := problem.more || jsonb_build_object('index', item.index);
        perform app.raise_problem(problem);
      end if;
      results := results || json_build_object('index', item.index, 'status', problem.status,
        'id', left(item.report ->> 'id', 64), 'problem', app.problem_json(problem));
      continue;
    end if;
    begin
      made := app.read_report(caller, item.report);
      if reporter.action_type is null
        or (reporter.user_id, reporter.user_email) is distinct from (made.user_id, made.user_email) then
        made.reporter_id := app.reporter_of(caller, made.user_id, made.user_email);
        reporter := made;
      end if;
      made.reporter_id := reporter.reporter_id;
    exception when others then
      get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail;
      problem := app.caught_problem(state, message, detail);
      if problem.code is null then
        raise;
      end if;
    end;

    if problem.code is null and cardinality(events) > 0 and (
      made.action_type = any(look_back) or made.id = any(event_ids)
      or made.action_type = 'START' and operation.running_since is not null
    ) then
      perform app.store_events(events, runs);
      events := '{}'::public.operation_events[];
      runs := '{}'::public.operation_runs[];
      open_runs := array_fill(null::integer, array[cardinality(locked)]);
      event_ids := '{}'::uuid[];
    end if;

    if problem.code is null then
      -- only reads here: an error would undo writes
      begin
        if made.id is not null then
          known := app.known_event(made, caller);
        end if;
        if known.is_known then
          null;
        elsif place is null then
          problem := app.elsewhere_problem(
            caller, item.report ->> 'order_no', item.report ->> 'operation_no', item.report ->> 'workplace_name',
            (item.report ->> 'asset_id')::integer);
        elsif place = -1 then
          problem := app.ambiguous_problem(
            item.report ->> 'order_no', item.report ->> 'operation_no', item.report ->> 'workplace_name', array(
            select u.asset_id from unnest(locked) u
            where u.order_no = item.report ->> 'order_no' and u.operation_no = item.report ->> 'operation_no'
              and (u.workplace_name = item.report ->> 'workplace_name'
                or app.running_place(u.id) = item.report ->> 'workplace_name')
            order by u.asset_id));
        elsif operation.workplace_name is distinct from made.workplace_name
          and (operation.running_since is null or operation.run_count <> locked[place].run_count)
        then
          -- an earlier report of the batch has ended the run that was open there
          problem := app.elsewhere_problem(
            caller, operation.order_no, operation.operation_no, made.workplace_name, operation.asset_id);
        else
          decision := app.decide(operation, caller, made);
          problem := decision.problem;
          if problem.code is null and (decision.event).phase is not null and operation.running_since is null then
            problem := case
              when (item.report ->> 'dry_run')::boolean then (
                select app.room_problem(operation, p.capacity,
                  app.running_in_batch(operations, p.name, false, started_by))
                from unnest(places) p where p.name = operation.workplace_name)
              else (
                select d.problem from unnest(denied) d
                where d.position = place and d.from_index <= item.index
                order by d.from_index
                limit 1)
            end;
          end if;
          if problem.code is null then
            evolved := app.evolve(
              operation, case when (decision.event).changes is not null then app.runs_to_correct(operation) end,
              decision.event, decision.transition);
          end if;
        end if;
      exception when others then
        get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail;
        problem := app.caught_problem(state, message, detail);
        if problem.code is null then
          raise;
        end if;
      end;
    end if;

    if problem.code is not null then
      if is_atomic then
        problem.more := problem.more || jsonb_build_object('index', item.index);
        perform app.raise_problem(problem);
      end if;
      results := results || json_build_object('index', item.index, 'status', problem.status,
        'id', left(item.report ->> 'id', 64), 'problem', app.problem_json(problem));
      continue;
    end if;
    results := results || json_build_object('index', item.index,
      'status', coalesce(known.status, case when (item.report ->> 'dry_run')::boolean then 200 else 201 end),
      'id', coalesce((known.event).id, (decision.event).id), 'problem', null);
    if known.is_known or coalesce((item.report ->> 'dry_run')::boolean, false) then
      continue;
    end if;

    events := events || decision.event;
    event_ids := event_ids || (decision.event).id;
    operations[place] := evolved.operation;
    started_by[place] := case
      when (evolved.operation).running_since is null then null
      when operation.running_since is null then item.index
      else started_by[place]
    end;
    foreach run in array coalesce(evolved.runs, '{}') loop
      if run.start_event_id is null and open_runs[place] is not null then
        -- the run that this event closes is in `runs`
        runs[open_runs[place]].ended_at := run.ended_at;
        runs[open_runs[place]].end_event_id := run.end_event_id;
        open_runs[place] := null;
      else
        runs := runs || run;
        open_runs[place] := case when run.ended_at is null then cardinality(runs) end;
      end if;
    end loop;
  end loop;
  perform app.store_events(events, runs);
  if downtime_ends is not null then
    set constraints public.downtimes_do_not_overlap immediate;
  end if;
  return row(operations, started_by, results)::app.batch;
end
$$;
comment on function
  app.record_batch(app.caller, jsonb, boolean, boolean, public.mes_operations[], public.workplaces[], app.denial[]) is
  'Records reports on locked operations in their order: writes their events and runs, but does not store the '
  'operations. Rejects a START of an operation in `denied` from its index on, and accepts any other without regard to '
  'room. looks_ahead: a downtime that a later item ends may begin before others. Raises what concerns the whole batch, '
  'and for is_atomic the problem of the first refused report with its index.';
