-- What: the rules for reports.
-- Why: each rule is a function that returns a problem or null; its caller raises or reports the problem.

-- A report from any source: an event of a terminal, a transition by a planner, a PATCH.
create type app.report as (
  id uuid,
  digest bytea,
  action_type public.action,
  workplace_name text,
  occurred_at timestamptz,
  phase public.phase,
  qty_good integer,
  qty_scrap integer,
  qty_parked integer,
  overrun text,
  reason_code text,
  note text,
  reverses_event_id uuid,
  operation_data jsonb,
  user_id uuid,
  user_email text,
  reporter_id bigint,
  actual_start_at timestamptz,
  actual_end_at timestamptz,
  t_actual_setup_min numeric,
  t_actual_processing_min numeric,
  t_actual_lead_min numeric
);

comment on type app.report is
  'One action on one operation. workplace_name is where it happened, null = where the operation is planned. The '
  'quantities of a CORRECT are signed differences; its times and minutes are the new absolute values, '
  'null = unchanged. '
  'overrun decides about good pieces beyond the limit: park, or refuse (null).';

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
comment on function app.running_operations(text, bigint[]) is
  'The operations that run at a workplace, except some, as a JSON array.';

create function app.room_problem(operation public.mes_operations, capacity integer, running jsonb) returns app.problem
language sql stable parallel safe
return case when jsonb_array_length(running) >= capacity then app.problem(
  409, 'workplace_busy',
  format('Cannot start operation %s: workplace "%s" runs %s of at most %s operations',
    app.operation_label(operation), (operation).workplace_name, jsonb_array_length(running), capacity),
  jsonb_build_object('capacity', capacity, 'running_operations', running)
) end;
comment on function app.room_problem(public.mes_operations, integer, jsonb) is
  'The problem workplace_busy when these other operations leave no room for the operation.';

create function app.is_closing(action public.action) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  return (select a.run_effect = 'closes' from app.actions a where a.action = is_closing.action);
end
$$;
comment on function app.is_closing(public.action) is 'True for an action that closes the open run.';

create function app.elsewhere_problem(
  caller app.caller, order_no text, operation_no text, workplace_name text, asset_id integer
) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  operation public.mes_operations;
begin
  select * into operation from public.mes_operations o
  where o.order_no = elsewhere_problem.order_no and o.operation_no = elsewhere_problem.operation_no
    and o.asset_id = coalesce(elsewhere_problem.asset_id, o.asset_id)
    and o.workplace_name is distinct from elsewhere_problem.workplace_name
    and app.sees_workplace(caller, o.workplace_name)
    -- a report from a workplace at which the operation was never worked on is a mistake
    and exists (
      select from public.operation_events e
      where e.operation_id = o.id and e.workplace_name = elsewhere_problem.workplace_name
    )
  order by o.asset_id
  limit 1;
  if not found then
    return app.missing_problem();
  end if;
  return app.problem(
    409, 'planned_elsewhere',
    format('Operation %s is not planned at workplace "%s" any more but at %s: report it there',
      app.operation_label(operation), workplace_name, coalesce('"' || operation.workplace_name || '"', 'none')),
    jsonb_build_object('workplace_name', operation.workplace_name, 'asset_id', operation.asset_id));
end
$$;
comment on function app.elsewhere_problem(app.caller, text, text, text, integer) is
  'The problem planned_elsewhere with the workplace to which an operation was moved, where the caller sees that, else '
  'not_found.';

create function app.is_reason(kind public.reason_kind, code text) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  -- an inactive code is not offered any more; PATCH and import still write it
  return exists (
    select from public.reason_codes r
    where r.kind = is_reason.kind and r.code = is_reason.code and (r.active or r.code = 'UNSPECIFIED')
  );
end
$$;
comment on function app.is_reason(public.reason_kind, text) is 'True for an active code of the kind.';

create function app.reason_problem(
  operation public.mes_operations, transition app.lifecycle, reason_code text, is_short boolean
) returns app.problem
language sql stable
return case
  when reason_code is null then case
    when (transition).reason_needed = 'always' or (transition).reason_needed = 'when short' and is_short
    then app.problem(
      422, 'reason_required',
      format('Cannot %s operation %s: a reason code of kind %s is required',
        (transition).action, app.operation_label(operation), (transition).reason_kind),
      jsonb_build_object('kind', (transition).reason_kind))
    end
  when (transition).reason_kind is null
  then app.field_problem('/reason_code', 'not_used', format('%s takes no reason code', (transition).action))
  when not app.is_reason((transition).reason_kind, reason_code)
  then app.field_problem('/reason_code', 'unknown_reason',
    format('"%s" is not an active reason code of kind %s', reason_code, (transition).reason_kind))
end;
comment on function app.reason_problem(public.mes_operations, app.lifecycle, text, boolean) is
  'The problem reason_required when a needed reason is missing, validation_failed when it is not an active code of '
  'its kind, or the action takes none.';

