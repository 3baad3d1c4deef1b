-- What: the functions behind the endpoints of operations.
-- Why: one call is one transaction; reads run under RLS as the caller, writes as the owner after a check of the caller.

create function app.operation_json(o public.mes_operations) returns json
language sql stable
begin atomic
  -- Without a SET clause and bound at creation: the planner inlines it into lists.
  select json_build_object(
    'order_no', (o).order_no,
    'asset_id', (o).asset_id,
    'operation_no', (o).operation_no,
    'reference_url', (o).reference_url,
    'status', (o).status,
    'hold_kind', (o).hold_kind,
    'hold_reason_code', (o).hold_reason_code,
    'activity_code', (o).activity_code,
    'activity_description', (o).activity_description,
    'workplace_name', (o).workplace_name,
    'workplace_group', (o).workplace_group,
    'qty_desired', (o).qty_desired,
    'qty_processed', (o).qty_processed,
    'qty_good', (o).qty_good,
    'qty_scrap', (o).qty_scrap,
    'overrun_tolerance_pct', (o).overrun_tolerance_pct,
    'planned_start_at', app.iso((o).planned_start_at),
    'planned_end_at', app.iso((o).planned_end_at),
    'actual_start_at', app.iso((o).actual_start_at),
    'actual_end_at', app.iso((o).actual_end_at),
    't_target_processing_min', (o).t_target_processing_min,
    't_target_setup_min', (o).t_target_setup_min,
    't_target_lead_min', (o).t_target_lead_min,
    -- the open run counts as far as it has come
    't_actual_processing_min', case when (o).running_phase = 'PROCESSING'
      then greatest((o).t_actual_processing_min + greatest(app.minutes_between((o).running_since, now()), 0), 0) else (o).t_actual_processing_min end,
    't_actual_setup_min', case when (o).running_phase = 'SETUP'
      then greatest((o).t_actual_setup_min + greatest(app.minutes_between((o).running_since, now()), 0), 0) else (o).t_actual_setup_min end,
    't_actual_lead_min', (o).t_actual_lead_min,
    'timestamp_ms', app.iso((o).timestamp_ms),
    'change_type', (o).change_type,
    'source_conflict', (o).source_conflict,
    'version', (o).version,
    'created_at', app.iso((o).created_at),
    'updated_at', app.iso((o).updated_at)
  );
end;
comment on function app.operation_json(public.mes_operations) is 'The operation as the API writes it.';

create function app.operation_answer(operation public.mes_operations, caller app.caller) returns json
language sql stable
return app.json_with(app.operation_json(operation), 'allowed_actions', app.allowed_actions(operation, caller));
comment on function app.operation_answer(public.mes_operations, app.caller) is 'The operation as single reads and commands answer it: with allowed_actions.';

create function public.get_operation(order_no text, asset_id integer, operation_no text) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no);
  operation public.mes_operations;
begin
  select * into operation from public.mes_operations o
  where o.order_no = get_operation.order_no and o.operation_no = get_operation.operation_no and o.asset_id = get_operation.asset_id;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.operation_answer(operation, app.current_caller());
end
$$;
comment on function public.get_operation(text, integer, text) is 'One operation with what the caller may do to it. Raises 404 not_found.';

-- The filters of operations, for lists and for bulk changes.
create type app.operation_filter as (
  statuses text[],
  workplace_names text[],
  workplace_group text,
  order_no text,
  activity_code text,
  planned_start_after timestamptz,
  planned_start_before timestamptz,
  has_remaining_qty boolean,
  is_overdue boolean,
  open_longer_than_h numeric,
  q text
);
comment on type app.operation_filter is 'Conditions on operations, combined with and; null = no condition. open_longer_than_h is in hours.';

