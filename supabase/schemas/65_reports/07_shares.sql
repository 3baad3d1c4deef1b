-- What: the share that each operation has in the time of its workplaces.
-- Why: at each instant, the operations that run share the places that are at work; only rows by operation need to know.

create type app.work_share as (
  key_no integer,
  unplanned_place_no integer,
  operation_id bigint,
  apt numeric,
  aust numeric,
  apt_outside numeric,
  aust_outside numeric
);
comment on type app.work_share is
  'The time of one operation, in milliseconds x places, within one row of a report. Workplaces without a calendar have '
  'rows of their own.';

-- Pairs of runs and intervals would be the number of runs times the number of those that overlap. What an operation
-- that runs all the time would have by each moment is a running sum, and the share of a run is the difference of two.
create function app.work_shares(
  scope app.report_scope, spans app.time_span[], periods app.report_period[], key_nos integer[], ids bigint[]
) returns setof app.work_share
language plpgsql stable rows 10000
set search_path = ''
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set work_mem = '64MB'
set plan_cache_mode = 'force_generic_plan'
as $$
begin
  return query
  with
  period as materialized (select (row_number() over ())::integer as period_no, p.* from unnest(periods) p),
  gained as materialized (
    select i.place_no, i.to_ms as at_ms, sum(i.processing) over w as processing, sum(i.setting_up) over w as setting_up,
      sum(i.processing) filter (where not i.is_inside) over w as processing_outside,
      sum(i.setting_up) filter (where not i.is_inside) over w as setting_up_outside
    from (
      select x.place_no, x.to_ms, x.is_inside,
        case when x.processing > 0 then (x.to_ms - x.from_ms) * x.apt_slots::numeric / x.processing else 0 end
          as processing,
        case when x.setting_up > 0 then (x.to_ms - x.from_ms) * x.aust_slots::numeric / x.setting_up else 0 end
          as setting_up
      from app.time_intervals(scope, spans, ids, '{}', false) x
    ) i
    window w as (partition by i.place_no order by i.to_ms)
  ),
  visit as materialized (
    select r.place_no, r.operation_id, r.phase, key_nos[p.period_no] as key_no,
      greatest(r.from_ms, p.from_ms) as from_ms, least(r.to_ms, p.to_ms) as to_ms
    from app.report_runs(scope.places, ids, scope.now_ms) r
    join period p on p.place_no = r.place_no and p.from_ms < r.to_ms and p.to_ms > r.from_ms
    where r.is_in_window
  ),
  shared as (
    select v.key_no, case when c.pot is null then c.place_no end as unplanned_place_no, v.operation_id, v.phase,
      case v.phase when 'SETUP' then coalesce(b.setting_up, 0) - coalesce(a.setting_up, 0)
        else coalesce(b.processing, 0) - coalesce(a.processing, 0) end as all_ms,
      case v.phase when 'SETUP' then coalesce(b.setting_up_outside, 0) - coalesce(a.setting_up_outside, 0)
        else coalesce(b.processing_outside, 0) - coalesce(a.processing_outside, 0) end as outside_ms
    from visit v
    join unnest(scope.places) c on c.place_no = v.place_no
    left join gained a on a.place_no = v.place_no and a.at_ms = v.from_ms
    left join gained b on b.place_no = v.place_no and b.at_ms = v.to_ms
  )
  select s.key_no, s.unplanned_place_no, s.operation_id,
    coalesce(sum(s.all_ms - s.outside_ms) filter (where s.phase = 'PROCESSING'), 0),
    coalesce(sum(s.all_ms - s.outside_ms) filter (where s.phase = 'SETUP'), 0),
    coalesce(sum(s.outside_ms) filter (where s.phase = 'PROCESSING'), 0),
    coalesce(sum(s.outside_ms) filter (where s.phase = 'SETUP'), 0)
  from shared s
  group by 1, 2, 3;
end
$$;
comment on function app.work_shares(
  app.report_scope, app.time_span[], app.report_period[], integer[], bigint[]
) is 'The share of each operation in the time of its workplaces, by row of the report.';
