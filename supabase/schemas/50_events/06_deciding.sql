-- What: app.decide, which turns a report into an event or a problem.
-- Why: it writes nothing, so that dry runs, batches and single reports share it.

-- Work cannot begin or end before the last moment of the operation's timeline, corrections included.
create function app.timeline_end(operation public.mes_operations) returns timestamptz
language sql immutable parallel safe
return greatest((operation).worked_until, (operation).actual_start_at, (operation).actual_end_at);
comment on function app.timeline_end(public.mes_operations) is
  'Latest start or end of the operation or of one of its runs, or null.';

create function app.earliest_time(operation public.mes_operations, transition app.lifecycle) returns timestamptz
language sql immutable parallel safe
return case
  when (transition).follows = 'all work' or (transition).to_state <> (operation).state then app.timeline_end(operation)
  when (transition).follows = 'the start' then (operation).actual_start_at
end;
comment on function app.earliest_time(public.mes_operations, app.lifecycle) is
  'The moment that an action must not come before; null = there is none.';

-- A device's clock may be ahead, and the server's may have stepped back: a report of now is never before the moment
-- that it follows. now() is the start of the transaction, before it waited for the row.
create function app.occurred_at(stated timestamptz, earliest timestamptz, heard_at timestamptz) returns timestamptz
language sql stable parallel safe
return case
  when stated is null then greatest(heard_at, earliest)
  when stated < earliest and earliest > heard_at and stated > heard_at - interval '60 seconds' then earliest
  else stated
end;
comment on function app.occurred_at(timestamptz, timestamptz, timestamptz) is
  'Time of a report: as stated, else now, but not before the moment that it must follow.';

create type app.decision as (event public.operation_events, problem app.problem, transition app.lifecycle);

comment on type app.decision is
  'The event of a report or its problem, and the row of the lifecycle for its action in the operation''s state.';

-- Fills in the event, then judges it. The caller of this function has locked the operation and checked that the
-- reporter sees it.
create function app.decide(operation public.mes_operations, caller app.caller, report app.report) returns app.decision
language plpgsql stable
set search_path = ''
as $$
declare
  heard_at constant timestamptz := clock_timestamp();
  transition app.lifecycle;
  event public.operation_events;
  runs public.operation_runs[];
  taken app.pieces;
  available app.pieces;
  sign integer := 1;
  earliest timestamptz;
  processed bigint;
  scrap bigint;
  problem app.problem;