-- Conditions are put together from these fixed texts and every value is bound as $1, so that each combination of
-- filters gets the plan of its own values, and no value can become SQL.
create function app.conditions(filter app.operation_filter) returns text
language sql stable
begin atomic
  select concat_ws(' and ', 'true',
    -- one value is an equality, which the index serves in the list's order
    case
      when cardinality((filter).statuses) = 1 then 'o.status = ($1).statuses[1]'
      when (filter).statuses is not null then 'o.status = any(($1).statuses)'
    end,
    case
      when cardinality((filter).workplace_names) = 1 then 'o.workplace_name = ($1).workplace_names[1]'
      when (filter).workplace_names is not null then 'o.workplace_name = any(($1).workplace_names)'
    end,
    case when (filter).workplace_group is not null then 'o.workplace_group = ($1).workplace_group' end,
    case when (filter).order_no is not null then 'o.order_no = ($1).order_no' end,
    case when (filter).activity_code is not null then 'o.activity_code = ($1).activity_code' end,
    case when (filter).planned_start_after is not null then 'o.planned_start_at >= ($1).planned_start_after' end,
    case when (filter).planned_start_before is not null then 'o.planned_start_at < ($1).planned_start_before' end,
    case (filter).has_remaining_qty
      when true then 'o.status not in (''FINISHED'', ''CANCELLED'') and o.qty_good < o.qty_desired'
      when false then '(o.status not in (''FINISHED'', ''CANCELLED'') and o.qty_good < o.qty_desired) is not true'
    end,
    case (filter).is_overdue
      when true then 'o.status not in (''FINISHED'', ''CANCELLED'') and o.planned_end_at < now()'
      when false then '(o.status not in (''FINISHED'', ''CANCELLED'') and o.planned_end_at < now()) is not true'
    end,
    -- runs that somebody forgot to stop
    case when (filter).open_longer_than_h is not null then
      'o.status = ''IN_PROGRESS'' and o.running_since < now() - ($1).open_longer_than_h * interval ''1 hour'''
    end,
    -- prefixes as ranges of code points: no wildcard to escape, and the index serves them
    case when (filter).q is not null then
      '(o.order_no >= ($1).q and o.order_no < ($1).q || chr(1114111)
        or o.activity_description_folded >= lower(($1).q) and o.activity_description_folded < lower(($1).q) || chr(1114111))'
    end
  );
end;
comment on function app.conditions(app.operation_filter) is 'The filter as a condition on public.mes_operations o with the filter itself as $1.';

-- Along the order of a list, the rows of few workplaces, statuses or actions can be far apart: a filter there reads
-- everything between them. Each alternative alone is one ordered range of an index; the page begins their merge.
create function app.page_query(
  source text, alias text, conditions text, alternatives text[], key_columns text, page_order text, take text, skip text
) returns text
language sql immutable
begin atomic
  select format('select array(select p.item from (%s) p order by %s limit %s offset %s)',
    string_agg(
      format('(select %s as item, %s from %s %s where %s and %s order by %s limit %s + %s)',
        alias, key_columns, source, alias, alternative, conditions, page_order, take, skip),
      ' union all '),
    page_order, take, skip)
  from unnest(alternatives) alternative;
end;
comment on function app.page_query(text, text, text, text[], text, text, text, text) is
  'The query of a page: the rows of all alternatives, which exclude each other, in one order, as one array. All arguments are SQL of ours; values are parameters in it.';

create function app.alternatives(column_name text, parameter text, value_count integer) returns text[]
language sql immutable
begin atomic
  select case when value_count is null then array['true'] when value_count = 0 then array['false'] else array(
    select format('%s = (%s)[%s]', column_name, parameter, i) from generate_series(1, value_count) i
  ) end;
end;
comment on function app.alternatives(text, text, integer) is
  'One condition for each value of an array parameter; true alone for null, false alone for an empty array.';

create function app.all_pairs(firsts text[], seconds text[]) returns text[]
language sql immutable
begin atomic
  -- planning each one costs time as well, and rows of many alternatives are not far apart
  select case when cardinality(firsts) * cardinality(seconds) > 16 then array['true'] else array(
    select f || ' and ' || s from unnest(firsts) f, unnest(seconds) s
  ) end;
end;
comment on function app.all_pairs(text[], text[]) is 'The conditions of both, each with each; true alone when there would be more than 16.';

create function app.distinct_values(given text[]) returns text[]
language sql immutable
begin atomic
  select case when given is not null then array(select distinct v from unnest(given) v) end;
end;
comment on function app.distinct_values(text[]) is 'Each value once; null for null.';

create function app.places_to_list(wanted text[]) returns text[]
language plpgsql stable
set search_path = ''
as $$
declare
  caller constant app.caller := app.current_caller();
begin
  if (caller).sees_all then
    return wanted;
  end if;
  return array(select w from unnest(app.distinct_values((caller).workplaces)) w where wanted is null or w = any(wanted));
