-- What: downtimes, the spans of time in which a workplace stood still.
-- Why: what was lost to what cause is a sum over these rows, so no two of one workplace may overlap.

create type public.downtime_source as enum ('OPERATOR', 'MACHINE', 'SYSTEM');
comment on type public.downtime_source is
  'Who opened a downtime: a person, also one who acts at a terminal, the machine or its state, or a server.';

create type public.downtime_action as enum (
  'DOWNTIME_START', 'DOWNTIME_END', 'DOWNTIME_CLASSIFY', 'DOWNTIME_SPLIT', 'DOWNTIME_CANCEL'
);
comment on type public.downtime_action is 'What happened to a downtime.';

create table public.downtimes (
  id uuid primary key,
  workplace_name text collate "C" not null references public.workplaces (name),
  category public.downtime_category not null,
  reason_kind public.reason_kind not null generated always as ('DOWNTIME') stored,
  reason_code text collate "C",
  started_at timestamptz not null,
  ended_at timestamptz,
  source public.downtime_source not null,
  note text,
  split_from uuid references public.downtimes (id),
  state_event_id uuid references public.workplace_state_events (id),
  cancelled_at timestamptz,
  user_id uuid,
  reporter_id bigint references app.reporters (id),
  person_id uuid references app.people (id),
  version integer not null default 1,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint downtimes_reason_known
    foreign key (reason_kind, reason_code) references public.reason_codes (kind, code),
  constraint downtimes_end_after_start check (started_at <= ended_at),
  constraint downtimes_note_short check (char_length(note) <= 2000),
  constraint downtimes_started_at_is_real check (started_at >= '1970-01-01Z' and started_at < '10000-01-01Z'),
  constraint downtimes_ended_at_is_real check (ended_at < '10000-01-01Z'),
  -- also at most one open downtime per workplace: two open ranges overlap
  constraint downtimes_do_not_overlap exclude using gist (
    workplace_name with =,
    tstzrange(started_at, ended_at) with &&
  ) where (cancelled_at is null) deferrable initially immediate
);
comment on table public.downtimes is
  'When workplaces stood still, and why; derived from downtime_events. Rows are never deleted.';
comment on column public.downtimes.id is 'Id of its DOWNTIME_START, made by the client or the database.';
comment on column public.downtimes.category is 'Planned, or a loss.';
comment on column public.downtimes.reason_code is 'A code of kind DOWNTIME; null = unexplained.';
comment on column public.downtimes.ended_at is 'null while the workplace stands still.';
comment on column public.downtimes.split_from is 'Downtime of which this one is the later part.';
comment on column public.downtimes.state_event_id is
  'Change to DOWN that opened it, which ends it too; null when it was reported.';
comment on column public.downtimes.cancelled_at is 'When it was cancelled; it counts in no report from then on.';
comment on column public.downtimes.user_id is 'User who opened it. It stays when the user is deleted.';
comment on column public.downtimes.reporter_id is 'Their address at the time: a row of app.reporters.';
comment on column public.downtimes.person_id is
  'Person who acted at the terminal that opened it; null when nobody did.';
comment on column public.downtimes.version is 'Number of its last event, the ETag.';

create index downtimes_newest on public.downtimes (started_at desc, id desc);
create index downtimes_by_workplace on public.downtimes (workplace_name, started_at desc, id desc);
create index downtimes_open on public.downtimes (started_at desc, id desc)
  where ended_at is null and cancelled_at is null;
create index downtimes_unexplained on public.downtimes (started_at desc, id desc)
  where reason_code is null and cancelled_at is null;
create index downtimes_by_category on public.downtimes (category, started_at desc, id desc);
create index downtimes_cancelled on public.downtimes (started_at desc, id desc) where cancelled_at is not null;
create index downtimes_by_reason on public.downtimes (reason_kind, reason_code) where reason_code is not null;
create index downtimes_by_origin on public.downtimes (split_from) where split_from is not null;
create index downtimes_by_state_event on public.downtimes (state_event_id) where state_event_id is not null;
create index downtimes_by_range on public.downtimes using gist (tstzrange(started_at, ended_at));
create index downtimes_by_user on public.downtimes (user_id) where user_id is not null;
create index downtimes_by_person on public.downtimes (person_id) where person_id is not null;
grant select on public.downtimes to authenticated, service_role;

