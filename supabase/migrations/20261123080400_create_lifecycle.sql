-- What: the table of transitions and the one function that appends an event and moves its operation.
-- Why: every way to change an operation's execution goes through app.record_event, so log, row and runs cannot disagree.

-- ON_HOLD is two states to the floor (a pause that anyone ends, a block that a supervisor lifts), and a block of
-- something never started is a third: it returns to RELEASED.
create function app.execution_state(operation public.mes_operations) returns text
language sql immutable parallel safe
return case
  when (operation).status <> 'ON_HOLD' then (operation).status
  when (operation).hold_kind = 'PAUSED' then 'PAUSED'
  when (operation).actual_start_at is null then 'BLOCKED_BEFORE_START'
  else 'BLOCKED'
end;
comment on function app.execution_state(public.mes_operations) is
  'State in the table of transitions: the status, with ON_HOLD split into PAUSED, BLOCKED and BLOCKED_BEFORE_START.';

create table app.actions (
  action text primary key,
  position integer not null,
  least_role text not null
);
comment on table app.actions is 'What can be done to an operation, in the order in which clients list it, and who may do it.';

insert into app.actions (position, action, least_role) values
  (1, 'RELEASE', 'supervisor'),
  (2, 'START', 'operator'),
  (3, 'STOP', 'operator'),
  (4, 'REPORT_QUANTITY', 'operator'),
  (5, 'COMPLETE', 'operator'),
  (6, 'FINISH', 'operator'),
  (7, 'HOLD', 'supervisor'),
  (8, 'CANCEL', 'supervisor'),
  (9, 'REVERSE', 'operator'),
  (10, 'CORRECT', 'supervisor');

create table app.transitions (
  action text not null references app.actions (action),
  from_state text not null,
  to_state text not null,
  primary key (action, from_state)
);
comment on table app.transitions is 'The lifecycle of an operation: which action leads from which state to which.';

insert into app.transitions (action, from_state, to_state) values
  ('RELEASE', 'PLANNED', 'RELEASED'),
  ('RELEASE', 'BLOCKED_BEFORE_START', 'RELEASED'),
  ('RELEASE', 'BLOCKED', 'PAUSED'),
  ('START', 'RELEASED', 'IN_PROGRESS'),
  ('START', 'PAUSED', 'IN_PROGRESS'),
  ('START', 'IN_PROGRESS', 'IN_PROGRESS'),
  ('STOP', 'IN_PROGRESS', 'PAUSED'),
  ('REPORT_QUANTITY', 'IN_PROGRESS', 'IN_PROGRESS'),
  ('REPORT_QUANTITY', 'PAUSED', 'PAUSED'),
  ('REPORT_QUANTITY', 'BLOCKED', 'BLOCKED'),
  ('COMPLETE', 'IN_PROGRESS', 'FINISHED'),
  ('COMPLETE', 'PAUSED', 'FINISHED'),
  ('COMPLETE', 'BLOCKED', 'FINISHED'),
  ('FINISH', 'IN_PROGRESS', 'FINISHED'),
  ('FINISH', 'PAUSED', 'FINISHED'),
  ('FINISH', 'BLOCKED', 'FINISHED'),
  ('HOLD', 'RELEASED', 'BLOCKED_BEFORE_START'),
  ('HOLD', 'IN_PROGRESS', 'BLOCKED'),
  ('CANCEL', 'PLANNED', 'CANCELLED'),
  ('CANCEL', 'RELEASED', 'CANCELLED'),
  ('CANCEL', 'BLOCKED_BEFORE_START', 'CANCELLED'),
  ('CANCEL', 'IN_PROGRESS', 'CANCELLED'),
  ('CANCEL', 'PAUSED', 'CANCELLED'),
  ('CANCEL', 'BLOCKED', 'CANCELLED'),
  ('REVERSE', 'IN_PROGRESS', 'IN_PROGRESS'),
  ('REVERSE', 'PAUSED', 'PAUSED'),
  ('REVERSE', 'BLOCKED', 'BLOCKED'),
  ('REVERSE', 'FINISHED', 'PAUSED'),
  ('CORRECT', 'IN_PROGRESS', 'IN_PROGRESS'),
  ('CORRECT', 'PAUSED', 'PAUSED'),
  ('CORRECT', 'BLOCKED', 'BLOCKED'),
  ('CORRECT', 'FINISHED', 'FINISHED');

-- What somebody reports, however it came in: an event of a terminal, a step of a planner, a PATCH.
create type app.report as (
  id uuid,
  digest bytea,
  action_type text,
  occurred_at timestamptz,
  phase text,
  qty_good integer,
  qty_scrap integer,
  reason_code text,
  note text,
  reverses_event_id uuid,
  operation_data jsonb,
  user_id uuid,
  user_email text,
  actual_start_at timestamptz,
  actual_end_at timestamptz,
  t_actual_setup_min numeric,
  t_actual_processing_min numeric,
  t_actual_lead_min numeric
);
comment on type app.report is
  'One action on one operation. The quantities of a CORRECT are signed differences; its times and minutes are the new absolute values, null = unchanged.';

create function app.operation_label(operation public.mes_operations) returns text
language sql immutable parallel safe
return (operation).order_no || '/' || (operation).asset_id::text || '/' || (operation).operation_no;
comment on function app.operation_label(public.mes_operations) is 'The operation as people quote it: order/asset/operation.';