end
$$;
comment on function app.places_to_list(text[]) is
  'Workplaces that a list can show: of the wanted ones (null = all) those that the caller sees; null when these are all.';

create function public.list_operations(
  statuses text[] default null,
  workplace_names text[] default null,
  workplace_group text default null,
  order_no text default null,
  activity_code text default null,
  planned_start_after timestamptz default null,
  planned_start_before timestamptz default null,
  has_remaining_qty boolean default null,
  is_overdue boolean default null,
  open_longer_than_h numeric default null,
  q text default null,
  after_order_no text default null,
  after_operation_no text default null,
  after_asset_id integer default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
-- volatile, because an estimate is an EXPLAIN, which Postgres keeps out of stable functions
language plpgsql volatile
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('statuses', statuses)
    and app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('workplace_group', workplace_group) and app.require_bounded('order_no', order_no)
    and app.require_bounded('activity_code', activity_code) and app.require_bounded('q', q)
    and app.require_bounded('after_order_no', after_order_no)
    and app.require_bounded('after_operation_no', after_operation_no) and app.require_bounded('skip', skip)
    and app.require_bounded('count', count);
  filter constant app.operation_filter := row(app.distinct_values(statuses), app.distinct_values(workplace_names), workplace_group, order_no, activity_code,
    planned_start_after, planned_start_before, has_remaining_qty, is_overdue, open_longer_than_h, q);
  conditions constant text := app.conditions(filter);
  places constant text[] := app.places_to_list((filter).workplace_names);
  page constant text := case when after_order_no is not null then ' and (o.order_no, o.operation_no, o.asset_id) > ($2, $3, $4)' else '' end;
  rows public.mes_operations[];
  total bigint;
  plan json;
begin
  -- straight calls ask for what they like
  take := least(take, 500);
  execute app.page_query('public.mes_operations', 'o', conditions || page,
    app.all_pairs(
      app.alternatives('o.workplace_name', '$7', cardinality(places)),
      app.alternatives('o.status', '($1).statuses', cardinality((filter).statuses))
    ),
    'order_no, operation_no, asset_id', 'order_no, operation_no, asset_id', '$5', '$6')
  into rows
  using filter, after_order_no, after_operation_no, after_asset_id, take + 1, skip, places;

  -- the planner estimates from statistics of all rows, also of those that the caller must not know about
  if count = 'exact' or count = 'estimated' and not app.sees_all_workplaces() then
    execute format('select count(*) from public.mes_operations o where %s', conditions) into total using filter;
  elsif count = 'estimated' then
    execute format('explain (format json) select from public.mes_operations o where %s', conditions) into plan using filter;
    total := plan #>> '{0,Plan,Plan Rows}';
  end if;

  return json_build_object(
    'items', (select coalesce(json_agg(app.operation_json(o)), '[]') from unnest(rows[1:take]) o),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].order_no, rows[take].operation_no, rows[take].asset_id) end,
    'total', total
  );
end
$$;
comment on function public.list_operations is
  'A page of the operations the caller sees, ordered by order_no, operation_no, asset_id: {"items": [...], "next": key of the last item or null, "total": number when asked}. The page begins after the given key; count is null, exact or estimated.';

create function app.ensure_workplace(name text, workplace_group text) returns void
language plpgsql
set search_path = ''
as $$
begin
  if name is not null and not exists (select from public.workplaces w where w.name = ensure_workplace.name) then
    insert into public.workplaces (name, workplace_group) values (ensure_workplace.name, ensure_workplace.workplace_group)
    on conflict do nothing;
  end if;
end
$$;
comment on function app.ensure_workplace(text, text) is 'Adds the workplace when the plant does not know it yet: the first service knew none.';

create function app.require_own_workplace(caller app.caller, workplace_name text) returns void
language plpgsql
set search_path = ''
as $$
begin
  if not app.sees_workplace(caller, workplace_name) then
    perform app.refuse(403, 'forbidden', coalesce(
      format('You have no access to workplace "%s"', workplace_name), 'Only someone with access to all workplaces may plan without a workplace'));
  end if;
end
$$;
comment on function app.require_own_workplace(app.caller, text) is 'Raises 403 forbidden when the caller would put an operation where he does not work.';

