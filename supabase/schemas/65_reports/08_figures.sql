-- What: the figures of one row of a report: elements, ratios, reasons, warnings and losses.
-- Why: every report makes them by the same functions.

create type app.report_by as (place text, period text, work text);
comment on type app.report_by is 'What the rows of a report are: at most one key of each kind.';

create function app.report_by(keys text[]) returns app.report_by
language plpgsql immutable
set search_path = ''
as $$
declare
  key text;
  result app.report_by;
begin
  foreach key in array coalesce(keys, '{}') loop
    if key in ('workplace', 'group') and result.place is null then
      result.place := key;
    elsif key in ('shift', 'day', 'week', 'month') and result.period is null then
      result.period := key;
    elsif key in ('operation', 'order') and result.work is null then
      result.work := key;
    else
      perform app.refuse_field('/by', 'invalid_value', format(
        '"%s" cannot be a key here: at most one each of workplace, group; shift, day, week, month; operation, order',
        left(key, 40)));
    end if;
  end loop;
  return result;
end
$$;
comment on function app.report_by(text[]) is
  'The keys of a report. Raises 422 validation_failed for unknown or two of a kind.';

create function app.attribution_of(value text) returns public.attribution
language plpgsql immutable
set search_path = ''
as $$
begin
  if value not in ('prorated', 'reported') then
    perform app.refuse_field('/attribution', 'invalid_value',
      format('"%s" is not an attribution: prorated or reported', left(value, 40)));
  end if;
  return coalesce(value, 'prorated')::public.attribution;
end
$$;
comment on function app.attribution_of(text) is 'The attribution of an argument, by default prorated.';

create function app.minutes(ms numeric) returns numeric
language sql immutable parallel safe
return trim_scale(round(ms / 60000, 3));
comment on function app.minutes(numeric) is 'Milliseconds as the minutes that reports answer, to a thousandth.';

create function app.ratio(part numeric, whole numeric) returns numeric
language sql immutable parallel safe
return part / nullif(whole, 0);
comment on function app.ratio(numeric, numeric) is 'The part of the whole; null when that is 0.';

create function app.report_key(
  by_keys app.report_by, place_name text, period text, shift_date date, shift_code text
) returns jsonb
language sql immutable
return case
    when (by_keys).place = 'group' then jsonb_build_object('workplace_group', place_name)
    when place_name is not null then jsonb_build_object('workplace_name', place_name) else '{}' end
  || case
    when (by_keys).period = 'shift' then jsonb_build_object('shift_date', shift_date, 'shift_code', shift_code)
    when period is not null then jsonb_build_object('period', period) else '{}' end;
comment on function app.report_key(app.report_by, text, text, date, text) is
  'The key of a row of a report. What happens between shifts has a shift of null.';

create type app.report_frame as ("from" text, "to" text, complete boolean, time_zone text, scope json);
comment on type app.report_frame is 'The head of a report, as the API writes it.';

create function app.report_frame(scope app.report_scope) returns app.report_frame
language sql stable
return row(
  app.iso_ms((scope).from_ms),
  app.iso_ms((scope).to_ms),
  (scope).to_ms <= (scope).now_ms,
  (scope).time_zone,
  json_build_object(
    'access', case when (scope).sees_all then 'all' else 'own' end,
    'workplace_names', array(select p.name from unnest((scope).places) p order by p.name)
  )
)::app.report_frame;
comment on function app.report_frame(app.report_scope) is
  'What every report says first: its window, whether it is over, its zone, and the workplaces that it holds.';

-- The sums of one row of a report. Times are in milliseconds x places.
create type app.report_sums as (
  has_plan boolean,
  has_slots boolean,
  is_of_work boolean,
  window_ms numeric,
  pot numeric,
  pdot numeric,
  apt numeric,
  aust numeric,
  adet numeric,
  adot numeric,
  apt_known numeric,
  pq numeric,
  gq numeric,
  earned numeric,
  earned_good numeric
);
comment on type app.report_sums is
  'Elements and pieces of one row: earned is the target time of the pieces whose target is known, earned_good that of '
  'the good ones; apt_known the processing time of their operations.';

create type app.report_ratios as (
  availability numeric,
  effectiveness numeric,
  quality_ratio numeric,
  quality_weighted numeric,
  oee numeric,
  nee numeric,
  teep numeric,
  utilisation_efficiency numeric,
  allocation_efficiency numeric,
  technical_efficiency numeric,
  setup_ratio numeric,
  scrap_ratio numeric,
  throughput_per_h numeric
);
comment on type app.report_ratios is 'The ratios of ISO 22400-2; null where one cannot be had.';

create function app.report_ratios(s app.report_sums) returns app.report_ratios
language plpgsql immutable
set search_path = ''
as $$
declare
  pbt constant numeric := case when s.has_plan and s.has_slots then s.pot - s.pdot end;
  busy constant numeric := case when pbt is not null then s.apt + s.aust + s.adet end;
  -- effectiveness x quality; without processing there was none
  yield constant numeric := case when s.apt = 0 and pbt > 0 then 0 else app.ratio(s.earned_good, s.apt_known) end;
  r app.report_ratios;