create function app.iso(instant timestamptz) returns text
language sql stable parallel safe
return to_char(instant at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
comment on function app.iso(timestamptz) is 'An instant as the API writes it: ISO 8601, UTC, milliseconds, Z.';

create function app.minutes_between(from_at timestamptz, to_at timestamptz) returns numeric
language sql immutable parallel safe
return round(extract(epoch from to_at - from_at) / 60, 3);
comment on function app.minutes_between(timestamptz, timestamptz) is 'Minutes from one instant to another, to a thousandth.';

-- What is finished counts as delivered: taking it back is a supervisor's decision.
create function app.least_role(action app.actions, operation public.mes_operations) returns text
language sql immutable parallel safe
return case when (action).action = 'REVERSE' and (operation).status = 'FINISHED' then 'supervisor' else (action).least_role end;
comment on function app.least_role(app.actions, public.mes_operations) is 'Role that an action on this operation needs at least.';

create function app.allowed_actions(operation public.mes_operations, caller app.caller) returns json
language plpgsql stable security definer
set search_path = ''
-- for two tiny tables the planner would plan anew for each state
set plan_cache_mode = force_generic_plan
as $$
declare
  state constant text := app.execution_state(operation);
  rank constant integer := app.role_rank((caller).role);
  may_start constant boolean := state in ('RELEASED', 'PAUSED');
  workplace_is_full boolean := false;
begin
  if may_start then
    select w.capacity <= (
      select count(*) from public.mes_operations o
      where o.workplace_name = w.name and o.status = 'IN_PROGRESS' and o.id <> (operation).id
    ) into workplace_is_full
    from public.workplaces w
    where w.name = (operation).workplace_name and w.capacity is not null;
  end if;
  return (
    select json_agg(
      json_build_object('action', possible.action, 'allowed', possible.blocked_by is null, 'blocked_by', possible.blocked_by)
      order by possible.position
    )
    from (
      select a.action, a.position, case
        when rank < app.role_rank(app.least_role(a, operation)) then 'forbidden'
        when a.action = 'START' and (operation).hold_kind = 'BLOCKED' then 'operation_blocked'
        when a.action = 'START' and (operation).running_phase = 'PROCESSING' then 'already_running'
        when t.action is null then 'invalid_state_transition'
        when a.action = 'START' and workplace_is_full then 'workplace_busy'
      end as blocked_by
      from app.actions a left join app.transitions t on t.action = a.action and t.from_state = state
    ) possible
  );
end
$$;
comment on function app.allowed_actions(public.mes_operations, app.caller) is
  'For each action whether this caller may take it now, and if not the machine code of the cause. The shape is {"action", "allowed", "blocked_by"}.';

create function app.refuse_transition(operation public.mes_operations, caller app.caller, attempt text) returns void
language plpgsql
set search_path = ''
as $$
begin
  perform app.refuse(
    422, 'invalid_state_transition',
    format('Cannot %s operation %s: status is "%s"', attempt, app.operation_label(operation), (operation).status),
    jsonb_build_object('current_status', (operation).status, 'allowed_actions', app.allowed_actions(operation, caller))
  );
end
$$;
comment on function app.refuse_transition(public.mes_operations, app.caller, text) is
  'Raises 422 invalid_state_transition with the current status and what is allowed instead.';

create function app.refuse_field(pointer text, code text, sentence text) returns void
language plpgsql
set search_path = ''
as $$
begin
  perform app.refuse(
    422, 'validation_failed', sentence,
    jsonb_build_object('errors', jsonb_build_array(jsonb_build_object('in', 'body', 'pointer', pointer, 'message', left(sentence, 1000), 'code', code)))
  );
end
$$;
comment on function app.refuse_field(text, text, text) is 'Raises 422 validation_failed for one field, named by a JSON Pointer.';

create function app.as_running(operation public.mes_operations) returns jsonb
language sql stable parallel safe
return jsonb_build_object(
  'order_no', (operation).order_no, 'asset_id', (operation).asset_id, 'operation_no', (operation).operation_no,
  'running_since', app.iso((operation).running_since));
comment on function app.as_running(public.mes_operations) is 'A running operation as workplace_busy names it.';

create function app.running_operations(workplace_name text, except_ids bigint[]) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(app.as_running(o) order by o.running_since, o.id), '[]') from public.mes_operations o
    where o.workplace_name = running_operations.workplace_name and o.status = 'IN_PROGRESS' and o.id <> all(except_ids)
  );
end
$$;
comment on function app.running_operations(text, bigint[]) is 'The operations that run at a workplace, except some, as a JSON array.';

create function app.missing_room(operation public.mes_operations, capacity integer, running jsonb) returns jsonb
language sql immutable parallel safe
return case when jsonb_array_length(running) >= capacity then jsonb_build_object(
  'detail', format('Cannot start operation %s: workplace "%s" runs %s of at most %s operations',
    app.operation_label(operation), (operation).workplace_name, jsonb_array_length(running), capacity),
  'capacity', capacity,
  'running_operations', running
) end;
comment on function app.missing_room(public.mes_operations, integer, jsonb) is
  'What workplace_busy says when these other operations leave no room for the operation, else null.';

create function app.require_room(missing jsonb) returns void
language plpgsql
set search_path = ''
as $$
begin
  if missing ? 'detail' then
    perform app.refuse(409, 'workplace_busy', missing ->> 'detail', missing - 'detail');
  end if;
end
$$;
comment on function app.require_room(jsonb) is 'Raises 409 workplace_busy for what app.missing_room answers, unless that is null.';

-- A workplace of capacity 2 has at most 2 running operations: the lock on its row makes the count true. It does not
-- keep others from planning operations there.
create function app.require_free_workplace(operation public.mes_operations) returns void
language plpgsql
set search_path = ''
as $$
declare
  allowed integer;
begin
  select w.capacity into allowed from public.workplaces w
  where w.name = (operation).workplace_name and w.capacity is not null
  for no key update;
  if allowed is not null then
    perform app.require_room(app.missing_room(
      operation, allowed, app.running_operations((operation).workplace_name, array[(operation).id])));
  end if;
end
$$;
comment on function app.require_free_workplace(public.mes_operations) is
  'Raises 409 workplace_busy with the running operations when the workplace has no room; locks the workplace until commit.';