create function app.good_limit(operation public.mes_operations) returns numeric
language sql immutable parallel safe
return floor((operation).qty_desired * (1 + coalesce((operation).overrun_tolerance_pct, 0) / 100));
comment on function app.good_limit(public.mes_operations) is
  'Good pieces that the operation may have; null = no limit.';

create function app.quantity_problem(
  operation public.mes_operations, processed bigint, scrap bigint
) returns app.problem
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
  if processed > 2147483647 then
    return app.problem(422, 'invalid_quantity',
      format('Operation %s cannot have %s pieces: that is more than can be counted',
        app.operation_label(operation), processed));
  elsif scrap not between 0 and processed then
    return app.problem(
      422, 'invalid_quantity',
      format('Operation %s cannot have %s scrapped of %s processed pieces',
        app.operation_label(operation), scrap, processed),
      jsonb_build_object('qty_processed', processed, 'qty_scrap', scrap));
  elsif processed - scrap > app.good_limit(operation) then
    return app.problem(
      422, 'invalid_quantity',
      format('Operation %s cannot have %s good pieces: %s are desired, with %s %% tolerance',
        app.operation_label(operation),
        processed - scrap, operation.qty_desired, coalesce(trim_scale(operation.overrun_tolerance_pct), 0)),
      jsonb_build_object('qty_desired', operation.qty_desired, 'qty_good', processed - scrap,
        'limit', app.good_limit(operation)));
  end if;
  return null;
end
$$;
comment on function app.quantity_problem(public.mes_operations, bigint, bigint) is
  'The problem invalid_quantity unless 0 <= scrap <= processed and good <= desired within tolerance.';

-- A machine's counter does not know the desired quantity, so surplus pieces are parked and not lost.
create function app.surplus(operation public.mes_operations, good integer) returns integer
language sql immutable parallel safe
return case when app.good_limit(operation) is null then 0
  else greatest(good - greatest(app.good_limit(operation) - (operation).qty_good, 0), 0)::integer end;
comment on function app.surplus(public.mes_operations, integer) is
  'How many of so many further good pieces are more than the operation may have.';

create function app.parked_problem(operation public.mes_operations, parked bigint) returns app.problem
language sql stable parallel safe
return case when parked not between 0 and 2147483647 then app.problem(
  422, 'invalid_quantity',
  format('Operation %s cannot have %s parked pieces: it has %s', app.operation_label(operation),
    parked, (operation).qty_parked),
  jsonb_build_object('qty_parked', (operation).qty_parked)
) end;
comment on function app.parked_problem(public.mes_operations, bigint) is
  'The problem invalid_quantity unless the number of parked pieces can be.';

create function app.fitting(operation public.mes_operations) returns integer
language sql immutable parallel safe
return case when (operation).state = 'CANCELLED' then 0 else least(
  (operation).qty_parked - app.surplus(operation, (operation).qty_parked), 2147483647 - (operation).qty_processed) end;
comment on function app.fitting(public.mes_operations) is 'How many of the parked pieces the operation has room for.';

create type app.pieces as (good integer, scrap integer, parked integer);

create function app.pieces_left(operation public.mes_operations, event_id uuid) returns app.pieces
language plpgsql stable
set search_path = ''
as $$
declare
  pieces app.pieces;
begin
  select e.qty_good - coalesce(sum(r.qty_good), 0), e.qty_scrap - coalesce(sum(r.qty_scrap), 0),
    -- some of them may be settled already
    least(e.qty_parked + coalesce(sum(r.qty_parked), 0), operation.qty_parked)
  into pieces
  from public.operation_events e
  join app.actions a on a.action = e.action_type and a.quantities = 'added'
  left join public.operation_events r on r.reverses_event_id = e.id
  where e.id = event_id and e.operation_id = operation.id
  group by e.id;
  return pieces;
end
$$;
comment on function app.pieces_left(public.mes_operations, uuid) is
  'Pieces of an event that REVERSE can still take back; null when it is not an event of the operation that adds '
  'pieces.';

create function app.reversal_problem(
  operation public.mes_operations, event_id uuid, taken app.pieces, available app.pieces
) returns app.problem
language sql stable
return case
  when (available).good is null then app.field_problem('/reverses_event_id', 'not_reversible',
    format('"%s" is not a REPORT_QUANTITY or COMPLETE of operation %s', event_id, app.operation_label(operation)))
  when (taken).good > (available).good or (taken).scrap > (available).scrap 
    or (taken).good + (taken).scrap + (taken).parked = 0
  then app.problem(
    422, 'invalid_quantity',
    format('Cannot take back %s good and %s scrapped pieces of event "%s": %s good and %s scrapped are left of it',
      (taken).good, (taken).scrap, event_id, (available).good, (available).scrap),
    jsonb_build_object('limit', jsonb_build_object('qty_good', (available).good, 'qty_scrap', (available).scrap)))
end;
comment on function app.reversal_problem(public.mes_operations, uuid, app.pieces, app.pieces) is
  'The problem validation_failed when the event is not one to reverse, invalid_quantity when less is left of it.';
