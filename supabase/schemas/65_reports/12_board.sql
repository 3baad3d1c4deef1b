-- What: the board of a group: the state of each workplace now, what runs, what comes next, what is late.
-- Why: a screen asks once a second while things happen, so it is one cheap call; OEE is added on request. No name of a
-- person is in it, so that a television may show it.

-- By calendar and not by workplace: a group has one or two.
create type app.board_shift as (
  calendar_name text,
  shift_date date,
  shift_code text,
  starts_at timestamptz,
  ends_at timestamptz,
  break_until timestamptz,
  off_since timestamptz,
  next_at timestamptz
);
comment on type app.board_shift is
  'The shift of a calendar at a moment; without one, since when there is none (off_since), and the next one.';

create function app.board_shifts(calendar_names text[], now_at timestamptz) returns setof app.board_shift
language plpgsql stable
set search_path = ''
as $$
declare
  calendar public.calendars;
  shift app.board_shift;
begin
  for calendar in select * from public.calendars c where c.name = any(calendar_names) loop
    select calendar.name, o.shift_date, o.shift_code, o.starts_at, o.ends_at,
      (select upper(b) from unnest(o.breaks) b where b @> now_at), null::timestamptz, null::timestamptz
    into shift
    from app.occurrences(calendar, app.dates_around(calendar, now_at, now_at)) o
    where o.starts_at <= now_at and o.ends_at > now_at and not o.closed @> now_at
    limit 1;
    if not found then
      select calendar.name, null::date, null, null::timestamptz, null::timestamptz, null::timestamptz,
        max(upper(part)) filter (where upper(part) <= now_at), min(lower(part)) filter (where lower(part) > now_at)
      into shift
      from app.occurrences(calendar,
        app.dates_around(calendar, now_at - interval '7 days', now_at + interval '7 days')) o
      cross join lateral unnest(tstzmultirange(tstzrange(o.starts_at, o.ends_at)) - o.closed) part;
    end if;
    return next shift;
  end loop;
end
$$;
comment on function app.board_shifts(text[], timestamptz) is
  'The shifts of calendars at a moment. Looks a week back and ahead for those that are off.';

-- PL/pgSQL: its expressions are planned once a transaction, and not with each query that calls it.
create function app.board_operation_json(o public.mes_operations, now_at timestamptz) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  setup_min constant numeric := app.minutes_read(o, 'SETUP', now_at);
  processing_min constant numeric := app.minutes_read(o, 'PROCESSING', now_at);
  target_min numeric;
  left_min numeric;
begin
  if o.running_since is not null then
    target_min := coalesce(app.minutes_per_piece(o) * o.qty_desired, o.t_target_processing_min);
    left_min := case when o.running_phase = 'SETUP' then greatest(o.t_target_setup_min - setup_min, 0) else 0 end
      + case
        when o.qty_good >= o.qty_desired then 0
        -- pieces so far tell the pace; before the first good one, the plan does
        when o.qty_good > 0 and processing_min > 0 then processing_min / o.qty_good * (o.qty_desired - o.qty_good)
        when target_min > processing_min then target_min - processing_min
      end;
  end if;
  return json_build_object(
    'order_no', o.order_no,
    'asset_id', o.asset_id,
    'operation_no', o.operation_no,
    'workplace_name', o.workplace_name,
    'activity_code', o.activity_code,
    'activity_description', o.activity_description,
    'status', o.status,
    'hold_kind', o.hold_kind,
    'hold_reason_code', o.hold_reason_code,
    'phase', o.running_phase,
    'running_since', app.iso(o.running_since),
    'qty_desired', o.qty_desired,
    'qty_good', o.qty_good,
    'qty_scrap', o.qty_scrap,
    't_target_setup_min', o.t_target_setup_min,
    't_target_processing_min', o.t_target_processing_min,
    't_actual_setup_min', setup_min,
    't_actual_processing_min', processing_min,
    'planned_start_at', app.iso(o.planned_start_at),
    'planned_end_at', app.iso(o.planned_end_at),
    -- 400 years are no forecast
    'expected_end_at', case when left_min < 100000 then app.iso(now_at + left_min * interval '1 minute') end
  );
end
$$;
comment on function app.board_operation_json(public.mes_operations, timestamptz) is
  'An operation as a board shows it: its plan and progress, and nothing that somebody typed about it.';

create function app.board_stop_json(d public.downtimes) returns json
language sql stable
begin atomic
  select json_build_object(
    'downtime_id', (d).id,
    'category', (d).category,
    'reason_code', (d).reason_code,
    'reason_description', (
      select r.description from public.reason_codes r where r.kind = 'DOWNTIME' and r.code = (d).reason_code),
    'since', app.iso((d).started_at),
    'source', (d).source
  );
end;
comment on function app.board_stop_json(public.downtimes) is 'An open downtime as a board shows it, without its note.';

create type public.workplace_state as enum (
  'running', 'setup', 'paused', 'blocked', 'idle', 'down', 'unknown', 'off_shift'
);
comment on type public.workplace_state is 'What a workplace does now.';

