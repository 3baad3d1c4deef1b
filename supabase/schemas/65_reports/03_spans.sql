-- What: what of a workplace's time does not depend on work: shifts, breaks, downtimes, machine states and periods.
-- Why: it changes some times a day. What changes with each operation is compared with these few rows.

create type app.time_span as (
  place_no integer,
  span_no integer,
  from_ms bigint,
  to_ms bigint,
  period_no integer,
  slots integer,
  is_slots boolean,
  has_plan boolean,
  is_pot boolean,
  planned text,
  is_inside boolean,
  is_unknown boolean,
  down_id uuid,
  down_reason text,
  down_source text
);
comment on type app.time_span is
  'A stretch of a workplace''s window in which its planned time, downtime, machine state and period stay the same. '
  'planned: why it is planned down time, whatever is worked in it; is_inside: planned busy time, as far as work does '
  'not decide it; down: the downtime in it.';

create function app.time_spans(scope app.report_scope, periods app.report_period[]) returns setof app.time_span
language plpgsql stable rows 1000
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
  place as materialized (
    select p.*, int8multirange(int8range(p.from_ms, p.to_ms)) as frame from unnest(scope.places) p
  ),
  period as materialized (select (row_number() over ())::integer as period_no, p.* from unnest(periods) p),
  down as materialized (select (row_number() over ())::integer as down_no, d.* from app.report_downs(scope.places) d),
  silence as materialized (select * from app.report_silences(scope.places)),
  -- Each moment adds to what is in force, or takes from it. Neither the periods of a workplace nor its downtimes
  -- overlap, so the sum of their numbers is the current number.
  moment as (
    select c.place_no, c.at_ms, sum(c.period_no)::integer as period_no, sum(c.down_no)::integer as down_no,
      sum(c.pot)::integer as pot, sum(c.breaks)::integer as breaks, sum(c.closed)::integer as closed,
      sum(c.unknown)::integer as unknown
    from (
      select p.place_no, p.from_ms as at_ms, p.period_no, 0 as down_no, 0 as pot, 0 as breaks, 0 as closed, 0 as unknown
      from period p
      union all
      select p.place_no, p.to_ms, -p.period_no, 0, 0, 0, 0, 0 from period p
      union all
      select d.place_no, d.from_ms, 0, d.down_no, 0, 0, 0, 0 from down d
      union all
      select d.place_no, d.to_ms, 0, -d.down_no, 0, 0, 0, 0 from down d
      union all
      select p.place_no, b.at_ms, 0, 0, b.step * (x.kind = 'pot')::integer, b.step * (x.kind = 'breaks')::integer,
        b.step * (x.kind = 'closed')::integer, b.step * (x.kind = 'unknown')::integer
      from place p
      left join silence q on q.place_no = p.place_no
      cross join lateral (
        select 'pot' as kind, unnest(p.pot * p.frame) as r
        union all select 'breaks', unnest(p.breaks * p.frame)
        union all select 'closed', unnest(p.closed * p.frame)
        union all select 'unknown', unnest(q.unknown)
      ) x
      cross join lateral (values (lower(x.r), 1), (upper(x.r), -1)) b (at_ms, step)
    ) c
    group by 1, 2
  ),
  swept as (
    select m.place_no, m.at_ms as from_ms, lead(m.at_ms) over w as to_ms, sum(m.period_no) over w as period_no,
      sum(m.down_no) over w as down_no, sum(m.pot) over w > 0 as is_pot, sum(m.breaks) over w > 0 as is_break,
      sum(m.closed) over w > 0 as is_closed, sum(m.unknown) over w > 0 as is_unknown
    from moment m
    window w as (partition by m.place_no order by m.at_ms)
  ),
  judged as (
    select s.*, p.slots, p.is_slots, p.pot is not null as has_plan, d.id, d.reason_code, d.source,
      case when s.is_closed then 'closed' when s.is_break then 'break' when d.is_planned then 'planned_downtime' end
        as planned
    from swept s
    join place p on p.place_no = s.place_no
    left join down d on d.down_no = s.down_no
    where s.to_ms > s.from_ms
  )
  select j.place_no, (row_number() over (order by j.place_no, j.from_ms))::integer, j.from_ms, j.to_ms,
    j.period_no::integer, j.slots, j.is_slots, j.has_plan, j.is_pot, j.planned,
    not j.has_plan or j.is_pot and j.planned is null, j.is_unknown, j.id, j.reason_code, j.source
  from judged j;
end
$$;
comment on function app.time_spans(app.report_scope, app.report_period[]) is
  'The windows of the workplaces of a report, without gap or overlap, as they are whatever is worked.';

-- Where the spans and periods of a workplace begin, and what it had of planned busy time by then: the time between two
-- instants is a difference of two.
create type app.place_clock as (
  place_no integer,
  from_ms bigint,
  to_ms bigint,
  starts bigint[],
  key_nos integer[],
  span_starts bigint[],
  inside bigint[],
  inside_before bigint[],
  up bigint[],
  up_before bigint[]
);
comment on type app.place_clock is
  'The window of a workplace as arrays: inside is 1 in planned busy time, up is 1 where no downtime is in it.';

create function app.place_clocks(
  spans app.time_span[], periods app.report_period[], key_nos integer[]
) returns setof app.place_clock
language sql stable
begin atomic
  select s.place_no, s.from_ms, s.to_ms, p.starts, p.key_nos, s.starts, s.inside, s.inside_before, s.up, s.up_before
  from (
    select x.place_no, min(x.from_ms) as from_ms, max(x.to_ms) as to_ms,
      array_agg(x.from_ms order by x.span_no) as starts,
      array_agg(x.inside order by x.span_no) as inside,
      array_agg(x.inside_until - x.inside * (x.to_ms - x.from_ms) order by x.span_no) as inside_before,
      array_agg(x.up order by x.span_no) as up,
      array_agg(x.up_until - x.up * (x.to_ms - x.from_ms) order by x.span_no) as up_before
    from (
      select x.*, (sum(x.inside * (x.to_ms - x.from_ms)) over w)::bigint as inside_until,
        (sum(x.up * (x.to_ms - x.from_ms)) over w)::bigint as up_until
      from (
        select n.*, n.is_inside::integer::bigint as inside,
          (n.is_inside and (n.down_id is null or not n.has_plan))::integer::bigint as up
        from unnest(spans) n
      ) x
      window w as (partition by x.place_no order by x.span_no)
    ) x
    group by 1
  ) s
  join (
    select x.place_no, array_agg(x.from_ms order by x.from_ms) as starts,
      array_agg(place_clocks.key_nos[x.period_no] order by x.from_ms) as key_nos
    from unnest(periods) with ordinality as x (place_no, from_ms, to_ms, period, shift_date, shift_code, period_no)
    where x.from_ms < x.to_ms
    group by 1
  ) p on p.place_no = s.place_no;
end;

create function app.ms_within(
  from_ms bigint, to_ms bigint, first_no integer, last_no integer, starts bigint[], rates bigint[], sums bigint[]
) returns bigint
language sql immutable parallel safe
return case
  when from_ms >= to_ms then 0
  when first_no = last_no then rates[first_no] * (to_ms - from_ms)
  else sums[last_no] + rates[last_no] * (to_ms - starts[last_no])
    - sums[first_no] - rates[first_no] * (from_ms - starts[first_no])
end;
comment on function app.ms_within(bigint, bigint, integer, integer, bigint[], bigint[], bigint[]) is
  'What a clock counts between two instants of its window, which lie in these of its spans.';
