-- A demo plant: a sheet-metal job shop in the middle of a shift.
--
-- 26 sales orders of two positions each (52 orders) with 195 operations: those of the last week are finished, today's
-- are being made, later ones are planned. Times are relative to the moment of seeding, everything else is the same in
-- every database. Only the plan is inserted; events are reported to app.record_event in the order in which they
-- happened, so that events, runs, totals and the workplaces' capacities agree, and a seed that breaks a rule fails.
-- For a fresh database, once: a second run stops at the first order.

-- Two welders share the booth MIG-1; at the bench TIG-1 nobody counts; a machine does one thing at a time.
insert into public.workplaces (name, workplace_group, capacity) values
  -- its nests put parts of several orders on one sheet, so they run at once
  ('TruLaser 5060 (L76)', 'Laser', null),
  ('TruLaser 3030 (L30)', 'Laser', 1),
  ('TruBend 5130 (B13)', 'Bending', 1),
  ('TruBend 7036 (B70)', 'Bending', 1),
  ('Trommelen-1', 'Deburring', 1),
  ('Trommelen-2', 'Deburring', 1),
  ('Borstel-1', 'Deburring', 1),
  ('MIG-1', 'Welding', 2),
  ('MIG-2', 'Welding', 1),
  ('TIG-1', 'Welding', null)
on conflict do nothing;

update app.settings set plant_name = 'Demo plant', time_zone = 'Europe/Amsterdam';

-- The plant works in two shifts. Like the plan below, they lie around the moment of seeding, so that every report has
-- something to show; a real calendar begins at 06:00.
set role service_role;
select public.create_calendar(jsonb_build_object(
  'name', 'Two shifts',
  'time_zone', 'Europe/Amsterdam',
  'shifts', jsonb_agg(jsonb_build_object(
    'shift_code', s.shift_code,
    'weekdays', array[1, 2, 3, 4, 5, 6, 7],
    'start_time', to_char(s.begins, 'HH24:MI'),
    'end_time', to_char(s.begins + interval '8 hours', 'HH24:MI'),
    'breaks', jsonb_build_array(jsonb_build_object(
      'start', to_char(s.begins + interval '4 hours', 'HH24:MI'),
      'end', to_char(s.begins + interval '4 hours 30 minutes', 'HH24:MI'))),
    'valid_from', '2026-01-01'))))
from (
  select 'EARLY' as shift_code,
    (date_bin('30 minutes', now(), '2000-01-01Z') - interval '3.5 hours') at time zone 'Europe/Amsterdam' as begins
  union all
  select 'LATE', (date_bin('30 minutes', now(), '2000-01-01Z') + interval '4.5 hours') at time zone 'Europe/Amsterdam'
) s;
-- one date that was closed, and one that will be
select public.put_calendar_exceptions('Two shifts', jsonb_build_array(
  jsonb_build_object('date', current_date - 7, 'kind', 'CLOSED', 'note', 'Stocktaking'),
  jsonb_build_object('date', current_date + 21, 'kind', 'CLOSED', 'note', 'Works outing')));
reset role;
update public.workplaces set calendar_name = 'Two shifts';
update public.workplaces set time_basis = 'SLOTS' where name = 'MIG-1';

-- UNSPECIFIED of SHORTFALL, HOLD and CANCEL comes with the schema.
insert into public.reason_codes (kind, code, description, loss) values
  ('STOP', 'BREAK', 'Break or end of shift', 'PLANNED'),
  ('STOP', 'MATERIAL', 'Waiting for material', 'UNPLANNED'),
  ('STOP', 'TOOL', 'Tool worn or missing', 'UNPLANNED'),
  ('STOP', 'MACHINE', 'Machine fault', 'UNPLANNED')
on conflict do nothing;

-- Families of downtime first, then what belongs to them.
insert into public.reason_codes (kind, code, description, category, parent) values
  ('DOWNTIME', 'BREAKDOWN', 'Machine or tool does not work', 'UNPLANNED', null),
  ('DOWNTIME', 'WAITING', 'Something or somebody is missing', 'UNPLANNED', null),
  ('DOWNTIME', 'SERVICE', 'Maintenance by plan', 'PLANNED', null)
