-- What: opening, ending, classifying, splitting and cancelling downtimes.
-- Why: each command appends to the log and changes the row in one transaction.

-- The workplace is locked.
create function app.start_downtime(caller app.caller, report app.downtime_report) returns public.downtimes
language plpgsql
set search_path = ''
as $$
declare
  heard_at constant timestamptz := date_trunc('milliseconds', clock_timestamp());
begin
  perform app.raise_problem(coalesce(
    app.future_problem('/ended_at', report.ended_at),
    app.downtime_age_problem(caller, report.occurred_at),
    app.downtime_reason_problem(report.reason_code)));
  -- the clock of the device that ended the previous one may be ahead
  report.occurred_at := coalesce(report.occurred_at, greatest(heard_at, (
    select d.ended_at from public.downtimes d
    where d.workplace_name = report.workplace_name and d.cancelled_at is null
    order by d.started_at desc, d.id desc
    limit 1)));
  if report.ended_at < report.occurred_at then
    perform app.refuse_field('/ended_at', 'too_small', 'A downtime cannot end before it begins');
  end if;
  perform app.raise_problem(app.overlap_problem(
    report.workplace_name, report.occurred_at, coalesce(report.ended_at, report.ends_at)));
  report.category := app.category_of(report.category, report.reason_code, 'UNPLANNED');
  return app.open_downtime(report);
end
$$;
comment on function app.start_downtime(app.caller, app.downtime_report) is
  'Opens a downtime. Raises 409 downtime_overlap, 422 too_old or validation_failed.';

create function app.end_downtime(
  caller app.caller, downtime public.downtimes, report app.downtime_report
) returns public.downtimes
language plpgsql
set search_path = ''
as $$
begin
  if app.downtime_status(downtime) <> 'OPEN' then
    perform app.raise_problem(app.closed_downtime_problem(downtime, 'end'));
  end if;
  perform app.raise_problem(app.downtime_age_problem(caller, report.occurred_at));
  report.category := null;
  report.reason_code := null;
  report.occurred_at := coalesce(report.occurred_at,
    greatest(date_trunc('milliseconds', clock_timestamp()), downtime.started_at));
  if report.occurred_at < downtime.started_at then
    perform app.refuse(409, 'out_of_order',
      format('Cannot end downtime %s at %s: it began at %s', app.downtime_label(downtime),
        app.iso(report.occurred_at), app.iso(downtime.started_at)),
      jsonb_build_object('last_occurred_at', app.iso(downtime.started_at)));
  end if;
  return app.append_downtime_event(downtime, 'DOWNTIME_END', report);
end
$$;
comment on function app.end_downtime(app.caller, public.downtimes, app.downtime_report) is
  'Ends an open downtime. Raises 409 out_of_order, 422 invalid_state_transition, too_old or validation_failed.';

create function app.classify_downtime(
  caller app.caller, downtime public.downtimes, report app.downtime_report
) returns public.downtimes
language plpgsql
set search_path = ''
as $$
begin
  if downtime.cancelled_at is not null then
    perform app.raise_problem(app.closed_downtime_problem(downtime, 'classify'));
  elsif report.reason_code is null then
    perform app.refuse(422, 'reason_required',
      format('Cannot classify downtime %s: a reason code of kind DOWNTIME is required', app.downtime_label(downtime)),
      jsonb_build_object('kind', 'DOWNTIME'));
  end if;
  perform app.raise_problem(coalesce(
    app.downtime_age_problem(caller, downtime.ended_at), app.downtime_reason_problem(report.reason_code)));
  report.occurred_at := coalesce(report.occurred_at, date_trunc('milliseconds', clock_timestamp()));
  report.category := app.category_of(report.category, report.reason_code, downtime.category);
  return app.append_downtime_event(downtime, 'DOWNTIME_CLASSIFY', report);
end
$$;
comment on function app.classify_downtime(app.caller, public.downtimes, app.downtime_report) is
  'Says why, again if need be. Raises 422 invalid_state_transition of a cancelled one, reason_required, too_old or '
  'validation_failed.';

create function app.split_downtime(
  caller app.caller, downtime public.downtimes, report app.downtime_report
) returns public.downtimes
language plpgsql
set search_path = ''
as $$
declare
  first_part app.downtime_report := report;
begin
  if downtime.cancelled_at is not null then
    perform app.raise_problem(app.closed_downtime_problem(downtime, 'split'));
  elsif report.occurred_at is null or report.occurred_at <= downtime.started_at
    or report.occurred_at >= coalesce(downtime.ended_at, clock_timestamp())
  then
    perform app.refuse_field('/at', 'not_within', format('Cannot split downtime %s at %s: it lasts from %s to %s',
      app.downtime_label(downtime), coalesce(app.iso(report.occurred_at), 'no time'), app.iso(downtime.started_at),
      coalesce(app.iso(downtime.ended_at), 'now')));
  end if;
  perform app.raise_problem(coalesce(
    app.downtime_age_problem(caller, report.occurred_at), app.downtime_reason_problem(report.reason_code)));
  -- the id of the command is that of the later part
  first_part.id := null;
  first_part.digest := null;
  first_part.category := null;
  first_part.reason_code := null;
  first_part.note := null;
  perform app.append_downtime_event(downtime, 'DOWNTIME_SPLIT', first_part);
  report.workplace_name := downtime.workplace_name;
  report.split_from := downtime.id;
  report.state_event_id := downtime.state_event_id;
  report.source := downtime.source;
  report.ended_at := downtime.ended_at;
  report.category := app.category_of(report.category, report.reason_code, downtime.category);
  return app.open_downtime(report);