create function app.require_reason(operation public.mes_operations, report app.report, kind text, needed boolean) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_generic_plan
as $$
begin
  if (report).reason_code is null and needed then
    perform app.refuse(
      422, 'reason_required',
      format('Cannot %s operation %s: a reason code of kind %s is required', (report).action_type, app.operation_label(operation), kind),
      jsonb_build_object('kind', kind)
    );
  elsif (report).reason_code is not null and kind is null then
    perform app.refuse_field('/reason_code', 'not_used', format('%s takes no reason code', (report).action_type));
  elsif (report).reason_code is not null and not exists (
    select from public.reason_codes r
    where r.kind = require_reason.kind and r.code = (report).reason_code
      -- inactive, it is not offered any more; PATCH and import still write it
      and (r.active or r.code = 'UNSPECIFIED')
  ) then
    perform app.refuse_field('/reason_code', 'unknown_reason', format('"%s" is not an active reason code of kind %s', (report).reason_code, kind));
  end if;
end
$$;
comment on function app.require_reason(public.mes_operations, app.report, text, boolean) is
  'Raises 422 reason_required when a needed reason is missing, 422 validation_failed when it is not an active code of its kind, or the action takes none.';

create function app.require_quantities(operation public.mes_operations) returns void
language plpgsql
set search_path = ''
as $$
begin
  if (operation).qty_scrap not between 0 and (operation).qty_processed then
    perform app.refuse(
      422, 'invalid_quantity',
      format('Operation %s cannot have %s scrapped of %s processed pieces', app.operation_label(operation), (operation).qty_scrap, (operation).qty_processed),
      jsonb_build_object('qty_processed', (operation).qty_processed, 'qty_scrap', (operation).qty_scrap)
    );
  elsif (operation).qty_processed - (operation).qty_scrap > floor((operation).qty_desired * (1 + (operation).overrun_tolerance_pct / 100)) then
    perform app.refuse(
      422, 'invalid_quantity',
      format('Operation %s cannot have %s good pieces: %s are desired, with %s %% tolerance', app.operation_label(operation),
        (operation).qty_processed - (operation).qty_scrap, (operation).qty_desired, (operation).overrun_tolerance_pct),
      jsonb_build_object(
        'qty_desired', (operation).qty_desired,
        'qty_good', (operation).qty_processed - (operation).qty_scrap,
        'limit', floor((operation).qty_desired * (1 + (operation).overrun_tolerance_pct / 100))
      )
    );
  end if;
end
$$;
comment on function app.require_quantities(public.mes_operations) is
  'Raises 422 invalid_quantity unless 0 <= scrap <= processed and good <= desired within tolerance.';

create function app.added_quantity(base integer, difference integer) returns integer
language plpgsql immutable
set search_path = ''
as $$
begin
  return base + difference;
exception when numeric_value_out_of_range then
  perform app.refuse(422, 'invalid_quantity', format('%s + %s pieces is more than can be counted', base, difference));
end
$$;
comment on function app.added_quantity(integer, integer) is 'Sum of two counts of pieces; raises 422 invalid_quantity beyond 2^31-1.';

-- Work cannot begin or end before the last moment of the operation's timeline, corrections included.
create function app.timeline_end(operation public.mes_operations) returns timestamptz
language sql immutable parallel safe
return greatest((operation).worked_until, (operation).actual_start_at, (operation).actual_end_at);
comment on function app.timeline_end(public.mes_operations) is 'Latest start or end of the operation or of one of its runs, or null.';

create function app.in_words(span interval) returns text
language sql immutable parallel safe
return case
  when span < interval '90 seconds' then round(extract(epoch from span)) || ' s'
  when span < interval '59.5 minutes' then round(extract(epoch from span) / 60) || ' min'
  when span < interval '48 hours'
  then floor(round(extract(epoch from span) / 60) / 60) || ' h ' || round(extract(epoch from span) / 60) % 60 || ' min'
  else round(extract(epoch from span) / 86400) || ' days'
end;
comment on function app.in_words(interval) is 'A positive span of time as a person says it: 75 s, 5 min, 3 h 12 min, 20781 days.';

-- A clock that is behind what the server itself has recorded has stepped back, or the machine was asleep: it cannot say
-- what is in the future. Only times that servers make are evidence, so that no terminal can move the limit.
create function app.last_recorded_at() returns timestamptz
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return greatest(
    (select f.recorded_at from app.feed f order by f.pos desc limit 1),
    to_timestamp((nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'iat')::double precision)
  );
end
$$;
comment on function app.last_recorded_at() is
  'The newest time that a server has made and that is known here: of the last event in the feed, or of the caller''s access token.';

create function app.latest_time() returns timestamptz
language plpgsql stable
set search_path = ''
as $$
declare
  heard_at constant timestamptz := clock_timestamp();
  recorded_at constant timestamptz := app.last_recorded_at();
begin
  return case
    when recorded_at > heard_at + interval '1 second' then recorded_at + interval '24 hours'
    else heard_at + interval '60 seconds'
  end;
end
$$;
comment on function app.latest_time() is
  'What is later is in the future: the server''s clock + 60 s; where that clock has stepped back, the last record + 24 h.';

create function app.ahead_of_clock(instant timestamptz) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  heard_at constant timestamptz := clock_timestamp();
begin
  return format('"%s" is %s ahead of the server''s clock, %s',
    app.iso(instant), app.in_words(instant - heard_at), app.iso(heard_at));
end
$$;
comment on function app.ahead_of_clock(timestamptz) is 'The sentence about a time in the future: it, the offset in words, and the server''s time.';

create function app.require_past(pointer text, instant timestamptz) returns void
language plpgsql
set search_path = ''
as $$
declare
  sentence text;
begin
  -- nearly all is: the record need not be looked at
  if instant is null or instant <= clock_timestamp() + interval '60 seconds' or instant <= app.latest_time() then
    return;
  end if;
  sentence := app.ahead_of_clock(instant);
  perform app.refuse(
    422, 'validation_failed', sentence,
    jsonb_build_object(
      'server_time', app.iso(clock_timestamp()),
      'errors', jsonb_build_array(jsonb_build_object(
        'in', 'body', 'pointer', pointer, 'message', sentence, 'code', 'in_future')))
  );
end
$$;
comment on function app.require_past(text, timestamptz) is
  'Raises 422 validation_failed (in_future), with the server''s time and the offset, for what is later than app.latest_time().';