create function app.require_plan(operation public.mes_operations) returns void
language plpgsql
set search_path = ''
as $$
begin
  if (operation).planned_start_at >= (operation).planned_end_at then
    perform app.refuse_field('/planned_end_at', 'not_after_start', format('planned_end_at "%s" must be later than planned_start_at "%s"',
      app.iso((operation).planned_end_at), app.iso((operation).planned_start_at)));
  elsif (operation).actual_start_at > (operation).actual_end_at then
    perform app.refuse_field('/actual_end_at', 'before_start', format('actual_end_at "%s" must not be earlier than actual_start_at "%s"',
      app.iso((operation).actual_end_at), app.iso((operation).actual_start_at)));
  end if;
  perform app.require_past('/actual_start_at', (operation).actual_start_at);
  perform app.require_past('/actual_end_at', (operation).actual_end_at);
  perform app.require_quantities(operation);
end
$$;
comment on function app.require_plan(public.mes_operations) is
  'Raises 422 validation_failed when times are out of order, 422 invalid_quantity when quantities are.';

create function app.brings_execution(operation public.mes_operations) returns boolean
language sql immutable parallel safe
return coalesce((operation).status, 'PLANNED') not in ('PLANNED', 'RELEASED') or coalesce((operation).qty_processed, 0) > 0
  or (operation).actual_start_at is not null or (operation).actual_end_at is not null or (operation).t_actual_setup_min is not null
  or (operation).t_actual_processing_min is not null or (operation).t_actual_lead_min is not null;
comment on function app.brings_execution(public.mes_operations) is
  'True for a new operation with a status, quantities, times or minutes of work done elsewhere, which an opening event explains.';

