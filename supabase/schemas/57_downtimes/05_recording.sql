-- What: the log of downtimes: how a command becomes an event, and an event the row.
-- Why: commands of one workplace follow each other under its lock.

-- Commands of one workplace follow each other, so that each sees what the one before has done; the constraint of the
-- table is the proof. Operations are locked before workplaces, as by reports.
create function app.lock_workplace(name text) returns public.workplaces
language plpgsql
set search_path = ''
as $$
declare
  workplace public.workplaces;
begin
  select * into workplace from public.workplaces w where w.name = lock_workplace.name for no key update;
  if not found then
    perform app.refuse_missing();
  end if;
  return workplace;
end
$$;
comment on function app.lock_workplace(text) is
  'The workplace, locked until commit against other downtimes and signals. Raises 404 not_found.';

create function app.downtime_event(
  downtime public.downtimes, action_type public.downtime_action, report app.downtime_report
) returns public.downtime_events
language plpgsql
set search_path = ''
as $$
declare
  event public.downtime_events;
begin
  event.action_type := action_type;
  event.id := coalesce(report.id, gen_random_uuid());
  event.downtime_id := coalesce(downtime.id, event.id);
  event.seq := coalesce(downtime.version, 0) + 1;
  event.workplace_name := coalesce(downtime.workplace_name, report.workplace_name);
  event.occurred_at := report.occurred_at;
  event.category := coalesce(report.category, downtime.category);
  event.reason_code := coalesce(report.reason_code, downtime.reason_code);
  event.source := report.source;
  event.note := report.note;
  event.split_from := report.split_from;
  event.state_event_id := report.state_event_id;
  event.operation_data := report.operation_data;
  event.user_id := report.user_id;
  event.reporter_id := report.reporter_id;
  event.person_id := report.person_id;
  event.report_digest := report.digest;
  -- the server's clock may have stepped back
  event.created_at := greatest(clock_timestamp(), downtime.updated_at);
  return event;
end
$$;
comment on function app.downtime_event(public.downtimes, public.downtime_action, app.downtime_report) is
  'The next event of a downtime, or the first one of a new downtime.';

create function app.store_downtime_event(event public.downtime_events) returns void
language sql
set search_path = ''
as $$
  insert into public.downtime_events (id, downtime_id, seq, action_type, workplace_name, occurred_at, category,
    reason_code, source, note, split_from, state_event_id, operation_data, user_id, reporter_id, person_id,
    report_digest, created_at)
  values ((event).id, (event).downtime_id, (event).seq, (event).action_type, (event).workplace_name,
    (event).occurred_at, (event).category, (event).reason_code, (event).source, (event).note, (event).split_from,
    (event).state_event_id, (event).operation_data, (event).user_id, (event).reporter_id, (event).person_id,
    (event).report_digest, (event).created_at)
$$;
comment on function app.store_downtime_event(public.downtime_events) is 'Writes an event to the log.';

create function app.append_downtime_event(
  downtime public.downtimes, action_type public.downtime_action, report app.downtime_report
) returns public.downtimes
language plpgsql
set search_path = ''
as $$
declare
  event constant public.downtime_events := app.downtime_event(downtime, action_type, report);
begin
  downtime := app.evolve_downtime(downtime, event);
  update public.downtimes d
  set category = downtime.category, reason_code = downtime.reason_code, ended_at = downtime.ended_at,
    note = downtime.note, cancelled_at = downtime.cancelled_at, version = downtime.version,
    updated_at = downtime.updated_at
  where d.id = downtime.id;
  perform app.store_downtime_event(event);
  return downtime;
end
$$;
comment on function app.append_downtime_event(public.downtimes, public.downtime_action, app.downtime_report) is
  'Appends an event to a downtime and stores the downtime after it.';

create function app.open_downtime(report app.downtime_report) returns public.downtimes
language plpgsql
set search_path = ''
as $$
declare
  start constant public.downtime_events := app.downtime_event(null, 'DOWNTIME_START', report);
  downtime public.downtimes := app.evolve_downtime(null, start);
  ending app.downtime_report;
  ending_event public.downtime_events;