create function app.require_recent(
  operation public.mes_operations, caller app.caller, action text, instant timestamptz
) returns void
language plpgsql
set search_path = ''
as $$
declare
  heard_at constant timestamptz := clock_timestamp();
  age_limit interval;
begin
  if instant is null or app.role_rank((caller).role) >= app.role_rank('supervisor') then
    return;
  end if;
  select s.report_age_limit into age_limit from app.settings s;
  if instant < heard_at - age_limit then
    perform app.refuse(
      422, 'too_old',
      format('Cannot %s operation %s at %s: that is %s behind the server''s clock, %s; a supervisor may report it',
        action, app.operation_label(operation), app.iso(instant), app.in_words(heard_at - instant), app.iso(heard_at)),
      jsonb_build_object('server_time', app.iso(heard_at), 'limit', app.iso(heard_at - age_limit),
        'limit_days', round(extract(epoch from age_limit) / 86400, 2))
    );
  end if;
end
$$;
comment on function app.require_recent(public.mes_operations, app.caller, text, timestamptz) is
  'Raises 422 too_old for machines and operators when it happened longer ago than app.settings allows: their device''s clock is wrong.';

create function app.occurred_at(
  operation public.mes_operations, caller app.caller, report app.report
) returns timestamptz
language plpgsql
set search_path = ''
as $$
declare
  -- now() is when the transaction began, before it waited for the row: between writers it runs backwards
  -- to the millisecond, as clients read it: what they send back as a filter or a condition means the same instant
  heard_at constant timestamptz := date_trunc('milliseconds', clock_timestamp());
  happened_at constant timestamptz := date_trunc('milliseconds', (report).occurred_at);
  earliest timestamptz;
begin
  if (report).action_type in ('RELEASE', 'START', 'STOP', 'COMPLETE', 'FINISH', 'HOLD', 'CANCEL')
    or (report).action_type = 'REVERSE' and (operation).status = 'FINISHED'
  then
    earliest := app.timeline_end(operation);
  elsif (report).action_type in ('REPORT_QUANTITY', 'REVERSE') then
    earliest := (operation).actual_start_at;
  end if;
  if happened_at is null then
    -- clocks of devices may be ahead, that of the server may have stepped back: what follows has not happened before
    return greatest(heard_at, earliest);
  end if;
  perform app.require_past('/occurred_at', happened_at);
  perform app.require_recent(operation, caller, (report).action_type, happened_at);
  if happened_at >= earliest is not false then
    return happened_at;
  elsif earliest > heard_at and happened_at > heard_at - interval '60 seconds' then
    -- it happens now, and what it follows is in the future of the server's clock: that is the clock's fault
    return earliest;
  elsif (report).action_type in ('REPORT_QUANTITY', 'REVERSE') and (operation).status <> 'FINISHED' then
    perform app.refuse(
      409, 'out_of_order',
      format('Cannot report quantities of operation %s at %s: it started at %s',
        app.operation_label(operation), app.iso(happened_at), app.iso(earliest)),
      jsonb_build_object('last_occurred_at', app.iso(earliest))
    );
  end if;
  perform app.refuse(
    409, 'out_of_order',
    format('Cannot %s operation %s at %s: its last event occurred at %s',
      (report).action_type, app.operation_label(operation), app.iso(happened_at), app.iso(earliest)),
    jsonb_build_object('last_occurred_at', app.iso(earliest))
  );
  return null;
end
$$;
comment on function app.occurred_at(public.mes_operations, app.caller, app.report) is
  'When the report happened: as stated, or now, but never before what it follows. Raises 422 validation_failed (in_future) and too_old, 409 out_of_order before the end of the timeline.';

create function app.append_event(
  operation public.mes_operations, status_before text, caller app.caller, report app.report, reason_kind text, changes jsonb
) returns public.operation_events
language plpgsql
set search_path = ''
as $$
declare
  event public.operation_events;
begin
  insert into public.operation_events (
    id, operation_id, op_seq, action_type, order_no, asset_id, operation_no, workplace_name, status_before, status_after,
    occurred_at, phase, qty_good, qty_scrap, reason_kind, reason_code, note, reverses_event_id, changes, operation_data,
    user_id, reporter_id, report_digest, created_at
  )
  values (
    coalesce(report.id, gen_random_uuid()), operation.id, operation.last_op_seq + 1, report.action_type,
    operation.order_no, operation.asset_id, operation.operation_no, operation.workplace_name,
    status_before, operation.status,
    report.occurred_at, report.phase, coalesce(report.qty_good, 0), coalesce(report.qty_scrap, 0),
    case when report.reason_code is not null then reason_kind end, report.reason_code, report.note, report.reverses_event_id,
    changes, report.operation_data,
    coalesce(report.user_id, caller.user_id),
    app.reporter_of(coalesce(report.user_id, caller.user_id), coalesce(report.user_email, caller.email)), report.digest,
    -- the server's clock may have stepped back
    greatest(
      clock_timestamp(),
      report.occurred_at - interval '2 minutes',
      (select e.created_at from public.operation_events e
       where e.operation_id = operation.id and e.op_seq = operation.last_op_seq)
    )
  )
  returning * into event;
  return event;
end
$$;
comment on function app.append_event(public.mes_operations, text, app.caller, app.report, text, jsonb) is
  'Writes the next event of an operation. Raises 400 integrity_error for an unknown user.';

-- An operation can have thousands of runs. Its row keeps what they add up to, and each run that closes or moves changes
-- that by its own minutes; the rebuild from events proves the sums.
create function app.with_run(inout operation public.mes_operations, run public.operation_runs, direction integer)
language plpgsql immutable
set search_path = ''
as $$
declare
  added_min constant numeric := direction * coalesce(app.minutes_between(run.started_at, run.ended_at), 0);
begin
  if run.phase = 'SETUP' then
    operation.logged_setup_min := operation.logged_setup_min + added_min;
  else
    operation.logged_processing_min := operation.logged_processing_min + added_min;
  end if;
end
$$;
comment on function app.with_run(public.mes_operations, public.operation_runs, integer) is
  'The operation with the minutes of one run added (direction 1) or removed (-1); an open run has none yet.';

