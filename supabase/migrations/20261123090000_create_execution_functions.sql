-- What: steps of planners, runs, batches of terminals that were offline, and the proof that operations follow from their events.
-- Why: all of them take the one path of app.record_event.

create function public.transition_operation(
  order_no text, asset_id integer, operation_no text, step jsonb, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no) and app.require_bounded('step', step);
  caller constant app.caller := app.current_caller();
  request constant app.idempotency := app.idempotency(idempotency);
  operation public.mes_operations;
  made app.report;
  outcome app.outcome;
  answer json;
begin
  answer := app.replay(caller, request);
  if answer is not null then
    return answer;
  end if;
  perform app.require_plant(caller);
  select * into operation from public.mes_operations o
  where o.order_no = transition_operation.order_no and o.operation_no = transition_operation.operation_no
    and o.asset_id = transition_operation.asset_id
  for update;
  if not found or not app.sees_workplace(caller, operation.workplace_name) then
    perform app.refuse_missing();
  end if;
  made.action_type := step ->> 'action';
  made.reason_code := step ->> 'reason_code';
  made.note := step ->> 'note';
  made.occurred_at := (step ->> 'occurred_at')::timestamptz;
  outcome := app.carry_out(operation, caller, app.attribute_report(made, caller), (step ->> 'dry_run')::boolean);
  answer := app.report_answer(outcome.status, outcome.event, outcome.operation, caller);
  return case outcome.status
    when 201 then app.remember(caller, request, array[coalesce(operation.workplace_name, '*')], answer)
    else answer
  end;
end
$$;
comment on function public.transition_operation(text, integer, text, jsonb, jsonb) is
  'Takes one step {"action", "reason_code", "note", "occurred_at", "dry_run"} on the operation. Answers {"status", "body"} as report_event does. Raises 404 not_found and what record_event raises.';

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
comment on function app.run_json(public.operation_runs) is 'The run as the API writes it; the open one as far as it has come.';

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
comment on function public.list_runs(text, integer, text) is 'The runs of an operation, oldest first. Raises 404 not_found.';

-- What a refusal inside of a batch answers for its item: the problem that the same request alone would get.
create function app.item_problem(state text, message text, detail text) returns json
language plpgsql immutable
set search_path = ''
as $$
begin
  return case
    when state ~ '^PT[0-9]{3}$' then json_build_object('status', right(state, 3)::integer, 'code', message, 'more',
      -- a thousand problems are one answer, which is stored: from a long problem, lists are left out
      case when octet_length(detail) <= 4096 then detail::json else json_build_object('detail', detail::json -> 'detail') end)
    when state = '23505' then json_build_object('status', 409, 'code', 'idempotency_conflict',
      'more', json_build_object('detail', 'The id belongs to another event'))
    when state like '23%' then json_build_object('status', 400, 'code', 'integrity_error',
      'more', json_build_object('detail', 'A value refers to something that does not exist, or breaks a rule of the database'))
    when state like '22%' then json_build_object('status', 400, 'code', 'malformed_request',
      'more', json_build_object('detail', 'A value is not of the form that the database takes'))
  end;
end
$$;
comment on function app.item_problem(text, text, text) is
  'Status, code and further members of the problem that an error is for one item of a batch; null for errors that concern the whole batch.';

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

-- A START that a batch itself ends needs no room, so it is judged by what runs when the batch is through. What the
-- workplace has room for is given to the STARTs in their order.
create function app.denied_starts(batch app.batch, places public.workplaces[]) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  denied jsonb := '{}';
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

create function app.take_batch(
  caller app.caller, reports jsonb, is_atomic boolean,
  locked public.mes_operations[], places public.workplaces[], denied jsonb
) returns app.batch
language plpgsql
set search_path = ''
as $$
declare
  positions constant integer[] := app.operation_positions(reports, locked);
  operations public.mes_operations[] := locked;
  unstored_runs public.operation_runs[] := array_fill(null::public.operation_runs, array[cardinality(locked)]);
  started_by integer[] := array_fill(null::integer, array[cardinality(locked)]);
  results json[] := '{}';
  item record;
  position integer;
  made app.report;
  known app.outcome;
  room jsonb;
  taken record;
  event_id uuid;
  status integer;
  problem json;
  state text;
  message text;
  detail text;
