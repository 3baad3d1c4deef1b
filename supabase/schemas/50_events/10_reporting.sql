-- What: reports of terminals and planners.
-- Why: a report finds its operation, and a retry of a report makes no second event.

-- Result of a report: the event, the operation after it, and whether the event was known before.
create type app.outcome as (
  status integer,
  event public.operation_events,
  operation public.mes_operations,
  is_known boolean,
  reporter app.reporter_body
);

comment on type app.outcome is
  'status is 201 for a new event, 200 for one that is known already or for a dry run. reporter is that of an event '
  'that is not known.';

-- A report is attributed to the caller; a server may name the user for whom it reports.
create function app.attribute_report(inout report app.report, caller app.caller)
language plpgsql
set search_path = ''
as $$
begin
  if caller.is_server then
    report.user_email := coalesce(report.user_email,
      (select p.email from public.profiles p where p.id = report.user_id));
  elsif report.user_id is distinct from caller.user_id and report.user_id is not null
    or lower(report.user_email) is distinct from lower(caller.email) and report.user_email is not null then
    perform app.refuse(403, 'forbidden',
      'You may report as yourself only: leave out user_id and user_email, or send your own');
  else
    report.user_id := caller.user_id;
    report.user_email := caller.email;
  end if;
end
$$;
comment on function app.attribute_report(app.report, app.caller) is
  'Fills in the user of a report. Raises 403 forbidden when a user names another user.';

create function app.ambiguous_problem(
  order_no text, operation_no text, workplace_name text, asset_ids integer[]
) returns app.problem
language sql stable parallel safe
return case when cardinality(asset_ids) > 1 then app.problem(
  409, 'ambiguous_operation',
  format('Operation %s/%s exists on %s assets at workplace "%s": send asset_id',
    order_no, operation_no, cardinality(asset_ids), workplace_name),
  jsonb_build_object('asset_ids', asset_ids)
) end;
comment on function app.ambiguous_problem(text, text, text, integer[]) is
  'The problem ambiguous_operation with the asset ids when there are several.';

-- The first service's events carry no asset: order, operation and workplace must then mean one operation.
create function app.lock_reported_operation(
  caller app.caller, action public.action, order_no text, operation_no text, workplace_name text, asset_id integer
) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  asset_ids integer[] := array[asset_id];
  operation public.mes_operations;
begin
  if asset_id is null then
    asset_ids := array(
      select o.asset_id from public.mes_operations o
      where o.order_no = lock_reported_operation.order_no and o.operation_no = lock_reported_operation.operation_no
        and o.workplace_name = lock_reported_operation.workplace_name
      order by o.asset_id
    );
    perform app.raise_problem(app.ambiguous_problem(order_no, operation_no, workplace_name, asset_ids));
  end if;
  select * into operation from public.mes_operations o
  where o.order_no = lock_reported_operation.order_no and o.operation_no = lock_reported_operation.operation_no
    and o.asset_id = asset_ids[1] and o.workplace_name = lock_reported_operation.workplace_name
  for update;
  if found then
    return operation;
  end if;
  asset_ids := array(
    select o.asset_id from public.mes_operations o
    where o.order_no = lock_reported_operation.order_no and o.operation_no = lock_reported_operation.operation_no
      and o.asset_id = coalesce(lock_reported_operation.asset_id, o.asset_id)
      and app.is_closing(action) and app.running_place(o.id) = lock_reported_operation.workplace_name
    order by o.asset_id
  );
  perform app.raise_problem(app.ambiguous_problem(order_no, operation_no, workplace_name, asset_ids));
  select o.* into operation from public.mes_operations o
  where o.order_no = lock_reported_operation.order_no and o.operation_no = lock_reported_operation.operation_no
    and o.asset_id = asset_ids[1]
  for update;
  -- the run may have been closed while this waited for the row
  if not found or app.running_place(operation.id) is distinct from workplace_name then
    perform app.raise_problem(app.elsewhere_problem(caller, order_no, operation_no, workplace_name, asset_id));
  end if;
  return operation;
end
$$;
comment on function app.lock_reported_operation(app.caller, public.action, text, text, text, integer) is
  'The operation that a report means, locked until commit: planned at the workplace, or planned elsewhere while a run '
  'is open here that the action closes. Raises 404 not_found, 409 planned_elsewhere or ambiguous_operation.';