create function app.board_workplaces_json(names text[], now_at timestamptz, oee jsonb) returns json
language plpgsql stable
set search_path = ''
set enable_nestloop = on
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  shifts constant app.board_shift[] := array(
    select s from app.board_shifts(
      array(select distinct w.calendar_name from public.workplaces w where w.name = any(names)), now_at) s);
begin
  return (
    select json_agg(json_build_object(
      'name', w.name,
      'workplace_group', w.workplace_group,
      'state', st.state,
      'since', app.iso(case
        when st.state = 'down' then coalesce(d.started_at, m.since)
        when st.state = 'running' then greatest(run.processing_since, ended.at)
        when st.state = 'setup' then greatest(run.since, ended.at)
        when st.state = 'off_shift' then greatest(s.off_since, worked.until)
        when st.state in ('paused', 'blocked') then greatest(held.since, ended.at, s.starts_at)
        when st.state = 'unknown' then greatest(m.since, worked.until, ended.at, s.starts_at)
        else greatest(worked.until, ended.at, s.starts_at)
      end),
      'shift', case when s.shift_code is not null then json_build_object(
        'shift_date', s.shift_date, 'shift_code', s.shift_code, 'from', app.iso(s.starts_at),
        'to', app.iso(s.ends_at), 'break_until', app.iso(s.break_until)) end,
      'next_shift_at', app.iso(s.next_at),
      'running_count', run.amount,
      'running', coalesce(run.list, '[]'),
      'next', coalesce(queue.list, '[]'),
      'stop', coalesce(case when d.id is not null then app.board_stop_json(d::public.downtimes) end, m.stop),
      'machine_state', case when m.state is not null then json_build_object(
        'state', m.state, 'since', app.iso(m.since), 'heard_at', app.iso(m.heard_at)) end,
      'oee', oee -> w.name
    ) order by w.name)
    from public.workplaces w
    left join lateral (select * from unnest(shifts) x where x.calendar_name = w.calendar_name) s on true
    left join lateral (
      select count(*) as amount, min(r.running_since) as since,
        min(r.running_since) filter (where r.running_phase = 'PROCESSING') as processing_since,
        json_agg(app.board_operation_json(r.o, now_at) order by r.no) filter (where r.no <= 10) as list
      from (
        select o, o.running_since, o.running_phase,
          row_number() over (order by o.running_since, o.order_no, o.operation_no, o.asset_id) as no
        from public.mes_operations o
        where o.workplace_name = w.name and o.status = 'IN_PROGRESS'
      ) r
    ) run on true
    left join lateral (
      select json_agg(app.board_operation_json(o::public.mes_operations, now_at)
        order by o.planned_start_at, o.order_no, o.operation_no, o.asset_id) as list
      from (
        select * from public.mes_operations q
        where q.workplace_name = w.name and q.status not in ('FINISHED', 'CANCELLED') and q.running_since is null
        -- the order of the index, and not one that tempts the planner to read the whole plant in planned order
        order by q.running_since, q.planned_start_at, q.order_no, q.operation_no, q.asset_id
        limit 3
      ) o
    ) queue on true
    -- work that has begun and waits; of several, what the last one waits for
    left join lateral (
      select o.hold_kind, coalesce(o.worked_until, o.actual_start_at) as since from public.mes_operations o
      where o.workplace_name = w.name and o.status = 'ON_HOLD' and o.actual_start_at is not null
      order by since desc
      limit 1
    ) held on true
    left join lateral (
      select * from public.downtimes x
      where x.workplace_name = w.name and x.ended_at is null and x.cancelled_at is null
      order by x.started_at desc
      limit 1
    ) d on true
    left join lateral (
      select x.ended_at as at from public.downtimes x
      where x.workplace_name = w.name and x.ended_at is not null and x.cancelled_at is null
      order by x.started_at desc
      limit 1
    ) ended on true
    -- what was started last ended last, but for a few that overlap
    left join lateral (
      select max(r.ended_at) as until from (
        select x.ended_at from public.operation_runs x
        where x.workplace_name = w.name order by x.started_at desc, x.operation_id desc, x.run_no desc limit 5
      ) r
    ) worked on true
    left join lateral (
      select case when x.is_silent then 'UNKNOWN' else x.state end as state, x.heard_at,
        case when x.is_silent then x.silent_since else x.started_at end as since,
        case when x.state = 'DOWN' and not x.is_silent and d.id is null then app.stop_json(w) end as found
      from (
        select v.state, v.started_at, v.heard_at,
          v.heard_at + make_interval(secs => w.signal_timeout_s) as silent_since,
          v.state <> 'UNKNOWN' and coalesce(v.heard_at + make_interval(secs => w.signal_timeout_s) < now_at, false)
            as is_silent
        from public.workplace_states v where v.workplace_name = w.name and v.ended_at is null
      ) x
    ) machine on true
    cross join lateral (
      select machine.state, machine.since, machine.heard_at,
        case when machine.found is not null then app.json_with(machine.found, 'reason_description', 'null') end as stop
    ) m
    cross join lateral (
      select (case
        when d.id is not null or m.stop is not null then 'down'
        when run.processing_since is not null then 'running'
        when run.since is not null then 'setup'
        when s.calendar_name is not null and s.shift_code is null then 'off_shift'
        when held.hold_kind = 'PAUSED' then 'paused'
        when held.hold_kind = 'BLOCKED' then 'blocked'
        when m.state = 'UNKNOWN' then 'unknown'
        else 'idle'
      end)::public.workplace_state as state
    ) st
    where w.name = any(names)
  );
