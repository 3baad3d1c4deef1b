-- What: operations: the plan of the ERP and the projection of the reported events.
-- Why: key and fields are those of the first service, so that its clients and its rows move over unchanged.

create type public.state as enum (
  'PLANNED', 'RELEASED', 'IN_PROGRESS', 'PAUSED', 'BLOCKED_BEFORE_START', 'BLOCKED', 'FINISHED', 'CANCELLED'
);
comment on type public.state is
  'State of an operation in its lifecycle. An operator ends a pause; a supervisor ends a block.';

create type public.status as enum ('PLANNED', 'RELEASED', 'IN_PROGRESS', 'ON_HOLD', 'FINISHED', 'CANCELLED');
comment on type public.status is 'The state as clients see it: three states are ON_HOLD, told apart by hold_kind.';

create type public.hold_kind as enum ('PAUSED', 'BLOCKED');
comment on type public.hold_kind is 'Why an operation is ON_HOLD.';

create type public.phase as enum ('SETUP', 'PROCESSING');
comment on type public.phase is 'Kind of work: preparing the machine, or making pieces.';

create type public.change_type as enum ('INSERT', 'UPDATE', 'DELETE');
comment on type public.change_type is 'Kind of a change in the source system''s feed.';

-- PL/pgSQL, because generated columns use them: Postgres prepares these for each statement, like check constraints.
create function app.status_of(state public.state) returns public.status
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return case
    when state in ('PAUSED', 'BLOCKED_BEFORE_START', 'BLOCKED') then 'ON_HOLD'
    else state::text
  end::public.status;
end
$$;
comment on function app.status_of(public.state) is 'The status that clients see for a state.';

create function app.hold_kind_of(state public.state) returns public.hold_kind
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return case
    when state = 'PAUSED' then 'PAUSED'::public.hold_kind
    when state in ('BLOCKED_BEFORE_START', 'BLOCKED') then 'BLOCKED'
  end;
end
$$;
comment on function app.hold_kind_of(public.state) is 'The kind of hold that a state is; null when it is none.';