create trigger downtimes_refuse_direct_write before insert or update or delete or truncate on public.downtimes
  for each statement execute function app.refuse_direct_write();

alter table public.downtimes enable row level security;

create policy "Users read the downtimes of their own workplaces"
  on public.downtimes for select to authenticated
  using ((select app.sees_all_workplaces()) or workplace_name = any(array(select app.own_workplaces())));

create table public.downtime_events (
  id uuid primary key,
  downtime_id uuid not null references public.downtimes (id),
  seq integer not null,
  action_type public.downtime_action not null,
  workplace_name text collate "C" not null,
  occurred_at timestamptz not null,
  category public.downtime_category not null,
  reason_kind public.reason_kind not null generated always as ('DOWNTIME') stored,
  reason_code text collate "C",
  source public.downtime_source not null,
  note text,
  split_from uuid,
  state_event_id uuid,
  user_id uuid,
  reporter_id bigint references app.reporters (id),
  person_id uuid references app.people (id),
  operation_data jsonb,
  report_digest bytea,
  created_at timestamptz not null default clock_timestamp(),
  constraint downtime_events_seq_unique unique (downtime_id, seq),
  constraint downtime_events_first_is_start check ((seq = 1) = (action_type = 'DOWNTIME_START')),
  constraint downtime_events_start_names_downtime check ((id = downtime_id) = (action_type = 'DOWNTIME_START')),
  constraint downtime_events_origin_of_start
    check (coalesce(split_from, state_event_id) is null or action_type = 'DOWNTIME_START'),
  constraint downtime_events_reason_known
    foreign key (reason_kind, reason_code) references public.reason_codes (kind, code),
  constraint downtime_events_note_short check (char_length(note) <= 2000),
  constraint downtime_events_operation_data_is_object check (jsonb_typeof(operation_data) = 'object'),
  constraint downtime_events_operation_data_small check (octet_length(operation_data::text) <= 1024),
  constraint downtime_events_occurred_at_is_real check (occurred_at >= '1970-01-01Z' and occurred_at < '10000-01-01Z')
);
comment on table public.downtime_events is
  'What happened to downtimes, append-only. A downtime is a fold over these rows.';
comment on column public.downtime_events.id is
  'Made by the client or the database; a command with a known id is the same event.';
comment on column public.downtime_events.downtime_id is 'The downtime. Its DOWNTIME_START has the same id.';
comment on column public.downtime_events.seq is
  'Position among the events of the downtime, and its version: 1, 2, 3, ... without gaps.';
comment on column public.downtime_events.occurred_at is
  'START: its begin. END and SPLIT: its end. CLASSIFY and CANCEL: when it was decided.';
comment on column public.downtime_events.category is 'Category after the event.';
comment on column public.downtime_events.reason_code is 'Reason after the event; null = unexplained.';
comment on column public.downtime_events.source is 'Who caused the event.';
comment on column public.downtime_events.note is 'Free words of the reporter.';
comment on column public.downtime_events.operation_data is
  'Of a command by a language model: {"via": "mcp", "client"}, as in the events of operations; else null.';
comment on column public.downtime_events.split_from is 'Of a START by a split: the downtime that was split.';
comment on column public.downtime_events.state_event_id is
  'Of a START by the state of the machine: the change to DOWN.';
comment on column public.downtime_events.person_id is
  'Person who acted at the terminal that reported; null when nobody did.';
comment on column public.downtime_events.report_digest is
  'SHA-256 of the command under a client-made id, which distinguishes a retry from another command.';
comment on column public.downtime_events.created_at is 'When the server received it.';

create index downtime_events_by_reason on public.downtime_events (reason_kind, reason_code)
  where reason_code is not null;
create index downtime_events_by_user on public.downtime_events (user_id) where user_id is not null;
create index downtime_events_by_person on public.downtime_events (person_id) where person_id is not null;
grant select on public.downtime_events to authenticated, service_role;

create trigger downtime_events_keep_as_written before update or delete or truncate on public.downtime_events
  for each statement execute function app.keep_downtime_event();

create trigger downtime_events_refuse_direct_write
  before insert or update or delete or truncate on public.downtime_events
  for each statement execute function app.refuse_direct_write();

alter table public.downtime_events enable row level security;

create policy "Users read the downtime events of their own workplaces"
  on public.downtime_events for select to authenticated
  using ((select app.sees_all_workplaces()) or workplace_name = any(array(select app.own_workplaces())));