begin
  select * into transition from app.lifecycle l where l.action = report.action_type and l.from_state = operation.state;
  earliest := app.earliest_time(operation, transition);

  event.id := coalesce(report.id, gen_random_uuid());
  event.operation_id := operation.id;
  event.op_seq := operation.last_op_seq + 1;
  event.action_type := report.action_type;
  event.order_no := operation.order_no;
  event.asset_id := operation.asset_id;
  event.operation_no := operation.operation_no;
  event.workplace_name := coalesce(report.workplace_name, operation.workplace_name);
  event.status_before := operation.status;
  event.status_after := transition.to_status;
  -- to the millisecond, as clients read it: what they send back as a filter or a condition means the same instant
  event.occurred_at := app.occurred_at(
    date_trunc('milliseconds', report.occurred_at), earliest, date_trunc('milliseconds', heard_at));
  if transition.run_effect = 'opens' then
    event.phase := coalesce(report.phase, 'PROCESSING');
  end if;
  event.qty_good := coalesce(report.qty_good, 0);
  event.qty_scrap := coalesce(report.qty_scrap, 0);
  event.qty_parked := 0;
  if report.reason_code is not null then
    event.reason_kind := transition.reason_kind;
    event.reason_code := report.reason_code;
  end if;
  event.note := report.note;
  event.operation_data := report.operation_data;
  event.user_id := coalesce(report.user_id, caller.user_id);
  event.reporter_id := report.reporter_id;
  event.person_id := caller.person_id;
  event.report_digest := report.digest;
  -- the server's clock may have stepped back
  event.created_at := greatest(heard_at, event.occurred_at - interval '2 minutes', operation.updated_at);

  case transition.quantities
    when 'added' then
      if report.action_type = 'COMPLETE' then
        event.qty_good := coalesce(report.qty_good, greatest(operation.qty_desired - operation.qty_good, 0), 0);
      end if;
      if report.overrun = 'park' then
        event.qty_parked := app.surplus(operation, event.qty_good);
        event.qty_good := event.qty_good - event.qty_parked;
      end if;
    when 'none' then
      event.qty_good := 0;
      event.qty_scrap := 0;
    when 'taken back' then
      sign := -1;
      event.reverses_event_id := report.reverses_event_id;
      available := app.pieces_left(operation, report.reverses_event_id);
      if report.qty_good is null and report.qty_scrap is null then
        event.qty_good := coalesce(available.good, 0);
        event.qty_scrap := coalesce(available.scrap, 0);
        event.qty_parked := -coalesce(available.parked, 0);
      end if;
      taken := row(event.qty_good, event.qty_scrap, -event.qty_parked);
    when 'signed' then
      runs := app.runs_to_correct(operation);
      report.actual_start_at := date_trunc('milliseconds', report.actual_start_at);
      report.actual_end_at := date_trunc('milliseconds', report.actual_end_at);
      event.changes :=
        app.before_and_after('actual_start_at', to_jsonb(app.iso(operation.actual_start_at)),
          to_jsonb(app.iso(report.actual_start_at)))
        || app.before_and_after('actual_end_at', to_jsonb(app.iso(operation.actual_end_at)),
          to_jsonb(app.iso(report.actual_end_at)))
        || app.before_and_after('t_actual_setup_min',
          to_jsonb(app.minutes_read(operation, 'SETUP', event.occurred_at)), to_jsonb(report.t_actual_setup_min))
        || app.before_and_after('t_actual_processing_min',
          to_jsonb(app.minutes_read(operation, 'PROCESSING', event.occurred_at)),
          to_jsonb(report.t_actual_processing_min))
        || app.before_and_after('t_actual_lead_min', to_jsonb(operation.t_actual_lead_min),
          to_jsonb(report.t_actual_lead_min))
        || app.before_and_after('qty_processed', to_jsonb(operation.qty_processed),
          to_jsonb(operation.qty_processed + event.qty_good::bigint + event.qty_scrap))
        || app.before_and_after('qty_scrap', to_jsonb(operation.qty_scrap),
          to_jsonb(operation.qty_scrap::bigint + event.qty_scrap));
      if report.qty_parked <> 0 then
        event.qty_parked := report.qty_parked;
        event.changes := event.changes || app.before_and_after(
          'qty_parked', to_jsonb(operation.qty_parked), to_jsonb(operation.qty_parked::bigint + event.qty_parked));
      end if;
    else
      -- no action: refused below
      null;
  end case;
  scrap := operation.qty_scrap::bigint + sign * event.qty_scrap;
  processed := operation.qty_processed + sign * (event.qty_good::bigint + event.qty_scrap);

  -- One condition after the other: PL/pgSQL prepares each expression anew in each transaction, but only those that it
  -- reaches.
  if app.role_rank(caller.role) < app.role_rank(transition.least_role)
    and not (event.changes is not null and app.is_operators_correction(operation, caller, report, event))
  then
    problem := app.role_problem(caller, transition.least_role,
      format('Your role may not %s operation %s', report.action_type, app.operation_label(operation)));
  elsif transition.scope <> all(caller.scopes) then
    problem := app.scope_problem(caller, transition.scope,
      format('The API key may not %s operation %s', report.action_type, app.operation_label(operation)));
  elsif transition.run_effect = 'opens' and operation.hold_kind = 'BLOCKED' then
    problem := app.blocked_problem(operation, caller);
  elsif transition.to_state is null then
    problem := app.transition_problem(operation, caller, report.action_type::text);
  elsif operation.running_phase = event.phase then
    problem := app.running_problem(operation);
  elsif report.occurred_at is not null then
    problem := coalesce(
      app.future_problem('/occurred_at', report.occurred_at),
      app.age_problem(operation, caller, report.action_type, report.occurred_at));
  end if;
  if problem.code is not null then
    return row(event, problem, transition)::app.decision;
  end if;
  if event.occurred_at < earliest then
    problem := app.order_problem(operation, transition, event.occurred_at, earliest);
  elsif report.action_type = 'COMPLETE' and report.qty_good is null and operation.qty_desired is null then
    problem := app.problem(422, 'invalid_quantity',
      format('Cannot COMPLETE operation %s without qty_good: it has no desired quantity',
        app.operation_label(operation)));
  elsif transition.quantities = 'taken back' then
    problem := app.reversal_problem(operation, report.reverses_event_id, taken, available);
  end if;
  if problem.code is null and (event.qty_good <> 0 or event.qty_scrap <> 0) then
    problem := app.quantity_problem(operation, processed, scrap);
  end if;
  if problem.code is null and event.qty_parked <> 0 then
    problem := app.parked_problem(operation, operation.qty_parked::bigint + event.qty_parked);
  end if;
  if problem.code is null and event.changes is not null then
    problem := coalesce(
      app.age_problem(operation, caller, report.action_type, least(report.actual_start_at, report.actual_end_at)),
      app.correction_problem(operation, report, runs, event.changes));
  end if;
  if problem.code is null and (report.reason_code is not null or transition.reason_needed <> 'never') then
    problem := app.reason_problem(
      operation, transition, report.reason_code, coalesce(processed - scrap < operation.qty_desired, false));
  end if;
  return row(event, problem, transition)::app.decision;
end
$$;
comment on function app.decide(public.mes_operations, app.caller, app.report) is
  'The event that a report on a locked operation becomes, or the problem that it meets. Changes nothing; room at the '
  'workplace is looked at by who stores the event.';
