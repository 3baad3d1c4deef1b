-- What: the form of keys, instants, durations and JSON objects.
-- Why: all tables and all answers share one form.

-- The body of a small pure function is bound at creation, so no search_path can change its meaning. It has no SET
-- clause, because the planner does not inline a function that has one.

-- People type keys, and keys go into URLs: a key that cannot be addressed or seen must not be stored.
-- PL/pgSQL, because check constraints use it: Postgres prepares these for each statement, and inlining an SQL function
-- there each time costs more than the update of a row.
create function app.is_key(value text) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return value is null or (
    char_length(value) between 1 and 64
    and value = btrim(value)
    and value not in ('.', '..')
    and value !~ '[\u0001-\u001f\u007f-\u009f]'
  );
end
$$;
comment on function app.is_key(text) is
  'True when the text can be a key: 1..64 characters, not padded, no control characters, and not a path segment that '
  'URL parsers remove.';

create function app.iso(instant timestamptz) returns text
language sql stable parallel safe
return to_char(instant at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
comment on function app.iso(timestamptz) is 'An instant as the API writes it: ISO 8601, UTC, milliseconds, Z.';
grant execute on function app.iso to authenticated, service_role;

create function app.minutes_between(from_at timestamptz, to_at timestamptz) returns numeric
language sql immutable parallel safe
return round(extract(epoch from to_at - from_at) / 60, 3);
comment on function app.minutes_between(timestamptz, timestamptz) is
  'Minutes from one instant to another, to a thousandth.';
grant execute on function app.minutes_between to authenticated, service_role;

create function app.json_with(object json, key text, value json) returns json
language sql stable
return (left(object::text, -1) || ', ' || to_json(key) || ': ' || value || '}')::json;
comment on function app.json_with(json, text, json) is
  'The object with one more member at its end. json keeps order and bytes, jsonb would not: a replay must be the '
  'first answer, byte for byte.';
grant execute on function app.json_with to authenticated, service_role;

create function app.json_text(value text) returns text
language sql immutable
return substr(to_json(value)::text, 2, length(to_json(value)::text) - 2);
comment on function app.json_text(text) is 'The text as JSON writes it, without the quotes.';

create function app.begins_with(value text, prefix text) returns boolean
language sql immutable parallel safe
return starts_with(lower(value), lower(prefix));
comment on function app.begins_with(text, text) is
  'True when the text begins with the prefix, in any case. For lists of hundreds of rows, which need no index.';
grant execute on function app.begins_with to authenticated, service_role;

create function app.in_words(span interval) returns text
language sql immutable parallel safe
return case
  when span < interval '90 seconds' then round(extract(epoch from span)) || ' s'
  when span < interval '59.5 minutes' then round(extract(epoch from span) / 60) || ' min'
  when span < interval '48 hours'
  then floor(round(extract(epoch from span) / 60) / 60) || ' h ' || round(extract(epoch from span) / 60) % 60 || ' min'
  else round(extract(epoch from span) / 86400) || ' days'
end;
comment on function app.in_words(interval) is
  'A positive span of time as a person says it: 75 s, 5 min, 3 h 12 min, 20781 days.';

-- The locks of the feed's writers have positive keys: a caller who tries many names must not reach one of them.
create function app.lock_key(name text) returns bigint
language sql immutable parallel safe
return hashtextextended(name, 0) | (1::bigint << 63);
comment on function app.lock_key(text) is 'Key of the advisory lock of a name, always negative.';