begin
  r.availability := app.ratio(s.apt, pbt);
  r.effectiveness := app.ratio(s.earned, s.apt_known);
  r.quality_ratio := app.ratio(s.gq, s.pq);
  r.quality_weighted := app.ratio(s.earned_good, s.earned);
  r.oee := r.availability * yield;
  r.nee := app.ratio(s.apt + s.aust, pbt) * yield;
  r.teep := case when pbt > 0 then app.ratio(r.oee * pbt, s.window_ms) end;
  r.utilisation_efficiency := app.ratio(s.apt, busy);
  r.allocation_efficiency := app.ratio(busy, pbt);
  r.technical_efficiency := case when pbt is not null then app.ratio(s.apt, s.apt + s.adet) end;
  r.setup_ratio := app.ratio(s.aust, s.aust + s.apt);
  r.scrap_ratio := app.ratio(s.pq - s.gq, s.pq);
  r.throughput_per_h := app.ratio(s.pq * 3600000, busy);
  return r;
end
$$;
comment on function app.report_ratios(app.report_sums) is 'The ratios of the sums.';

create function app.report_reasons(s app.report_sums, r app.report_ratios) returns jsonb
language plpgsql immutable
set search_path = ''
as $$
declare
  no_plan constant text := case
    when s.is_of_work then 'not_of_a_workplace'
    when not s.has_plan then 'no_calendar'
    when not s.has_slots then 'capacity_unknown'
  end;
  no_time constant text := coalesce(no_plan, case when s.pot - s.pdot = 0 then 'not_planned' end);
  no_target constant text := case when s.apt = 0 then 'no_processing' when s.apt_known = 0 then 'no_target_time' end;
begin
  return jsonb_strip_nulls(jsonb_build_object(
    'availability', case when r.availability is null then no_time end,
    'effectiveness', case when r.effectiveness is null then no_target end,
    'quality_ratio', case when r.quality_ratio is null then 'no_pieces' end,
    'quality_weighted', case when r.quality_weighted is null then
      case when s.pq = 0 then 'no_pieces' else 'no_target_time' end end,
    'oee', case when r.oee is null then coalesce(no_time, no_target) end,
    'nee', case when r.nee is null then coalesce(no_time, no_target) end,
    'teep', case when r.teep is null then coalesce(no_time, no_target) end,
    'utilisation_efficiency', case when r.utilisation_efficiency is null then coalesce(no_plan, 'no_work') end,
    'allocation_efficiency', case when r.allocation_efficiency is null then no_time end,
    'technical_efficiency', case when r.technical_efficiency is null then coalesce(no_plan, 'no_work') end,
    'setup_ratio', case when r.setup_ratio is null then 'no_work' end,
    'scrap_ratio', case when r.scrap_ratio is null then 'no_pieces' end,
    'throughput_per_h', case when r.throughput_per_h is null then coalesce(no_plan, 'no_work') end
  ));
end
$$;
comment on function app.report_reasons(app.report_sums, app.report_ratios) is 'For each ratio that is null, why.';

create function app.report_bucket(s app.report_sums) returns json
language plpgsql immutable
set search_path = ''
as $$
declare
  ratios constant app.report_ratios := app.report_ratios(s);
  is_timed constant boolean := s.has_plan and s.has_slots;
  coverage constant numeric := app.ratio(s.apt_known, s.apt);
  capped_effectiveness constant numeric := case when ratios.effectiveness is not null
    then least(ratios.effectiveness, 1) end;
begin
  return json_build_object(
    'elements', json_build_object(
      'pot_min', case when is_timed then app.minutes(s.pot) end,
      'pdot_min', case when is_timed then app.minutes(s.pdot) end,
      'pbt_min', case when is_timed then app.minutes(s.pot - s.pdot) end,
      'apt_min', app.minutes(s.apt),
      'aust_min', app.minutes(s.aust),
      'adet_min', case when is_timed then app.minutes(s.adet) end,
      'adot_min', case when is_timed then app.minutes(s.adot) end),
    'pieces', json_build_object(
      'pq', trim_scale(round(s.pq, 3)), 'gq', trim_scale(round(s.gq, 3)), 'sq', trim_scale(round(s.pq - s.gq, 3))),
    'ratios', (select json_object_agg(x.key, trim_scale(round(x.value::numeric, 6)))
      from json_each_text(to_json(ratios)) x),
    'capped', json_build_object(
      'effectiveness', trim_scale(round(capped_effectiveness, 6)),
      'oee', trim_scale(round(case when ratios.oee is not null then least(
        coalesce(ratios.availability * capped_effectiveness * ratios.quality_weighted, ratios.oee), 1) end, 6))),
    'coverage', trim_scale(round(coverage, 6)),
    'partial', coalesce(coverage > 0 and coverage < 1, false),
    'reasons', app.report_reasons(s, ratios));
end
$$;
comment on function app.report_bucket(app.report_sums) is
  'Elements, pieces and ratios of one row as the API writes them, with the reason for each null.';

