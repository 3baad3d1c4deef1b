-- What: the states of machines: changes as they were signalled, and the spans derived from them.
-- Why: a machine says more than an operator reports, and its silence is a state of its own.

create type public.machine_state as enum ('RUNNING', 'IDLE', 'DOWN', 'SETUP', 'UNKNOWN');
comment on type public.machine_state is 'What a machine says of itself. UNKNOWN is neither idle nor down.';

create table public.workplace_state_events (
  id uuid primary key default gen_random_uuid(),
  workplace_name text collate "C" not null references public.workplaces (name),
  seq integer not null,
  state public.machine_state not null,
  occurred_at timestamptz not null,
  silent_since timestamptz,
  user_id uuid,
  reporter_id bigint references app.reporters (id),
  person_id uuid references app.people (id),
  report_digest bytea,
  created_at timestamptz not null default clock_timestamp(),
  constraint workplace_state_events_seq_unique unique (workplace_name, seq),
  constraint workplace_state_events_silent_before check (silent_since < occurred_at),
  constraint workplace_state_events_occurred_at_is_real
    check (occurred_at >= '1970-01-01Z' and occurred_at < '10000-01-01Z')
);
comment on table public.workplace_state_events is
  'Changes of machine states, append-only. A signal that repeats the state in time is no change and adds no row.';
comment on column public.workplace_state_events.id is
  'Made by the machine or the database; a signal with a known id is the same one.';
comment on column public.workplace_state_events.seq is 'Position among the changes of the workplace: 1, 2, 3, ...';
comment on column public.workplace_state_events.silent_since is
  'Since when the state before was UNKNOWN, because no signal had come; null = signals came in time.';
comment on column public.workplace_state_events.person_id is
  'Person who acted at the terminal that reported; null when nobody did.';
comment on column public.workplace_state_events.report_digest is
  'SHA-256 of the signal under a client-made id, which distinguishes a retry from another signal.';

create index workplace_state_events_by_user on public.workplace_state_events (user_id) where user_id is not null;
create index workplace_state_events_by_person on public.workplace_state_events (person_id)
  where person_id is not null;
grant select on public.workplace_state_events to authenticated, service_role;

create function app.keep_downtime_event() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform app.refuse(403, 'forbidden', 'The log of downtimes and machine states is append-only');
  return null;
end
$$;
comment on function app.keep_downtime_event() is
  'Trigger: refuses updates and deletes of events of downtimes and machine states, the owner''s included.';
grant execute on function app.keep_downtime_event to authenticated, service_role;

create trigger workplace_state_events_keep_as_written
  before update or delete or truncate on public.workplace_state_events
  for each statement execute function app.keep_downtime_event();

create trigger workplace_state_events_refuse_direct_write
  before insert or update or delete or truncate on public.workplace_state_events
  for each statement execute function app.refuse_direct_write();

alter table public.workplace_state_events enable row level security;

create policy "Users read the state events of their own workplaces"
  on public.workplace_state_events for select to authenticated
  using ((select app.sees_all_workplaces()) or workplace_name = any(array(select app.own_workplaces())));

create table public.workplace_states (
  workplace_name text collate "C" not null references public.workplaces (name),
  span_no integer not null,
  state public.machine_state not null,
  started_at timestamptz not null,
  ended_at timestamptz,
  heard_at timestamptz not null,
  event_id uuid not null references public.workplace_state_events (id),
  primary key (workplace_name, span_no),
  constraint workplace_states_end_after_start check (started_at <= ended_at),
  constraint workplace_states_do_not_overlap exclude using gist (
    workplace_name with =,
    tstzrange(started_at, ended_at) with &&
  )
)
-- every signal moves heard_at, which no index has
with (fillfactor = 80);
comment on table public.workplace_states is
  'Spans of machine states, derived from workplace_state_events; gapless from the first signal on. The last one is '
  'open. Read them by app.state_spans: the silence of the open one is UNKNOWN only when read.';
comment on column public.workplace_states.span_no is 'Number of the span at its workplace: 1, 2, 3, ...';
comment on column public.workplace_states.ended_at is 'null = the latest span.';
comment on column public.workplace_states.heard_at is 'Last signal of this state.';
comment on column public.workplace_states.event_id is 'Change that began the span, or that ended its silence.';

create index workplace_states_by_time on public.workplace_states (workplace_name, started_at);
create index workplace_states_by_event on public.workplace_states (event_id);
create unique index workplace_states_one_open on public.workplace_states (workplace_name) where ended_at is null;
grant select on public.workplace_states to authenticated, service_role;

create trigger workplace_states_refuse_direct_write
  before insert or update or delete or truncate on public.workplace_states
  for each statement execute function app.refuse_direct_write();

alter table public.workplace_states enable row level security;

create policy "Users read the machine states of their own workplaces"
  on public.workplace_states for select to authenticated
  using ((select app.sees_all_workplaces()) or workplace_name = any(array(select app.own_workplaces())));

create type app.state_span as (state public.machine_state, started_at timestamptz, ended_at timestamptz);
comment on type app.state_span is 'A span of a machine state; ended_at is null for what lasts.';

create function app.state_spans(
  workplace_name text, from_at timestamptz, to_at timestamptz, read_at timestamptz default clock_timestamp()
) returns setof app.state_span
language plpgsql stable
set search_path = ''
as $$
declare
  span public.workplace_states;
  timeout constant interval := (
    select make_interval(secs => w.signal_timeout_s) from public.workplaces w where w.name = workplace_name);
begin
  for span in
    select * from public.workplace_states s
    where s.workplace_name = state_spans.workplace_name
      and tstzrange(s.started_at, s.ended_at) && tstzrange(from_at, to_at)
    order by s.span_no
  loop
    if span.ended_at is null and span.state <> 'UNKNOWN' and span.heard_at + timeout < read_at then
      if span.heard_at + timeout > from_at then
        return next row(span.state, span.started_at, span.heard_at + timeout)::app.state_span;
      end if;
      if span.heard_at + timeout < to_at then
        return next row('UNKNOWN', span.heard_at + timeout, null)::app.state_span;
      end if;
    else
      return next row(span.state, span.started_at, span.ended_at)::app.state_span;
    end if;
  end loop;
end
$$;
comment on function app.state_spans(text, timestamptz, timestamptz, timestamptz) is
  'The spans of machine states of a workplace that overlap a window, as they are read at a time: after '
  'signal_timeout_s without a signal, the open span is UNKNOWN.';
