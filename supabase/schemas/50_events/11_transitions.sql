-- What: one transition of the operation in the path.
-- Why: a caller who has the operation sends its action alone, and gets the answer of a report.

create function public.transition_operation(
  order_no text, asset_id integer, operation_no text, transition jsonb, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('order_no', order_no)
    and app.require_bounded('operation_no', operation_no) and app.require_bounded('transition', transition);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  operation public.mes_operations;
  made app.report;
  outcome app.outcome;
  answer json;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  operation := app.lock_operation(caller, order_no, asset_id, operation_no);
  made.action_type := (transition ->> 'action')::public.action;
  made.reason_code := transition ->> 'reason_code';
  made.note := transition ->> 'note';
  made.occurred_at := (transition ->> 'occurred_at')::timestamptz;
  made.operation_data := transition -> 'operation_data';
  outcome := app.carry_out(operation, caller, app.attribute_report(made, caller),
    (transition ->> 'dry_run')::boolean, transition -> 'seen');
  answer := app.report_answer(outcome, caller);
  return case outcome.status
    when 201 then app.finish_command(command, array[coalesce(operation.workplace_name, '*')], answer)
    else answer
  end;
end
$$;
comment on function public.transition_operation(text, integer, text, jsonb, jsonb) is
  'Performs one transition {"action", "reason_code", "note", "occurred_at", "operation_data", "dry_run", "seen"} on '
  'the operation. Answers {"status", "body"} as report_event does. Raises 404 not_found and what app.carry_out raises.';
grant execute on function public.transition_operation to authenticated, service_role;
