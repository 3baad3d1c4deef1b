-- What: the partition of time: each instant of a workplace in exactly one bucket.
-- Why: figures, losses and the timeline are sums over one set of rows, so they cannot differ.

create type app.time_interval as (
  place_no integer,
  period_no integer,
  from_ms bigint,
  to_ms bigint,
  bucket text,
  detail text,
  reason_code text,
  source text,
  cause text,
  pause_detail text,
  is_inside boolean,
  is_down boolean,
  is_unknown boolean,
  pot_slots integer,
  apt_slots integer,
  aust_slots integer,
  adet_slots integer,
  adot_slots integer,
  processing integer,
  setting_up integer,
  untargeted integer,
  is_crowded boolean
);
comment on type app.time_interval is
  'Part of the partition of time. slots: how many places of the workplace are in each bucket; for a planned stop and '
  'outside of shifts, how many work nevertheless. detail, reason and cause explain what of it is no work. processing, '
  'setting_up: runs that are open in it; untargeted: those of them whose operation has no target; is_crowded: more are '
  'processed than the workplace has places.';

-- A moment of a workplace as one number: sorting by one takes a third of the time that two take. Times until the year
-- 2527 fit.
create function app.moment(place_no integer, at_ms bigint) returns bigint
language sql immutable parallel safe
return (place_no::bigint << 44) + at_ms;

