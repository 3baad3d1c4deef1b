-- What: one downtime, and lists by filter.
-- Why: terminals ask what stands still and what is unexplained, reports what overlaps a window.

create function app.downtime_status(d public.downtimes) returns text
language sql immutable parallel safe
return case when (d).cancelled_at is not null then 'CANCELLED' when (d).ended_at is null then 'OPEN' else 'ENDED' end;
comment on function app.downtime_status(public.downtimes) is 'OPEN, ENDED or CANCELLED.';
grant execute on function app.downtime_status to authenticated, service_role;

create function app.downtime_json(d public.downtimes) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (d).id,
    'workplace_name', (d).workplace_name,
    'status', app.downtime_status(d),
    'category', (d).category,
    'reason_code', (d).reason_code,
    'started_at', app.iso((d).started_at),
    'ended_at', app.iso((d).ended_at),
    'duration_min', greatest(app.minutes_between((d).started_at, coalesce((d).ended_at, now())), 0),
    'source', (d).source,
    'note', (d).note,
    'split_from', (d).split_from,
    'cancelled_at', app.iso((d).cancelled_at),
    'user_id', (d).user_id,
    'user_email', (app.stored_reporter((d).reporter_id)).user_email,
    'reported_by', (app.stored_reporter((d).reporter_id)).reported_by,
    'person', app.person_of((d).person_id),
    'version', (d).version,
    'created_at', app.iso((d).created_at),
    'updated_at', app.iso((d).updated_at)
  );
end;
comment on function app.downtime_json(public.downtimes) is
  'The downtime as the API writes it; the open one as far as it has come.';
grant execute on function app.downtime_json to authenticated, service_role;

create function app.downtime_event_json(e public.downtime_events, pos bigint) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', (e).id,
    'pos', pos,
    'action_type', (e).action_type,
    'downtime_id', (e).downtime_id,
    'seq', (e).seq,
    'workplace_name', (e).workplace_name,
    'occurred_at', app.iso((e).occurred_at),
    'category', (e).category,
    'reason_code', (e).reason_code,
    'source', (e).source,
    'note', (e).note,
    'split_from', (e).split_from,
    'operation_data', (e).operation_data,
    'user_id', (e).user_id,
    'user_email', (app.stored_reporter((e).reporter_id)).user_email,
    'reported_by', (app.stored_reporter((e).reporter_id)).reported_by,
    'person', app.person_of((e).person_id),
    'created_at', app.iso((e).created_at)
  );
end;
comment on function app.downtime_event_json(public.downtime_events, bigint) is
  'The event of a downtime as the API writes it, with its position in the feed.';

create function public.get_downtime(id uuid) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  downtime public.downtimes;
begin
  select * into downtime from public.downtimes d where d.id = get_downtime.id;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.downtime_json(downtime);
end
$$;
comment on function public.get_downtime(uuid) is 'One downtime. Raises 404 not_found.';
grant execute on function public.get_downtime to authenticated, service_role;

create function public.list_downtimes(
  workplace_names text[] default null,
  open boolean default null,
  unexplained boolean default null,
  category text default null,
  reason_codes text[] default null,
  from_at timestamptz default null,
  to_at timestamptz default null,
  cancelled boolean default false,
  before_started_at timestamptz default null,
  before_id uuid default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
-- volatile, because an estimate is an EXPLAIN, which Postgres keeps out of stable functions
language plpgsql volatile
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('workplace_names', workplace_names)
    and app.require_bounded('category', category) and app.require_bounded('reason_codes', reason_codes)
    and app.require_bounded('skip', skip) and app.require_bounded('count', count);
  filter constant text := concat_ws(' and ',
    case when cancelled then 'd.cancelled_at is not null' else 'd.cancelled_at is null' end,
    case when workplace_names is not null then 'd.workplace_name = any($1)' end,
    case open when true then 'd.ended_at is null' when false then 'd.ended_at is not null' end,
    case unexplained when true then 'd.reason_code is null' when false then 'd.reason_code is not null' end,
    case when category is not null then 'd.category = $2::public.downtime_category' end,
    case when reason_codes is not null then 'd.reason_code = any($3)' end,
    case when from_at is not null then '(d.ended_at is null or d.ended_at > $4)' end,
    case when to_at is not null then 'd.started_at < $5' end
  );
  page constant text := filter
    || case when before_started_at is not null then ' and (d.started_at, d.id) < ($6, $7)' else '' end;
  places constant text[] := app.places_to_list(app.distinct_values(workplace_names));
  -- What began within the window is a range of the list's order. Of the rest only few are left at its start.
  windows constant text[] := case when from_at is null then array['true'] else array[
    'd.started_at >= $4', 'd.started_at < $4 and tstzrange(d.started_at, d.ended_at) @> $4'] end;
  rows public.downtimes[];
  total bigint;
  plan json;
begin
  if from_at > to_at then
    perform app.refuse_field('/to', 'too_small', 'The window ends before it begins');
  end if;
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  execute app.page_query('public.downtimes', 'd', 'd', page,
    case when cardinality(places) > 8 then windows
      else app.all_pairs(app.alternatives('d.workplace_name', '$10', cardinality(places)), windows) end,
    'started_at, id', 'started_at desc, id desc', '$8', '$9')
  into rows
  using workplace_names, category, reason_codes, from_at, to_at, before_started_at, before_id, take + 1, skip, places;

  -- the planner's estimate includes rows that are hidden from the caller
  if count = 'exact' or count = 'estimated' and not app.sees_all_workplaces() then
    execute format('select count(*) from public.downtimes d where %s', filter) into total
    using workplace_names, category, reason_codes, from_at, to_at;
  elsif count = 'estimated' then
    execute format('explain (format json) select from public.downtimes d where %s', filter) into plan
    using workplace_names, category, reason_codes, from_at, to_at;
    total := (plan #>> '{0,Plan,Plan Rows}')::bigint;
  end if;

  return json_build_object(
    'items', (select coalesce(json_agg(app.downtime_json(d) order by d.started_at desc, d.id desc), '[]')
      from unnest(rows[1:take]) d),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].started_at, rows[take].id) end,
    'total', total
  );
end
$$;
comment on function public.list_downtimes is
  'A page of the downtimes the caller sees, latest start first: {"items": [...], "next": key of the last item or null, '
  '"total": number when asked}. from_at and to_at: those that overlap this window. Cancelled ones are listed alone.';
grant execute on function public.list_downtimes to authenticated, service_role;