create function public.create_operation(operation jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('operation', operation);
  caller constant app.caller := app.current_caller();
  request constant app.idempotency := app.idempotency(idempotency);
  wanted public.mes_operations := jsonb_populate_record(null::public.mes_operations, operation);
  stored public.mes_operations;
  answer json;
begin
  answer := app.replay(caller, request);
  if answer is not null then
    return answer;
  end if;
  perform app.require_role(caller, 'supervisor', 'Your role may not create operations');
  perform app.require_own_workplace(caller, wanted.workplace_name);

  wanted.status := coalesce(wanted.status, 'PLANNED');
  wanted.qty_processed := coalesce(wanted.qty_processed, 0);
  wanted.qty_scrap := coalesce(wanted.qty_scrap, 0);
  wanted.overrun_tolerance_pct := coalesce(wanted.overrun_tolerance_pct, 0);
  perform app.require_plan(wanted);
  if wanted.actual_end_at is not null and wanted.status not in ('FINISHED', 'CANCELLED') then
    perform app.refuse_field('/actual_end_at', 'not_finished', format('operation %s has not ended: its status is "%s"',
      app.operation_label(wanted), wanted.status));
  end if;
  perform app.ensure_workplace(wanted.workplace_name, wanted.workplace_group);

  insert into public.mes_operations (
    order_no, asset_id, operation_no, status, reference_url, activity_code, activity_description, workplace_name, workplace_group,
    qty_desired, overrun_tolerance_pct, planned_start_at, planned_end_at,
    t_target_processing_min, t_target_setup_min, t_target_lead_min, timestamp_ms, change_type, created_by
  )
  values (
    wanted.order_no, wanted.asset_id, wanted.operation_no, case wanted.status when 'RELEASED' then 'RELEASED' else 'PLANNED' end,
    wanted.reference_url, wanted.activity_code, wanted.activity_description, wanted.workplace_name, wanted.workplace_group,
    wanted.qty_desired, wanted.overrun_tolerance_pct, wanted.planned_start_at, wanted.planned_end_at,
    wanted.t_target_processing_min, wanted.t_target_setup_min, wanted.t_target_lead_min, wanted.timestamp_ms, wanted.change_type, caller.user_id
  )
  on conflict do nothing
  returning * into stored;
  if not found then
    perform app.refuse(409, 'duplicate_operation', format('Operation %s exists already', app.operation_label(wanted)));
  end if;

  if app.brings_execution(wanted) then
    stored := (app.record_opening(stored, caller, wanted)).operation;
  end if;
  return app.remember(caller, request, array[coalesce(stored.workplace_name, '*')],
    json_build_object('status', 201, 'body', app.operation_answer(stored, caller)));
end
$$;
comment on function public.create_operation(jsonb, jsonb) is
  'Creates an operation from the JSON of the API; one that brings execution begins with an opening event. Answers {"status", "body"}. Raises 403 forbidden, 409 duplicate_operation, 422 invalid_quantity or validation_failed.';

-- The status changes of the first service, and the actions they become.
create function app.actions_to_status(operation public.mes_operations, wanted text) returns text[]
language sql immutable
return case
  when wanted = (operation).status then '{}'::text[]
  when (operation).status = 'PLANNED' and wanted = 'RELEASED' then '{RELEASE}'
  when (operation).status = 'RELEASED' and wanted = 'IN_PROGRESS' then '{START}'
  when (operation).status = 'RELEASED' and wanted = 'ON_HOLD' then '{HOLD}'
  when (operation).status = 'IN_PROGRESS' and wanted = 'ON_HOLD' then '{STOP}'
  when (operation).status = 'IN_PROGRESS' and wanted = 'FINISHED' then '{FINISH}'
  when (operation).status = 'ON_HOLD' and wanted = 'IN_PROGRESS' and (operation).hold_kind = 'BLOCKED' then '{RELEASE,START}'
  when (operation).status = 'ON_HOLD' and wanted = 'IN_PROGRESS' then '{START}'
  when (operation).status not in ('FINISHED', 'CANCELLED') and wanted = 'CANCELLED' then '{CANCEL}'
end;
comment on function app.actions_to_status(public.mes_operations, text) is
  'Actions that a PATCH of the status stands for, in order; null when the first service did not allow the change.';

create function app.plan_fields() returns text[]
language sql immutable parallel safe
return array['reference_url', 'activity_code', 'activity_description', 'workplace_name', 'workplace_group',
  'qty_desired', 'overrun_tolerance_pct', 'planned_start_at', 'planned_end_at',
  't_target_processing_min', 't_target_setup_min', 't_target_lead_min'];
comment on function app.plan_fields() is 'The fields of the plan, which the ERP and planners own.';

create function app.role_to_change(patch jsonb) returns text
language sql immutable parallel safe
return case when patch ?| app.plan_fields() then 'supervisor' else 'operator' end;
comment on function app.role_to_change(jsonb) is 'Role that a PATCH needs at least; the actions that it becomes may need more.';

create function app.change_operation(before public.mes_operations, caller app.caller, patch jsonb) returns public.mes_operations
language plpgsql
set search_path = ''
as $$
declare
  execution_fields constant text[] := array['status', 'qty_processed', 'qty_scrap', 'actual_start_at', 'actual_end_at',
    't_actual_setup_min', 't_actual_processing_min', 't_actual_lead_min', 'reason_code', 'note', 'timestamp_ms', 'change_type'];
  operation public.mes_operations;
  wanted public.mes_operations;
  actions text[];
  action text;
  report app.report;
  correction app.report;
  ended_at timestamptz;
begin
  perform app.require_role(caller, app.role_to_change(patch), format('Your role may not change operation %s', app.operation_label(before)));

  select coalesce(jsonb_object_agg(p.key, p.value), '{}') into patch from jsonb_each(patch) p where p.key = any(app.plan_fields() || execution_fields);
  wanted := jsonb_populate_record(before, patch - array['reason_code', 'note']);
  wanted.status := coalesce(wanted.status, before.status);
  wanted.qty_processed := coalesce(wanted.qty_processed, before.qty_processed);
  wanted.qty_scrap := coalesce(wanted.qty_scrap, before.qty_scrap);
  wanted.overrun_tolerance_pct := coalesce(wanted.overrun_tolerance_pct, before.overrun_tolerance_pct);

  actions := app.actions_to_status(before, wanted.status);
  if actions is null then
    perform app.refuse_transition(before, caller, format('set status "%s" of', wanted.status));
  end if;
  perform app.require_plan(wanted);
  if wanted.workplace_name is distinct from before.workplace_name then
    perform app.require_own_workplace(caller, wanted.workplace_name);
    perform app.ensure_workplace(wanted.workplace_name, wanted.workplace_group);
  end if;

  -- the plan as wanted, the execution as it is: that comes from the actions alone
  operation := jsonb_populate_record(before, (select jsonb_object_agg(p.key, p.value) from jsonb_each(to_jsonb(wanted)) p
    where p.key = any(app.plan_fields() || array['timestamp_ms', 'change_type'])));

  -- 1. what makes it run
  report.reason_code := patch ->> 'reason_code';
  report.note := patch ->> 'note';
  foreach action in array actions loop
    if action in ('RELEASE', 'START') then
      report.action_type := action;
      report.occurred_at := case when action = 'START' and before.actual_start_at is null then wanted.actual_start_at end;
      operation := (app.record_event(operation, caller, report)).operation;
    end if;
  end loop;

  -- 2. what was reported wrongly before
  correction.action_type := 'CORRECT';
  correction.note := patch ->> 'note';
  correction.actual_start_at := case when wanted.actual_start_at is distinct from operation.actual_start_at then wanted.actual_start_at end;
  correction.actual_end_at := case
    when not (actions && '{FINISH,CANCEL}') and wanted.actual_end_at is distinct from before.actual_end_at then wanted.actual_end_at end;
  -- of what runs, the stored minutes are not those that are read
  correction.t_actual_setup_min := case
    when wanted.t_actual_setup_min is distinct from before.t_actual_setup_min or operation.running_phase = 'SETUP'
    then (patch ->> 't_actual_setup_min')::numeric end;
  correction.t_actual_processing_min := case
    when wanted.t_actual_processing_min is distinct from before.t_actual_processing_min or operation.running_phase = 'PROCESSING'
    then (patch ->> 't_actual_processing_min')::numeric end;
  -- between a start and an end it is what it is
  correction.t_actual_lead_min := case
    when wanted.t_actual_lead_min is distinct from before.t_actual_lead_min and not coalesce(
      coalesce(wanted.actual_start_at, operation.actual_start_at) is not null
        and (actions && '{FINISH,CANCEL}' or coalesce(wanted.actual_end_at, operation.actual_end_at) is not null), false)
    then wanted.t_actual_lead_min end;
  ended_at := case when actions && '{FINISH,CANCEL}' then wanted.actual_end_at end;
  if actions && '{STOP,FINISH,CANCEL}' and (correction.t_actual_setup_min is not null or correction.t_actual_processing_min is not null) then
    -- minutes are stated as of the moment at which the run ends
    ended_at := coalesce(ended_at, greatest(date_trunc('milliseconds', clock_timestamp()), app.timeline_end(operation)));
    correction.occurred_at := ended_at;
  end if;

  report.action_type := 'REPORT_QUANTITY';
  report.occurred_at := case when 'FINISH' = any(actions) then wanted.actual_end_at end;
  report.qty_scrap := wanted.qty_scrap - before.qty_scrap;
  report.qty_good := wanted.qty_processed - wanted.qty_scrap - before.qty_good;
  if report.qty_good < 0 or report.qty_scrap < 0 or before.status = 'FINISHED' or wanted.qty_processed = before.qty_processed then
    correction.qty_good := report.qty_good;
    correction.qty_scrap := report.qty_scrap;
    report.qty_good := 0;
    report.qty_scrap := 0;
  end if;
  if correction.qty_good <> 0 or correction.qty_scrap <> 0 or correction.actual_start_at is not null or correction.actual_end_at is not null
    or correction.t_actual_setup_min is not null or correction.t_actual_processing_min is not null or correction.t_actual_lead_min is not null
  then
    operation := (app.record_event(operation, caller, correction)).operation;
  end if;

  -- 3. what was made since
  if report.qty_good > 0 or report.qty_scrap > 0 then
    report.reason_code := null;
    operation := (app.record_event(operation, caller, report)).operation;
  end if;

  -- 4. what ends it; clients of the first service send no reason
  report.qty_good := null;
  report.qty_scrap := null;
  foreach action in array actions loop
    if action not in ('RELEASE', 'START') then
      report.action_type := action;
      report.occurred_at := ended_at;
      report.reason_code := coalesce(patch ->> 'reason_code', case
        when action in ('HOLD', 'CANCEL') or action = 'FINISH' and operation.qty_good < operation.qty_desired then 'UNSPECIFIED' end);
      operation := (app.record_event(operation, caller, report)).operation;
    end if;
  end loop;

  if operation.version = before.version and operation is distinct from before then
    operation := app.store_operation(operation);
  end if;
  return operation;
end
$$;
comment on function app.change_operation(public.mes_operations, app.caller, jsonb) is
  'Changes the plan of a locked operation and records the difference to the stated status, quantities and times as events. Raises 403 forbidden, 422 invalid_state_transition, invalid_quantity or validation_failed, and what record_event raises.';

create function public.update_operation(
  order_no text, asset_id integer, operation_no text, patch jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no) and app.require_bounded('patch', patch)
    and app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  request constant app.idempotency := app.idempotency(idempotency);
  operation public.mes_operations;
  answer json;
begin
  answer := app.replay(caller, request);
  if answer is not null then
    return answer;
  end if;
  perform app.require_plant(caller);
  select * into operation from public.mes_operations o
  where o.order_no = update_operation.order_no and o.operation_no = update_operation.operation_no and o.asset_id = update_operation.asset_id
  for update;
  if not found or not app.sees_workplace(caller, operation.workplace_name) then
    perform app.refuse_missing();
  end if;
  perform app.require_version(operation.version, if_match);
  operation := app.change_operation(operation, caller, patch);
  return app.remember(caller, request, array[coalesce(operation.workplace_name, '*')],
    json_build_object('status', 200, 'body', app.operation_answer(operation, caller)));
end
$$;
comment on function public.update_operation(text, integer, text, jsonb, integer[], jsonb) is
  'Changes an operation. Answers {"status", "body"}. Raises 404 not_found, 412 stale_version, and what app.change_operation raises.';

create function app.require_version(version integer, if_match integer[]) returns void
language plpgsql
set search_path = ''
as $$
begin
  if version <> all(if_match) then
    perform app.refuse(412, 'stale_version', format('The resource has changed: its version is %s now', version), jsonb_build_object('current_version', version));
  end if;
end
$$;
comment on function app.require_version(integer, integer[]) is 'Raises 412 stale_version unless the version is among those of If-Match; null = no condition.';

-- The change feed may deliver rows late and twice: a row of before the deletion must not bring the operation back.
create table app.deleted_operations (
  order_no text collate "C" not null,
  operation_no text collate "C" not null,
  asset_id integer not null,
  timestamp_ms timestamptz not null,
  primary key (order_no, operation_no, asset_id),
  constraint deleted_operations_order_no_is_key check (app.is_key(order_no)),
  constraint deleted_operations_operation_no_is_key check (app.is_key(operation_no))
);
comment on table app.deleted_operations is 'Keys of deleted operations, with the source time up to which an import ignores them.';
alter table app.deleted_operations enable row level security;

create function app.bury_operation(order_no text, operation_no text, asset_id integer, timestamp_ms timestamptz) returns void
language plpgsql
set search_path = ''
as $$
begin
  insert into app.deleted_operations as d (order_no, operation_no, asset_id, timestamp_ms)
  select bury_operation.order_no, bury_operation.operation_no, bury_operation.asset_id, bury_operation.timestamp_ms
  where bury_operation.timestamp_ms is not null
  on conflict on constraint deleted_operations_pkey do update
    set timestamp_ms = greatest(d.timestamp_ms, excluded.timestamp_ms);
end
$$;
comment on function app.bury_operation(text, text, integer, timestamptz) is
  'Remembers that the operation was deleted as of this source time; without one there is nothing that an import could repeat.';

create function public.delete_operation(order_no text, asset_id integer, operation_no text, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no) and app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  operation public.mes_operations;
begin
  perform app.require_plant(caller);
  select * into operation from public.mes_operations o
  where o.order_no = delete_operation.order_no and o.operation_no = delete_operation.operation_no and o.asset_id = delete_operation.asset_id
  for update;
  if not found or not app.sees_workplace(caller, operation.workplace_name) then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'supervisor', format('Your role may not delete operation %s', app.operation_label(operation)));
  perform app.require_version(operation.version, if_match);
  -- what was worked on is a record of the plant
  if operation.status = 'FINISHED' or operation.actual_start_at is not null or operation.qty_processed > 0 then
    perform app.refuse_transition(operation, caller, 'delete');
  end if;
  perform app.bury_operation(operation.order_no, operation.operation_no, operation.asset_id, operation.timestamp_ms);
  delete from public.mes_operations o where o.id = operation.id;
end
$$;
comment on function public.delete_operation(text, integer, text, integer[]) is
  'Deletes an operation on which no work was reported; its events stay in the log. Raises 403 forbidden, 404 not_found, 412 stale_version, 422 invalid_state_transition.';