create table public.mes_operations (
  -- The key: orders and operations as the ERP numbers them, the machine as the plant numbers it.
  order_no text collate "C" not null,
  operation_no text collate "C" not null,
  asset_id integer not null,
  id bigint generated always as identity unique,

  -- The plan, owned by the ERP and by planners.
  reference_url text,
  activity_code text collate "C",
  activity_description text,
  activity_description_folded text collate "C" generated always as (lower(activity_description)) stored,
  workplace_name text collate "C" references public.workplaces (name),
  workplace_group text collate "C",
  qty_desired integer,
  overrun_tolerance_pct numeric(5, 2) not null default 0,
  planned_start_at timestamptz,
  planned_end_at timestamptz,
  t_target_processing_min numeric(12, 3),
  t_target_setup_min numeric(12, 3),
  t_target_lead_min numeric(12, 3),
  t_target_per_piece_min numeric(15, 6),

  -- The execution, which app.evolve computes from the events.
  state public.state not null default 'PLANNED',
  status public.status not null generated always as (app.status_of(state)) stored,
  hold_kind public.hold_kind generated always as (app.hold_kind_of(state)) stored,
  hold_reason_code text collate "C",
  qty_processed integer not null default 0,
  qty_scrap integer not null default 0,
  qty_good integer not null generated always as (qty_processed - qty_scrap) stored,
  qty_parked integer not null default 0,
  actual_start_at timestamptz,
  actual_end_at timestamptz,
  t_actual_processing_min numeric(12, 3),
  t_actual_setup_min numeric(12, 3),
  t_actual_lead_min numeric(12, 3),
  unlogged_processing_min numeric(12, 3) not null default 0,
  unlogged_setup_min numeric(12, 3) not null default 0,
  running_since timestamptz,
  running_phase public.phase,
  run_count integer not null default 0,
  worked_until timestamptz,
  logged_processing_min numeric(12, 3) not null default 0,
  logged_setup_min numeric(12, 3) not null default 0,
  counted_since timestamptz,
  last_op_seq integer not null default 0,

  -- Origin and version of the row.
  timestamp_ms timestamptz,
  change_type public.change_type,
  source_conflict boolean not null default false,
  version integer not null default 1,
  -- No foreign key: the id stays when the user is deleted, and the row does not change.
  created_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  updated_hour timestamp not null generated always as (date_trunc('hour', updated_at at time zone 'UTC')) stored,

  -- In the order of every list, so that the key's index is also the list's.
  primary key (order_no, operation_no, asset_id),

  constraint mes_operations_order_no_is_key check (app.is_key(order_no)),
  constraint mes_operations_operation_no_is_key check (app.is_key(operation_no)),
  constraint mes_operations_asset_id_positive check (asset_id > 0),
  constraint mes_operations_activity_code_is_key check (app.is_key(activity_code)),
  constraint mes_operations_workplace_group_is_key check (app.is_key(workplace_group)),
  constraint mes_operations_activity_description_short check (char_length(activity_description) <= 500),
  constraint mes_operations_reference_url_short check (char_length(reference_url) <= 2048),
  constraint mes_operations_running_when_in_progress check (
    (state = 'IN_PROGRESS') = (running_since is not null) and (running_since is null) = (running_phase is null)
  ),
  constraint mes_operations_qty_desired_not_negative check (qty_desired >= 0),
  constraint mes_operations_qty_scrap_within_processed check (qty_scrap between 0 and qty_processed),
  constraint mes_operations_qty_parked_not_negative check (qty_parked >= 0),
  constraint mes_operations_qty_good_within_tolerance check (
    qty_processed - qty_scrap <= floor(qty_desired * (1 + overrun_tolerance_pct / 100))
  ),
  constraint mes_operations_tolerance_is_percentage check (overrun_tolerance_pct between 0 and 100),
  constraint mes_operations_planned_in_order check (planned_start_at < planned_end_at),
  constraint mes_operations_actual_in_order check (actual_start_at <= actual_end_at),
  constraint mes_operations_times_are_real check (
    -- infinity, and years that clients cannot read, are not times of a shop floor
    coalesce(
      least(planned_start_at, planned_end_at, actual_start_at, actual_end_at, timestamp_ms), '1970-01-01Z'
    ) >= '1970-01-01Z'
    and coalesce(
      greatest(planned_start_at, planned_end_at, actual_start_at, actual_end_at, timestamp_ms), '1970-01-01Z'
    ) < '10000-01-01Z'
  ),
  constraint mes_operations_minutes_are_real check (
    -- numeric has a NaN, which is greater than everything
    coalesce(least(t_target_processing_min, t_target_setup_min, t_target_lead_min, t_target_per_piece_min,
      t_actual_lead_min), 0) >= 0
    -- a correction may state fewer minutes than the open run will add
    and (coalesce(t_actual_processing_min, 0) >= 0 or running_phase = 'PROCESSING')
    and (coalesce(t_actual_setup_min, 0) >= 0 or running_phase = 'SETUP')
    and coalesce(greatest(t_target_processing_min, t_target_setup_min, t_target_lead_min, t_target_per_piece_min,
      t_actual_processing_min, t_actual_setup_min, t_actual_lead_min), 0) < 1e9
  )
)
-- Counters change far more often than indexed columns: free space on the page lets these updates skip the indexes.
with (fillfactor = 85);
comment on table public.mes_operations is
  'One step of an order on a machine at a workplace: its plan, and the projection of its events.';
comment on column public.mes_operations.id is
  'Internal number that events and runs refer to; a deleted and re-created key is another operation.';
