-- What: signals of machines, and the downtime that follows from them.
-- Why: nothing polls: what a machine has not said yet is recorded at its next signal, from the moment it began.

create function app.store_spans(event public.workplace_state_events, open_span public.workplace_states) returns void
language plpgsql
set search_path = ''
as $$
declare
  span_no integer := coalesce(open_span.span_no, 0) + 1;
begin
  update public.workplace_states s set ended_at = coalesce(event.silent_since, event.occurred_at)
  where s.workplace_name = event.workplace_name and s.span_no = open_span.span_no;
  if event.silent_since is not null then
    insert into public.workplace_states (workplace_name, span_no, state, started_at, ended_at, heard_at, event_id)
    values (event.workplace_name, span_no, 'UNKNOWN', event.silent_since, event.occurred_at, event.silent_since,
      event.id);
    span_no := span_no + 1;
  end if;
  insert into public.workplace_states (workplace_name, span_no, state, started_at, heard_at, event_id)
  values (event.workplace_name, span_no, event.state, event.occurred_at, event.occurred_at, event.id);
end
$$;
comment on function app.store_spans(public.workplace_state_events, public.workplace_states) is
  'Ends the open span, where the silence began or at the event, and begins the span of the event.';

create function app.undowned(span public.workplace_states, until timestamptz) returns tstzmultirange
language plpgsql stable
set search_path = ''
as $$
declare
  down constant tstzrange := tstzrange(span.started_at, until);
begin
  return tstzmultirange(down) - coalesce((
    select range_agg(tstzrange(d.started_at, d.ended_at)) from public.downtimes d
    where d.workplace_name = span.workplace_name and tstzrange(d.started_at, d.ended_at) && down
      -- a downtime of this span that was cancelled is not opened again
      and (d.cancelled_at is null or d.state_event_id = span.event_id)
  ), '{}');
end
$$;
comment on function app.undowned(public.workplace_states, timestamptz) is
  'The parts of a DOWN span, up to a time or without an end (null), that no downtime covers.';

create function app.open_machine_downtimes(
  span public.workplace_states, until timestamptz, signal app.downtime_report
) returns void
language plpgsql
set search_path = ''
as $$
declare
  gap tstzrange;
  made app.downtime_report;
begin
  foreach gap in array array(select g from unnest(app.undowned(span, until)) g order by g) loop
    -- a downtime that ends later than this signal, by another clock: the next signal looks again
    continue when lower(gap) > signal.occurred_at;
    made := signal;
    made.workplace_name := span.workplace_name;
    made.category := 'UNPLANNED';
    made.state_event_id := span.event_id;
    made.occurred_at := lower(gap);
    made.ended_at := upper(gap);
    perform app.open_downtime(made);
  end loop;
end
$$;
comment on function app.open_machine_downtimes(public.workplace_states, timestamptz, app.downtime_report) is
  'Opens unexplained downtimes for the parts of a DOWN span that none covers; the last one stays open when until is '
  'null.';

create function app.end_machine_downtimes(
  span public.workplace_states, until timestamptz, signal app.downtime_report
) returns void
language plpgsql
set search_path = ''
as $$
declare
  downtime public.downtimes;
begin
  select * into downtime from public.downtimes d
  where d.state_event_id = span.event_id and d.ended_at is null and d.cancelled_at is null;
  if found then
    -- a split may lie after the signal, by another clock
    signal.occurred_at := greatest(until, downtime.started_at);
    perform app.append_downtime_event(downtime, 'DOWNTIME_END', signal);
  end if;
end
$$;
comment on function app.end_machine_downtimes(public.workplace_states, timestamptz, app.downtime_report) is
  'Ends the open downtime that a DOWN span has opened.';

-- DOWN for longer than micro_stop_s is downtime from the moment it began. The workplace is locked.
create function app.follow_down(
  workplace public.workplaces, span public.workplace_states, until timestamptz, lasts boolean,
  signal app.downtime_report
) returns void
language plpgsql
set search_path = ''
as $$
begin
  if workplace.micro_stop_s = 0 or until - span.started_at > make_interval(secs => workplace.micro_stop_s) then
    perform app.open_machine_downtimes(span, case when not lasts then until end, signal);
  end if;
  if not lasts then
    perform app.end_machine_downtimes(span, until, signal);
  end if;
