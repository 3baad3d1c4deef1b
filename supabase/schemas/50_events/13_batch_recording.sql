-- What: the reports of a batch, recorded on locked operations.
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

create function app.record_batch(
  caller app.caller, reports jsonb, is_atomic boolean,
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
  problem app.problem;
  state text;
  message text;
  detail text;
begin
  for item in
    select r.value as report, (r.ordinality - 1)::integer as index from jsonb_array_elements(reports) with ordinality r
  loop
    place := positions[item.index + 1];
    operation := operations[place];
    problem := null;
    known := null;
    decision := null;
    begin
      made := app.read_report(caller, item.report);
      if reporter.action_type is null
        or (reporter.user_id, reporter.user_email) is distinct from (made.user_id, made.user_email) then
        made.reporter_id := app.reporter_of(made.user_id, made.user_email);
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
  return row(operations, started_by, results)::app.batch;
end
$$;
comment on function
  app.record_batch(app.caller, jsonb, boolean, public.mes_operations[], public.workplaces[], app.denial[]) is
  'Records reports on locked operations in their order: writes their events and runs, but does not store the '
  'operations. Rejects a START of an operation in `denied` from its index on, and accepts any other without regard to '
  'room. Raises what concerns the whole batch, and for is_atomic the problem of the first refused report with its '
  'index.';