create function app.with_minutes(inout operation public.mes_operations)
language plpgsql immutable
set search_path = ''
as $$
begin
  operation.t_actual_setup_min := operation.logged_setup_min + operation.unlogged_setup_min;
  operation.t_actual_processing_min := operation.logged_processing_min + operation.unlogged_processing_min;
  -- fewer minutes than the open run has by now may have been stated: it is added when read
  if operation.running_phase is distinct from 'SETUP' then
    operation.t_actual_setup_min := greatest(operation.t_actual_setup_min, 0);
  end if;
  if operation.running_phase is distinct from 'PROCESSING' then
    operation.t_actual_processing_min := greatest(operation.t_actual_processing_min, 0);
  end if;
  operation.t_actual_lead_min := coalesce(app.minutes_between(operation.actual_start_at, operation.actual_end_at), operation.t_actual_lead_min);
end
$$;
comment on function app.with_minutes(public.mes_operations) is
  'The operation with its actual minutes: those of its closed runs and the unlogged ones.';

create function app.logged_minutes(operation public.mes_operations, phase text, as_of timestamptz) returns numeric
language sql immutable parallel safe
return case phase when 'SETUP' then (operation).logged_setup_min else (operation).logged_processing_min end
  + case when (operation).running_phase = phase
      then greatest(app.minutes_between((operation).running_since, as_of), 0) else 0 end;
comment on function app.logged_minutes(public.mes_operations, text, timestamptz) is
  'Minutes of the runs of one phase, the open one as far as it had come at that moment.';

create function app.store_operation(operation public.mes_operations) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  stored public.mes_operations;
begin
  update public.mes_operations o
  set (reference_url, activity_code, activity_description, workplace_name, workplace_group, qty_desired, overrun_tolerance_pct,
       planned_start_at, planned_end_at, t_target_processing_min, t_target_setup_min, t_target_lead_min, timestamp_ms, change_type,
       source_conflict, status, hold_kind, hold_reason_code, qty_processed, qty_scrap, actual_start_at, actual_end_at,
       t_actual_processing_min, t_actual_setup_min, t_actual_lead_min, unlogged_processing_min, unlogged_setup_min,
       running_since, running_phase, run_count, worked_until, logged_processing_min, logged_setup_min, counted_since,
       last_op_seq)
    = row ((operation).reference_url, (operation).activity_code, (operation).activity_description, (operation).workplace_name,
       (operation).workplace_group, (operation).qty_desired, (operation).overrun_tolerance_pct,
       (operation).planned_start_at, (operation).planned_end_at, (operation).t_target_processing_min, (operation).t_target_setup_min,
       (operation).t_target_lead_min, (operation).timestamp_ms, (operation).change_type,
       (operation).source_conflict, (operation).status, (operation).hold_kind, (operation).hold_reason_code, (operation).qty_processed,
       (operation).qty_scrap, (operation).actual_start_at, (operation).actual_end_at,
       (operation).t_actual_processing_min, (operation).t_actual_setup_min, (operation).t_actual_lead_min,
       (operation).unlogged_processing_min, (operation).unlogged_setup_min,
       (operation).running_since, (operation).running_phase, (operation).run_count, (operation).worked_until,
       (operation).logged_processing_min, (operation).logged_setup_min, (operation).counted_since,
       (operation).last_op_seq)
  where o.id = (operation).id
  returning o.* into stored;
  return stored;
end
$$;
comment on function app.store_operation(public.mes_operations) is
  'Writes plan and execution of an operation back to its row and returns the row, with its new version.';

-- Moves the times and minutes that a CORRECT states, and says what they were.
create function app.correct_times(inout operation public.mes_operations, report app.report, out changes jsonb)
language plpgsql
set search_path = ''
as $$
declare
  before constant public.mes_operations := operation;
  first_run public.operation_runs;
  last_run public.operation_runs;
  moved_run public.operation_runs;
  starts_run boolean;
  ends_run boolean;
  is_one_run boolean;
  setup_min constant numeric := (operation).unlogged_setup_min + app.logged_minutes(operation, 'SETUP', (report).occurred_at);
  processing_min constant numeric := (operation).unlogged_processing_min + app.logged_minutes(operation, 'PROCESSING', (report).occurred_at);
  new_start constant timestamptz := coalesce(date_trunc('milliseconds', (report).actual_start_at), (operation).actual_start_at);
  new_end constant timestamptz := coalesce(date_trunc('milliseconds', (report).actual_end_at), (operation).actual_end_at);
