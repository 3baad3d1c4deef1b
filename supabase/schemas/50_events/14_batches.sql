-- What: batches of terminals that were offline.
-- Why: a batch locks its operations in one order, so that two batches cannot deadlock.

-- A large batch keeps a core busy for about a second. Many at the same time, as after a network outage, would each
-- exceed the statement timeout, and so would their retries.
create function app.require_batch_slot(reports jsonb, caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
declare
  -- reports that are hidden from the caller cost little
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
    -- spreads the retries
    jsonb_build_object('retry_after_s', 1 + floor(3 * random())::integer)
  );
end
$$;
comment on function app.require_batch_slot(jsonb, app.caller) is
  'Takes one of the slots for large batches until commit. Raises 503 unavailable with the seconds to wait when all '
  'are taken.';

create function app.moved_operations(caller app.caller, reports jsonb) returns bigint[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select o.id
    from (
      select distinct r ->> 'order_no' as order_no, r ->> 'operation_no' as operation_no,
        r ->> 'workplace_name' as workplace_name
      from jsonb_array_elements(reports) r
      join app.actions a on a.action::text = r ->> 'action_type' and a.run_effect = 'closes'
      where app.sees_workplace(caller, r ->> 'workplace_name')
    ) closed
    join public.mes_operations o on o.order_no = closed.order_no and o.operation_no = closed.operation_no
      and o.running_since is not null and o.workplace_name is distinct from closed.workplace_name
    where app.running_place(o.id) = closed.workplace_name
  );
end
$$;
comment on function app.moved_operations(app.caller, jsonb) is
  'Operations that are planned elsewhere by now and run where a report of the batch closes them.';

create function public.report_events(
  reports jsonb, is_atomic boolean default false, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('reports', reports, 8388608);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  operations public.mes_operations[];
  places public.workplaces[];
  batch app.batch;
  denied app.denial[] := '{}'::app.denial[];
  newly_denied app.denial[];
  problem app.problem;
  first_denied app.denial;
  collisions integer := 0;
  looks_ahead boolean := true;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, 'operator', 'Your role may not report events');
  perform app.require_workplace(caller);
  if jsonb_array_length(reports) > 1000 then
    perform app.refuse_field('', 'too_big', 'A batch takes at most 1000 reports at once');
  end if;
  perform app.require_batch_slot(reports, caller);

  -- Every batch takes its locks in the same order, so two batches cannot deadlock.
  operations := array(
    select o from public.mes_operations o
    where o.id = any(array(
      select u.id from public.mes_operations u
      where (u.order_no, u.operation_no, u.workplace_name) in (
        select r ->> 'order_no', r ->> 'operation_no', r ->> 'workplace_name' from jsonb_array_elements(reports) r
        where app.sees_workplace(caller, r ->> 'workplace_name')
      )
    ) || app.moved_operations(caller, reports) || app.running_at(array(
      select distinct r ->> 'workplace_name' from jsonb_array_elements(reports) r
      where (r ->> 'stop_runs')::boolean and app.sees_workplace(caller, r ->> 'workplace_name')
    )))
    order by o.id
    for update
  );
  places := array(
    select w from public.workplaces w
    where w.capacity is not null and w.name in (
      select r ->> 'workplace_name' from jsonb_array_elements(reports) r
      where r ->> 'action_type' = 'START' and app.sees_workplace(caller, r ->> 'workplace_name')
    ) or w.name in (
      -- as app.lock_workplace does for a command alone
      select r ->> 'workplace_name' from jsonb_array_elements(reports) r
      where app.is_downtime_command(r) and app.sees_workplace(caller, r ->> 'workplace_name')
    )
    order by w.name
    for no key update
  );

  loop
    begin
      batch := app.record_batch(caller, reports, is_atomic, looks_ahead, operations, places, denied);
      newly_denied := app.denied_starts(batch, places);
      exit when newly_denied = '{}';
      raise sqlstate 'AGAIN';
    exception when sqlstate 'AGAIN' then
      -- Everything since `begin` is undone. A denied operation does not run at the end of the next try, so the number
      -- of tries is bounded.
      if is_atomic then
        select d.* into first_denied from unnest(newly_denied) d order by d.from_index limit 1;
        problem := first_denied.problem;
        problem.more := problem.more || jsonb_build_object('index', first_denied.from_index);
        perform app.raise_problem(problem);
      end if;
      denied := newly_denied || denied;
    when exclusion_violation then
      -- an item that was to end a downtime was refused: the next try judges each item by itself
      if not looks_ahead then
        raise;
      end if;
      looks_ahead := false;
    when unique_violation then
      -- another request has just stored an event under one of the ids: the next try finds it
      collisions := collisions + 1;
      if collisions > 3 then
        raise;
      end if;
    end;
  end loop;

  perform app.store_execution(batch.operations[o.ordinality])
  from unnest(operations) with ordinality o
  where batch.operations[o.ordinality].last_op_seq > o.last_op_seq;
  return app.finish_command(
    command, array(
      select distinct r ->> 'workplace_name' from jsonb_array_elements(reports) r
        where app.sees_workplace(caller, r ->> 'workplace_name')
    ),
    json_build_object('status', 207, 'body', array_to_json(batch.results))
  );
end
$$;
comment on function public.report_events(jsonb, boolean, jsonb) is
  'Takes reports in their order, in one transaction; one that is refused does not stop the rest, unless is_atomic: '
  'then nothing is recorded. Commands on downtimes stand among them. A START that is ended by a later report needs no '
  'room at its workplace. Answers {"status", "body": [{"index", "status", "id", "problem"}]}. Raises 403 forbidden, '
  '422 validation_failed for too many reports, and for is_atomic the problem of the first refused report with its '
  'index.';
grant execute on function public.report_events to authenticated, service_role;
