-- What: problems, and how a command refuses.
-- Why: rules return problems, one function raises: so each rule serves requests, batches and imports.

create type app.problem as (status integer, code text, sentence text, more jsonb);
comment on type app.problem is
  'Why a request or an item is refused: HTTP status, machine code of the problem table, one sentence, further '
  'members. Null = nothing is refused.';

-- Rules are stable SQL functions without a SET clause: the planner inlines them, so a rule that holds costs one
-- comparison.
create function app.problem(status integer, code text, sentence text, more jsonb default '{}') returns app.problem
language sql immutable parallel safe
return row(status, code, sentence, more)::app.problem;
comment on function app.problem(integer, text, text, jsonb) is 'Makes a problem.';
grant execute on function app.problem to authenticated, service_role;

create function app.field_problem(pointer text, code text, sentence text, more jsonb default '{}') returns app.problem
language sql stable parallel safe
return app.problem(422, 'validation_failed', sentence, more || jsonb_build_object('errors', jsonb_build_array(
  jsonb_build_object('in', 'body', 'pointer', pointer, 'message', left(sentence, 1000), 'code', code))));
comment on function app.field_problem(text, text, text, jsonb) is
  'Makes the problem validation_failed of one field, named by a JSON Pointer.';
grant execute on function app.field_problem to authenticated, service_role;

-- SQLSTATE PTxyz is HTTP status xyz to the Data API, the message is the machine code, the detail is JSON.
create function app.raise_problem(problem app.problem) returns void
language plpgsql
set search_path = ''
as $$
begin
  if problem.code is not null then
    raise exception using
      errcode = 'PT' || problem.status,
      message = problem.code,
      -- a sentence quotes what was sent
      detail = (jsonb_build_object('detail', left(problem.sentence, 1000)) || problem.more)::text;
  end if;
end
$$;
comment on function app.raise_problem(app.problem) is 'Raises a problem, unless it is null.';
grant execute on function app.raise_problem to authenticated, service_role;

create function app.refuse(status integer, code text, sentence text, more jsonb default '{}') returns void
language sql
return app.raise_problem(app.problem(status, code, sentence, more));
comment on function app.refuse(integer, text, text, jsonb) is 'Raises the problem that app.problem makes.';
grant execute on function app.refuse to authenticated, service_role;

create function app.refuse_field(pointer text, code text, sentence text) returns void
language sql
return app.raise_problem(app.field_problem(pointer, code, sentence));
comment on function app.refuse_field(text, text, text) is 'Raises the problem that app.field_problem makes.';
grant execute on function app.refuse_field to authenticated, service_role;

create function app.missing_problem() returns app.problem
language sql immutable parallel safe
return app.problem(404, 'not_found', 'There is no such resource, or it is not yours to see');
comment on function app.missing_problem() is 'Makes the problem not_found in the one form for missing and hidden.';
grant execute on function app.missing_problem to authenticated, service_role;

-- A missing and a hidden object give the same answer, so the sentence names only what the caller sent.
create function app.refuse_missing() returns void
language sql
return app.raise_problem(app.missing_problem());
comment on function app.refuse_missing() is 'Raises 404 not_found in the one form for missing and hidden.';
grant execute on function app.refuse_missing to authenticated, service_role;

create function app.require_version(version integer, if_match integer[]) returns void
language plpgsql
set search_path = ''
as $$
begin
  if version <> all(if_match) then
    perform app.refuse(412, 'stale_version', format('The resource has changed: its version is %s now', version),
      jsonb_build_object('current_version', version));
  end if;
end
$$;
comment on function app.require_version(integer, integer[]) is
  'Raises 412 stale_version unless the version is among those of If-Match; null = no condition.';

-- The problem of an item is the one that the same request alone would get.
create function app.problem_json(problem app.problem) returns json
language sql stable parallel safe
return case when (problem).code is not null then json_build_object(
  'status', (problem).status,
  'code', (problem).code,
  'more', jsonb_build_object('detail', left((problem).sentence, 1000)) || case
    -- one stored answer can hold a thousand problems: a long problem loses its lists
    when octet_length((problem).more::text) > 4096 then '{}'
    -- the person may be pseudonymised before the answer is stored
    else (problem).more #- '{person,display_name}' end
) end;
comment on function app.problem_json(app.problem) is
  'The problem of one item: {"status", "code", "more"}; null for null.';

create function app.caught_problem(state text, message text, detail text) returns app.problem
language plpgsql immutable
set search_path = ''
as $$
begin
  return case
    when state ~ '^PT[0-9]{3}$'
    then app.problem(right(state, 3)::integer, message, detail::jsonb ->> 'detail', detail::jsonb - 'detail')
    when state = '23505' then app.problem(409, 'idempotency_conflict', 'The id belongs to another event')
    when state like '23%'
    then app.problem(400, 'integrity_error',
      'A value refers to something that does not exist, or breaks a rule of the database')
    when state like '22%'
      then app.problem(400, 'malformed_request', 'A value is not of the form that the database takes')
  end;
end
$$;
comment on function app.caught_problem(text, text, text) is
  'The problem that a caught error is for one item; null for errors that concern the whole request.';