begin
  changes := '{}';
  select * into first_run from public.operation_runs r where r.operation_id = operation.id and r.run_no = 1;
  select * into last_run from public.operation_runs r
  where r.operation_id = operation.id and r.run_no = operation.run_count;
  -- the first run began with the operation, unless the operation arrived with work done before its first run here
  starts_run := coalesce(first_run.started_at = before.actual_start_at, false);
  -- a run that the end itself closed ends when the operation does; one that was stopped before stays
  ends_run := coalesce(last_run.ended_at = before.actual_end_at, false) and exists (
    select from public.operation_events e where e.id = last_run.end_event_id and e.action_type in ('COMPLETE', 'FINISH'));
  is_one_run := starts_run and ends_run and last_run.run_no = 1;

  if new_start is distinct from before.actual_start_at then
    perform app.require_past('/actual_start_at', new_start);
    if new_start > new_end
      or new_start > (case when is_one_run then new_end when starts_run then first_run.ended_at else first_run.started_at end)
      or new_start > operation.counted_since
    then
      perform app.refuse(
        409, 'out_of_order',
        format('Cannot move the start of operation %s to %s: work was reported before that', app.operation_label(operation), app.iso(new_start))
      );
    end if;
    operation.actual_start_at := new_start;
    if starts_run and last_run.run_no = 1 and last_run.ended_at is null then
      operation.running_since := new_start;
    end if;
    changes := changes || jsonb_build_object('actual_start_at', jsonb_build_object(
      'before', app.iso(before.actual_start_at), 'after', app.iso(new_start)));
  end if;

  if new_end is distinct from before.actual_end_at then
    if before.status <> 'FINISHED' then
      perform app.refuse_field('/actual_end_at', 'not_finished', format('operation %s has not ended: FINISH it', app.operation_label(operation)));
    end if;
    perform app.require_past('/actual_end_at', new_end);
    if new_end < greatest(new_start, case when is_one_run then new_start when ends_run then last_run.started_at else last_run.ended_at end) then
      perform app.refuse(
        409, 'out_of_order',
        format('Cannot move the end of operation %s to %s: it was still worked on then', app.operation_label(operation), app.iso(new_end))
      );
    end if;
    operation.actual_end_at := new_end;
    changes := changes || jsonb_build_object('actual_end_at', jsonb_build_object(
      'before', app.iso(before.actual_end_at), 'after', app.iso(new_end)));
  end if;

  -- start and end of one run move together
  foreach moved_run in array case last_run.run_no when 1 then array[first_run] else array[first_run, last_run] end loop
    if starts_run and moved_run.run_no = 1 and changes ? 'actual_start_at'
      or ends_run and moved_run.run_no = operation.run_count and changes ? 'actual_end_at'
    then
      operation := app.with_run(operation, moved_run, -1);
      if starts_run and moved_run.run_no = 1 then
        moved_run.started_at := new_start;
      end if;
      if ends_run and moved_run.run_no = operation.run_count then
        moved_run.ended_at := new_end;
      end if;
      operation := app.with_run(operation, moved_run, 1);
      if moved_run.run_no = operation.run_count then
        operation.worked_until := coalesce(moved_run.ended_at, moved_run.started_at);
      end if;
      update public.operation_runs r set started_at = moved_run.started_at, ended_at = moved_run.ended_at
      where r.operation_id = operation.id and r.run_no = moved_run.run_no;
    end if;
  end loop;

  -- minutes are stated as they shall be read at that moment, whatever the runs say
  if report.t_actual_setup_min <> greatest(setup_min, 0) or before.t_actual_setup_min is null and report.t_actual_setup_min is not null then
    operation.unlogged_setup_min := report.t_actual_setup_min - app.logged_minutes(operation, 'SETUP', report.occurred_at);
    changes := changes || jsonb_build_object('t_actual_setup_min', jsonb_build_object(
      'before', case when before.t_actual_setup_min is not null then greatest(setup_min, 0) end, 'after', report.t_actual_setup_min));
  end if;

  if report.t_actual_processing_min <> greatest(processing_min, 0) or before.t_actual_processing_min is null and report.t_actual_processing_min is not null then
    operation.unlogged_processing_min := report.t_actual_processing_min - app.logged_minutes(operation, 'PROCESSING', report.occurred_at);
    changes := changes || jsonb_build_object('t_actual_processing_min', jsonb_build_object(
      'before', case when before.t_actual_processing_min is not null then greatest(processing_min, 0) end, 'after', report.t_actual_processing_min));
  end if;

  if report.t_actual_lead_min is distinct from before.t_actual_lead_min and report.t_actual_lead_min is not null then
    if operation.actual_end_at - operation.actual_start_at is not null then
      perform app.refuse_field('/t_actual_lead_min', 'derived', format('operation %s has a start and an end: the lead time lies between them', app.operation_label(operation)));
    end if;
    operation.t_actual_lead_min := report.t_actual_lead_min;
    changes := changes || jsonb_build_object('t_actual_lead_min', jsonb_build_object(
      'before', before.t_actual_lead_min, 'after', report.t_actual_lead_min));
  end if;
end
$$;
comment on function app.correct_times(public.mes_operations, app.report) is
  'Applies the times and minutes of a CORRECT to the operation and its runs. Raises 409 out_of_order when work would lie outside of them.';

-- A REVERSE takes back at most what is left of the event that it names; without quantities, all of that.
create function app.reversal(operation public.mes_operations, inout report app.report)
language plpgsql
set search_path = ''
as $$
declare
  reversed public.operation_events;
  good_left integer;
  scrap_left integer;
begin
  select * into reversed from public.operation_events e
  where e.id = report.reverses_event_id and e.operation_id = (operation).id and e.action_type in ('REPORT_QUANTITY', 'COMPLETE');
  if not found then
    perform app.refuse_field('/reverses_event_id', 'not_reversible', format('"%s" is not a REPORT_QUANTITY or COMPLETE of operation %s',
      report.reverses_event_id, app.operation_label(operation)));
  end if;
  select reversed.qty_good - coalesce(sum(e.qty_good), 0), reversed.qty_scrap - coalesce(sum(e.qty_scrap), 0) into good_left, scrap_left
  from public.operation_events e
  where e.reverses_event_id = reversed.id;

  if report.qty_good is null and report.qty_scrap is null then
    report.qty_good := good_left;
    report.qty_scrap := scrap_left;
  end if;
  report.qty_good := coalesce(report.qty_good, 0);
  report.qty_scrap := coalesce(report.qty_scrap, 0);
  if report.qty_good > good_left or report.qty_scrap > scrap_left or report.qty_good + report.qty_scrap = 0 then
    perform app.refuse(
      422, 'invalid_quantity',
      format('Cannot take back %s good and %s scrapped pieces of event "%s": %s good and %s scrapped are left of it',
        report.qty_good, report.qty_scrap, reversed.id, good_left, scrap_left),
      jsonb_build_object('limit', jsonb_build_object('qty_good', good_left, 'qty_scrap', scrap_left))
    );
  end if;
end
$$;
comment on function app.reversal(public.mes_operations, app.report) is
  'The REVERSE with its quantities filled in. Raises 422 validation_failed when the event is not one to reverse, 422 invalid_quantity when less is left of it.';