on conflict do nothing;
insert into public.reason_codes (kind, code, description, category, parent) values
  ('DOWNTIME', 'MACHINE', 'Machine fault', 'UNPLANNED', 'BREAKDOWN'),
  ('DOWNTIME', 'TOOL', 'Tool worn or missing', 'UNPLANNED', 'BREAKDOWN'),
  ('DOWNTIME', 'MATERIAL', 'Waiting for material', 'UNPLANNED', 'WAITING'),
  ('DOWNTIME', 'OPERATOR', 'Waiting for an operator', 'UNPLANNED', 'WAITING'),
  ('DOWNTIME', 'CLEANING', 'Cleaning by plan', 'PLANNED', 'SERVICE'),
  ('DOWNTIME', 'MAINTENANCE', 'Maintenance by plan', 'PLANNED', 'SERVICE')
on conflict do nothing;

insert into public.reason_codes (kind, code, description) values
  ('SCRAP', 'DIMENSION', 'Out of tolerance'),
  ('SCRAP', 'SURFACE', 'Scratched, dented or discoloured'),
  ('SCRAP', 'MATERIAL', 'Faulty sheet'),
  ('SCRAP', 'SETUP', 'Setup piece'),
  ('HOLD', 'QUALITY', 'Waiting for a decision on quality'),
  ('HOLD', 'ENGINEERING', 'Waiting for a drawing or a program'),
  ('CANCEL', 'ORDER_CANCELLED', 'Order cancelled by the customer'),
  ('SHORTFALL', 'MATERIAL', 'Not enough material')
on conflict do nothing;

-- The plan. A shift has three slots of 2.5 hours. Each sales order begins cutting one slot after the one before it and
-- reaches every further operation a fixed number of slots later; 403860 cuts in the slot that began about an hour ago.
with
routing (
  sales_order_is, position, operation_no, slots_later, asset_id, workplace_name, activity_code, setup_min, description
) as (
  values
    ('even', 1, '0010', 0, 1, 'TruLaser 5060 (L76)', 'LASER', 10, 'Cut brackets, S235 4 mm'),
    ('even', 1, '0020', 1, 5, 'Trommelen-1', 'TROMMELEN', 5, 'Tumble brackets'),
    ('even', 1, '0030', 2, 3, 'TruBend 5130 (B13)', 'KANTEN', 20, 'Bend brackets, 2 bends'),

    ('even', 2, '0010', 0, 2, 'TruLaser 3030 (L30)', 'LASER', 10, 'Cut frame parts, S235 6 mm'),
    ('even', 2, '0020', 2, 4, 'TruBend 7036 (B70)', 'KANTEN', 20, 'Bend frame parts, 1 bend'),
    ('even', 2, '0030', 3, 9, 'MIG-2', 'LASSEN', 15, 'Weld frames, MIG'),
    ('even', 2, '0040', 5, 7, 'Borstel-1', 'BORSTELEN', 5, 'Brush weld seams of frames'),

    ('odd', 1, '0010', 0, 1, 'TruLaser 5060 (L76)', 'LASER', 10, 'Cut cabinet panels, DC01 2 mm'),
    ('odd', 1, '0020', 1, 6, 'Trommelen-2', 'TROMMELEN', 5, 'Tumble cabinet panels'),
    ('odd', 1, '0030', 2, 3, 'TruBend 5130 (B13)', 'KANTEN', 20, 'Bend cabinet panels, 6 bends'),
    ('odd', 1, '0040', 3, 8, 'MIG-1', 'LASSEN', 15, 'Weld cabinets, MIG'),

    ('odd', 2, '0010', 0, 2, 'TruLaser 3030 (L30)', 'LASER', 10, 'Cut tank covers, 1.4301 2 mm'),
    ('odd', 2, '0020', 1, 7, 'Borstel-1', 'BORSTELEN', 5, 'Brush tank covers, grain 320'),
    ('odd', 2, '0030', 2, 4, 'TruBend 7036 (B70)', 'KANTEN', 20, 'Bend tank covers, 4 bends'),
    ('odd', 2, '0040', 3, 10, 'TIG-1', 'LASSEN', 15, 'Weld tank covers, TIG')
),
planned as (
  select
    format('%s-%s', sales_order, lpad(r.position::text, 3, '0')) as order_no,
    (array[50, 24, 120, 16, 80])[1 + sales_order % 5] * r.position as qty_desired,
    -- slot 0 is the second of today's shift and began 60 to 90 minutes ago
    date_bin('30 minutes', now(), '2000-01-01Z') - interval '3.5 hours'
      + floor((slot + 1) / 3.0) * interval '1 day'
      + (slot + 1 - 3 * floor((slot + 1) / 3.0)) * interval '2.5 hours' as starts_at,
    r.*
  from generate_series(403841, 403866) sales_order
  join routing r on r.sales_order_is = case sales_order % 2 when 0 then 'even' else 'odd' end
  cross join lateral (select sales_order - 403860 + r.slots_later as slot) s
)
insert into public.mes_operations (
  order_no, asset_id, operation_no, state, reference_url, activity_code, activity_description,
  workplace_name, workplace_group,
  qty_desired, overrun_tolerance_pct, planned_start_at, planned_end_at,
  t_target_setup_min, t_target_processing_min, t_target_lead_min, timestamp_ms, change_type
)
select
  p.order_no, p.asset_id, p.operation_no,
  -- the ERP releases what begins within a day
  case when p.starts_at < now() + interval '1 day' then 'RELEASED'::public.state else 'PLANNED' end,
  'https://erp.example.com/orders/' || p.order_no, p.activity_code, p.description, p.workplace_name, w.workplace_group,
  p.qty_desired,
  -- a sheet of frame parts or covers may be filled up
  case when p.workplace_name = 'TruLaser 3030 (L30)' then 10 else 0 end,
  p.starts_at, p.starts_at + t.lead_min * interval '1 minute',
  p.setup_min, t.processing_min, t.lead_min, p.starts_at - interval '7 days', 'INSERT'
