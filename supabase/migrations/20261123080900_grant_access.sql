-- What: who may call and read what.
-- Why: Supabase grants everything in `public` to everybody by default and leaves the rest to policies; here the grants say it too.

revoke all on all tables in schema public from anon, authenticated, service_role;
grant select on
  public.mes_operations, public.operation_events, public.operation_runs, public.profiles, public.workplaces, public.reason_codes
to authenticated, service_role;

revoke all on all sequences in schema public from anon, authenticated, service_role;
revoke execute on all functions in schema public from public, anon, authenticated, service_role;
grant execute on function
  public.get_operation, public.list_operations, public.create_operation, public.update_operation, public.delete_operation,
  public.get_event, public.list_events, public.report_event,
  public.get_profile, public.list_profiles, public.create_profile, public.update_profile, public.delete_profile
to authenticated, service_role;
grant execute on function public.health, public.require_second_factor to service_role;

-- Reads run as the caller, so the caller may execute the helpers that they and the policies use, and reach them in no other way.
revoke execute on all functions in schema app from public;
grant usage on schema app to authenticated, service_role;
grant execute on function
  app.current_caller, app.sees_all_workplaces, app.own_workplaces, app.role_rank, app.sees_workplace, app.sees_profile, app.has_workplace,
  app.refuse_unbounded, app.refuse_field, app.require_bounded(text, text), app.require_bounded(text, text[]),
  app.require_bounded(text, integer[]), app.require_bounded(text, integer), app.require_bounded(text, jsonb, integer),
  app.iso, app.minutes_between, app.json_with, app.operation_json, app.operation_answer, app.event_json, app.profile_json,
  app.allowed_actions, app.conditions, app.page_query, app.alternatives, app.all_pairs, app.distinct_values, app.places_to_list, app.refuse, app.refuse_missing,
  app.refuse_direct_write, app.keep_event_as_written
to authenticated, service_role;
