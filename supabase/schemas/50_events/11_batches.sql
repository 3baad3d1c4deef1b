-- What: batches of terminals that were offline.
-- Why: one refused report does not stop the rest, and two batches never wait in a circle.

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
  results json[] := '{}'::json[];
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
  denied jsonb := '{}'::jsonb;
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
grant execute on function public.report_events to authenticated, service_role;