end
$$;
comment on function
  app.follow_down(public.workplaces, public.workplace_states, timestamptz, boolean, app.downtime_report) is
  'Opens what a DOWN span that reaches a time is as downtime, and ends it unless it lasts.';

create type app.signal as (id uuid, state public.machine_state, occurred_at timestamptz);
comment on type app.signal is 'What a machine says: its state, since when, and an id of its own.';

create function app.machine_state_json(workplace public.workplaces) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  span app.state_span;
  heard_at timestamptz;
begin
  select s.heard_at into heard_at from public.workplace_states s
  where s.workplace_name = workplace.name and s.ended_at is null;
  if not found then
    return null;
  end if;
  -- two rows, when the state has become UNKNOWN by silence
  select * into span from app.state_spans(workplace.name, heard_at, 'infinity') s order by s.started_at desc limit 1;
  return json_build_object('state', span.state, 'since', app.iso(span.started_at), 'heard_at', app.iso(heard_at));
end
$$;
comment on function app.machine_state_json(public.workplaces) is
  'The state of the machine now, as the API writes it: {"state", "since", "heard_at"}; null before its first signal.';

create function app.stop_json(workplace public.workplaces) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  downtime public.downtimes;
  state constant json := app.machine_state_json(workplace);
begin
  select * into downtime from public.downtimes d
  where d.workplace_name = workplace.name and d.ended_at is null and d.cancelled_at is null;
  if found then
    return json_build_object('downtime_id', downtime.id, 'category', downtime.category,
      'reason_code', downtime.reason_code, 'since', app.iso(downtime.started_at), 'source', downtime.source);
  end if;
  -- its next signal will record it
  return case when state ->> 'state' = 'DOWN'
    and clock_timestamp() - (state ->> 'since')::timestamptz > make_interval(secs => workplace.micro_stop_s)
    and not exists (
      select from public.workplace_states s join public.downtimes d on d.state_event_id = s.event_id
      where s.workplace_name = workplace.name and s.ended_at is null and d.cancelled_at is not null
        and d.ended_at is null
    )
  then json_build_object('downtime_id', null, 'category', 'UNPLANNED', 'reason_code', null,
    'since', state -> 'since', 'source', 'MACHINE') end;
end
$$;
comment on function app.stop_json(public.workplaces) is
  'What stops the workplace now: its open downtime, or a machine that is DOWN for longer than a micro stop; null when '
  'nothing does.';
grant execute on function app.state_spans, app.machine_state_json, app.stop_json to authenticated, service_role;

-- A machine has a credential of its own: an operator's word about it is a downtime.
create function app.speaks_for_machines(caller app.caller) returns boolean
language sql immutable parallel safe
return coalesce(
  (caller).role in ('machine', 'admin')
  or (caller).key_id is not null and app.role_rank((caller).role) >= app.role_rank('operator'), false)
  and ((caller).scopes is null or 'downtimes:report' = any((caller).scopes));
comment on function app.speaks_for_machines(app.caller) is
  'True for machines, API keys that may report, admins and servers.';

create function app.require_machine(caller app.caller) returns void
language plpgsql
set search_path = ''
as $$
begin
  perform app.require_scope(caller, 'downtimes:report', 'The API key may not report the state of a machine');
  if not app.speaks_for_machines(caller) then
    perform app.refuse(403, 'forbidden', 'Only machines, API keys and servers report the state of a machine',
      jsonb_build_object('required_role', 'machine'));
  end if;
end
$$;
comment on function app.require_machine(app.caller) is
  'Raises 403 forbidden for callers who may not speak for machines: app.speaks_for_machines.';

create function app.record_signal(caller app.caller, name text, signal jsonb) returns integer
language plpgsql
set search_path = ''
as $$
declare
  made app.signal := jsonb_populate_record(null::app.signal, signal);
  workplace public.workplaces;
  span public.workplace_states;
  event public.workplace_state_events;
  known public.workplace_state_events;
  report app.downtime_report;
  timeout interval;