-- A sweep over all moments of change: each adds to the numbers of what is open, or takes from them. A run may
-- reach beyond the window, because only intervals within a span count. Spans do not overlap, so the sum of their
-- numbers is the current number.
create function app.time_intervals(
  scope app.report_scope, spans app.time_span[], ids bigint[], untargeted_ids bigint[], is_merged boolean
) returns setof app.time_interval
language plpgsql stable parallel safe rows 10000
set search_path = ''
-- The lists below have no statistics. Joins by hash of all columns are linear, whatever their size.
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set work_mem = '64MB'
-- sorted once, for the sums and for what runs on them
set enable_hashagg = off
-- whatever their size: one plan for each connection
set plan_cache_mode = 'force_generic_plan'
as $$
begin
  return query
  with
  span as materialized (select * from unnest(spans)),
  run as materialized (
    select r.*, (r.phase = 'PROCESSING')::integer as processing, (r.phase = 'SETUP')::integer as setting_up,
      (r.phase = 'PROCESSING' and u.id is not null)::integer as untargeted
    from app.report_runs(scope.places, ids, scope.now_ms) r
    left join unnest(untargeted_ids) u (id) on u.id = r.operation_id
    where r.is_in_window
  ),
  -- A UNIT workplace is at work while any run is open, however many are. Without a target, the number counts.
  united as materialized (
    select p.place_no from unnest(scope.places) p
    where is_merged and not p.is_slots and p.place_no not in (select r.place_no from run r where r.untargeted > 0)
  ),
  busy as materialized (
    select r.place_no, r.processing, r.setting_up, range_agg(int8range(r.from_ms, r.to_ms)) as times
    from run r
    join united u on u.place_no = r.place_no
    group by 1, 2, 3
  ),
  work as materialized (
    select r.place_no, r.from_ms, r.to_ms, r.processing, r.setting_up, r.untargeted
    from run r
    where r.place_no not in (select u.place_no from united u)
    union all
    select b.place_no, lower(t), upper(t), b.processing, b.setting_up, 0
    from busy b
    cross join lateral unnest(b.times) t
  ),
  -- at such a workplace, a pause during other work delays nothing
  pause as materialized (
    select z.*
    from app.report_pauses(scope.places, ids, scope.now_ms) z
    left join (select b.place_no, range_agg(b.times) as times from busy b group by 1) b on b.place_no = z.place_no
    where b.times is null or not b.times @> int8range(z.from_ms, z.to_ms)
  ),
  change (moment, span, p, s, u, g, b) as (
    select app.moment(place_no, from_ms), 0, processing, setting_up, untargeted, 0, 0 from work
    union all
    select app.moment(place_no, to_ms), 0, -processing, -setting_up, -untargeted, 0, 0 from work
    union all
    select app.moment(place_no, from_ms), 0, 0, 0, 0, 1, 0 from pause
    union all
    select app.moment(place_no, to_ms), 0, 0, 0, 0, -1, 0 from pause
    union all
    select app.moment(place_no, from_ms), 0, 0, 0, 0, 0, 1 from pause where planned_until_ms > from_ms
    union all
    select app.moment(place_no, planned_until_ms), 0, 0, 0, 0, 0, -1 from pause where planned_until_ms > from_ms
    union all
    select app.moment(place_no, from_ms), span_no, 0, 0, 0, 0, 0 from span
    union all
    select app.moment(place_no, to_ms), -span_no, 0, 0, 0, 0, 0 from span
  ),
  summed as (
    select c.moment, sum(c.span)::integer as span, sum(c.p)::integer as p, sum(c.s)::integer as s,
      sum(c.u)::integer as u, sum(c.g)::integer as g, sum(c.b)::integer as b
    from change c
    group by 1
  ),
  swept as (
    select m.*, sum(m.span) over w as span_no, sum(m.p) over w as p_now, sum(m.s) over w as s_now,
      sum(m.u) over w as u_now, sum(m.g) over w as g_now, sum(m.b) over w as b_now
    from summed m
    window w as (order by m.moment rows unbounded preceding)
  ),
  -- an unknown capacity is as large as it has to be: least ignores null
  weighed as (
    select x.*, least(x.g_now, x.slots - x.working - x.preparing) as waiting,
      least(x.g_now - x.g, x.slots - x.working - x.preparing) > 0 as has_waited,
      x.p_now + x.s_now = 0 and x.b_now > 0 as is_stopped,
      x.p_now + x.s_now = 0 and x.b_now - x.b > 0 as was_stopped
    from (
      select m.*, n.slots, n.is_slots, least(m.p_now, n.slots) as working,
        least(m.s_now, n.slots - least(m.p_now, n.slots)) as preparing
      from swept m
      join span n on n.span_no = m.span_no
      offset 0
    ) x
  ),
  -- Where many operations overlap, most changes change no figure.
  changed as (
    select w.*
    from weighed w
    where not is_merged or w.span <> 0 or w.waiting > 0 or w.has_waited or w.is_stopped or w.was_stopped
      or w.working <> least(w.p_now - w.p, w.slots)
      or w.preparing <> least(w.s_now - w.s, w.slots - w.working)
      or w.u_now > 0 and (w.p <> 0 or w.u <> 0) or w.u_now = 0 and w.u <> 0
      or w.is_slots and (w.p_now > w.slots) <> (w.p_now - w.p > w.slots)
  ),
  judged as (
    select n.place_no, c.moment - app.moment(n.place_no, 0) as from_ms,
      least(lead(c.moment) over (order by c.moment) - app.moment(n.place_no, 0), n.to_ms) as to_ms,
      c.p_now as p, c.s_now as s, c.u_now as u, c.g_now as g, c.working, c.preparing, c.waiting,
      c.is_slots and c.p_now > c.slots as is_crowded,
      n.period_no, n.slots, n.has_plan, n.is_pot, n.is_unknown, n.down_id, n.down_reason, n.down_source,
      coalesce(n.planned, case when c.is_stopped then 'planned_stop' end) as planned,
      n.is_inside and not (n.has_plan and c.is_stopped) as is_inside,
      n.has_plan and n.is_inside and n.down_id is not null and not c.is_stopped as is_down
    from changed c
    join span n on n.span_no = c.span_no
  ),
  named as materialized (
    select j.*,
      case
        when not j.has_plan then case when j.p > 0 then 'APT' when j.s > 0 then 'AUST' else 'OFF' end
        when not j.is_pot then 'OFF'
        when not j.is_inside then 'PDOT'
        when j.is_down then case when j.p + j.s + j.g > 0 then 'ADET' else 'ADOT' end
        when j.p > 0 then 'APT'
        when j.s > 0 then 'AUST'
        when j.g > 0 then 'ADET'
        else 'ADOT'
      end as bucket,
      j.is_down or j.planned is not distinct from 'planned_downtime' as is_of_down
    from judged j
  ),
  -- Of several pauses, the one that began last explains why the workplace stands still. Only what needs it is compared
  -- with pauses: not the time in which work goes on.
  unexplained as materialized (
    select n.place_no, n.from_ms, n.bucket = 'PDOT' as is_planned,
      (row_number() over (partition by n.place_no order by n.from_ms))::integer as need_no
    from named n
    where n.has_plan and (n.bucket = 'PDOT' and n.planned = 'planned_stop'
      or n.is_inside and not n.is_down and n.waiting > 0)
  ),
  listed as materialized (
    select u.place_no, array_agg(u.from_ms order by u.from_ms) as starts from unexplained u group by 1
  ),
  reached as materialized (
    select z.*, width_bucket(z.from_ms - 1, l.starts) + 1 as first_no, width_bucket(z.to_ms - 1, l.starts) as last_no
    from pause z
    join listed l on l.place_no = z.place_no
  ),
  explaining as materialized (
    select r.*, n as need_no
    from reached r
    cross join lateral generate_series(r.first_no, r.last_no) n
    where r.first_no <= r.last_no
  ),
  explained as materialized (
    select distinct on (u.place_no, u.from_ms) u.place_no, u.from_ms, z.detail, z.reason_code,
      z.operation_id || ':' || z.op_seq as cause
    from explaining z
    join unexplained u on u.place_no = z.place_no and u.need_no = z.need_no
    where not u.is_planned or z.planned_until_ms > u.from_ms
    order by u.place_no, u.from_ms, z.at_ms desc, z.operation_id desc, z.op_seq desc
  )
  select n.place_no, n.period_no, n.from_ms, n.to_ms, n.bucket,
    case n.bucket
      when 'OFF' then case when n.has_plan then 'no_shift' else 'no_calendar' end
      when 'PDOT' then n.planned
      when 'APT' then 'processing'
      when 'AUST' then 'setup'
      when 'ADET' then case when n.is_down then 'fault' else x.detail end
      else case when n.is_down then 'fault' when n.is_unknown then 'unknown' else 'idle' end
    end,
    case when n.is_of_down then n.down_reason else x.reason_code end,
    case
      when n.is_of_down then 'downtime:' || n.down_source
      when n.bucket = 'OFF' or n.planned in ('closed', 'break') then 'calendar'
      when n.bucket in ('APT', 'AUST') then 'run'
      when x.cause is not null then 'event'
      when n.is_unknown then 'machine'
    end,
    case when n.is_of_down then n.down_id::text else x.cause end,
    x.detail, n.is_inside, n.is_down, n.is_unknown,
    case when n.has_plan then case when n.bucket = 'OFF' then 0 else n.slots end end,
    case when n.is_down then 0 else n.working end::integer,
    case when n.is_down then 0 else n.preparing end::integer,
    case
      when n.has_plan then case
        when n.is_down and n.bucket = 'ADET' then n.slots
        when n.is_down or not n.is_inside then 0
        else n.waiting
      end
    end::integer,
    case
      when n.has_plan then case
        when n.is_down and n.bucket = 'ADOT' then n.slots
        when n.is_down or not n.is_inside then 0
        else n.slots - n.working - n.preparing - n.waiting
      end
    end::integer,
    n.p::integer, n.s::integer, n.u::integer, coalesce(n.is_crowded, false)
  from named n
  left join explained x on x.place_no = n.place_no and x.from_ms = n.from_ms;
end
$$;
comment on function app.time_intervals(app.report_scope, app.time_span[], bigint[], bigint[], boolean) is
  'The partition of the window of each workplace. Merged, it has no more intervals than sums need; a timeline has one '
  'for each change.';
