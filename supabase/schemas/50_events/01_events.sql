-- What: the event log.
-- Why: events are the source and the operation is a projection: nothing about execution changes without a row here.

create table public.operation_events (
  id uuid primary key default gen_random_uuid(),
  operation_id bigint not null,
  op_seq integer not null,
  action_type public.action not null,
  order_no text collate "C" not null,
  asset_id integer not null,
  operation_no text collate "C" not null,
  workplace_name text collate "C",
  status_before public.status,
  status_after public.status not null,
  occurred_at timestamptz not null,
  phase public.phase,
  qty_good integer not null default 0,
  qty_scrap integer not null default 0,
  qty_parked integer not null default 0,
  reason_kind public.reason_kind,
  reason_code text collate "C",
  note text,
  reverses_event_id uuid references public.operation_events (id),
  changes jsonb,
  operation_data jsonb,
  user_id uuid,
  -- No index: reporters are never deleted.
  reporter_id bigint references app.reporters (id),
  person_id uuid references app.people (id),
  report_digest bytea,
  created_at timestamptz not null default clock_timestamp(),

  -- No foreign key to the operation: its events stay when an operation that never started is deleted.
  constraint operation_events_op_seq_unique unique (operation_id, op_seq),
  constraint operation_events_op_seq_positive check (op_seq > 0),
  constraint operation_events_reason_known
    foreign key (reason_kind, reason_code) references public.reason_codes (kind, code),
  constraint operation_events_reason_has_kind check (reason_code is null or reason_kind is not null),
  constraint operation_events_phase_of_start check ((action_type = 'START') = (phase is not null)),
  constraint operation_events_quantities_fit_action check (
    action_type = 'CORRECT'
    or (action_type in ('REPORT_QUANTITY', 'COMPLETE', 'REVERSE') and qty_good >= 0 and qty_scrap >= 0)
    or (qty_good = 0 and qty_scrap = 0)
  ),
  constraint operation_events_parked_by_count check (
    qty_parked = 0 or action_type = 'CORRECT' or action_type in ('REPORT_QUANTITY', 'COMPLETE') and qty_parked > 0
    or action_type = 'REVERSE' and qty_parked < 0
  ),
  constraint operation_events_reversal_names_event check ((action_type = 'REVERSE') = (reverses_event_id is not null)),
  constraint operation_events_changes_of_correction check ((action_type = 'CORRECT') = (changes is not null)),
  constraint operation_events_note_short check (char_length(note) <= 2000),
  constraint operation_events_operation_data_is_object check (jsonb_typeof(operation_data) = 'object'),
  constraint operation_events_operation_data_small check (octet_length(operation_data::text) <= 32768),
  -- lists by occurred_at rely on it; where the server's clock has stepped back, created_at is later than that clock
  constraint operation_events_heard_after_it_happened check (occurred_at - created_at <= interval '2 minutes'),
  constraint operation_events_occurred_at_is_real check (occurred_at >= '1970-01-01Z' and occurred_at < '10000-01-01Z')
);
comment on table public.operation_events is
  'What happened, append-only. Totals, status and times of an operation are derived from these rows.';
comment on column public.operation_events.id is
  'Made by the terminal or the database; a report with a known id is the same event.';
comment on column public.operation_events.operation_id is 'Internal number of the operation.';
comment on column public.operation_events.op_seq is
  'Position among the events of its operation: 1, 2, 3, ... without gaps.';
comment on column public.operation_events.workplace_name is 'Workplace at the time of the event; decides who sees it.';
comment on column public.operation_events.status_before is
  'Status before the event; null for an opening event, which begins an operation taken over with work done.';
comment on column public.operation_events.status_after is 'Status after the event.';
comment on column public.operation_events.occurred_at is 'When it happened, by the device or by default the server.';
comment on column public.operation_events.phase is 'What a START begins.';
comment on column public.operation_events.qty_good is
  'Good pieces: added by a report, taken back by a REVERSE, the signed difference of a CORRECT.';
comment on column public.operation_events.qty_scrap is 'Scrapped pieces, likewise.';
comment on column public.operation_events.qty_parked is
  'Good pieces beyond what the operation may have: counted and kept apart by a report, '
  'the signed difference of a CORRECT.';
comment on column public.operation_events.reason_kind is 'Kind of the reason code, decided by the action.';
comment on column public.operation_events.reason_code is 'Why: a code of reason_codes.';
comment on column public.operation_events.note is 'Free words of the reporter.';
comment on column public.operation_events.reverses_event_id is
  'Quantity event that a REVERSE takes back, wholly or partly.';
comment on column public.operation_events.changes is
  'What a CORRECT changed: {"field": {"before": ..., "after": ...}}.';
comment on column public.operation_events.operation_data is 'Free JSON object of the client, kept as sent.';
comment on column public.operation_events.user_id is
  'User who reported, from the token; null for servers that name none. It stays when the user is deleted.';
comment on column public.operation_events.reporter_id is 'Their address at the time: a row of app.reporters.';
comment on column public.operation_events.person_id is
  'Person who acted at the terminal that reported; null when nobody was signed in there.';
comment on column public.operation_events.report_digest is
  'SHA-256 of the report under a client-made id, which distinguishes a retry from another event.';
comment on column public.operation_events.created_at is
  'When the server received it; never before the previous event of its operation, nor more than 2 minutes before '
  'occurred_at.';

-- Newest first, whatever the filter.
create index operation_events_newest on public.operation_events (created_at desc, id desc);
create index operation_events_by_workplace on public.operation_events (workplace_name, created_at desc, id desc);
create index operation_events_by_order on public.operation_events (order_no, created_at desc, id desc);
create index operation_events_by_action on public.operation_events (action_type, created_at desc, id desc);
create index operation_events_by_user on public.operation_events (user_id, created_at desc, id desc)
  where user_id is not null;