comment on column public.mes_operations.order_no is 'Order number of the ERP, e.g. 403860-001.';
comment on column public.mes_operations.operation_no is 'Number of the operation within its order, e.g. 0010.';
comment on column public.mes_operations.asset_id is 'Number of the machine, > 0.';
comment on column public.mes_operations.reference_url is 'Link to drawings or work instructions.';
comment on column public.mes_operations.activity_code is 'What is done, e.g. LASER, TROMMELEN.';
comment on column public.mes_operations.activity_description is 'What is done, in words.';
comment on column public.mes_operations.activity_description_folded is
  'The description in lower case, for prefix search.';
comment on column public.mes_operations.qty_parked is
  'Pieces beyond what the operation may have, which a counter reported: in no total until a supervisor settles them.';
comment on column public.mes_operations.workplace_name is 'Workplace the operation is planned at; decides who sees it.';
comment on column public.mes_operations.workplace_group is 'Group of workplaces, e.g. Laser.';
comment on column public.mes_operations.qty_desired is 'Good pieces wanted; null = no limit.';
comment on column public.mes_operations.overrun_tolerance_pct is
  'Good pieces allowed beyond the desired ones, in percent of these.';
comment on column public.mes_operations.planned_start_at is 'Planned start.';
comment on column public.mes_operations.planned_end_at is 'Planned end.';
comment on column public.mes_operations.t_target_processing_min is 'Planned processing time in minutes.';
comment on column public.mes_operations.t_target_setup_min is 'Planned setup time in minutes.';
comment on column public.mes_operations.t_target_lead_min is 'Planned lead time in minutes.';
comment on column public.mes_operations.state is
  'Where it stands in the lifecycle; status and hold_kind follow from it.';
comment on column public.mes_operations.hold_reason_code is 'Reason of the pause or the block.';
comment on column public.mes_operations.qty_processed is 'All pieces run, scrap included: the sum over its events.';
comment on column public.mes_operations.qty_scrap is 'Scrap among the pieces run: the sum over its events.';
comment on column public.mes_operations.qty_good is 'Good pieces: processed less scrap.';
comment on column public.mes_operations.t_target_per_piece_min is
  'Planned minutes per piece run; null = t_target_processing_min / qty_desired.';
comment on column public.mes_operations.actual_start_at is 'Start of the first run.';
comment on column public.mes_operations.actual_end_at is 'When it was finished or cancelled after having run.';
comment on column public.mes_operations.t_actual_processing_min is
  'Minutes of closed PROCESSING runs and unlogged ones; the open run is added when read.';
comment on column public.mes_operations.t_actual_setup_min is
  'Minutes of closed SETUP runs and unlogged ones; the open run is added when read.';
comment on column public.mes_operations.t_actual_lead_min is 'Minutes from actual start to actual end.';
comment on column public.mes_operations.unlogged_processing_min is
  'Processing minutes stated by a client that did not report the runs.';
comment on column public.mes_operations.unlogged_setup_min is
  'Setup minutes stated by a client that did not report the runs.';
comment on column public.mes_operations.running_since is 'Start of the open run; null when nothing runs.';
comment on column public.mes_operations.running_phase is 'Phase of the open run.';
comment on column public.mes_operations.run_count is 'Number of its last run; 0 = none.';
comment on column public.mes_operations.worked_until is
  'End of its last run, or its start while it is open: the end of all runs.';
comment on column public.mes_operations.logged_processing_min is
  'Minutes of its closed PROCESSING runs, each to a thousandth: kept as runs close and move.';
comment on column public.mes_operations.logged_setup_min is
  'Minutes of its closed SETUP runs, each to a thousandth: kept as runs close and move.';
comment on column public.mes_operations.counted_since is 'Earliest occurred_at of its REPORT_QUANTITY events.';
comment on column public.mes_operations.last_op_seq is 'op_seq of its newest event; 0 = none.';
comment on column public.mes_operations.timestamp_ms is 'When the source system made this change.';
comment on column public.mes_operations.change_type is 'Kind of the source system''s last change.';
comment on column public.mes_operations.source_conflict is
  'True when the source deleted or cancelled it although work had begun.';