end
$$;
comment on function app.board_workplaces_json(text[], timestamptz, jsonb) is
  'Each workplace as a board shows it now. oee has what app.board_oee answered, by name.';

create function app.board_late_json(names text[], now_at timestamptz) returns json
language plpgsql stable
set search_path = ''
set enable_nestloop = on
set jit = off
as $$
begin
  return (
    select json_build_object(
      'count', count(*),
      'operations', coalesce(
        json_agg(app.board_operation_json(l.o, now_at) order by l.no) filter (where l.no <= 20), '[]'))
    from (
      select o::public.mes_operations as o,
        row_number() over (order by o.planned_end_at, o.order_no, o.operation_no, o.asset_id) as no
      from unnest(names) n
      cross join lateral (
        select * from public.mes_operations x
        where x.workplace_name = n and x.status not in ('FINISHED', 'CANCELLED') and x.planned_end_at < now_at
      ) o
    ) l
  );
end
$$;
comment on function app.board_late_json(text[], timestamptz) is
  'Open operations whose planned end has passed: how many, and the 20 that are the latest.';

-- One report for each shift that takes place now, and for at most 100 workplaces.
create function app.board_oee(names text[], now_at timestamptz) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  part record;
  found jsonb := '{}'::jsonb;
begin
  for part in
    select array_agg(p.name order by p.name) as names, p.shift_date, p.shift_code, p.starts_at, p.ends_at
    from (
      select w.name, s.shift_date, s.shift_code, s.starts_at, s.ends_at,
        (row_number() over (partition by s.starts_at, s.ends_at order by w.name) - 1) / 100 as page
      from public.workplaces w
      join app.board_shifts(
        array(select distinct x.calendar_name from public.workplaces x where x.name = any(board_oee.names)), now_at) s
        on s.calendar_name = w.calendar_name and s.shift_code is not null
      where w.name = any(board_oee.names)
    ) p
    group by p.shift_date, p.shift_code, p.starts_at, p.ends_at, p.page
  loop
    found := found || (
      select coalesce(jsonb_object_agg(b -> 'key' ->> 'workplace_name', json_build_object(
        'from', b -> 'from',
        'to', b -> 'to',
        'oee', b -> 'ratios' -> 'oee',
        'availability', b -> 'ratios' -> 'availability',
        'effectiveness', b -> 'ratios' -> 'effectiveness',
        'quality_weighted', b -> 'ratios' -> 'quality_weighted',
        'partial', b -> 'partial',
        'pieces', b -> 'pieces',
        'losses', (
          select coalesce(json_agg(l.value order by l.ordinality), '[]')
          from json_array_elements(b -> 'losses') with ordinality l where l.ordinality <= 5),
        'reasons', b -> 'reasons'
      )), '{}')
      from json_array_elements(public.report_oee(
        workplace_names => part.names, from_at => part.starts_at, to_at => part.ends_at, by_keys => '{workplace}'
      ) -> 'buckets') b
    );
  end loop;
  return found;
end
$$;
comment on function app.board_oee(text[], timestamptz) is
  'OEE of the shift that takes place now, by name of the workplace; without those whose shift is over.';

create function public.report_board(
  workplace_names text[] default null,
  workplace_group text default null,
  with_oee boolean default false
) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group);
  caller constant app.caller := app.current_caller();
  now_at constant timestamptz := date_trunc('milliseconds', clock_timestamp());
  names text[] := app.report_names(caller, workplace_names, workplace_group);
begin
  if workplace_names is null then
    names := array(select w.name from public.workplaces w where w.name = any(names) and w.active order by w.name);
  end if;
  return json_build_object(
    'at', app.iso(now_at),
    'scope', json_build_object('access', case when caller.sees_all then 'all' else 'own' end,
      'workplace_names', names),
    'workplaces', coalesce(
      app.board_workplaces_json(names, now_at, case when with_oee then app.board_oee(names, now_at) end), '[]'),
    'late', app.board_late_json(names, now_at)
  );
end
$$;
comment on function public.report_board is
  'What a board shows of the workplaces that the caller sees: their states, what runs, what is next, what is late; on '
  'request OEE of the shift. It holds no name of a person. Raises 404 not_found for unknown and hidden workplaces.';
grant execute on function public.report_board to authenticated, service_role;
