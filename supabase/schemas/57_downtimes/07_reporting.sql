-- What: one command on a downtime as a request, with what it stops.
-- Why: the downtime and the STOP of what runs there are one transaction, and a dry run undoes both.

create function app.running_at(workplace_names text[]) returns bigint[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select r.operation_id from public.operation_runs r
    join public.operation_events e on e.id = r.start_event_id
    where r.ended_at is null and e.workplace_name = any(workplace_names)
  );
end
$$;
comment on function app.running_at(text[]) is
  'Operations with an open run that was started at one of the workplaces.';

-- A code of kind STOP explains a STOP: the reason of the downtime is one, when the plant has it by that name.
create function app.stop_report(
  caller app.caller, downtime public.downtimes, operation_data jsonb default null
) returns app.report
language plpgsql stable
set search_path = ''
as $$
declare
  made app.report;
begin
  made.action_type := 'STOP';
  made.workplace_name := downtime.workplace_name;
  made.occurred_at := downtime.started_at;
  if app.is_reason('STOP', downtime.reason_code) then
    made.reason_code := downtime.reason_code;
  end if;
  made.operation_data := stop_report.operation_data;
  made.user_id := caller.user_id;
  made.user_email := caller.email;
  return made;
end
$$;
comment on function app.stop_report(app.caller, public.downtimes, jsonb) is
  'The STOP of an operation that runs where a downtime begins.';

-- Stands for what a dry run of stop_runs has seen: an operation that starts, stops or is changed makes another number.
create function app.running_version(running public.mes_operations[]) returns integer
language sql immutable
return coalesce((
  select hashtext(string_agg(o.id || ':' || o.version, ' ' order by o.id)) & 2147483647 from unnest(running) o), 0);
comment on function app.running_version(public.mes_operations[]) is
  'A number for these operations at these versions; 0 for none.';

create function app.carry_out_downtime(caller app.caller, report jsonb) returns app.downtime_outcome
language plpgsql
set search_path = ''
as $$
declare
  stops constant boolean := coalesce((report ->> 'stop_runs')::boolean, false)
    and report ->> 'action_type' = 'DOWNTIME_START';
  running public.mes_operations[];
  operation public.mes_operations;
  outcome app.downtime_outcome;
begin
  if stops and app.sees_workplace(caller, report ->> 'workplace_name') then
    running := array(
      select o from public.mes_operations o
      where o.id = any(app.running_at(array[report ->> 'workplace_name']))
      order by o.id
      for update
    );
  end if;
  outcome := app.record_downtime(caller, report);
  outcome.seen_version := case report ->> 'action_type'
    when 'DOWNTIME_START' then app.running_version(running)
    when 'DOWNTIME_SPLIT' then (select d.version - 1 from public.downtimes d where d.id = (outcome.downtime).split_from)
    else (outcome.downtime).version - 1
  end;
  if stops and outcome.seen_version <> (report #>> '{seen,version}')::integer then
    perform app.refuse(412, 'stale_version',
      format('What runs at workplace "%s" has changed since the dry run', report ->> 'workplace_name'),
      jsonb_build_object('running_operations', (
        select coalesce(jsonb_agg(jsonb_build_object('order_no', o.order_no, 'asset_id', o.asset_id,
          'operation_no', o.operation_no, 'running_since', app.iso(o.running_since)) order by o.id), '[]')
        from unnest(running) o)));
  end if;
  if stops and not outcome.is_known then
    foreach operation in array coalesce(running, '{}') loop
      -- what has stopped while this waited for it stays as it is
      if operation.running_since is not null then
        perform app.record_event(
          operation, caller, app.stop_report(caller, outcome.downtime, report -> 'operation_data'));
      end if;
    end loop;
  end if;
  return outcome;
end
$$;
comment on function app.carry_out_downtime(app.caller, jsonb) is
  'Carries out one command in the JSON of the API, with stop_runs. Raises what app.record_downtime and, for stop_runs, '
  'app.record_event raise, and 412 stale_version for what has changed since a dry run.';

create function public.report_downtime(report jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('report', report);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  outcome app.downtime_outcome;
  answer json;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  if (report ->> 'dry_run')::boolean then
    begin
      outcome := app.carry_out_downtime(caller, report);
      answer := json_build_object('status', 200, 'body', app.downtime_json(outcome.downtime),
        'seen_version', outcome.seen_version);
      raise sqlstate 'DRYRN';
    exception when sqlstate 'DRYRN' then
      -- everything since `begin` is undone; the variables keep what would have happened
      return answer;
    end;
  end if;
  outcome := app.carry_out_downtime(caller, report);
  answer := json_build_object('status', outcome.status, 'body', app.downtime_json(outcome.downtime));
  return case
    when outcome.is_known then answer
    else app.finish_command(command, array[(outcome.downtime).workplace_name], answer)
  end;
end
$$;
comment on function public.report_downtime(jsonb, jsonb) is
  'Opens, ends, classifies, splits or cancels a downtime, by action_type; with stop_runs, an opening STOPs what runs '
  'there. Answers {"status", "body": the downtime}: 201 for a new one, 200 for a change, for a command known by its id '
  'and, with "seen_version", for a dry run. Raises what app.carry_out_downtime raises.';
grant execute on function public.report_downtime to authenticated, service_role;
