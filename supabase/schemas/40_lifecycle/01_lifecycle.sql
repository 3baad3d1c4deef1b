-- What: actions and transitions.
-- Why: the lifecycle is data, so that rules, documents and tests read the same tables.

create type public.action as enum (
  'START', 'STOP', 'REPORT_QUANTITY', 'COMPLETE', 'FINISH', 'RELEASE', 'HOLD', 'CANCEL', 'REVERSE', 'CORRECT'
);
comment on type public.action is 'What can be done to an operation.';

create table app.actions (
  action public.action primary key,
  position integer not null unique,
  least_role public.role not null,
  scope public.scope not null,
  run_effect text not null,
  follows text not null,
  quantities text not null,
  reason_kind public.reason_kind,
  reason_needed text not null,
  takes text[] not null,
  constraint actions_run_effect_known check (run_effect in ('none', 'opens', 'closes')),
  constraint actions_follows_known check (follows in ('nothing', 'the start', 'all work')),
  constraint actions_quantities_known check (quantities in ('none', 'added', 'taken back', 'signed')),
  constraint actions_reason_needed_known check (reason_needed in ('never', 'when short', 'always')),
  constraint actions_needed_reason_has_kind check (reason_needed = 'never' or reason_kind is not null)
);
comment on table app.actions is 'What each action does, in all states alike.';
comment on column app.actions.position is 'Place in the list of allowed actions.';
comment on column app.actions.least_role is 'Role that it needs at least; a transition may need more.';
comment on column app.actions.scope is 'What an API key needs for it.';
comment on column app.actions.run_effect is
  'Opens a run, after closing the one in another phase; closes the open run; or neither.';
comment on column app.actions.follows is
  'What it must not come before: all work so far, the start of work, or nothing. A transition to another state '
  'follows all work.';
comment on column app.actions.quantities is
  'How its quantities count: added, taken back from an event, a signed difference, or it has none.';
comment on column app.actions.reason_kind is 'Kind of its reason code; null = it takes none.';
comment on column app.actions.reason_needed is 'When a reason code is needed; short = fewer good pieces than desired.';
comment on column app.actions.takes is 'Fields of a report that it uses, besides those that every report has.';

alter table app.actions enable row level security;

insert into app.actions
  (position, action, least_role, scope, run_effect, follows, quantities, reason_kind, reason_needed, takes)
values
  (1, 'RELEASE', 'supervisor', 'operations:plan', 'none', 'all work', 'none', null, 'never', '{}'),
  (2, 'START', 'operator', 'events:report', 'opens', 'all work', 'none', null, 'never', '{phase}'),
  (3, 'STOP', 'operator', 'events:report', 'closes', 'all work', 'none', 'STOP', 'never', '{reason_code}'),
  (4, 'REPORT_QUANTITY', 'operator', 'events:report', 'none', 'the start', 'added', 'SCRAP', 'never',
    '{qty_good,qty_scrap,overrun,reason_code}'),
  (5, 'COMPLETE', 'operator', 'events:report', 'closes', 'all work', 'added', 'SHORTFALL', 'when short',
    '{qty_good,qty_scrap,overrun,reason_code}'),
  (6, 'FINISH', 'operator', 'events:report', 'closes', 'all work', 'none', 'SHORTFALL', 'when short', '{reason_code}'),
  (7, 'HOLD', 'supervisor', 'operations:plan', 'closes', 'all work', 'none', 'HOLD', 'always', '{reason_code}'),
  (8, 'CANCEL', 'supervisor', 'operations:plan', 'closes', 'all work', 'none', 'CANCEL', 'always', '{reason_code}'),
  (9, 'REVERSE', 'operator', 'events:correct', 'none', 'the start', 'taken back', null, 'never',
    '{qty_good,qty_scrap,reverses_event_id}'),
  (10, 'CORRECT', 'supervisor', 'events:correct', 'none', 'nothing', 'signed', null, 'never',
    '{qty_good,qty_scrap,qty_parked,actual_start_at,actual_end_at,'
    't_actual_setup_min,t_actual_processing_min,t_actual_lead_min}');

