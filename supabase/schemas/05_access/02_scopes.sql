-- What: which scopes open a function to API keys.
-- Why: one table decides it, so that a new function is closed to keys until somebody opens it.

create table app.function_scopes (
  function_name text primary key,
  scopes public.scope[],
  constraint function_scopes_name_short check (char_length(function_name) between 1 and 63)
);
comment on table app.function_scopes is
  'For each function of public that users may call: what an API key needs for it. app.before_request reads it.';
comment on column app.function_scopes.scopes is
  'A key needs one of them; an empty array opens the function to every key, null closes it to all keys.';

alter table app.function_scopes enable row level security;

-- A function that serves several scopes judges the rest itself, as app.decide judges the scope of an action.
insert into app.function_scopes (function_name, scopes) values
  ('get_operation', '{operations:read}'),
  ('list_operations', '{operations:read}'),
  ('list_runs', '{operations:read}'),
  ('list_all_runs', '{operations:read}'),
  ('list_queue', '{operations:read}'),
  ('create_operation', '{operations:plan}'),
  ('update_operation', '{operations:plan,events:report,events:correct}'),
  ('update_operations', '{operations:plan}'),
  ('delete_operation', '{operations:plan}'),
  ('import_operations', '{operations:import}'),
  ('transition_operation', '{operations:plan,events:report,events:correct}'),

  ('get_event', '{events:read}'),
  ('list_events', '{events:read}'),
  ('read_feed', '{events:read}'),
  ('report_event', '{operations:plan,events:report,events:correct}'),
  ('report_events', '{operations:plan,events:report,events:correct,downtimes:report}'),

  ('get_downtime', '{events:read,downtimes:report,reports:read}'),
  ('list_downtimes', '{events:read,downtimes:report,reports:read}'),
  ('report_downtime', '{downtimes:report}'),
  ('report_machine_state', '{downtimes:report}'),

  ('report_oee', '{reports:read}'),
  ('report_timeline', '{reports:read}'),
  ('report_losses', '{reports:read}'),
  ('report_scrap', '{reports:read}'),
  ('report_operations', '{reports:read}'),
  ('report_summary', '{reports:read}'),
  ('report_board', '{reports:read,board:read}'),

  -- parts that need another scope are null in the answer
  ('floor_now', '{reports:read}'),
  ('get_operation_history', '{operations:read}'),
  ('find_problems', '{operations:read}'),
  ('describe_caller', '{}'),

  -- what a client needs to show or to send names of the plant
  ('get_workplace',
    '{operations:read,operations:plan,operations:import,events:read,events:report,downtimes:report,reports:read}'),
  ('list_workplaces',
    '{operations:read,operations:plan,operations:import,events:read,events:report,downtimes:report,reports:read}'),
  ('get_reason_code',
    '{operations:read,operations:plan,operations:import,events:read,events:report,downtimes:report,reports:read}'),
  ('list_reason_codes',
    '{operations:read,operations:plan,operations:import,events:read,events:report,downtimes:report,reports:read}'),
  ('get_calendar', '{operations:read,operations:plan,downtimes:report,reports:read}'),
  ('list_calendars', '{operations:read,operations:plan,downtimes:report,reports:read}'),
  ('list_shifts', '{operations:read,operations:plan,downtimes:report,reports:read}'),
  ('list_calendar_exceptions', '{operations:read,operations:plan,downtimes:report,reports:read}'),
  ('create_calendar', null),
  ('update_calendar', null),
  ('delete_calendar', null),
  ('put_calendar_exceptions', null),
  ('delete_calendar_exception', null),
  ('create_workplace', null),
  ('update_workplace', null),
  ('delete_workplace', null),
  ('create_reason_code', null),
  ('update_reason_code', null),
  ('delete_reason_code', null),

  -- every key, but not a board ticket
  ('get_own_profile', array_remove(enum_range(null::public.scope), 'board:read')),
  ('get_profile', null),
  ('list_profiles', null),
  ('create_profile', null),
  ('update_profile', null),
  ('delete_profile', null),
  ('forget_profile', null),

  ('admit_key', '{}'),
  ('admit_key_stream', '{stream:read,board:read}'),
  -- browsers ask for tickets, and a browser is no place for a key
  ('create_stream_ticket', null),
  ('prune_feed', null),

  ('list_webhook_endpoints', '{webhooks:manage}'),
  ('get_webhook_endpoint', '{webhooks:manage}'),
  ('create_webhook_endpoint', '{webhooks:manage}'),
  ('update_webhook_endpoint', '{webhooks:manage}'),
  ('delete_webhook_endpoint', '{webhooks:manage}'),
  ('rotate_webhook_secret', '{webhooks:manage}'),
  ('test_webhook_endpoint', '{webhooks:manage}'),
  ('replay_webhook_events', '{webhooks:manage}'),
  ('list_webhook_deliveries', '{webhooks:manage}'),
  ('get_webhook_delivery', '{webhooks:manage}'),
  ('replay_webhook_delivery', '{webhooks:manage}'),

  ('list_people', '{people:manage}'),
  ('get_person', '{people:manage}'),
  ('create_person', '{people:manage}'),
  ('update_person', '{people:manage}'),
  ('delete_person', '{people:manage}'),
  ('pseudonymise_person', '{people:manage}'),
  ('sign_in_person', '{people:act}'),
  ('sign_out_person', '{people:act}'),
  ('get_acting_person', '{people:act}'),

  -- a ticket ends with the access of the person who made it, and a key is no person
  ('create_board_ticket', null),
  ('list_board_tickets', null),
  ('revoke_board_ticket', null),

  -- keys are managed by a signed-in admin only
  ('create_api_key', null),
  ('list_api_keys', null),
  ('get_api_key', null),
  ('update_api_key', null),
  ('rotate_api_key', null),
  ('revoke_api_key', null);

create function app.scope_problem(caller app.caller, scope public.scope, sentence text) returns app.problem
language sql stable parallel safe
return case when scope <> all((caller).scopes)
  then app.problem(403, 'forbidden', sentence, jsonb_build_object('required_scope', scope)) end;
comment on function app.scope_problem(app.caller, public.scope, text) is
  'Makes the problem forbidden for an API key without the scope. Users and the secret key have no such bound.';

create function app.require_scope(caller app.caller, scope public.scope, sentence text) returns void
language sql
return app.raise_problem(app.scope_problem(caller, scope, sentence));
comment on function app.require_scope(app.caller, public.scope, text) is
  'Raises 403 forbidden for an API key without the scope.';