create function app.report_warnings(s app.report_sums, found jsonb) returns jsonb
language sql stable
begin atomic
  select coalesce(jsonb_agg(w.warning), '[]')
  from (
    values
      (case when app.ratio((s).earned, (s).apt_known) > 1 then jsonb_build_object('code', 'effectiveness_above_1',
        'effectiveness', trim_scale(round(app.ratio((s).earned, (s).apt_known), 6))) end),
      (case when (s).pq < 0 or (s).gq < 0 or (s).pq < (s).gq then jsonb_build_object('code', 'negative_pieces') end),
      (case when (found ->> 'operations_without_target')::integer > 0 then jsonb_build_object(
        'code', 'operations_without_target', 'operations', found -> 'operations_without_target') end),
      (case when (found ->> 'unlogged_minutes')::integer > 0 then jsonb_build_object(
        'code', 'unlogged_minutes', 'operations', found -> 'unlogged_minutes') end),
      (case when (found ->> 'suspect_runs')::integer > 0 then jsonb_build_object(
        'code', 'suspect_run', 'operations', found -> 'suspect_runs') end),
      (case when (found ->> 'pieces_taken_over')::numeric <> 0 then jsonb_build_object(
        'code', 'pieces_taken_over', 'pieces', found -> 'pieces_taken_over') end),
      (case when (found ->> 'unknown_ms')::numeric > 0 then jsonb_build_object(
        'code', 'unknown_state', 'minutes', app.minutes((found ->> 'unknown_ms')::numeric)) end),
      (case when (found ->> 'crowded_ms')::numeric > 0 then jsonb_build_object(
        'code', 'beyond_capacity', 'minutes', app.minutes((found ->> 'crowded_ms')::numeric)) end),
      (case when jsonb_array_length(nullif(found -> 'without_plan', 'null')) > 0 then jsonb_build_object(
        'code', 'no_calendar', 'workplace_names', found -> 'without_plan') end)
  ) w (warning)
  where w.warning is not null;
end;
comment on function app.report_warnings(app.report_sums, jsonb) is
  'What a reader has to know beside the figures of a row: [{"code", ...}].';

create type app.loss_row as (
  period_no integer, bucket text, detail text, reason_code text, cause text, is_start boolean, ms bigint
);

-- What was lost to what. A stretch without a cause of its own, such as idle time, counts where it begins.
create function app.loss_rows(intervals app.time_interval[]) returns setof app.loss_row
language sql stable
begin atomic
  select l.period_no, l.bucket, l.detail, l.reason_code, l.cause,
    lag(l.to_ms) over (partition by l.place_no, l.period_no, l.bucket, l.detail order by l.from_ms)
      is distinct from l.from_ms,
    l.slots * (l.to_ms - l.from_ms)
  from (
    select r.place_no, r.period_no, r.from_ms, r.to_ms, x.*
    from unnest(intervals) r
    cross join lateral (
      values
        ('PDOT', r.detail, r.reason_code, r.cause, case when r.bucket = 'PDOT' then r.pot_slots end),
        ('AUST', 'setup', null, null, case when r.is_inside then r.aust_slots end),
        ('ADET', case when r.is_down then 'fault' else r.pause_detail end, r.reason_code, r.cause, r.adet_slots),
        ('ADOT', case when r.is_down then 'fault' when r.is_unknown then 'unknown' else 'idle' end,
          case when r.is_down then r.reason_code end, case when r.is_down then r.cause end, r.adot_slots)
    ) x (bucket, detail, reason_code, cause, slots)
    where x.slots > 0
  ) l;
end;
comment on function app.loss_rows(app.time_interval[]) is 'The lost time of a partition, by bucket, detail and reason.';

-- Which row of a report each period of each workplace belongs to.
create type app.report_cell as (
  period_no integer,
  key_no integer,
  place_no integer,
  key jsonb,
  from_ms bigint,
  to_ms bigint
);

create function app.report_cells(
  scope app.report_scope, periods app.report_period[], by_keys app.report_by
) returns setof app.report_cell
language sql stable
begin atomic
  select c.period_no, (dense_rank() over (
    order by c.place_key, c.period, c.shift_date, c.first_ms, c.shift_code))::integer,
    c.place_no, app.report_key(by_keys, c.place_key, c.period, c.shift_date, c.shift_code), c.from_ms, c.to_ms
  from (
    select c.*, min(c.from_ms) over (partition by c.place_key, c.period, c.shift_date, c.shift_code) as first_ms
    from (
      select (row_number() over ())::integer as period_no, r.place_no, r.period, r.shift_date, r.shift_code, r.from_ms,
        r.to_ms,
        case
          when (by_keys).place = 'group' then p.workplace_group
          when (by_keys).place = 'workplace' or cardinality((scope).places) = 1 then p.name
        end as place_key
      from unnest(periods) r
      join unnest((scope).places) p on p.place_no = r.place_no
    ) c
  ) c;
end;
comment on function app.report_cells(app.report_scope, app.report_period[], app.report_by) is
  'The rows of a report: the number and the key of the row of each period.';