-- The one way in which an operation's execution changes. The caller of this function holds the operation's row lock, has
-- checked that the person sees it, and stores the operation and its open run afterwards. A batch takes many steps on one
-- operation: each version of the row that it would store in between makes all later looks at the row slower.
create function app.take_step(
  inout operation public.mes_operations, inout unstored_run public.operation_runs,
  caller app.caller, report app.report, room jsonb,
  out event public.operation_events
)
language plpgsql
set search_path = ''
as $$
declare
  before constant public.mes_operations := operation;
  transition app.transitions;
  run public.operation_runs;
  closes_run boolean;
  opens_run boolean;
  direction constant integer := case report.action_type when 'REVERSE' then -1 else 1 end;
  reason_kind text;
  corrected record;
  changes jsonb;
begin
  -- who, and whether the lifecycle has such a step
  perform app.require_role(
    caller, (select app.least_role(a, operation) from app.actions a where a.action = report.action_type),
    format('Your role may not %s operation %s', report.action_type, app.operation_label(operation))
  );
  if report.action_type = 'START' and operation.hold_kind = 'BLOCKED' then
    perform app.refuse(
      409, 'operation_blocked',
      format('Cannot START operation %s: it is blocked with reason "%s" until a supervisor releases it', app.operation_label(operation), operation.hold_reason_code),
      jsonb_build_object('current_status', operation.status, 'hold_reason_code', operation.hold_reason_code,
        'allowed_actions', app.allowed_actions(operation, caller))
    );
  end if;
  select * into transition from app.transitions t where t.action = report.action_type and t.from_state = app.execution_state(operation);
  if not found then
    perform app.refuse_transition(operation, caller, report.action_type);
  end if;

  -- when
  if report.action_type = 'START' then
    report.phase := coalesce(report.phase, 'PROCESSING');
    if operation.running_phase = report.phase then
      if unstored_run.run_no is null then
        select * into run from public.operation_runs r
        where r.operation_id = operation.id and r.run_no = operation.run_count;
      else
        run := unstored_run;
      end if;
      perform app.refuse(
        409, 'already_running',
        format('Cannot START operation %s: it has been running since %s', app.operation_label(operation), app.iso(operation.running_since)),
        jsonb_build_object('running_since', app.iso(operation.running_since), 'phase', operation.running_phase,
          'user_id', run.user_id, 'user_email', app.reporter_email(run.reporter_id))
      );
    end if;
  end if;
  report.occurred_at := app.occurred_at(operation, caller, report);

  -- status
  closes_run := operation.running_since is not null and report.action_type in ('START', 'STOP', 'COMPLETE', 'FINISH', 'HOLD', 'CANCEL');
  opens_run := report.action_type = 'START';
  if opens_run and not closes_run then
    if room is null then
      perform app.require_free_workplace(operation);
    else
      perform app.require_room(room);
    end if;
  end if;
  operation.status := case when transition.to_state in ('PAUSED', 'BLOCKED', 'BLOCKED_BEFORE_START') then 'ON_HOLD' else transition.to_state end;
  operation.hold_kind := case transition.to_state when 'PAUSED' then 'PAUSED' when 'BLOCKED' then 'BLOCKED' when 'BLOCKED_BEFORE_START' then 'BLOCKED' end;
  operation.hold_reason_code := case
    when report.action_type in ('STOP', 'HOLD') then report.reason_code
    when operation.status = 'ON_HOLD' and report.action_type <> 'RELEASE' then before.hold_reason_code
  end;

  -- quantities
  if report.action_type = 'COMPLETE' then
    if report.qty_good is null and operation.qty_desired is null then
      perform app.refuse(
        422, 'invalid_quantity',
        format('Cannot COMPLETE operation %s without qty_good: it has no desired quantity', app.operation_label(operation))
      );
    end if;
    report.qty_good := coalesce(report.qty_good, greatest(operation.qty_desired - operation.qty_good, 0));
  end if;
  if report.action_type = 'REVERSE' then
    report := app.reversal(operation, report);
  end if;
  if report.qty_good <> 0 or report.qty_scrap <> 0 then
    operation.qty_scrap := app.added_quantity(operation.qty_scrap, direction * coalesce(report.qty_scrap, 0));
    operation.qty_processed := app.added_quantity(
      operation.qty_processed, direction * app.added_quantity(coalesce(report.qty_good, 0), coalesce(report.qty_scrap, 0)));
    perform app.require_quantities(operation);
    -- the table generates it, when it is stored
    operation.qty_good := operation.qty_processed - operation.qty_scrap;
  end if;

  -- times
  if report.action_type = 'CORRECT' then
    perform app.require_recent(operation, caller, 'CORRECT', least(report.actual_start_at, report.actual_end_at));
    if unstored_run.run_no is not null then
      unstored_run := app.store_run(unstored_run);
    end if;
    corrected := app.correct_times(operation, report);
    operation := corrected.operation;
    changes := corrected.changes;
    if operation.qty_processed <> before.qty_processed then
      changes := changes || jsonb_build_object('qty_processed', jsonb_build_object('before', before.qty_processed, 'after', operation.qty_processed));
    end if;
    if operation.qty_scrap <> before.qty_scrap then
      changes := changes || jsonb_build_object('qty_scrap', jsonb_build_object('before', before.qty_scrap, 'after', operation.qty_scrap));
    end if;
  end if;
  if closes_run then
    run.phase := operation.running_phase;
    run.started_at := operation.running_since;
    run.ended_at := report.occurred_at;
    operation := app.with_run(operation, run, 1);
    operation.worked_until := report.occurred_at;
    operation.running_since := null;
    operation.running_phase := null;
  end if;
  if opens_run then
    operation.actual_start_at := coalesce(operation.actual_start_at, report.occurred_at);
    operation.running_since := report.occurred_at;
    operation.running_phase := report.phase;
    operation.run_count := operation.run_count + 1;
    operation.worked_until := report.occurred_at;
  end if;
  if report.action_type = 'REPORT_QUANTITY' then
    operation.counted_since := least(operation.counted_since, report.occurred_at);
  end if;
  if operation.status in ('FINISHED', 'CANCELLED') and operation.status <> before.status and operation.actual_start_at is not null then
    operation.actual_end_at := report.occurred_at;
  elsif before.status = 'FINISHED' and operation.status <> 'FINISHED' then
    operation.actual_end_at := null;
    operation.t_actual_lead_min := null;
  end if;

  -- why
  reason_kind := case report.action_type
    when 'STOP' then 'STOP' when 'REPORT_QUANTITY' then 'SCRAP' when 'COMPLETE' then 'SHORTFALL' when 'FINISH' then 'SHORTFALL'
    when 'HOLD' then 'HOLD' when 'CANCEL' then 'CANCEL' end;
  perform app.require_reason(operation, report, reason_kind, needed =>
    reason_kind in ('HOLD', 'CANCEL')
    or (reason_kind = 'SHORTFALL' and coalesce(operation.qty_processed - operation.qty_scrap < operation.qty_desired, false)));

  -- event, runs, minutes
  event := app.append_event(operation, before.status, caller, report, reason_kind, changes);
  operation.last_op_seq := event.op_seq;
  if closes_run and unstored_run.run_no is not null then
    unstored_run.ended_at := report.occurred_at;
    unstored_run.end_event_id := event.id;
    unstored_run := app.store_run(unstored_run);
  elsif closes_run then
    update public.operation_runs r set ended_at = report.occurred_at, end_event_id = event.id
    where r.operation_id = operation.id and r.run_no = before.run_count;
  end if;
  if opens_run then
    unstored_run.operation_id := operation.id;
    unstored_run.run_no := operation.run_count;
    unstored_run.phase := report.phase;
    unstored_run.started_at := report.occurred_at;
    unstored_run.start_event_id := event.id;
    unstored_run.user_id := event.user_id;
    unstored_run.reporter_id := event.reporter_id;
  end if;
  if report.action_type = 'CORRECT' or operation.actual_start_at is not null and report.action_type not in ('REPORT_QUANTITY', 'RELEASE') then
    operation := app.with_minutes(operation);
  end if;
