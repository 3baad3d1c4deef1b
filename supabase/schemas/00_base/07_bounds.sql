-- What: upper bounds of arguments.
-- Why: every signed-in user can call the functions of `public` past all checks of the edge functions.

-- Every signed-in user can call the functions of `public` through the Data API, without the checks of the Edge
-- Functions. So each function bounds its arguments in its first declaration, before it reads, sorts or unpacks them:
--   bounded constant boolean := app.require_bounded('order_no', order_no)
--     and app.require_bounded('statuses', statuses);
-- The Edge Functions reject everything that these bounds reject. A check costs microseconds: the SQL functions have no
-- SET clause, so the planner inlines them into the caller's expression, and only a rejection is a call.
create function app.refuse_unbounded(name text, amount bigint, unit text, most bigint) returns boolean
language plpgsql
set search_path = ''
as $$
begin
  if unit = 'bytes' then
    perform app.refuse(413, 'body_too_large', format('"%s" has %s bytes: at most %s are taken', name, amount, most),
      jsonb_build_object('limit', most));
  elsif unit = 'levels' then
    perform app.refuse(400, 'malformed_request', format('"%s" is nested more than %s levels deep', name, most));
  end if;
  perform app.refuse_field('/' || name, 'too_big',
    format('"%s" has %s %s: at most %s are taken', name, amount, unit, most));
  return false;
end
$$;
comment on function app.refuse_unbounded(text, bigint, text, bigint) is
  'Raises the refusal of an argument: 413 body_too_large for bytes, 400 malformed_request for levels of nesting, 422 '
  'validation_failed for anything else. It has a result because it stands in expressions.';
grant execute on function app.refuse_unbounded to authenticated, service_role;

create function app.require_bounded(name text, value text) returns boolean
language sql
return value is null or char_length(value) <= 320 or app.refuse_unbounded(name, char_length(value), 'characters', 320);
comment on function app.require_bounded(text, text) is
  'True for at most 320 characters, the longest e-mail address. Raises 422 validation_failed.';

create function app.require_bounded(name text, value text[]) returns boolean
language sql
return value is null
  or (cardinality(value) <= 100 or app.refuse_unbounded(name, cardinality(value), 'values', 100))
    and (pg_column_size(value) <= 32768 or app.refuse_unbounded(name, pg_column_size(value), 'bytes', 32768));
comment on function app.require_bounded(text, text[]) is
  'True for at most 100 names of 64 characters. Raises 422 validation_failed, 413 body_too_large.';

create function app.require_bounded(name text, value integer[]) returns boolean
language sql
return value is null or cardinality(value) <= 100 or app.refuse_unbounded(name, cardinality(value), 'values', 100);
comment on function app.require_bounded(text, integer[]) is
  'True for at most 100 numbers. Raises 422 validation_failed.';

create function app.require_bounded(name text, value integer) returns boolean
language sql
return value is null or value <= 10000 or app.refuse_unbounded(name, value, 'rows', 10000);
comment on function app.require_bounded(text, integer) is
  'True for at most 10,000 rows to pass over. Raises 422 validation_failed.';

create function app.require_bounded(name text, value jsonb, most_bytes integer default 524288) returns boolean
language sql
return value is null
  or (pg_column_size(value) <= most_bytes or app.refuse_unbounded(name, pg_column_size(value), 'bytes', most_bytes))
    and (
      -- 33 arrays or objects within each other take more than this
      pg_column_size(value) <= 256
      or not jsonb_path_exists(value, 'strict $.**{32} ? (@.type() == "array" || @.type() == "object")')
      or app.refuse_unbounded(name, 33, 'levels', 32)
    );
comment on function app.require_bounded(text, jsonb, integer) is
  'True for JSON of at most so many bytes, as PostgreSQL holds it, and at most 32 levels of arrays and objects. '
  'Raises 413 body_too_large, 400 malformed_request.';
grant execute on function
  app.require_bounded(text, text), app.require_bounded(text, text[]), app.require_bounded(text, integer[]),
  app.require_bounded(text, integer), app.require_bounded(text, jsonb, integer) to authenticated, service_role;