from planned p
join public.workplaces w on w.name = p.workplace_name
cross join lateral (
  select 25 + p.qty_desired / 4 as processing_min, case when p.qty_desired > 60 then 150 else 120 end as lead_min
) t
order by p.order_no, p.operation_no;

-- What the floor reported: which operation, when, and the report as a client would write it.
create temporary table demo_reports (
  operation_id bigint not null,
  occurred_at timestamptz not null,
  report jsonb not null
);

-- The unusual: each of these operations has a story of its own, told in minutes after its planned start, or after
-- an hour ago if that is still to come.
insert into demo_reports
select
  o.id, least(o.planned_start_at, now() - interval '1 hour') + story.minute * interval '1 minute', story.report::jsonb
from (
  values
    -- running now, and late: two frames came out skewed
    ('403856-002', '0030', 4, '{"action_type": "START", "phase": "SETUP"}'),
    ('403856-002', '0030', 24, '{"action_type": "START"}'),
    ('403856-002', '0030', 100,
      '{"action_type": "REPORT_QUANTITY", "qty_good": 9, "qty_scrap": 2, "reason_code": "DIMENSION"}'),
    -- running since yesterday: nobody reported the end of the shift
    ('403855-002', '0040', 6, '{"action_type": "START"}'),
    ('403855-002', '0040', 50, '{"action_type": "REPORT_QUANTITY", "qty_good": 30}'),
    -- being set up
    ('403859-002', '0020', 48, '{"action_type": "START", "phase": "SETUP"}'),
    -- paused: a break, and welding wire that ran out yesterday
    ('403858-002', '0020', 3, '{"action_type": "START", "phase": "SETUP"}'),
    ('403858-002', '0020', 26, '{"action_type": "START"}'),
    ('403858-002', '0020', 50, '{"action_type": "STOP", "reason_code": "BREAK"}'),
    ('403858-002', '0020', 51, '{"action_type": "REPORT_QUANTITY", "qty_good": 8}'),
    ('403855-001', '0040', 8, '{"action_type": "START", "phase": "SETUP"}'),
    ('403855-001', '0040', 25, '{"action_type": "START"}'),
    ('403855-001', '0040', 65, '{"action_type": "REPORT_QUANTITY", "qty_good": 22}'),
    ('403855-001', '0040', 66, '{"action_type": "STOP", "reason_code": "MATERIAL", "note": "Welding wire is ordered"}'),
    -- blocked: while running, before the start, and once until the supervisor had looked at it
    ('403857-002', '0040', 5, '{"action_type": "START", "phase": "SETUP"}'),
    ('403857-002', '0040', 21, '{"action_type": "START"}'),
    ('403857-002', '0040', 40,
      '{"action_type": "REPORT_QUANTITY", "qty_good": 12, "qty_scrap": 4, "reason_code": "SURFACE"}'),
    ('403857-002', '0040', 42,
      '{"action_type": "HOLD", "reason_code": "QUALITY", "note": "Discoloured seams: check the shielding gas"}'),
    ('403861-001', '0010', 15,
      '{"action_type": "HOLD", "reason_code": "ENGINEERING", "note": "Drawing revision C is coming"}'),
    ('403852-001', '0030', 2, '{"action_type": "START", "phase": "SETUP"}'),
    ('403852-001', '0030', 25, '{"action_type": "START"}'),
    ('403852-001', '0030', 40,
      '{"action_type": "HOLD", "reason_code": "QUALITY", "note": "Bend angle is off by a degree"}'),
    ('403852-001', '0030', 65, '{"action_type": "RELEASE", "note": "Within what the customer accepts"}'),
    ('403852-001', '0030', 70, '{"action_type": "START"}'),
    ('403852-001', '0030', 115, '{"action_type": "COMPLETE"}'),
    -- cancelled: an order that had got as far as bending, and one before anything was cut
    ('403851-001', '0030', 5, '{"action_type": "START", "phase": "SETUP"}'),
    ('403851-001', '0030', 28, '{"action_type": "START"}'),
    ('403851-001', '0030', 50, '{"action_type": "REPORT_QUANTITY", "qty_good": 6}'),
    ('403851-001', '0030', 60, '{"action_type": "CANCEL", "reason_code": "ORDER_CANCELLED"}'),
    ('403851-001', '0040', -90, '{"action_type": "CANCEL", "reason_code": "ORDER_CANCELLED"}'),
    ('403863-002', '0010', 20, '{"action_type": "CANCEL", "reason_code": "ORDER_CANCELLED"}'),
    ('403863-002', '0020', 20, '{"action_type": "CANCEL", "reason_code": "ORDER_CANCELLED"}'),
    ('403863-002', '0030', 20, '{"action_type": "CANCEL", "reason_code": "ORDER_CANCELLED"}'),
    ('403863-002', '0040', 20, '{"action_type": "CANCEL", "reason_code": "ORDER_CANCELLED"}'),
    -- closed short
    ('403847-001', '0040', 3, '{"action_type": "START", "phase": "SETUP"}'),
    ('403847-001', '0040', 20, '{"action_type": "START"}'),
    ('403847-001', '0040', 95,
      '{"action_type": "REPORT_QUANTITY", "qty_good": 112, "qty_scrap": 8, "reason_code": "MATERIAL"}'),
    ('403847-001', '0040', 100,
      '{"action_type": "FINISH", "reason_code": "MATERIAL", "note": "No panels left to make up for the scrap"}'),
    ('403850-002', '0040', 4, '{"action_type": "START"}'),
    ('403850-002', '0040', 60, '{"action_type": "REPORT_QUANTITY", "qty_good": 97}'),
    ('403850-002', '0040', 61, '{"action_type": "FINISH", "reason_code": "UNSPECIFIED"}'),
    -- more than desired, within the tolerance
    ('403853-002', '0010', 5, '{"action_type": "START", "phase": "SETUP"}'),
    ('403853-002', '0010', 16, '{"action_type": "START"}'),
    ('403853-002', '0010', 50, '{"action_type": "COMPLETE", "qty_good": 35, "note": "Filled the sheet"}'),
    -- corrected: covers that failed the leak test a day later, and a setup that was reported late
    ('403849-002', '0040', 5, '{"action_type": "START", "phase": "SETUP"}'),
    ('403849-002', '0040', 19, '{"action_type": "START"}'),
    ('403849-002', '0040', 90, '{"action_type": "COMPLETE"}'),
    ('403849-002', '0040', 1500,
      '{"action_type": "CORRECT", "qty_good": -3, "qty_scrap": 3, "note": "Failed the leak test"}'),
    ('403848-001', '0010', 9, '{"action_type": "START", "phase": "SETUP"}'),
    ('403848-001', '0010', 15, '{"action_type": "START"}'),
    ('403848-001', '0010', 60, '{"action_type": "COMPLETE"}'),
    ('403848-001', '0010', 70,
      '{"action_type": "CORRECT", "t_actual_setup_min": 12, "note": "Setup began before it was reported"}'),
    -- released by hand, ahead of the ERP
    ('403864-001', '0010', 30, '{"action_type": "RELEASE", "note": "The sheets are here already"}')
) as story (order_no, operation_no, minute, report)
join public.mes_operations o on o.order_no = story.order_no and o.operation_no = story.operation_no;

