-- What: the pauses of operations: from a STOP or HOLD to what follows it.
-- Why: a pause delays the workplace at which the operation stopped and goes on.

create type app.report_pause as (
  place_no integer,
  operation_id bigint,
  op_seq integer,
  at_ms bigint,
  detail text,
  reason_code text,
  from_ms bigint,
  to_ms bigint,
  planned_until_ms bigint
);
comment on type app.report_pause is
  'A pause within the window of its workplace; op_seq, at_ms: the event that began it; planned_until_ms: until when it '
  'is planned down time, for a STOP with a planned loss.';

-- A break ends where work begins: that of another operation, too.
create function app.next_start_ms(workplace_name text, after_ms bigint) returns bigint
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select app.ms(min(r.started_at)) from public.operation_runs r
    where r.workplace_name = next_start_ms.workplace_name and r.started_at >= app.from_ms(after_ms)
  );
end
$$;
comment on function app.next_start_ms(text, bigint) is
  'When a run was started at the workplace, at that time or next; null = never.';

create function app.report_pauses(places app.report_place[], ids bigint[], now_ms bigint)
returns setof app.report_pause
language plpgsql stable rows 10000
set search_path = ''
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set work_mem = '64MB'
set plan_cache_mode = 'force_generic_plan'
as $$
declare
  planned_losses constant text[] := array(
    select r.code from public.reason_codes r where r.kind = 'STOP' and r.loss = 'PLANNED');
begin
  return query
  select e.place_no, e.operation_id, e.op_seq, e.at_ms, e.detail, e.reason_code, greatest(e.at_ms, e.from_ms),
    least(e.ended_ms, e.to_ms),
    case when e.is_planned_loss
      then least(coalesce(app.next_start_ms(e.name, e.at_ms), e.ended_ms), e.ended_ms, e.to_ms)
    end
  from (
    select s.*, coalesce(
      case
        when n.op_seq is null then report_pauses.now_ms
        when n.status_after in ('FINISHED', 'CANCELLED') and o.state in ('FINISHED', 'CANCELLED')
          then app.ms(o.actual_end_at)
      end, app.ms(n.occurred_at)) as ended_ms
    from (
      select p.place_no, p.name, p.from_ms, p.to_ms, e.operation_id, e.op_seq, app.ms(e.occurred_at) as at_ms,
        case when e.action_type = 'HOLD' then 'blocked' else 'paused' end as detail, e.reason_code,
        e.action_type = 'STOP' and e.reason_code = any(planned_losses) as is_planned_loss
      from public.operation_events e
      join unnest(places) p on p.name = e.workplace_name
      where e.operation_id = any(ids) and e.status_after = 'ON_HOLD' and e.status_before is distinct from 'RELEASED'
        and (e.status_before is distinct from 'ON_HOLD' or e.action_type in ('START', 'RELEASE'))
    ) s
    left join lateral (
      select x.op_seq, x.occurred_at, x.workplace_name, x.status_after
      from public.operation_events x
      where x.operation_id = s.operation_id and x.op_seq > s.op_seq
        and (x.status_before is distinct from x.status_after or x.action_type in ('START', 'RELEASE'))
      order by x.op_seq
      limit 1
    ) n on true
    -- an id of null looks nothing up: most pauses end as their events say
    left join lateral (
      select m.workplace_name, m.state, m.actual_end_at
      from public.mes_operations m
      where m.id = case
        when n.workplace_name is null or n.status_after in ('FINISHED', 'CANCELLED') then s.operation_id end
      limit 1
    ) o on true
    where s.at_ms < s.to_ms and s.name = coalesce(n.workplace_name, o.workplace_name)
    offset 0
  ) e
  where e.ended_ms > e.from_ms and e.ended_ms > e.at_ms;
end
$$;
comment on function app.report_pauses(app.report_place[], bigint[], bigint) is
  'The pauses of these operations that delay the workplaces of a report, cut to their windows.';