create index operation_events_by_person on public.operation_events (person_id, created_at desc, id desc)
  where person_id is not null;
create index operation_events_late on public.operation_events (created_at desc, id desc, occurred_at)
  where created_at - occurred_at > interval '1 hour';
create index operation_events_by_reversed on public.operation_events (reverses_event_id)
  where reverses_event_id is not null;
create index operation_events_with_pieces on public.operation_events (workplace_name, occurred_at)
  where qty_good <> 0 or qty_scrap <> 0;
create index operation_events_by_reason on public.operation_events (reason_kind, reason_code)
  where reason_code is not null;
grant select on public.operation_events to authenticated, service_role;

-- The log never changes, not even by its owner: results of deliveries and names of reporters are in other tables.
create function app.keep_event_as_written() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  raise sqlstate 'PT403' using
    message = 'forbidden',
    detail = json_build_object('detail', 'The event log is append-only: report a REVERSE or a CORRECT instead')::text;
end
$$;
comment on function app.keep_event_as_written() is
  'Trigger: refuses updates and deletes of events, the owner''s included.';
grant execute on function app.keep_event_as_written to authenticated, service_role;

create trigger operation_events_keep_as_written before update or delete on public.operation_events
  for each row execute function app.keep_event_as_written();

create trigger operation_events_keep_all before truncate on public.operation_events
  for each statement execute function app.keep_event_as_written();

create trigger operation_events_refuse_direct_write
  before insert or update or delete or truncate on public.operation_events
  for each statement execute function app.refuse_direct_write();

alter table public.operation_events enable row level security;

create policy "Users read the events of their own workplaces"
  on public.operation_events for select to authenticated
  using ((select app.sees_all_workplaces()) or workplace_name = any(array(select app.own_workplaces())));

-- An event is a row of the log with the rows that other tables have for it: position, reporter, person, answers of
-- receivers.
create type app.event_body as (
  id uuid,
  pos bigint,
  action_type text,
  order_no text,
  asset_id integer,
  operation_no text,
  workplace_name text,
  op_seq integer,
  status_before text,
  status_after text,
  occurred_at text,
  phase text,
  qty_good integer,
  qty_scrap integer,
  delta_good integer,
  delta_scrap integer,
  qty_parked integer,
  reason_code text,
  note text,
  reverses_event_id uuid,
  changes jsonb,
  operation_data jsonb,
  user_id uuid,
  user_email text,
  reported_by jsonb,
  person app.named_person,
  webhook_success boolean,
  webhook_response text,
  error_message text,
  created_at text
);
comment on type app.event_body is 'The event as the API writes it.';

-- A REVERSE alone names an event and takes its pieces back.
create function app.delta(e public.operation_events, quantity integer) returns integer
language sql immutable parallel safe
return case when (e).reverses_event_id is null then quantity else -quantity end;
comment on function app.delta(public.operation_events, integer) is
  'What a quantity of the event adds to the total of its operation: negative for a REVERSE. The sum over all events of '
  'an operation is its total.';
grant execute on function app.delta to authenticated, service_role;

create function app.event_body(
  e public.operation_events, pos bigint, reporter app.reporter_body, person app.named_person, is_delivered boolean,
  webhook_response text, error_message text
) returns app.event_body
language sql stable
return row(
  (e).id,
  pos,
  (e).action_type,
  (e).order_no,
  (e).asset_id,
  (e).operation_no,
  (e).workplace_name,
  (e).op_seq,
  (e).status_before,
  (e).status_after,
  app.iso((e).occurred_at),
  (e).phase,
  (e).qty_good,
  (e).qty_scrap,
  app.delta(e, (e).qty_good),
  app.delta(e, (e).qty_scrap),
  (e).qty_parked,
  (e).reason_code,
  (e).note,
  (e).reverses_event_id,
  (e).changes,
  (e).operation_data,
  (e).user_id,
  (reporter).user_email,
  (reporter).reported_by,
  person,
  coalesce(is_delivered, false),
  webhook_response,
  error_message,
  app.iso((e).created_at)
)::app.event_body;
comment on function
  app.event_body(public.operation_events, bigint, app.reporter_body, app.named_person, boolean, text, text) is
  'The members of the event as the API writes it, from its row and from other tables.';

-- A receiver's answer may be confidential.
create function app.sees_webhook_answers(caller app.caller) returns boolean
language sql immutable parallel safe
return app.role_rank((caller).role) >= 3;
comment on function app.sees_webhook_answers(app.caller) is
  'True for managers and above, who see the answers of webhook receivers.';

create function app.event_json(e public.operation_events) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  feed_pos bigint;
  reporter app.reporter_body;
  is_delivered boolean;
  response text;
  error_message text;
begin
  select
    (select f.pos from app.feed f where f.event_id = e.id),
    w.is_delivered, w.response, w.error_message
  into feed_pos, is_delivered, response, error_message
  from (select e.id) event left join app.webhook_outcomes w on w.event_id = event.id;
  reporter := (select app.reporter_body(r) from app.reporters r where r.id = e.reporter_id);
  if coalesce(response, error_message) is not null and not app.sees_webhook_answers(app.current_caller()) then
    response := null;
    error_message := null;
  end if;
  return to_json(app.event_body(
    e, feed_pos, reporter, app.person_of(e.person_id), is_delivered, response, error_message));
end
$$;
comment on function app.event_json(public.operation_events) is
  'One event as the API writes it, for functions that run as their owner and have checked that their caller sees it.';
