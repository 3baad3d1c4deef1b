-- What: the rules of downtimes: a command becomes events, or meets a problem.
-- Why: single commands, batches and machine states share them.

-- Fields that a command does not use are null.
create type app.downtime_report as (
  id uuid,
  digest bytea,
  action_type public.downtime_action,
  downtime_id uuid,
  workplace_name text,
  occurred_at timestamptz,
  ended_at timestamptz,
  at timestamptz,
  category public.downtime_category,
  reason_code text,
  note text,
  stop_runs boolean,
  source public.downtime_source,
  split_from uuid,
  state_event_id uuid,
  operation_data jsonb,
  user_id uuid,
  reporter_id bigint,
  person_id uuid,
  ends_at timestamptz
);
comment on type app.downtime_report is
  'A command on a downtime. ended_at is of a DOWNTIME_START in the past, at of a DOWNTIME_SPLIT; '
  'ends_at is when a later item of the same batch ends what a DOWNTIME_START opens.';

create type app.downtime_outcome as (
  status integer,
  downtime public.downtimes,
  event_id uuid,
  is_known boolean,
  seen_version integer
);
comment on type app.downtime_outcome is
  'Result of a command: status is 201 for a new downtime, 200 for a change and for what is known already. The downtime '
  'of a split is its later part. seen_version stands for what the command found, as app.require_unchanged compares it.';

create function app.downtime_actions_of(caller app.caller) returns json
language sql stable
return to_json(case
  when app.role_rank((caller).role) >= app.role_rank('operator')
    and ((caller).scopes is null or 'downtimes:report' = any((caller).scopes))
  then enum_range(null::public.downtime_action) else '{}'::public.downtime_action[]
end);
comment on function app.downtime_actions_of(app.caller) is
  'The commands on downtimes that the caller may give at all, at the workplaces of the caller.';

create function app.downtime_label(d public.downtimes) returns text
language sql immutable parallel safe
return format('"%s" at workplace "%s"', (d).id, (d).workplace_name);
comment on function app.downtime_label(public.downtimes) is 'How sentences name a downtime.';

create function app.closed_downtime_problem(d public.downtimes, verb text) returns app.problem
language sql stable
return app.problem(422, 'invalid_state_transition',
  format('Cannot %s downtime %s: its status is "%s"', verb, app.downtime_label(d), app.downtime_status(d)),
  jsonb_build_object('current_status', app.downtime_status(d), 'downtime_id', (d).id));
comment on function app.closed_downtime_problem(public.downtimes, text) is
  'Makes the problem invalid_state_transition of a downtime that has ended or was cancelled.';

create function app.overlap_problem(
  workplace_name text, started_at timestamptz, ended_at timestamptz
) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  other public.downtimes;
begin
  -- Those of a workplace do not overlap each other: the last one that begins before the end of the span is the only
  -- one to look at. One without a length overlaps nothing.
  select * into other from public.downtimes d
  where d.workplace_name = overlap_problem.workplace_name and d.cancelled_at is null
    and d.started_at < coalesce(overlap_problem.ended_at, 'infinity') and d.started_at is distinct from d.ended_at
  order by d.started_at desc, d.id desc
  limit 1;
  if not found or other.ended_at <= overlap_problem.started_at
    or overlap_problem.started_at = overlap_problem.ended_at
  then
    return null;
  end if;
  return app.problem(
    409, 'downtime_overlap',
    format('Workplace "%s" has downtime "%s" from %s to %s already', workplace_name, other.id,
      app.iso(other.started_at), coalesce(app.iso(other.ended_at), 'now')),
    jsonb_build_object('downtime_id', other.id, 'started_at', app.iso(other.started_at),
      'ended_at', app.iso(other.ended_at)));
end
$$;
comment on function app.overlap_problem(text, timestamptz, timestamptz) is
  'The problem downtime_overlap with the last downtime of the workplace that overlaps this span.';

create function app.downtime_age_problem(caller app.caller, instant timestamptz) returns app.problem
language plpgsql stable
set search_path = ''
as $$
begin
  return case when app.is_too_old(caller, instant)
    then app.too_old_problem(format('Cannot report of %s', app.iso(instant)), instant) end;
end
$$;
comment on function app.downtime_age_problem(app.caller, timestamptz) is
  'The problem too_old for a downtime that the caller may not report of that time any more.';

create function app.downtime_reason_problem(reason_code text) returns app.problem
language sql stable
return case when reason_code is not null and not app.is_reason('DOWNTIME', reason_code)
  then app.field_problem('/reason_code', 'unknown_reason',
    format('"%s" is not an active reason code of kind DOWNTIME', reason_code)) end;
comment on function app.downtime_reason_problem(text) is
  'The problem validation_failed for what is not an active reason code of kind DOWNTIME.';

create function app.category_of(
  stated public.downtime_category, reason_code text, otherwise public.downtime_category
) returns public.downtime_category
language plpgsql stable
set search_path = ''
as $$
begin
  return coalesce(stated,
    (select r.category from public.reason_codes r where r.kind = 'DOWNTIME' and r.code = category_of.reason_code),
    otherwise);
end
$$;
comment on function app.category_of(public.downtime_category, text, public.downtime_category) is
  'The category as stated, else that of the reason, else the other one.';

create function app.evolve_downtime(inout downtime public.downtimes, event public.downtime_events)
language plpgsql immutable
set search_path = ''
as $$
begin
  case event.action_type
    when 'DOWNTIME_START' then
      downtime := null;
      downtime.id := event.downtime_id;
      downtime.workplace_name := event.workplace_name;
      downtime.category := event.category;
      downtime.reason_kind := 'DOWNTIME';
      downtime.reason_code := event.reason_code;
      downtime.started_at := event.occurred_at;
      downtime.source := event.source;
      downtime.note := event.note;
      downtime.split_from := event.split_from;
      downtime.state_event_id := event.state_event_id;
      downtime.user_id := event.user_id;
      downtime.reporter_id := event.reporter_id;
      downtime.person_id := event.person_id;
      downtime.created_at := event.created_at;
    when 'DOWNTIME_END', 'DOWNTIME_SPLIT' then
      downtime.ended_at := event.occurred_at;
    when 'DOWNTIME_CLASSIFY' then
      downtime.category := event.category;
      downtime.reason_code := event.reason_code;
      downtime.note := coalesce(event.note, downtime.note);
    when 'DOWNTIME_CANCEL' then
      downtime.cancelled_at := event.created_at;
  end case;
  downtime.version := event.seq;
  downtime.updated_at := event.created_at;
end
$$;
comment on function app.evolve_downtime(public.downtimes, public.downtime_events) is
  'The downtime after the event. A downtime is this fold over its events, and nothing else.';
