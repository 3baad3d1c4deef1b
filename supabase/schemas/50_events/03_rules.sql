-- What: the rules that a report meets.
-- Why: each rule stands alone and says what it refuses.

-- What somebody reports, however it came in: an event of a terminal, a step of a planner, a PATCH.
create type app.report as (
  id uuid,
  digest bytea,
  action_type text,
  occurred_at timestamptz,
  phase text,
  qty_good integer,
  qty_scrap integer,
  reason_code text,
  note text,
  reverses_event_id uuid,
  operation_data jsonb,
  user_id uuid,
  user_email text,
  actual_start_at timestamptz,
  actual_end_at timestamptz,
  t_actual_setup_min numeric,
  t_actual_processing_min numeric,
  t_actual_lead_min numeric
);

comment on type app.report is
  'One action on one operation. The quantities of a CORRECT are signed differences; its times and minutes are the new absolute values, null = unchanged.';

create function app.as_running(operation public.mes_operations) returns jsonb
language sql stable parallel safe
return jsonb_build_object(
  'order_no', (operation).order_no, 'asset_id', (operation).asset_id, 'operation_no', (operation).operation_no,
  'running_since', app.iso((operation).running_since));
comment on function app.as_running(public.mes_operations) is 'A running operation as workplace_busy names it.';

create function app.running_operations(workplace_name text, except_ids bigint[]) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(app.as_running(o) order by o.running_since, o.id), '[]') from public.mes_operations o
    where o.workplace_name = running_operations.workplace_name and o.status = 'IN_PROGRESS' and o.id <> all(except_ids)
  );
end
$$;
comment on function app.running_operations(text, bigint[]) is 'The operations that run at a workplace, except some, as a JSON array.';

create function app.missing_room(operation public.mes_operations, capacity integer, running jsonb) returns jsonb
language sql immutable parallel safe
return case when jsonb_array_length(running) >= capacity then jsonb_build_object(
  'detail', format('Cannot start operation %s: workplace "%s" runs %s of at most %s operations',
    app.operation_label(operation), (operation).workplace_name, jsonb_array_length(running), capacity),
  'capacity', capacity,
  'running_operations', running
) end;
comment on function app.missing_room(public.mes_operations, integer, jsonb) is
  'What workplace_busy says when these other operations leave no room for the operation, else null.';

create function app.require_room(missing jsonb) returns void
language plpgsql
set search_path = ''
as $$
begin
  if missing ? 'detail' then
    perform app.refuse(409, 'workplace_busy', missing ->> 'detail', missing - 'detail');
  end if;
end
$$;
comment on function app.require_room(jsonb) is 'Raises 409 workplace_busy for what app.missing_room answers, unless that is null.';

-- A workplace of capacity 2 has at most 2 running operations: the lock on its row makes the count true. It does not
-- keep others from planning operations there.
create function app.require_free_workplace(operation public.mes_operations) returns void
language plpgsql
set search_path = ''
as $$
declare
  allowed integer;
begin
  select w.capacity into allowed from public.workplaces w
  where w.name = (operation).workplace_name and w.capacity is not null
  for no key update;
  if allowed is not null then
    perform app.require_room(app.missing_room(
      operation, allowed, app.running_operations((operation).workplace_name, array[(operation).id])));
  end if;
end
$$;
comment on function app.require_free_workplace(public.mes_operations) is
  'Raises 409 workplace_busy with the running operations when the workplace has no room; locks the workplace until commit.';

create function app.require_reason(operation public.mes_operations, report app.report, kind text, needed boolean) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_generic_plan
as $$
begin
  if (report).reason_code is null and needed then
    perform app.refuse(
      422, 'reason_required',
      format('Cannot %s operation %s: a reason code of kind %s is required', (report).action_type, app.operation_label(operation), kind),
      jsonb_build_object('kind', kind)
    );
  elsif (report).reason_code is not null and kind is null then
    perform app.refuse_field('/reason_code', 'not_used', format('%s takes no reason code', (report).action_type));
  elsif (report).reason_code is not null and not exists (
    select from public.reason_codes r
    where r.kind = require_reason.kind and r.code = (report).reason_code
      -- inactive, it is not offered any more; PATCH and import still write it
      and (r.active or r.code = 'UNSPECIFIED')
  ) then
    perform app.refuse_field('/reason_code', 'unknown_reason', format('"%s" is not an active reason code of kind %s', (report).reason_code, kind));
  end if;