comment on column public.mes_operations.version is 'Number of the last change, the ETag.';
comment on column public.mes_operations.updated_hour is
  'Hour of the last change, for lists in the order of updated_at.';
comment on column public.mes_operations.created_by is 'User who created it; null for servers.';

-- One index per filter, each continued by the list's order, so that a filtered page is one ordered range.
create index mes_operations_by_workplace on public.mes_operations (workplace_name, order_no, operation_no, asset_id);
create index mes_operations_by_workplace_and_status
  on public.mes_operations (workplace_name, status, order_no, operation_no, asset_id);
create index mes_operations_by_group on public.mes_operations (workplace_group, order_no, operation_no, asset_id);
create index mes_operations_by_activity on public.mes_operations (activity_code, order_no, operation_no, asset_id);
create index mes_operations_by_status on public.mes_operations (status, order_no, operation_no, asset_id);
create index mes_operations_by_planned_start
  on public.mes_operations (planned_start_at, order_no, operation_no, asset_id);
create index mes_operations_by_planned_end on public.mes_operations (planned_end_at, order_no, operation_no, asset_id);
-- The index holds only the hour of the last change: an update of counters within the same hour skips the indexes.
create index mes_operations_by_updated_hour on public.mes_operations (updated_hour);
create index mes_operations_by_description on public.mes_operations (activity_description_folded);

-- Open operations are a small part of a table that only grows, and their number is steady.
create index mes_operations_open on public.mes_operations (order_no, operation_no, asset_id)
  where status not in ('FINISHED', 'CANCELLED');
create index mes_operations_open_by_planned_start on public.mes_operations (planned_start_at)
  where status not in ('FINISHED', 'CANCELLED');
create index mes_operations_open_by_planned_end on public.mes_operations (planned_end_at)
  where status not in ('FINISHED', 'CANCELLED');
create index mes_operations_open_by_updated_hour on public.mes_operations (updated_hour)
  where status not in ('FINISHED', 'CANCELLED');
create index mes_operations_running on public.mes_operations (workplace_name) where status = 'IN_PROGRESS';
create index mes_operations_running_since on public.mes_operations (running_since) where status = 'IN_PROGRESS';
create index mes_operations_parked on public.mes_operations (order_no, operation_no, asset_id) where qty_parked > 0;
create index mes_operations_with_source_conflict on public.mes_operations (order_no, operation_no, asset_id)
  where source_conflict;
-- For reports: operations that ended while they were paused. Few were paused for days.
create index mes_operations_ended_paused on public.mes_operations (workplace_name, actual_end_at)
  where actual_end_at > worked_until;
create index mes_operations_ended_long_paused on public.mes_operations (workplace_name, actual_end_at)
  where actual_end_at - worked_until > interval '3 days';
create index mes_operations_queue
  on public.mes_operations (workplace_name, running_since, planned_start_at, order_no, operation_no, asset_id)
  where status not in ('FINISHED', 'CANCELLED');
grant select on public.mes_operations to authenticated, service_role;

-- Several events stored together raise the version as much as the same events stored one by one.
create function app.bump_version_of_operation() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.version := old.version + greatest(new.last_op_seq - old.last_op_seq, 1);
  new.created_at := old.created_at;
  new.updated_at := greatest(clock_timestamp(), new.updated_at);
  return new;
end
$$;
comment on function app.bump_version_of_operation() is
  'Trigger: like app.bump_version, with version + the number of events that the update stores, at least 1.';

create trigger mes_operations_bump_version before update on public.mes_operations
  for each row execute function app.bump_version_of_operation();

create trigger mes_operations_refuse_direct_write before insert or update or delete or truncate on public.mes_operations
  for each statement execute function app.refuse_direct_write();

alter table public.mes_operations enable row level security;

create policy "Users read the operations of their own workplaces"
  on public.mes_operations for select to authenticated
  using ((select app.sees_all_workplaces()) or workplace_name = any(array(select app.own_workplaces())));