-- The usual, for everything else whose slot has begun: set up, run, book the first quarter, some have an interruption,
-- complete. The numbers vary with the order, so no two operations look alike.
insert into demo_reports
select o.id, o.planned_start_at + step.minute * interval '1 minute', step.report
from public.mes_operations o
cross join lateral (select left(o.order_no, 6)::integer + o.operation_no::integer / 10 as n) number
cross join lateral (
  select
    n % 9 as setup_at,
    n % 9 + round(o.t_target_setup_min * (90 + n * 7 % 31) / 100) as run_at,
    round(o.t_target_processing_min * (90 + n * 11 % 26) / 100) as run_min,
    case when n % 4 = 0 then 15 else 0 end as interruption_min,
    case when o.activity_code = 'LASER' and n % 3 = 0 then 1 + n % 2 end as pieces_scrapped
) t
cross join lateral (
  values
    (setup_at, true, '{"action_type": "START", "phase": "SETUP"}'::jsonb),
    (run_at, true, '{"action_type": "START", "phase": "PROCESSING"}'),
    (run_at + 15, true, jsonb_strip_nulls(jsonb_build_object(
      'action_type', 'REPORT_QUANTITY', 'qty_good', o.qty_desired / 4, 'qty_scrap', pieces_scrapped,
      'reason_code',
      case when pieces_scrapped > 0 then (array['DIMENSION', 'SURFACE', 'MATERIAL', 'SETUP'])[1 + n % 4] end))),
    (run_at + round(run_min * 0.6), o.planned_end_at < now() and interruption_min > 0, jsonb_build_object(
      'action_type', 'STOP', 'reason_code', (array['BREAK', 'MACHINE', 'BREAK', 'TOOL'])[1 + n / 4 % 4])),
    (run_at + round(run_min * 0.6) + interruption_min, o.planned_end_at < now() and interruption_min > 0,
      '{"action_type": "START"}'),
    (run_at + run_min + interruption_min, o.planned_end_at < now(), '{"action_type": "COMPLETE"}')
) step (minute, has_happened, report)
where o.planned_start_at < now()
  and step.has_happened
  and not exists (select from demo_reports r where r.operation_id = o.id)
  -- not begun: 403860-001, for which L76 is free, and frames that should have been brushed by now
  and (o.order_no, o.operation_no) not in (('403860-001', '0010'), ('403854-002', '0040'));

