-- Fills an empty plant: `operations` operations, most of them finished, with their events and runs, consistent by
-- construction. The history grows with it, the work at hand does not: 2,000 operations are open, whatever its size.
-- Placeholders: :operations. Triggers and foreign keys are off (session_replication_role = replica).

insert into public.workplaces (name, workplace_group)
select 'Place ' || lpad(n::text, 2, '0'), 'Group ' || n % 5 from generate_series(1, 50) n;
insert into public.workplaces (name, workplace_group) values ('Rare place', 'Rare group');

insert into public.calendars (name, time_zone) values ('Two shifts', 'Europe/Amsterdam');
insert into public.calendar_shifts
  (calendar_name, shift_code, weekdays, start_time, end_time, breaks, valid_from)
values
  ('Two shifts', 'EARLY', '{1,2,3,4,5,6}', '06:00', '14:00', '[{"start": "09:30", "end": "10:00"}]', '2024-01-01'),
  ('Two shifts', 'LATE', '{1,2,3,4,5}', '14:00', '22:00', '[{"start": "17:30", "end": "18:00"}]', '2024-01-01');
update public.workplaces set calendar_name = 'Two shifts';

-- What each operation is; few workplaces have most of the work.
create unlogged table app.growth as
select
  i,
  -- the real thing is random, this one the same at every run
  hashint8(i) as chance,
  i > :operations - 2000 as is_open,
  -- the last ones, and a few in between
  i % (:operations / 100) = 7 as is_rare,
  least(50, 1 + floor(50 * power((hashint8(i + 7) & 65535) / 65536.0, 2)))::integer as place,
  timestamptz '2026-11-01Z' - (:operations - i) * (interval '2 years' / :operations) as began_at,
  case
    when i > :operations - 2000 then 0
    when i % 100 = 3 then 2
    else 5 + (i % 40 = 0)::integer
  end as events
from generate_series(1, :operations) i;

insert into public.mes_operations (
  id, order_no, operation_no, asset_id, activity_code, activity_description, workplace_name, workplace_group,
  qty_desired, planned_start_at, planned_end_at, t_target_processing_min,
  state, qty_processed, qty_scrap, actual_start_at, actual_end_at,
  t_actual_processing_min, t_actual_setup_min, t_actual_lead_min, running_since, running_phase, last_op_seq,
  run_count, worked_until, logged_processing_min, counted_since, updated_at
) overriding system value
select
  i,
  'G' || lpad(((i - 1) / 5)::text, 7, '0'),
  lpad(((i - 1) % 5 * 10 + 10)::text, 4, '0'),
  place,
  (array['LASER', 'LASER', 'LASER', 'LASER', 'BEND', 'BEND', 'DEBURR', 'WELD'])[1 + i % 8],
  'Part ' || chance % 1000 || ', as drawn',
  case when is_rare then 'Rare place' else 'Place ' || lpad(place::text, 2, '0') end,
  case when is_rare then 'Rare group' else 'Group ' || place % 5 end,
  50, began_at, began_at + interval '2 hours', 90,
  case when not is_open then case when events = 2 then 'CANCELLED'::public.state else 'FINISHED' end
    when i % 20 = 0 then 'IN_PROGRESS' when i % 20 = 1 then 'PAUSED' when i % 20 < 10 then 'RELEASED'
    else 'PLANNED' end,
  case when is_open then case when i % 20 < 2 then 10 else 0 end when events = 2 then 0 else 50 end,
  case when not is_open and events > 2 then 1 else 0 end,
  case when not is_open or i % 20 < 2 then began_at end,
  case when not is_open
    then began_at + case when events = 2 then interval '10 minutes' else interval '100 minutes' end end,
  case when not is_open then case when events = 2 then 10 else 90 end
    when i % 20 = 0 then 0 when i % 20 = 1 then 30 end,
  case when not is_open or i % 20 < 2 then 0 end,
  case when not is_open then case when events = 2 then 10 else 100 end end,
  case when is_open and i % 20 = 0 then began_at end,
  case when is_open and i % 20 = 0 then 'PROCESSING'::public.phase end,
  case when not is_open then events when i % 20 = 0 then 2 when i % 20 = 1 then 3 else 0 end,
  case when not is_open and events > 2 then 2 when not is_open or i % 20 < 2 then 1 else 0 end,
  began_at + case when not is_open then case when events = 2 then interval '10 minutes' else interval '100 minutes' end
    when i % 20 = 0 then interval '0' when i % 20 = 1 then interval '30 minutes' end,
  case when not is_open then case when events = 2 then 10 else 90 end when i % 20 = 1 then 30 else 0 end,
  case when not is_open and events > 2 or is_open and i % 20 < 2 then began_at + interval '20 minutes' end,
  began_at + interval '100 minutes'
