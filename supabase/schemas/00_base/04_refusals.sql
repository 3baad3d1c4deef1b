-- What: how a command refuses.
-- Why: all refusals have one form, so that the edge functions turn each into a problem without knowing its rule.

-- Every refusal of a command is raised here, so that all have one form: SQLSTATE PTxyz is HTTP status xyz to the
-- Data API, the message is the machine code, the detail is JSON: a sentence and what the code needs.
create function app.refuse(status integer, code text, sentence text, more jsonb default '{}') returns void
language plpgsql
set search_path = ''
as $$
begin
  raise exception using
    errcode = 'PT' || status,
    message = code,
    -- a sentence quotes what was sent
    detail = (jsonb_build_object('detail', left(sentence, 1000)) || more)::text;
end
$$;
comment on function app.refuse(integer, text, text, jsonb) is
  'Raises a refusal: HTTP status, machine code of the problem table, one sentence of at most 1,000 characters, further members of the problem.';
grant execute on function app.refuse to authenticated, service_role;

create function app.refuse_field(pointer text, code text, sentence text) returns void
language plpgsql
set search_path = ''
as $$
begin
  perform app.refuse(
    422, 'validation_failed', sentence,
    jsonb_build_object('errors', jsonb_build_array(jsonb_build_object('in', 'body', 'pointer', pointer, 'message', left(sentence, 1000), 'code', code)))
  );
end
$$;
comment on function app.refuse_field(text, text, text) is 'Raises 422 validation_failed for one field, named by a JSON Pointer.';
grant execute on function app.refuse_field to authenticated, service_role;

-- Missing and hidden answer alike, word for word: the sentence names nothing that the caller did not send.
create function app.refuse_missing() returns void
language plpgsql
set search_path = ''
as $$
begin
  perform app.refuse(404, 'not_found', 'There is no such resource, or it is not yours to see');
end
$$;
comment on function app.refuse_missing() is 'Raises 404 not_found in the one form for missing and hidden.';
grant execute on function app.refuse_missing to authenticated, service_role;

create function app.require_version(version integer, if_match integer[]) returns void
language plpgsql
set search_path = ''
as $$
begin
  if version <> all(if_match) then
    perform app.refuse(412, 'stale_version', format('The resource has changed: its version is %s now', version), jsonb_build_object('current_version', version));
  end if;
end
$$;
comment on function app.require_version(integer, integer[]) is 'Raises 412 stale_version unless the version is among those of If-Match; null = no condition.';

create function app.added_quantity(base integer, difference integer) returns integer
language plpgsql immutable
set search_path = ''
as $$
begin
  return base + difference;
exception when numeric_value_out_of_range then
  perform app.refuse(422, 'invalid_quantity', format('%s + %s pieces is more than can be counted', base, difference));
end
$$;
comment on function app.added_quantity(integer, integer) is 'Sum of two counts of pieces; raises 422 invalid_quantity beyond 2^31-1.';

-- What a refusal inside of a batch answers for its item: the problem that the same request alone would get.
create function app.item_problem(state text, message text, detail text) returns json
language plpgsql immutable
set search_path = ''
as $$
begin
  return case
    when state ~ '^PT[0-9]{3}$' then json_build_object('status', right(state, 3)::integer, 'code', message, 'more',
      -- a thousand problems are one answer, which is stored: from a long problem, lists are left out
      case when octet_length(detail) <= 4096 then detail::json else json_build_object('detail', detail::json -> 'detail') end)
    when state = '23505' then json_build_object('status', 409, 'code', 'idempotency_conflict',
      'more', json_build_object('detail', 'The id belongs to another event'))
    when state like '23%' then json_build_object('status', 400, 'code', 'integrity_error',
      'more', json_build_object('detail', 'A value refers to something that does not exist, or breaks a rule of the database'))
    when state like '22%' then json_build_object('status', 400, 'code', 'malformed_request',
      'more', json_build_object('detail', 'A value is not of the form that the database takes'))
  end;
end
$$;
comment on function app.item_problem(text, text, text) is
  'Status, code and further members of the problem that an error is for one item of a batch; null for errors that concern the whole batch.';

create function app.row_problem(status integer, code text, sentence text, pointer text default null, error_code text default null) returns json
language sql immutable parallel safe
return json_build_object('status', status, 'code', code, 'more', case
  when pointer is null then json_build_object('detail', sentence)
  else json_build_object('detail', sentence, 'errors', json_build_array(
    json_build_object('in', 'body', 'pointer', pointer, 'message', sentence, 'code', error_code)))
end);
comment on function app.row_problem(integer, text, text, text, text) is
  'The problem of one row, in the form of app.item_problem; for validation_failed with the field that is wrong.';
