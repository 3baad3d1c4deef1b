-- What: pages of long lists.
-- Why: a filter by workplaces, statuses or actions must not read the rows between those that it wants.

-- Rows of few workplaces, statuses or actions can be far apart in the order of a list, and a filter on that order reads
-- everything between them. Each alternative alone is one ordered range of an index; a page is the start of their merge.
create function app.page_query(
  source text, alias text, item text, conditions text, alternatives text[], key_columns text,
  page_order text, take text, skip text,
  merge_order text default null
) returns text
language sql immutable
begin atomic
  select format('select array(select p.item from (%s) p order by %s limit %s offset %s)',
    string_agg(
      format('(select %s as item, %s from %s %s where %s and %s order by %s limit %s + %s)',
        item, key_columns, source, alias, alternative, conditions, page_order, take, skip),
      ' union all '),
    coalesce(merge_order, page_order), take, skip)
  from unnest(alternatives) alternative;
end;
comment on function app.page_query(text, text, text, text, text[], text, text, text, text, text) is
  'The query of a page: an item of each row of all alternatives, which exclude each other, in one order, as one '
  'array. merge_order is the order over all alternatives when it has more columns than the order within one. All '
  'arguments are trusted SQL; values are its parameters.';
grant execute on function app.page_query to authenticated, service_role;

create function app.alternatives(column_name text, parameter text, value_count integer) returns text[]
language sql immutable
begin atomic
  select case when value_count is null then array['true'] when value_count = 0 then array['false'] else array(
    select format('%s = (%s)[%s]', column_name, parameter, i) from generate_series(1, value_count) i
  ) end;
end;
comment on function app.alternatives(text, text, integer) is
  'One condition for each value of an array parameter; true alone for null, false alone for an empty array.';
grant execute on function app.alternatives to authenticated, service_role;

create function app.all_pairs(firsts text[], seconds text[]) returns text[]
language sql immutable
begin atomic
  -- each alternative costs planning time, and the rows of many alternatives are not far apart
  select case when cardinality(firsts) * cardinality(seconds) > 16 then array['true'] else array(
    select f || ' and ' || s from unnest(firsts) f, unnest(seconds) s
  ) end;
end;
comment on function app.all_pairs(text[], text[]) is
  'The conditions of both, each with each; true alone when there would be more than 16.';
grant execute on function app.all_pairs to authenticated, service_role;

create function app.distinct_values(given text[]) returns text[]
language sql immutable
begin atomic
  select case when given is not null then array(select distinct v from unnest(given) v) end;
end;
comment on function app.distinct_values(text[]) is 'Each value once; null for null.';
grant execute on function app.distinct_values to authenticated, service_role;