from app.growth;

insert into public.operation_events (
  operation_id, op_seq, action_type, order_no, asset_id, operation_no, workplace_name, status_before, status_after,
  occurred_at, phase, qty_good, qty_scrap, reason_kind, reason_code, user_id, created_at
)
select
  o.id, seq, action, o.order_no, o.asset_id, o.operation_no, o.workplace_name,
  case when seq = 1 then 'RELEASED'::public.status when action = 'START' then 'ON_HOLD' else 'IN_PROGRESS' end,
  case when action in ('START', 'REPORT_QUANTITY') then 'IN_PROGRESS'::public.status
    when action = 'STOP' then 'ON_HOLD' when action = 'CANCEL' then 'CANCELLED' else 'FINISHED' end,
  o.actual_start_at + after, case action when 'START' then 'PROCESSING'::public.phase end,
  case when action = 'REPORT_QUANTITY' and seq = 2 then case when g.is_open then 10 else 49 end else 0 end,
  case when action = 'REPORT_QUANTITY' and seq = 2 and not g.is_open then 1 else 0 end,
  case action when 'CANCEL' then 'CANCEL'::public.reason_kind when 'FINISH' then 'SHORTFALL' end,
  case when action in ('CANCEL', 'FINISH') then 'UNSPECIFIED' end,
  -- one of 21 people; the last one is there a day in a while
  md5(case when g.is_rare then 'rare' else (abs(g.chance) % 20)::text end)::uuid,
  -- some terminals were offline
  o.actual_start_at + after + case when g.i % 97 = 0 then interval '6 hours' else interval '1 second' end
from app.growth g
join public.mes_operations o on o.id = g.i
cross join lateral generate_series(1, o.last_op_seq) seq
cross join lateral (select
  case
    when seq = 1 then 'START'::public.action
    when g.events = 2 then 'CANCEL'
    when seq = 2 then 'REPORT_QUANTITY'
    when seq = 3 then 'STOP'
    when seq = 4 then 'START'
    when seq = g.events then 'FINISH'
    else 'REPORT_QUANTITY'
  end as action,
  case
    when seq = 1 then interval '0'
    when g.events = 2 then interval '10 minutes'
    when seq = 2 then interval '20 minutes'
    when seq = 3 then interval '30 minutes'
    when seq = 4 then interval '40 minutes'
    when seq = g.events then interval '100 minutes'
    else interval '50 minutes'
  end as after) step
where o.last_op_seq > 0
order by g.i, seq;

insert into public.operation_runs (
  operation_id, run_no, phase, workplace_name, waited_since, started_at, ended_at, start_event_id, end_event_id
)
select s.operation_id, row_number() over (partition by s.operation_id order by s.op_seq), 'PROCESSING',
  s.workplace_name, case when s.op_seq > 1 then s.occurred_at - interval '10 minutes' end, s.occurred_at,
  case when s.ended_by is not null then s.ends_at end, s.id, s.ended_by
from (
  select e.operation_id, e.op_seq, e.action_type, e.workplace_name, e.occurred_at, e.id,
    lead(e.id) over w as ended_by, lead(e.occurred_at) over w as ends_at
  from public.operation_events e
  where e.action_type in ('START', 'STOP', 'FINISH', 'CANCEL')
  window w as (partition by e.operation_id order by e.op_seq)
) s
where s.action_type = 'START';

insert into app.feed (event_id, workplace_name, action_type, order_no, recorded_at)
select e.id, e.workplace_name, e.action_type, e.order_no, e.created_at
from public.operation_events e
order by e.created_at, e.operation_id, e.op_seq;

drop table app.growth;
select setval(pg_get_serial_sequence('public.mes_operations', 'id'), :operations);