begin
  if report.ended_at is not null then
    ending.occurred_at := report.ended_at;
    ending.source := report.source;
    ending.user_id := report.user_id;
    ending.reporter_id := report.reporter_id;
    ending.person_id := report.person_id;
    ending.operation_data := report.operation_data;
    ending_event := app.downtime_event(downtime, 'DOWNTIME_END', ending);
    downtime := app.evolve_downtime(downtime, ending_event);
  end if;
  insert into public.downtimes (id, workplace_name, category, reason_code, started_at, ended_at, source, note,
    split_from, state_event_id, user_id, reporter_id, person_id, version, created_at, updated_at)
  values (downtime.id, downtime.workplace_name, downtime.category, downtime.reason_code, downtime.started_at,
    downtime.ended_at, downtime.source, downtime.note, downtime.split_from, downtime.state_event_id, downtime.user_id,
    downtime.reporter_id, downtime.person_id, downtime.version, downtime.created_at, downtime.updated_at);
  perform app.store_downtime_event(start);
  if report.ended_at is not null then
    perform app.store_downtime_event(ending_event);
  end if;
  return downtime;
end
$$;
comment on function app.open_downtime(app.downtime_report) is
  'Stores a new downtime, with its end when the report has one.';

create function app.read_downtime_report(caller app.caller, report jsonb) returns app.downtime_report
language plpgsql
set search_path = ''
as $$
declare
  made app.downtime_report := jsonb_populate_record(null::app.downtime_report,
    report - array[
      'digest', 'source', 'split_from', 'state_event_id', 'user_id', 'reporter_id', 'person_id', 'ends_at']);
begin
  if made.action_type is null then
    raise check_violation using message = 'A command on a downtime without an action';
  elsif char_length(made.note) > 2000
    or least(made.occurred_at, made.ended_at, made.at) < '1970-01-01Z'
    or greatest(made.occurred_at, made.ended_at, made.at) >= '10000-01-01Z'
  then
    raise check_violation using message = 'A command on a downtime with a value that none can have';
  end if;
  made.occurred_at := date_trunc('milliseconds', coalesce(made.at, made.occurred_at));
  made.ended_at := date_trunc('milliseconds', made.ended_at);
  made.source := case
    when caller.is_server then 'SYSTEM'
    when caller.role = 'machine' and caller.person_id is null then 'MACHINE'
    else 'OPERATOR'
  end::public.downtime_source;
  made.user_id := caller.user_id;
  made.person_id := caller.person_id;
  if made.id is not null then
    made.digest := sha256(convert_to(report::text, 'UTF8'));
  end if;
  return made;
end
$$;
comment on function app.read_downtime_report(app.caller, jsonb) is
  'A command in the JSON of the API, attributed to the caller.';

create function app.known_downtime(report app.downtime_report, caller app.caller) returns app.downtime_outcome
language plpgsql stable
set search_path = ''
as $$
declare
  event public.downtime_events;
  downtime public.downtimes;
begin
  select * into event from public.downtime_events e where e.id = (report).id;
  if not found then
    return null;
  end if;
  if event.report_digest is distinct from (report).digest or event.user_id is distinct from (report).user_id
    or app.reporting_key(event.reporter_id) is distinct from caller.key_id
    or not app.sees_workplace(caller, event.workplace_name) then
    perform app.refuse(409, 'idempotency_conflict', format('Event id "%s" belongs to another event', (report).id));
  end if;
  select * into downtime from public.downtimes d where d.id = event.downtime_id;
  return row(200, downtime, event.id, true, null)::app.downtime_outcome;
end
$$;
comment on function app.known_downtime(app.downtime_report, app.caller) is
  'The outcome of a command whose event is known under its id already, else null. Raises 409 idempotency_conflict '
  'when the id is that of another one.';

create function app.find_downtime(caller app.caller, report app.downtime_report) returns public.downtimes
language plpgsql stable
set search_path = ''
as $$
declare
  downtime public.downtimes;
begin
  if report.downtime_id is not null then
    select * into downtime from public.downtimes d
    where d.id = report.downtime_id and d.workplace_name = coalesce(report.workplace_name, d.workplace_name);
  else
    -- one, but for a batch that has begun another one earlier and will end it
    select * into downtime from public.downtimes d
    where d.workplace_name = report.workplace_name and d.ended_at is null and d.cancelled_at is null
    order by d.started_at <= coalesce(report.occurred_at, 'infinity') desc, d.started_at desc
    limit 1;
    if not found and app.sees_workplace(caller, report.workplace_name) then
      perform app.refuse(422, 'invalid_state_transition',
        format('Workplace "%s" has no open downtime', report.workplace_name),
        jsonb_build_object('current_status', null));
    end if;
  end if;
  if downtime.id is null or not app.sees_workplace(caller, downtime.workplace_name) then
    perform app.refuse_missing();
  end if;
  return downtime;
end
$$;
comment on function app.find_downtime(app.caller, app.downtime_report) is
  'The downtime that a command names, or the open one of its workplace. Raises 404 not_found, 422 '
  'invalid_state_transition when the workplace has no open one.';