end
$$;
comment on function app.split_downtime(app.caller, public.downtimes, app.downtime_report) is
  'Ends a downtime at a moment within it and begins another one there, which is unexplained without a reason; returns '
  'that. Raises 422 invalid_state_transition of a cancelled one, too_old or validation_failed.';

create function app.cancel_downtime(
  caller app.caller, downtime public.downtimes, report app.downtime_report
) returns public.downtimes
language plpgsql
set search_path = ''
as $$
begin
  if downtime.cancelled_at is not null then
    perform app.raise_problem(app.closed_downtime_problem(downtime, 'cancel'));
  elsif report.note is null or report.note = '' then
    perform app.refuse_field('/note', 'required', 'A note says why the downtime is cancelled');
  end if;
  perform app.raise_problem(app.downtime_age_problem(caller, downtime.ended_at));
  report.occurred_at := coalesce(report.occurred_at, date_trunc('milliseconds', clock_timestamp()));
  report.category := null;
  report.reason_code := null;
  return app.append_downtime_event(downtime, 'DOWNTIME_CANCEL', report);
end
$$;
comment on function app.cancel_downtime(app.caller, public.downtimes, app.downtime_report) is
  'Cancels a downtime, which stays in the log and counts no more. Raises 422 invalid_state_transition of a cancelled '
  'one, too_old or validation_failed.';

-- A dry run shows what a command would do to the downtime as it was then.
create function app.require_unchanged(downtime public.downtimes, seen jsonb) returns void
language plpgsql
set search_path = ''
as $$
begin
  if downtime.version <> (seen ->> 'version')::integer then
    perform app.refuse(412, 'stale_version',
      format('Downtime %s has changed since the dry run: its version is %s now', app.downtime_label(downtime),
        downtime.version),
      jsonb_build_object(
        'current_version', downtime.version,
        'current_status', app.downtime_status(downtime),
        'events_since', (
          select coalesce(jsonb_agg(jsonb_build_object(
            'seq', e.seq, 'action_type', e.action_type, 'occurred_at', app.iso(e.occurred_at)) order by e.seq), '[]')
          from (
            select * from public.downtime_events e
            where e.downtime_id = downtime.id and e.seq > (seen ->> 'version')::integer
            order by e.seq
            limit 20
          ) e)));
  end if;
end
$$;
comment on function app.require_unchanged(public.downtimes, jsonb) is
  'Raises 412 stale_version unless the downtime has the version that a dry run has seen: {"version"}; null = no '
  'condition. The problem lists the events since then.';

create function app.record_downtime(
  caller app.caller, report jsonb, ends_at timestamptz default null
) returns app.downtime_outcome
language plpgsql
set search_path = ''
as $$
declare
  made app.downtime_report := app.read_downtime_report(caller, report);
  outcome app.downtime_outcome;
  downtime public.downtimes;
begin
  -- before a key learns what exists
  perform app.require_scope(caller, 'downtimes:report', 'The API key may not report downtimes');
  if made.stop_runs and made.action_type = 'DOWNTIME_START' then
    perform app.require_scope(caller, 'events:report', 'The API key may not stop what runs: leave out stop_runs');
  end if;
  if made.workplace_name is not null and not app.sees_workplace(caller, made.workplace_name)
    or made.workplace_name is null and made.downtime_id is null
  then
    perform app.refuse_missing();
  end if;
  if made.action_type <> 'DOWNTIME_START' and made.downtime_id is not null then
    downtime := app.find_downtime(caller, made);
    made.workplace_name := downtime.workplace_name;
  end if;
  perform app.require_role(caller, 'operator', 'Your role may not report downtimes');
  perform app.lock_workplace(made.workplace_name);
  if made.id is not null then
    outcome := app.known_downtime(made, caller);
    if outcome.is_known then
      return outcome;
    end if;
  end if;
  if made.action_type <> 'DOWNTIME_SPLIT' then
    perform app.raise_problem(app.future_problem('/occurred_at', made.occurred_at));
  end if;
  made.reporter_id := app.reporter_of(caller, caller.user_id, caller.email);
  made.ends_at := record_downtime.ends_at;
  if made.action_type = 'DOWNTIME_START' then
    downtime := app.start_downtime(caller, made);
    return row(201, downtime, downtime.id, false, null)::app.downtime_outcome;
  end if;
  -- again, now that nobody else changes it
  downtime := app.find_downtime(caller, made);
  perform app.require_unchanged(downtime, report -> 'seen');
  made.id := coalesce(made.id, gen_random_uuid());
  downtime := case made.action_type
    when 'DOWNTIME_END' then app.end_downtime(caller, downtime, made)
    when 'DOWNTIME_CLASSIFY' then app.classify_downtime(caller, downtime, made)
    when 'DOWNTIME_SPLIT' then app.split_downtime(caller, downtime, made)
    when 'DOWNTIME_CANCEL' then app.cancel_downtime(caller, downtime, made)
  end;
  return row(case made.action_type when 'DOWNTIME_SPLIT' then 201 else 200 end, downtime, made.id, false, null)
    ::app.downtime_outcome;
end
$$;
comment on function app.record_downtime(app.caller, jsonb, timestamptz) is
  'Carries out one command in the JSON of the API, without stop_runs. ends_at: when a later item of the batch ends '
  'what this one opens. Raises 403 forbidden, 404 not_found, 409 '
  'downtime_overlap, idempotency_conflict or out_of_order, 422 invalid_state_transition, reason_required, too_old or '
  'validation_failed.';
