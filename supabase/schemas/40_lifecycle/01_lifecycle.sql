-- What: states, actions and transitions.
-- Why: the lifecycle is data, so that rules, documents and tests read the same tables.

create table app.actions (
  action text primary key,
  position integer not null,
  least_role text not null
);
comment on table app.actions is 'What can be done to an operation, in the order in which clients list it, and who may do it.';

alter table app.actions enable row level security;

insert into app.actions (position, action, least_role) values
  (1, 'RELEASE', 'supervisor'),
  (2, 'START', 'operator'),
  (3, 'STOP', 'operator'),
  (4, 'REPORT_QUANTITY', 'operator'),
  (5, 'COMPLETE', 'operator'),
  (6, 'FINISH', 'operator'),
  (7, 'HOLD', 'supervisor'),
  (8, 'CANCEL', 'supervisor'),
  (9, 'REVERSE', 'operator'),
  (10, 'CORRECT', 'supervisor');

create table app.transitions (
  action text not null references app.actions (action),
  from_state text not null,
  to_state text not null,
  primary key (action, from_state)
);
comment on table app.transitions is 'The lifecycle of an operation: which action leads from which state to which.';

alter table app.transitions enable row level security;

insert into app.transitions (action, from_state, to_state) values
  ('RELEASE', 'PLANNED', 'RELEASED'),
  ('RELEASE', 'BLOCKED_BEFORE_START', 'RELEASED'),
  ('RELEASE', 'BLOCKED', 'PAUSED'),
  ('START', 'RELEASED', 'IN_PROGRESS'),
  ('START', 'PAUSED', 'IN_PROGRESS'),
  ('START', 'IN_PROGRESS', 'IN_PROGRESS'),
  ('STOP', 'IN_PROGRESS', 'PAUSED'),
  ('REPORT_QUANTITY', 'IN_PROGRESS', 'IN_PROGRESS'),
  ('REPORT_QUANTITY', 'PAUSED', 'PAUSED'),
  ('REPORT_QUANTITY', 'BLOCKED', 'BLOCKED'),
  ('COMPLETE', 'IN_PROGRESS', 'FINISHED'),
  ('COMPLETE', 'PAUSED', 'FINISHED'),
  ('COMPLETE', 'BLOCKED', 'FINISHED'),
  ('FINISH', 'IN_PROGRESS', 'FINISHED'),
  ('FINISH', 'PAUSED', 'FINISHED'),
  ('FINISH', 'BLOCKED', 'FINISHED'),
  ('HOLD', 'RELEASED', 'BLOCKED_BEFORE_START'),
  ('HOLD', 'IN_PROGRESS', 'BLOCKED'),
  ('CANCEL', 'PLANNED', 'CANCELLED'),
  ('CANCEL', 'RELEASED', 'CANCELLED'),
  ('CANCEL', 'BLOCKED_BEFORE_START', 'CANCELLED'),
  ('CANCEL', 'IN_PROGRESS', 'CANCELLED'),
  ('CANCEL', 'PAUSED', 'CANCELLED'),
  ('CANCEL', 'BLOCKED', 'CANCELLED'),
  ('REVERSE', 'IN_PROGRESS', 'IN_PROGRESS'),
  ('REVERSE', 'PAUSED', 'PAUSED'),
  ('REVERSE', 'BLOCKED', 'BLOCKED'),
  ('REVERSE', 'FINISHED', 'PAUSED'),
  ('CORRECT', 'IN_PROGRESS', 'IN_PROGRESS'),
  ('CORRECT', 'PAUSED', 'PAUSED'),
  ('CORRECT', 'BLOCKED', 'BLOCKED'),
  ('CORRECT', 'FINISHED', 'FINISHED');

-- ON_HOLD is two states to the floor (a pause that anyone ends, a block that a supervisor lifts), and a block of
-- something never started is a third: it returns to RELEASED.
create function app.execution_state(operation public.mes_operations) returns text
language sql immutable parallel safe
return case
  when (operation).status <> 'ON_HOLD' then (operation).status
  when (operation).hold_kind = 'PAUSED' then 'PAUSED'
  when (operation).actual_start_at is null then 'BLOCKED_BEFORE_START'
  else 'BLOCKED'
end;
comment on function app.execution_state(public.mes_operations) is
  'State in the table of transitions: the status, with ON_HOLD split into PAUSED, BLOCKED and BLOCKED_BEFORE_START.';

-- What is finished counts as delivered: taking it back is a supervisor's decision.
create function app.least_role(action app.actions, state text) returns text
language sql immutable parallel safe
return case when (action).action = 'REVERSE' and state = 'FINISHED' then 'supervisor' else (action).least_role end;
comment on function app.least_role(app.actions, text) is 'Role that an action in this state needs at least.';