create view app.reported_events as
select (null::app.event_body).*, null::json as operation where false;
comment on view app.reported_events is
  'Has no rows: its row type is an event as the answer to its report, with the operation after it.';

create function app.report_answer(outcome app.outcome, caller app.caller) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  operation json;
  body app.event_body;
begin
  if (outcome.operation).id is null then
    perform app.refuse(404, 'not_found', format(
      'Event "%s" is recorded, but its operation was deleted, or is planned at a workplace that you do not see',
      (outcome.event).id));
  end if;
  operation := app.operation_answer(outcome.operation, caller);
  if outcome.is_known then
    return json_build_object(
      'status', outcome.status, 'body', app.json_with(app.event_json(outcome.event), 'operation', operation));
  end if;
  -- a new event has no position before its commit, and no delivery yet
  body := app.event_body(
    outcome.event, null, outcome.reporter, app.person_of((outcome.event).person_id), false, null, null);
  return json_build_object('status', outcome.status, 'body', row((body).*, operation)::app.reported_events);
end
$$;
comment on function app.report_answer(app.outcome, app.caller) is
  'The answer to a report: the event, and in it the operation after the event. Raises 404 not_found when the operation '
  'of a known event is gone.';

-- A terminal that made the event's id may retry: the same id with the same content is the same event.
create function app.known_event(report app.report, caller app.caller) returns app.outcome
language plpgsql
set search_path = ''
as $$
declare
  known app.outcome;
  event public.operation_events;
  operation public.mes_operations;
begin
  select * into event from public.operation_events e where e.id = (report).id;
  if not found then
    return null;
  end if;
  if event.report_digest is distinct from (report).digest or event.user_id is distinct from (report).user_id
    or app.reporting_key(event.reporter_id) is distinct from caller.key_id
  then
    perform app.refuse(409, 'idempotency_conflict', format('Event id "%s" belongs to another event', (report).id));
  end if;
  -- Moved meanwhile, it is hidden like any other there, unless it runs here still or nothing has happened to it since.
  select * into operation from public.mes_operations o
  where o.id = event.operation_id and (
    app.sees_workplace(caller, o.workplace_name)
    or o.last_op_seq = event.op_seq
    or app.running_place(o.id) = event.workplace_name
  );
  known.status := 200;
  known.is_known := true;
  known.event := event;
  known.operation := operation;
  return known;
end
$$;
comment on function app.known_event(app.report, app.caller) is
  'The event that is known under the report''s id already, else null. Raises 409 idempotency_conflict when it is '
  'another one.';

-- A dry run shows what a report would do to the operation as it was then.
create function app.require_unchanged(operation public.mes_operations, seen jsonb) returns void
language plpgsql
set search_path = ''
as $$
begin
  if operation.version <> (seen ->> 'version')::integer then
    perform app.refuse(412, 'stale_version',
      format('Operation %s has changed since the dry run: its version is %s now', app.operation_label(operation),
        operation.version),
      jsonb_build_object(
        'current_version', operation.version,
        'current_status', operation.status,
        'events_since', (
          select coalesce(jsonb_agg(jsonb_build_object(
            'op_seq', e.op_seq, 'action_type', e.action_type, 'status_after', e.status_after,
            'occurred_at', app.iso(e.occurred_at)) order by e.op_seq), '[]')
          from (
            select * from public.operation_events e
            where e.operation_id = operation.id and e.op_seq > (seen ->> 'op_seq')::integer
            order by e.op_seq
            limit 20
          ) e)));
  end if;
end
$$;
comment on function app.require_unchanged(public.mes_operations, jsonb) is
  'Raises 412 stale_version unless the operation has the version that a dry run has seen: {"version", "op_seq"}; null '
  '= no condition. The problem lists the events since then.';

create function app.carry_out(
  operation public.mes_operations, caller app.caller, report app.report, dry_run boolean, seen jsonb
) returns app.outcome
language plpgsql
set search_path = ''
as $$
declare
  recorded app.recorded;
