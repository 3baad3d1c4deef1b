-- What: the shared budgets of callers.
-- Why: isolates judge requests from memory and settle here in the background, so that they share one budget.

-- A budget is one instant, by the generic cell rate algorithm: each unit moves it by 1/units_per_minute. A caller has
-- used up the budget when it is as far ahead as the burst lasts. The rate stands beside it, because what was used is
-- units: a rate that changes changes the instant. Unlogged: a budget that a crash of the database loses
-- is full again. The time has no index, so that a settlement writes the row only.
create unlogged table app.rate_budgets (
  caller text collate "C" not null,
  class public.rate_class not null,
  full_at timestamptz not null,
  units_per_minute integer not null,
  settled_at timestamptz not null,
  primary key (caller, class),
  constraint rate_budgets_caller_short check (char_length(caller) <= 200)
) with (fillfactor = 50);
comment on table app.rate_budgets is
  'When the budget of a caller is full again. A row whose time has passed means the same as no row.';
comment on column app.rate_budgets.settled_at is
  'By the server''s clock. When it lies ahead, the clock stepped back, and the budget moves back as far.';
alter table app.rate_budgets enable row level security;

create function app.rate_kind_of(caller text, role public.role) returns public.rate_kind
language sql immutable parallel safe
return case split_part(caller, ':', 1)
  when 'user' then coalesce(role::text, 'readonly')
  when 'key' then coalesce(role::text, 'readonly')
  when 'model' then 'model'
  when 'secret_key' then 'secret_key'
  else 'address'
end::public.rate_kind;
comment on function app.rate_kind_of(text, public.role) is
  'The kind whose limits apply to a caller, by the role of its profile.';

create function public.settle_rates(counted jsonb, sweeps boolean default false) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('counted', counted, 262144);
  -- one clock for all isolates: they are told how far ahead a budget is, not when it is full
  now_at constant timestamptz := clock_timestamp();
  settled json;
begin
  with counts as (
    select c.caller, c.class, sum(c.units) as units
    from jsonb_to_recordset(counted) as c (caller text, class public.rate_class, units integer)
    group by c.caller, c.class
  ), limited as (
    select c.caller, c.class, c.units,
      coalesce(o.units_per_minute, l.units_per_minute) as units_per_minute, coalesce(o.burst, l.burst) as burst
    from counts c
    left join public.profiles p
      on p.id = case when c.caller ~ '^(user|key):[0-9a-f-]{36}$' then split_part(c.caller, ':', 2)::uuid end
    left join app.rate_limit_overrides o on o.caller = c.caller and o.class = c.class
    left join app.rate_limits l on l.kind = app.rate_kind_of(c.caller, p.role) and l.class = c.class
    where coalesce(o.burst, l.burst) is not null
  ), written as (
    insert into app.rate_budgets as budget (caller, class, full_at, units_per_minute, settled_at)
    select l.caller, l.class,
      -- at most the burst and 10 minutes: no number that an isolate tells locks a caller out for good
      now_at + least(l.units, l.burst + 10::bigint * l.units_per_minute) * interval '1 minute' / l.units_per_minute,
      l.units_per_minute, now_at
    from limited l
    -- every isolate locks the budgets in this order
    order by l.caller, l.class
    on conflict (caller, class) do update
    -- excluded.full_at is ahead of now_at by what was counted
    set full_at = excluded.full_at
        + greatest(budget.full_at - greatest(budget.settled_at, now_at), interval '0')
        * budget.units_per_minute / excluded.units_per_minute,
      units_per_minute = excluded.units_per_minute,
      settled_at = excluded.settled_at
    returning budget.caller, budget.class, budget.full_at
  )
  select coalesce(json_agg(json_build_object(
    'caller', l.caller,
    'class', l.class,
    'units_per_minute', l.units_per_minute,
    'burst', l.burst,
    'ahead_ms', greatest(extract(epoch from w.full_at - now_at) * 1000, 0)::double precision
  )), '[]') into settled
  from limited l
  join written w on w.caller = l.caller and w.class = l.class;
  if sweeps then
    -- waits for no budget that another settlement has locked
    delete from app.rate_budgets b where b.ctid = any(array(
      select whole.ctid from app.rate_budgets whole
      where whole.full_at < now_at
      limit 10000
      for update skip locked
    ));
  end if;
  return settled;
end
$$;
comment on function public.settle_rates(jsonb, boolean) is
  'Adds what an isolate counted, [{"caller", "class", "units"}], to the shared budgets. Answers the limits and how far '
  'each budget is ahead: [{"caller", "class", "units_per_minute", "burst", "ahead_ms"}], without callers that have no '
  'limit. Deletes full budgets when asked. For the secret key only.';
grant execute on function public.settle_rates to service_role;
