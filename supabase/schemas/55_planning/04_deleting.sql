-- What: deleting an operation that never started.
-- Why: an older row of the ERP must not create it again.

-- The change feed may deliver rows late and twice: a row from before the deletion must not create the operation again.
create table app.deleted_operations (
  order_no text collate "C" not null,
  operation_no text collate "C" not null,
  asset_id integer not null,
  timestamp_ms timestamptz not null,
  primary key (order_no, operation_no, asset_id),
  constraint deleted_operations_order_no_is_key check (app.is_key(order_no)),
  constraint deleted_operations_operation_no_is_key check (app.is_key(operation_no))
);
comment on table app.deleted_operations is
  'Keys of deleted operations, with the source time up to which an import ignores them.';

alter table app.deleted_operations enable row level security;

create function app.bury_operation(
  order_no text, operation_no text, asset_id integer, timestamp_ms timestamptz
) returns void
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
  'Remembers that the operation was deleted as of this source time; without one there is nothing that an import could '
  'repeat.';

create function public.delete_operation(
  order_no text, asset_id integer, operation_no text, if_match integer[] default null
) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no) and app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  operation public.mes_operations;
begin
  operation := app.lock_operation(caller, order_no, asset_id, operation_no);
  perform app.require_role(caller, 'supervisor',
    format('Your role may not delete operation %s', app.operation_label(operation)));
  perform app.require_version(operation.version, if_match);
  -- an operation with work is a record of the plant
  if operation.status = 'FINISHED' or operation.actual_start_at is not null or operation.qty_processed > 0 then
    perform app.raise_problem(app.transition_problem(operation, caller, 'delete'));
  end if;
  perform app.bury_operation(operation.order_no, operation.operation_no, operation.asset_id, operation.timestamp_ms);
  delete from public.mes_operations o where o.id = operation.id;
end
$$;
comment on function public.delete_operation(text, integer, text, integer[]) is
  'Deletes an operation on which no work was reported; its events stay in the log. Raises 403 forbidden, 404 '
  'not_found, 412 stale_version, 422 invalid_state_transition.';
grant execute on function public.delete_operation to authenticated, service_role;
