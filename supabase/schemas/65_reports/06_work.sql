-- What: what operations did at the workplaces of a report: their runs and pieces, by row of the report.
-- Why: the pieces of a report are made in the processing time before it, which shifts and days cut.

create type app.work_sum as (
  key_no integer,
  unplanned_place_no integer,
  operation_id bigint,
  runs bigint,
  reports bigint,
  pq numeric,
  gq numeric,
  earned numeric,
  earned_good numeric,
  pq_outside numeric,
  gq_outside numeric,
  pq_taken_over numeric,
  untargeted bigint,
  unlogged bigint,
  suspects bigint
);
comment on type app.work_sum is
  'Work within one row of a report, that of one operation when the report is by operation: pieces, and the target time '
  'of those whose target is known. Workplaces without a calendar have rows of their own. outside: beyond planned busy '
  'time; taken_over: brought from elsewhere; untargeted, unlogged, suspects: operations to warn of.';

create function app.work_sums(
  scope app.report_scope, spans app.time_span[], periods app.report_period[], key_nos integer[], ids bigint[],
  pris numeric[], attribution public.attribution, by_operation boolean
) returns setof app.work_sum
language plpgsql stable parallel safe rows 10000
set search_path = ''
set enable_nestloop = off
set enable_mergejoin = off
set enable_sort = off
set jit = off
set work_mem = '64MB'
set plan_cache_mode = 'force_generic_plan'
as $$
begin
  return query
  with
  place as materialized (select p.place_no, p.name, p.pot, p.from_ms, p.to_ms from unnest(scope.places) p),
  operation as materialized (select * from unnest(ids, pris) o (operation_id, pri)),
  clock as materialized (select * from app.place_clocks(spans, periods, key_nos)),
  run as materialized (
    select r.*, r.phase = 'PROCESSING' and u.operation_id is not null as is_untargeted
    from app.report_runs(scope.places, ids, scope.now_ms) r
    left join (select o.operation_id from operation o where o.pri is null) u on u.operation_id = r.operation_id
    where r.from_ms < r.to_ms
  ),
  event as materialized (
    select e.id, e.operation_id, e.workplace_name, p.place_no, e.action_type, e.status_before is null as is_opening,
      app.ms(e.occurred_at) as at_ms, app.delta(e, e.qty_good) as good, app.delta(e, e.qty_scrap) as scrap,
      e.reverses_event_id,
      coalesce(e.changes ?| array['t_actual_processing_min', 't_actual_setup_min'], false) as states_minutes
    from public.operation_events e
    left join place p on p.name = e.workplace_name
    where e.operation_id = any(ids)
      and (e.action_type in ('REPORT_QUANTITY', 'COMPLETE', 'CORRECT') or e.qty_good <> 0 or e.qty_scrap <> 0)
  ),
  counted as (
    select e.place_no, e.operation_id, count(*)::integer as reports
    from event e
    where e.place_no is not null and (e.good <> 0 or e.scrap <> 0)
    group by 1, 2
  ),

  -- ---------------------------------------------------------------- reports, and the time that their pieces took
  taken_back as (
    select e.reverses_event_id, sum(e.good) as good, sum(e.scrap) as scrap
    from event e
    where attribution = 'prorated' and e.reverses_event_id is not null
    group by 1
  ),
  reversal as (
    select e.id, r.workplace_name
    from event e
    join event r on r.id = e.reverses_event_id
    where attribution = 'reported' and e.reverses_event_id is not null
  ),
  -- What was taken back counts where it was reported.
  report as materialized (
    select p.place_no, e.operation_id, e.at_ms, e.is_opening,
      e.action_type = 'CORRECT' as is_correction, e.good + coalesce(b.good, 0) as good,
      e.scrap + coalesce(b.scrap, 0) as scrap
    from event e
    left join taken_back b on b.reverses_event_id = e.id
    left join reversal v on v.id = e.id
    join place p on p.name = coalesce(v.workplace_name, e.workplace_name)
    where e.action_type in ('REPORT_QUANTITY', 'COMPLETE')
      or e.action_type = 'CORRECT' and (e.good <> 0 or e.scrap <> 0)
      or e.action_type = 'REVERSE' and attribution = 'reported'
  ),
  -- From one report of an operation to the next; a correction is of all its time.
  slice as materialized (
    select (row_number() over ())::integer as slice_no, s.*
    from (
      select r.place_no, r.operation_id, r.at_ms, coalesce(lag(r.at_ms) over w, 0) as after_ms, r.at_ms as until_ms,
        sum(r.good) as good, sum(r.scrap) as scrap
      from report r
      where attribution = 'prorated' and not r.is_correction
      group by r.operation_id, r.place_no, r.at_ms
      window w as (partition by r.operation_id, r.place_no order by r.at_ms)
      union all
      select r.place_no, r.operation_id, max(r.at_ms), 0, 9223372036854775807, sum(r.good), sum(r.scrap)
      from report r
      where attribution = 'prorated' and r.is_correction and not r.is_opening
      group by 1, 2
    ) s
    where s.good <> 0 or s.scrap <> 0
  ),
  part as materialized (
    select x.*, sum(x.to_ms - x.from_ms) over (partition by x.slice_no) as slice_ms
    from (
      select s.slice_no, s.place_no, s.operation_id, s.good, s.scrap,
        greatest(r.from_ms, s.after_ms) as from_ms, least(r.to_ms, s.until_ms) as to_ms
      from slice s
      join run r on r.place_no = s.place_no and r.operation_id = s.operation_id
      where r.phase = 'PROCESSING' and r.from_ms < s.until_ms and r.to_ms > s.after_ms
    ) x
  ),
  point as (
    select r.place_no, r.operation_id, r.at_ms, r.good, r.scrap, r.is_opening
    from report r
    where attribution = 'reported' or r.is_opening
    union all
    -- reported without any processing time to spread them over
    select s.place_no, s.operation_id, s.at_ms, s.good, s.scrap, false
    from slice s
    where s.slice_no not in (select p.slice_no from part p)
  ),

  -- ---------------------------------------------------------------- cut by the rows of the report
  -- Most operations are made within one row: their runs need not be looked at one by one.
  worked as materialized (
    select w.*, greatest(width_bucket(w.from_ms, c.starts), 1) as first_no,
      width_bucket(w.to_ms - 1, c.starts) as last_no,
      c.key_nos[greatest(width_bucket(w.from_ms, c.starts), 1)] as key_no
    from (
      select r.operation_id, r.place_no, count(*) as runs, min(r.from_ms) as from_ms, max(r.to_ms) as to_ms,
        bool_or(r.is_untargeted) as is_untargeted
      from run r
      where r.is_in_window
      group by 1, 2
    ) w
    join clock c on c.place_no = w.place_no
  ),
  visit (key_no, place_no, operation_id, runs, is_untargeted) as (
    select w.key_no, w.place_no, w.operation_id, w.runs, false
    from worked w
    where w.first_no = w.last_no and not w.is_untargeted
    union all
    select v.key_nos[v.n], v.place_no, v.operation_id,
      -- a run that a shift cuts comes twice to the row of what is between shifts
      case when v.n > v.first_no and v.key_nos[v.n] = any(v.key_nos[v.first_no:v.n - 1]) then 0 else 1 end,
      v.is_untargeted and app.ms_within(greatest(v.from_ms, v.starts[v.n]), least(v.to_ms, v.starts[v.n + 1]),
        width_bucket(greatest(v.from_ms, v.starts[v.n]), v.span_starts),
        width_bucket(least(v.to_ms, v.starts[v.n + 1]) - 1, v.span_starts), v.span_starts, v.up, v.up_before) > 0
    from (
      select x.*, generate_series(x.first_no, x.last_no) as n
      from (
        select c.place_no, c.starts, c.key_nos, c.span_starts, c.up, c.up_before, r.operation_id, r.is_untargeted,
          greatest(r.from_ms, c.from_ms) as from_ms, least(r.to_ms, c.to_ms) as to_ms,
          greatest(width_bucket(r.from_ms, c.starts), 1) as first_no, width_bucket(r.to_ms - 1, c.starts) as last_no
        from (
          select r.* from run r
          join worked w on w.operation_id = r.operation_id and w.place_no = r.place_no
          where w.first_no < w.last_no or w.is_untargeted
          offset 0
        ) r
        join clock c on c.place_no = r.place_no
        where r.is_in_window
      ) x
    ) v
  ),
  -- most parts lie within one span: nothing is divided
  spread (key_no, place_no, operation_id, good, scrap, good_outside, scrap_outside) as (
    select m.key_no, m.place_no, m.operation_id,
      case when m.inside_ms = m.slice_ms then m.good else m.good * m.inside_ms / m.slice_ms end,
      case when m.inside_ms = m.slice_ms then m.scrap else m.scrap * m.inside_ms / m.slice_ms end,
      case when m.inside_ms < m.length_ms then m.good * (m.length_ms - m.inside_ms) / m.slice_ms end,
      case when m.inside_ms < m.length_ms then m.scrap * (m.length_ms - m.inside_ms) / m.slice_ms end
    from (
      select v.key_no, v.place_no, v.operation_id, v.good, v.scrap, v.slice_ms, v.to_ms - v.from_ms as length_ms,
        app.ms_within(v.from_ms, v.to_ms, v.first_no, v.last_no, v.span_starts, v.inside, v.inside_before)
          as inside_ms
      from (
        select x.key_nos[x.n] as key_no, x.place_no, x.operation_id, x.good, x.scrap, x.slice_ms,
          greatest(x.from_ms, x.starts[x.n]) as from_ms, least(x.to_ms, x.starts[x.n + 1]) as to_ms,
          width_bucket(greatest(x.from_ms, x.starts[x.n]), x.span_starts) as first_no,
          width_bucket(least(x.to_ms, x.starts[x.n + 1]) - 1, x.span_starts) as last_no, x.span_starts, x.inside,
          x.inside_before
        from (
          select c.place_no, c.starts, c.key_nos, c.span_starts, c.inside, c.inside_before, p.operation_id, p.good,
            p.scrap, p.slice_ms, greatest(p.from_ms, c.from_ms) as from_ms, least(p.to_ms, c.to_ms) as to_ms,
            generate_series(greatest(width_bucket(p.from_ms, c.starts), 1), width_bucket(p.to_ms - 1, c.starts)) as n
          from part p
          join clock c on c.place_no = p.place_no
          where p.from_ms < c.to_ms and p.to_ms > c.from_ms
        ) x
        offset 0
      ) v
      offset 0
    ) m
  ),
  placed as materialized (
    select c.key_nos[width_bucket(p.at_ms, c.starts)] as key_no, p.place_no, p.operation_id, p.good, p.scrap,
      not p.is_opening and (a.pot is null or a.pot @> p.at_ms) as is_inside, p.is_opening
    from point p
    join clock c on c.place_no = p.place_no
    join place a on a.place_no = p.place_no
    where p.at_ms >= c.from_ms and p.at_ms < c.to_ms and (p.good <> 0 or p.scrap <> 0)
  ),
  flagged as materialized (
    select v.key_no, v.place_no, v.operation_id, 'untargeted' as flag from visit v where v.is_untargeted
    union
    select c.key_nos[width_bucket(e.at_ms, c.starts)], e.place_no, e.operation_id, 'unlogged'
    from event e
    join clock c on c.place_no = e.place_no
    where e.states_minutes and e.at_ms >= c.from_ms and e.at_ms < c.to_ms
    union
    select c.key_nos[width_bucket(greatest(r.from_ms, c.from_ms), c.starts)], r.place_no, r.operation_id, 'suspect'
    from run r
    join clock c on c.place_no = r.place_no
    where r.is_open and r.to_ms - r.from_ms > 43200000 and r.to_ms >= c.from_ms and r.from_ms < c.to_ms
  ),

  -- ---------------------------------------------------------------- summed
  seen as (
    select s.key_no, s.place_no, s.operation_id, s.runs, coalesce(q.reports, 0) as reports
    from (
      select x.key_no, x.place_no, x.operation_id, sum(x.runs) as runs
      from (
        select v.key_no, v.place_no, v.operation_id, v.runs from visit v
        union all
        select p.key_no, p.place_no, p.operation_id, 0 from placed p
      ) x
      group by 1, 2, 3
    ) s
    left join counted q on q.place_no = s.place_no and q.operation_id = s.operation_id
  ),
  found (key_no, unplanned_place_no, operation_id, runs, reports, pq, gq, earned, earned_good, pq_outside, gq_outside,
    pq_taken_over, untargeted, unlogged, suspects) as (
    select s.key_no, case when p.pot is null then p.place_no end, case when by_operation then s.operation_id end,
      sum(s.runs), sum(s.reports), null::numeric, null::numeric, null::numeric, null::numeric, null::numeric,
      null::numeric, null::numeric, null::bigint, null::bigint, null::bigint
    from seen s
    join place p on p.place_no = s.place_no
    group by 1, 2, 3
    union all
    select s.key_no, case when p.pot is null then p.place_no end, case when by_operation then s.operation_id end, null,
      null, sum(s.good + s.scrap), sum(s.good), sum((s.good + s.scrap) * o.pri), sum(s.good * o.pri),
      sum(s.good_outside + s.scrap_outside), sum(s.good_outside), sum(s.taken_over), null, null, null
    from (
      select s.*, null::numeric as taken_over from spread s
      union all
      select p.key_no, p.place_no, p.operation_id, case when p.is_inside then p.good end,
        case when p.is_inside then p.scrap end, case when not p.is_inside then p.good end,
        case when not p.is_inside then p.scrap end, case when p.is_opening then p.good + p.scrap end
      from placed p
    ) s
    join operation o on o.operation_id = s.operation_id
    join place p on p.place_no = s.place_no
    group by 1, 2, 3
    union all
    select f.key_no, case when p.pot is null then p.place_no end, case when by_operation then f.operation_id end,
      null, null, null, null, null, null, null, null, null, null, null, null
    from flagged f
    join place p on p.place_no = f.place_no
    union all
    -- an operation at two workplaces is one
    select f.key_no, null, case when by_operation then f.operation_id end, null, null, null, null, null, null, null,
      null, null, count(distinct f.operation_id) filter (where f.flag = 'untargeted'),
      count(distinct f.operation_id) filter (where f.flag = 'unlogged'),
      count(distinct f.operation_id) filter (where f.flag = 'suspect')
    from flagged f
    group by 1, 3
  )
  select f.key_no, f.unplanned_place_no, f.operation_id, sum(f.runs)::bigint, sum(f.reports)::bigint, sum(f.pq),
    sum(f.gq), sum(f.earned), sum(f.earned_good), sum(f.pq_outside), sum(f.gq_outside), sum(f.pq_taken_over),
    sum(f.untargeted)::bigint, sum(f.unlogged)::bigint, sum(f.suspects)::bigint
  from found f
  group by 1, 2, 3;
end
$$;
comment on function app.work_sums(
  app.report_scope, app.time_span[], app.report_period[], integer[], bigint[], numeric[], public.attribution, boolean
) is 'What was worked, by row of the report: key_nos has the row of each period.';