end
$$;
comment on function app.take_step(public.mes_operations, public.operation_runs, app.caller, app.report, jsonb) is
  'Takes one action on a locked operation: checks role, lifecycle, time, quantities, reason and workplace, appends the event and derives the runs, all or nothing. unstored_run is the open run that is not in the table yet, null when there is none. room is what app.missing_room answered for the workplace, {} when there is room, null to look now. Raises the refusals of the problem table.';

create function app.store_run(inout run public.operation_runs)
language plpgsql
set search_path = ''
as $$
begin
  insert into public.operation_runs select run.*;
  run := null;
end
$$;
comment on function app.store_run(public.operation_runs) is 'Writes a run to the table and returns null, for none is unstored then.';

create function app.record_event(
  inout operation public.mes_operations, caller app.caller, report app.report, out event public.operation_events
)
language plpgsql
set search_path = ''
as $$
declare
  taken record;
begin
  taken := app.take_step(operation, null, caller, report, null);
  if (taken.unstored_run).run_no is not null then
    perform app.store_run(taken.unstored_run);
  end if;
  operation := app.store_operation(taken.operation);
  event := taken.event;
end
$$;
comment on function app.record_event(public.mes_operations, app.caller, app.report) is
  'Takes one step on a locked operation and stores what it changed, all or nothing. Raises what app.take_step raises.';

-- An operation that arrives with work already done begins with one event that explains it.
create function app.record_opening(inout operation public.mes_operations, caller app.caller, opened public.mes_operations, out event public.operation_events)
language plpgsql
set search_path = ''
as $$
declare
  report app.report;
  changes jsonb;
  opened_at constant timestamptz := date_trunc('milliseconds', clock_timestamp());
begin
  operation.status := opened.status;
  operation.hold_kind := case when opened.status = 'ON_HOLD' then 'PAUSED' end;
  operation.qty_processed := opened.qty_processed;
  operation.qty_scrap := opened.qty_scrap;
  operation.actual_start_at := coalesce(date_trunc('milliseconds', opened.actual_start_at), case when opened.status in ('IN_PROGRESS', 'ON_HOLD') then opened_at end);
  operation.actual_end_at := date_trunc('milliseconds', opened.actual_end_at);
  operation.unlogged_setup_min := coalesce(opened.t_actual_setup_min, 0);
  operation.unlogged_processing_min := coalesce(opened.t_actual_processing_min, 0);
  operation.t_actual_lead_min := opened.t_actual_lead_min;
  if opened.status = 'IN_PROGRESS' then
    -- the minutes that it brings are those since its start
    operation.running_since := case
      when operation.unlogged_setup_min + operation.unlogged_processing_min > 0 then opened_at else operation.actual_start_at end;
    operation.running_phase := 'PROCESSING';
    operation.run_count := 1;
    operation.worked_until := operation.running_since;
  end if;
  operation := app.with_minutes(operation);

  report.action_type := 'CORRECT';
  report.occurred_at := opened_at;
  report.qty_good := operation.qty_processed - operation.qty_scrap;
  report.qty_scrap := operation.qty_scrap;
  select jsonb_object_agg(o.key, jsonb_build_object('before', null, 'after', o.value)) into changes
  from jsonb_each(jsonb_strip_nulls(jsonb_build_object(
    'status', operation.status, 'qty_processed', operation.qty_processed, 'qty_scrap', operation.qty_scrap,
    'actual_start_at', app.iso(operation.actual_start_at), 'actual_end_at', app.iso(operation.actual_end_at),
    't_actual_setup_min', opened.t_actual_setup_min, 't_actual_processing_min', opened.t_actual_processing_min,
    't_actual_lead_min', opened.t_actual_lead_min
  ))) o;

  event := app.append_event(operation, null, caller, report, null, changes);
  operation.last_op_seq := event.op_seq;
  if operation.running_since is not null then
    insert into public.operation_runs (operation_id, run_no, phase, started_at, start_event_id, user_id, reporter_id)
    values (operation.id, 1, operation.running_phase, operation.running_since, event.id, event.user_id, event.reporter_id);
  end if;
  operation := app.store_operation(operation);
end
$$;
comment on function app.record_opening(public.mes_operations, app.caller, public.mes_operations) is
  'Opens a new operation with the status, quantities, times and minutes that it brings, explained by one CORRECT event.';