-- The plant reports as a server would.
do $$
declare
  caller constant app.caller := row(null, null, 'admin', '{}'::text[], true, true);
  operation public.mes_operations;
  happened record;
begin
  for happened in select r.* from demo_reports r order by r.occurred_at, r.operation_id loop
    select * into operation from public.mes_operations o where o.id = happened.operation_id for update;
    perform app.record_event(
      operation, caller,
      jsonb_populate_record(
        null::app.report, happened.report || jsonb_build_object('occurred_at', happened.occurred_at))
    );
  end loop;
end
$$;

drop table demo_reports;

-- What stopped workplaces: faults, planned work, and one stop that nobody has explained. Minutes are those of a shift
-- some days ago.
set role service_role;
select public.report_downtime(jsonb_strip_nulls(jsonb_build_object(
  'action_type', 'DOWNTIME_START', 'workplace_name', d.workplace_name, 'reason_code', d.reason_code,
  'category', case when d.reason_code is null then 'UNPLANNED' end,
  'occurred_at', d.began_at, 'ended_at', d.began_at + d.minutes * interval '1 minute')))
from (
  select s.*, date_bin('30 minutes', now(), '2000-01-01Z') - interval '3.5 hours' - s.days * interval '1 day'
    + s.minute * interval '1 minute' as began_at
  from (
    values
      ('TruLaser 5060 (L76)', 1, 100, 25, 'MACHINE'),
      ('TruLaser 5060 (L76)', 2, 440, 40, 'CLEANING'),
      ('TruLaser 3030 (L30)', 1, 130, 15, 'TOOL'),
      ('TruLaser 3030 (L30)', 3, 60, 12, null),
      ('TruBend 5130 (B13)', 2, 300, 45, 'MATERIAL'),
      ('TruLaser 3030 (L30)', 5, 310, 35, 'MACHINE'),
      ('TruBend 5130 (B13)', 4, 150, 20, 'TOOL'),
      ('TruBend 7036 (B70)', 1, 20, 90, 'MAINTENANCE'),
      ('Trommelen-1', 6, 90, 40, 'CLEANING'),
      ('MIG-1', 2, 200, 30, 'OPERATOR')
  ) s (workplace_name, days, minute, minutes, reason_code)
) d;
reset role;