begin
  if not app.sees_workplace(caller, name) then
    perform app.refuse_missing();
  end if;
  perform app.require_machine(caller);
  if made.state is null or made.occurred_at < '1970-01-01Z' or made.occurred_at >= '10000-01-01Z' then
    raise check_violation using message = 'A signal without a state, or of a time that cannot be';
  end if;
  workplace := app.lock_workplace(name);
  timeout := make_interval(secs => workplace.signal_timeout_s);
  event.report_digest := case when made.id is not null
    then sha256(convert_to(name || ' ' || signal::text, 'UTF8')) end;
  select * into known from public.workplace_state_events e where e.id = made.id;
  if found then
    if known.report_digest is distinct from event.report_digest or known.user_id is distinct from caller.user_id
      or app.reporting_key(known.reporter_id) is distinct from caller.key_id
    then
      perform app.refuse(409, 'idempotency_conflict', format('Event id "%s" belongs to another event', made.id));
    end if;
    return 200;
  end if;
  select * into span from public.workplace_states s where s.workplace_name = name and s.ended_at is null;
  perform app.raise_problem(coalesce(
    app.future_problem('/occurred_at', made.occurred_at), app.downtime_age_problem(caller, made.occurred_at)));
  event.occurred_at := date_trunc('milliseconds',
    coalesce(made.occurred_at, greatest(clock_timestamp(), span.heard_at)));
  if event.occurred_at < span.heard_at then
    if exists (
      select from public.workplace_states s
      where s.workplace_name = name and s.state = made.state
        and s.started_at <= event.occurred_at and (s.ended_at is null or s.ended_at > event.occurred_at)
    ) then
      -- it says nothing new
      return 200;
    end if;
    perform app.refuse(409, 'out_of_order',
      format('Cannot set workplace "%s" %s at %s: its last signal is of %s', name, made.state,
        app.iso(event.occurred_at), app.iso(span.heard_at)),
      jsonb_build_object('last_occurred_at', app.iso(span.heard_at)));
  end if;

  report.source := 'MACHINE';
  report.user_id := caller.user_id;
  report.person_id := caller.person_id;
  report.occurred_at := event.occurred_at;
  if span.state <> 'UNKNOWN' and event.occurred_at > span.heard_at + timeout then
    event.silent_since := span.heard_at + timeout;
  elsif span.state = made.state then
    update public.workplace_states s set heard_at = event.occurred_at
    where s.workplace_name = name and s.span_no = span.span_no;
    if span.state = 'DOWN' then
      report.reporter_id := app.reporter_of(caller, caller.user_id, caller.email);
      perform app.follow_down(workplace, span, event.occurred_at, true, report);
    end if;
    return 200;
  end if;

  report.reporter_id := app.reporter_of(caller, caller.user_id, caller.email);
  event.id := coalesce(made.id, gen_random_uuid());
  event.workplace_name := name;
  event.seq := coalesce((
    select max(e.seq) from public.workplace_state_events e where e.workplace_name = name), 0) + 1;
  event.state := made.state;
  event.user_id := caller.user_id;
  event.reporter_id := report.reporter_id;
  event.person_id := caller.person_id;
  event.created_at := clock_timestamp();
  insert into public.workplace_state_events select event.*;
  perform app.store_spans(event, span);
  if span.state = 'DOWN' then
    perform app.follow_down(workplace, span, coalesce(event.silent_since, event.occurred_at), false, report);
  end if;
  if made.state = 'DOWN' then
    select * into span from public.workplace_states s where s.workplace_name = name and s.ended_at is null;
    perform app.follow_down(workplace, span, event.occurred_at, true, report);
  end if;
  return 201;
end
$$;
comment on function app.record_signal(app.caller, text, jsonb) is
  'Records what a machine says. 201 when that is a change, 200 when it is none. Raises 403 forbidden, 404 not_found, '
  '409 idempotency_conflict or out_of_order, 422 too_old or validation_failed.';

create function public.report_machine_state(name text, signal jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('name', name) and app.require_bounded('signal', signal);
  command constant app.command := app.begin_command(idempotency);
  status integer;
  workplace public.workplaces;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  status := app.record_signal(command.caller, name, signal);
  select * into workplace from public.workplaces w where w.name = report_machine_state.name;
  return app.finish_command(command, array[name], json_build_object('status', status, 'body', json_build_object(
    'workplace_name', name,
    'machine_state', app.machine_state_json(workplace),
    'stopped_by', app.stop_json(workplace)
  )));
end
$$;
comment on function public.report_machine_state(text, jsonb, jsonb) is
  'Takes a signal {"state", "occurred_at", "id"} of a machine. Answers {"status", "body": {"workplace_name", '
  '"machine_state", "stopped_by"}}: 201 for a change of the state, 200 for its repetition. Raises what '
  'app.record_signal raises.';
grant execute on function public.report_machine_state to authenticated, service_role;