begin
  for item in
    select r.value as report, (r.ordinality - 1)::integer as index from jsonb_array_elements(reports) with ordinality r
  loop
    problem := null;
    begin
      made := app.read_report(caller, item.report);
      known := app.known_event(made, caller);
      position := positions[item.index + 1];
      if known.status is not null then
        status := known.status;
        event_id := (known.event).id;
      elsif position is null then
        perform app.refuse_missing();
      elsif position = -1 then
        perform app.require_one_asset(
          item.report ->> 'order_no', item.report ->> 'operation_no', item.report ->> 'workplace_name', array(
          select u.asset_id from unnest(locked) u
          where u.order_no = item.report ->> 'order_no' and u.operation_no = item.report ->> 'operation_no'
            and u.workplace_name = item.report ->> 'workplace_name'
          order by u.asset_id));
      elsif (item.report ->> 'dry_run')::boolean then
        room := case when made.action_type = 'START'
          then app.room_now(row(operations, unstored_runs, started_by, null)::app.batch, operations[position], places)
        end;
        begin
          taken := app.take_step(operations[position], unstored_runs[position], caller, made, room);
          raise sqlstate 'DRYRN';
        exception when sqlstate 'DRYRN' then
          status := 200;
          event_id := (taken.event).id;
        end;
      else
        room := case when (denied #>> array[position::text, 'from_index'])::integer <= item.index
          then denied #> array[position::text, 'room'] else '{}' end;
        taken := app.take_step(operations[position], unstored_runs[position], caller, made, room);
        status := 201;
        event_id := (taken.event).id;
        started_by[position] := case
          when (taken.operation).running_since is null then null
          when operations[position].running_since is null then item.index
          else started_by[position]
        end;
        operations[position] := taken.operation;
        unstored_runs[position] := taken.unstored_run;
      end if;
    exception when others then
      get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail;
      problem := app.item_problem(state, message, detail);
      if problem is null then
        raise;
      elsif is_atomic then
        perform app.refuse((problem ->> 'status')::integer, problem ->> 'code', problem -> 'more' ->> 'detail',
          (problem -> 'more')::jsonb - 'detail' || jsonb_build_object('index', item.index));
      end if;
    end;
    results := results || case
      when problem is null then json_build_object('index', item.index, 'status', status, 'id', event_id, 'problem', null)
      else json_build_object('index', item.index, 'status', problem -> 'status', 'id', left(item.report ->> 'id', 64), 'problem', problem)
    end;
  end loop;
  return row(operations, unstored_runs, started_by, results)::app.batch;
end
$$;
comment on function app.take_batch(app.caller, jsonb, boolean, public.mes_operations[], public.workplaces[], jsonb) is
  'Takes reports on locked operations in their order and appends their events; the operations are stored by the caller. A START of an operation in `denied` is refused from its index on; any other is taken whether there is room or not. Raises what concerns the whole batch, and for is_atomic the problem of the first refused report with its index.';

-- A large batch keeps a core busy for about a second. Many at once, as after an outage of the network, would each take
-- so long that the time limit of statements ends all of them, again and again.
create function app.require_batch_slot(reports jsonb, caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
declare
  -- what is not the caller's to see costs little
  size constant integer := (
    select count(*) from jsonb_array_elements(reports) r where app.sees_workplace(caller, r ->> 'workplace_name'));
  slots constant integer := (select s.batch_slots from app.settings s);
begin
  if size <= 100 then
    return;
  end if;
  for slot in 1..slots loop
    if pg_try_advisory_xact_lock(hashtext('app.require_batch_slot'), slot) then
      return;
    end if;
  end loop;
  perform app.refuse(
    503, 'unavailable',
    format('%s large batches are being carried out, as many as the server takes at once: send this one again', slots),
    -- not all at the same moment
    jsonb_build_object('retry_after_s', 1 + floor(3 * random())::integer)
  );
end
$$;
comment on function app.require_batch_slot(jsonb, app.caller) is
  'Takes one of the slots for large batches until commit. Raises 503 unavailable with the seconds to wait when all are taken.';

create function public.report_events(
  reports jsonb, is_atomic boolean default false, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('reports', reports, 8388608);
  caller constant app.caller := app.current_caller();
  request constant app.idempotency := app.idempotency(idempotency);
  operations public.mes_operations[];
  places public.workplaces[];
  batch app.batch;
  denied jsonb := '{}';
  newly_denied jsonb;
  first_denied record;
  answer json;
begin
  answer := app.replay(caller, request);
  if answer is not null then
    return answer;
  end if;
  perform app.require_role(caller, 'operator', 'Your role may not report events');
  perform app.require_workplace(caller);
  if jsonb_array_length(reports) > 1000 then
    perform app.refuse_field('', 'too_big', 'A batch takes at most 1000 reports at once');
  end if;
  perform app.require_batch_slot(reports, caller);

  -- Every batch takes its locks in the same order, so two of them wait for each other but never in a circle.
  operations := array(
    select o from public.mes_operations o
    where (o.order_no, o.operation_no, o.workplace_name) in (
      select r ->> 'order_no', r ->> 'operation_no', r ->> 'workplace_name' from jsonb_array_elements(reports) r
      where app.sees_workplace(caller, r ->> 'workplace_name')
    )
    order by o.id
    for update
  );
  places := array(
    select w from public.workplaces w
    where w.capacity is not null and w.name in (
      select r ->> 'workplace_name' from jsonb_array_elements(reports) r
      where r ->> 'action_type' = 'START' and app.sees_workplace(caller, r ->> 'workplace_name')
    )
    order by w.name
    for no key update
  );

  loop
    begin
      batch := app.take_batch(caller, reports, is_atomic, operations, places, denied);
      newly_denied := app.denied_starts(batch, places);
      exit when newly_denied = '{}';
      raise sqlstate 'AGAIN';
    exception when sqlstate 'AGAIN' then
      -- Everything since `begin` is undone. What is denied cannot run at the end of the next try: the tries come to an
      -- end.
      select (d.value ->> 'from_index')::integer as index, d.value -> 'room' as room into first_denied
      from jsonb_each(newly_denied) d
      order by (d.value ->> 'from_index')::integer
      limit 1;
      if is_atomic then
        perform app.require_room(first_denied.room || jsonb_build_object('index', first_denied.index));
      end if;
      denied := denied || newly_denied;
    end;
  end loop;

  insert into public.operation_runs select r.* from unnest(batch.unstored_runs) r where r.operation_id is not null;
  perform app.store_operation(batch.operations[o.ordinality])
  from unnest(operations) with ordinality o
  where batch.operations[o.ordinality].last_op_seq > o.last_op_seq;
  return app.remember(
    caller, request,
    array(
      select distinct r ->> 'workplace_name' from jsonb_array_elements(reports) r where app.sees_workplace(caller, r ->> 'workplace_name')
    ),
    json_build_object('status', 207, 'body', array_to_json(batch.results))
  );
end
$$;
comment on function public.report_events(jsonb, boolean, jsonb) is
  'Takes reports in their order, in one transaction; one that is refused does not stop the rest, unless is_atomic: then nothing is recorded. A START that is ended by a later report needs no room at its workplace. Answers {"status", "body": [{"index", "status", "id", "problem"}]}. Raises 403 forbidden, 422 validation_failed for too many reports, and for is_atomic the problem of the first refused report with its index.';

-- The proof. Nothing here reads what record_event wrote but the events themselves.
create function app.rebuild_operation(operation public.mes_operations) returns public.mes_operations
language plpgsql stable
set search_path = ''
as $$
declare
  rebuilt public.mes_operations := operation;
  event public.operation_events;
  runs public.operation_runs[] := '{}';
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

revoke execute on function
  public.transition_operation, public.list_runs, public.report_events
from public, anon;
grant execute on function
  public.transition_operation, public.list_runs, public.report_events
to authenticated, service_role;
revoke execute on all functions in schema app from public;
grant execute on function app.run_json to authenticated, service_role;