begin
  perform app.require_unchanged(operation, seen);
  if not coalesce(dry_run, false) then
    recorded := app.record_event(operation, caller, report);
    return row(
      201, recorded.event, recorded.operation, false, app.reporter_body(caller, report.user_email))::app.outcome;
  end if;
  begin
    recorded := app.record_event(operation, caller, report);
    raise sqlstate 'DRYRN';
  exception when sqlstate 'DRYRN' then
    -- everything since `begin` is undone; the variables keep what would have happened
    return row(
      200, recorded.event, recorded.operation, false, app.reporter_body(caller, report.user_email))::app.outcome;
  end;
end
$$;
comment on function app.carry_out(public.mes_operations, app.caller, app.report, boolean, jsonb) is
  'Records a report on a locked operation; a dry run returns the same outcome and undoes it. Raises what '
  'app.require_unchanged and app.record_event raise.';

create function app.read_report(caller app.caller, report jsonb) returns app.report
language plpgsql
set search_path = ''
as $$
declare
  made app.report := jsonb_populate_record(null::app.report, report - array['digest', 'reporter_id']);
begin
  if not app.sees_workplace(caller, report ->> 'workplace_name') then
    perform app.refuse_missing();
  end if;
  if app.role_rank(caller.role) < app.role_rank('operator') then
    perform app.require_role(caller, 'operator', 'Your role may not report events');
  end if;
  -- before a key learns anything of the operation
  if caller.scopes is not null then
    perform app.require_scope(caller, (select a.scope from app.actions a where a.action = made.action_type),
      format('The API key may not %s', made.action_type));
  end if;
  -- as text, 1e300 has 301 digits
  if octet_length((report -> 'operation_data')::text) > 32768 then
    perform app.refuse_field('/operation_data', 'too_big', 'must be at most 32 KiB with its numbers written out');
  end if;
  -- the log would reject these values, too
  if made.occurred_at < '1970-01-01Z' or made.occurred_at >= '10000-01-01Z' or char_length(made.note) > 2000
    or jsonb_typeof(made.operation_data) <> 'object'
    or made.action_type <> 'CORRECT' and least(made.qty_good, made.qty_scrap) < 0
    or made.qty_parked > 0 or made.overrun not in ('refuse', 'park')
  then
    raise check_violation using message = 'A report with a value that no event can have';
  end if;
  made := app.attribute_report(made, caller);
  if made.id is not null then
    made.digest := sha256(convert_to((report - 'dry_run')::text, 'UTF8'));
  end if;
  return made;
end
$$;
comment on function app.read_report(app.caller, jsonb) is
  'A report in the JSON of the API, attributed to its user. Raises 403 forbidden, 404 not_found for a hidden '
  'workplace, 422 validation_failed.';

create function app.record_report(caller app.caller, report jsonb) returns app.outcome
language plpgsql
set search_path = ''
as $$
declare
  made constant app.report := app.read_report(caller, report);
  operation public.mes_operations;
  known app.outcome;
begin
  if made.id is not null then
    known := app.known_event(made, caller);
    if known.is_known then
      return known;
    end if;
  end if;
  operation := app.lock_reported_operation(
    caller, made.action_type, report ->> 'order_no', report ->> 'operation_no', report ->> 'workplace_name',
    (report ->> 'asset_id')::integer);
  -- a duplicate of this report may have been recorded while this one waited for the row
  if made.id is not null then
    known := app.known_event(made, caller);
    if known.is_known then
      return known;
    end if;
  end if;
  return app.carry_out(operation, caller, made, (report ->> 'dry_run')::boolean, report -> 'seen');
end
$$;
comment on function app.record_report(app.caller, jsonb) is
  'Records one report in the JSON of the API. Raises 403 forbidden, 404 not_found, 409 ambiguous_operation, '
  'planned_elsewhere or idempotency_conflict, and what record_event raises.';

create function public.report_event(report jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('report', report);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  outcome app.outcome;
  answer json;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  outcome := app.record_report(caller, report);
  answer := app.report_answer(outcome, caller);
  return case outcome.status
    when 201 then app.finish_command(command, array[report ->> 'workplace_name'], answer) else answer end;
end
$$;
comment on function public.report_event(jsonb, jsonb) is
  'Records what happened to an operation. Answers {"status", "body"}: 201, or 200 for an event known by its id and '
  'for a dry run. Raises what app.record_report raises, and 404 not_found when the operation of a known event is gone.';
grant execute on function public.report_event to authenticated, service_role;