create table app.transitions (
  action public.action not null references app.actions (action),
  from_state public.state not null,
  to_state public.state not null,
  least_role public.role,
  primary key (action, from_state)
);
comment on table app.transitions is 'The lifecycle of an operation: which action leads from which state to which.';
comment on column app.transitions.least_role is 'Role that this transition needs at least; null = that of the action.';

alter table app.transitions enable row level security;

insert into app.transitions (action, from_state, to_state, least_role) values
  ('RELEASE', 'PLANNED', 'RELEASED', null),
  ('RELEASE', 'BLOCKED_BEFORE_START', 'RELEASED', null),
  ('RELEASE', 'BLOCKED', 'PAUSED', null),
  ('START', 'RELEASED', 'IN_PROGRESS', null),
  ('START', 'PAUSED', 'IN_PROGRESS', null),
  ('START', 'IN_PROGRESS', 'IN_PROGRESS', null),
  ('STOP', 'IN_PROGRESS', 'PAUSED', null),
  ('REPORT_QUANTITY', 'IN_PROGRESS', 'IN_PROGRESS', null),
  ('REPORT_QUANTITY', 'PAUSED', 'PAUSED', null),
  ('REPORT_QUANTITY', 'BLOCKED', 'BLOCKED', null),
  ('COMPLETE', 'IN_PROGRESS', 'FINISHED', null),
  ('COMPLETE', 'PAUSED', 'FINISHED', null),
  ('COMPLETE', 'BLOCKED', 'FINISHED', null),
  ('FINISH', 'IN_PROGRESS', 'FINISHED', null),
  ('FINISH', 'PAUSED', 'FINISHED', null),
  ('FINISH', 'BLOCKED', 'FINISHED', null),
  ('HOLD', 'RELEASED', 'BLOCKED_BEFORE_START', null),
  ('HOLD', 'IN_PROGRESS', 'BLOCKED', null),
  ('CANCEL', 'PLANNED', 'CANCELLED', null),
  ('CANCEL', 'RELEASED', 'CANCELLED', null),
  ('CANCEL', 'BLOCKED_BEFORE_START', 'CANCELLED', null),
  ('CANCEL', 'IN_PROGRESS', 'CANCELLED', null),
  ('CANCEL', 'PAUSED', 'CANCELLED', null),
  ('CANCEL', 'BLOCKED', 'CANCELLED', null),
  ('REVERSE', 'IN_PROGRESS', 'IN_PROGRESS', null),
  ('REVERSE', 'PAUSED', 'PAUSED', null),
  ('REVERSE', 'BLOCKED', 'BLOCKED', null),
  -- A finished operation counts as delivered, so only a supervisor may take its pieces back.
  ('REVERSE', 'FINISHED', 'PAUSED', 'supervisor'),
  ('CORRECT', 'IN_PROGRESS', 'IN_PROGRESS', null),
  ('CORRECT', 'PAUSED', 'PAUSED', null),
  ('CORRECT', 'BLOCKED', 'BLOCKED', null),
  ('CORRECT', 'FINISHED', 'FINISHED', null);

-- Each report reads one of these rows, and the join would cost as much as a write. A migration that changes actions or
-- transitions refreshes the view.
create materialized view app.lifecycle as
select a.action, s.state as from_state, t.to_state, app.status_of(t.to_state) as to_status,
  coalesce(t.least_role, a.least_role) as least_role,
  a.scope, a.run_effect, a.follows, a.quantities, a.reason_kind, a.reason_needed
from app.actions a
  cross join unnest(enum_range(null::public.state)) s (state)
  left join app.transitions t on t.action = a.action and t.from_state = s.state;
comment on materialized view app.lifecycle is
  'Each action in each state: what it does, and the state that it leads to; to_state is null where it is refused.';
create unique index lifecycle_key on app.lifecycle (action, from_state);