end
$$;
comment on function app.require_reason(public.mes_operations, app.report, text, boolean) is
  'Raises 422 reason_required when a needed reason is missing, 422 validation_failed when it is not an active code of its kind, or the action takes none.';

create function app.require_quantities(operation public.mes_operations) returns void
language plpgsql
set search_path = ''
as $$
begin
  if (operation).qty_scrap not between 0 and (operation).qty_processed then
    perform app.refuse(
      422, 'invalid_quantity',
      format('Operation %s cannot have %s scrapped of %s processed pieces', app.operation_label(operation), (operation).qty_scrap, (operation).qty_processed),
      jsonb_build_object('qty_processed', (operation).qty_processed, 'qty_scrap', (operation).qty_scrap)
    );
  elsif (operation).qty_processed - (operation).qty_scrap > floor((operation).qty_desired * (1 + (operation).overrun_tolerance_pct / 100)) then
    perform app.refuse(
      422, 'invalid_quantity',
      format('Operation %s cannot have %s good pieces: %s are desired, with %s %% tolerance', app.operation_label(operation),
        (operation).qty_processed - (operation).qty_scrap, (operation).qty_desired, (operation).overrun_tolerance_pct),
      jsonb_build_object(
        'qty_desired', (operation).qty_desired,
        'qty_good', (operation).qty_processed - (operation).qty_scrap,
        'limit', floor((operation).qty_desired * (1 + (operation).overrun_tolerance_pct / 100))
      )
    );
  end if;
end
$$;
comment on function app.require_quantities(public.mes_operations) is
  'Raises 422 invalid_quantity unless 0 <= scrap <= processed and good <= desired within tolerance.';

-- A REVERSE takes back at most what is left of the event that it names; without quantities, all of that.
create function app.reversal(operation public.mes_operations, inout report app.report)
language plpgsql
set search_path = ''
as $$
declare
  reversed public.operation_events;
  good_left integer;
  scrap_left integer;
begin
  select * into reversed from public.operation_events e
  where e.id = report.reverses_event_id and e.operation_id = (operation).id and e.action_type in ('REPORT_QUANTITY', 'COMPLETE');
  if not found then
    perform app.refuse_field('/reverses_event_id', 'not_reversible', format('"%s" is not a REPORT_QUANTITY or COMPLETE of operation %s',
      report.reverses_event_id, app.operation_label(operation)));
  end if;
  select reversed.qty_good - coalesce(sum(e.qty_good), 0), reversed.qty_scrap - coalesce(sum(e.qty_scrap), 0) into good_left, scrap_left
  from public.operation_events e
  where e.reverses_event_id = reversed.id;

  if report.qty_good is null and report.qty_scrap is null then
    report.qty_good := good_left;
    report.qty_scrap := scrap_left;
  end if;
  report.qty_good := coalesce(report.qty_good, 0);
  report.qty_scrap := coalesce(report.qty_scrap, 0);
  if report.qty_good > good_left or report.qty_scrap > scrap_left or report.qty_good + report.qty_scrap = 0 then
    perform app.refuse(
      422, 'invalid_quantity',
      format('Cannot take back %s good and %s scrapped pieces of event "%s": %s good and %s scrapped are left of it',
        report.qty_good, report.qty_scrap, reversed.id, good_left, scrap_left),
      jsonb_build_object('limit', jsonb_build_object('qty_good', good_left, 'qty_scrap', scrap_left))
    );
  end if;
end
$$;
comment on function app.reversal(public.mes_operations, app.report) is
  'The REVERSE with its quantities filled in. Raises 422 validation_failed when the event is not one to reverse, 422 invalid_quantity when less is left of it.';
