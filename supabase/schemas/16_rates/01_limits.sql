-- What: how much a caller may ask for.
-- Why: limits differ between plants and callers, so they are rows that change without a deployment.

create type public.rate_class as enum ('reads', 'writes', 'heavy', 'sign_in', 'unauthenticated');
comment on type public.rate_class is
  'What is counted together: reads; single writes; the rows of batches and imports, and reports; sign-ins at '
  'terminals; requests whose credential is refused.';

create type public.rate_kind as enum (
  'readonly', 'machine', 'operator', 'supervisor', 'manager', 'admin', 'model', 'secret_key', 'address'
);
comment on type public.rate_kind is
  'Who is limited alike: the users and keys of a role, language models, secret keys, addresses without a credential.';

-- Changed by the plant's administrator in SQL, or by the functions' secret RATE_LIMITS:
--   update app.rate_limits set units_per_minute = 6000 where kind = 'machine' and class = 'writes';
create table app.rate_limits (
  kind public.rate_kind not null,
  class public.rate_class not null,
  units_per_minute integer not null,
  burst integer not null,
  primary key (kind, class),
  constraint rate_limits_units_per_minute_in_range check (units_per_minute between 1 and 100000000),
  constraint rate_limits_burst_in_range check (burst between 1 and 100000000)
);
comment on table app.rate_limits is
  'The limits of each kind of caller. A class without a row is not limited for that kind.';
comment on column app.rate_limits.units_per_minute is
  'Units that a caller gets back per minute. A unit is a request; of class heavy, a row of a batch or an import.';
comment on column app.rate_limits.burst is 'Units that a caller can use at once after a pause.';
alter table app.rate_limits enable row level security;

insert into app.rate_limits (kind, class, units_per_minute, burst)
values
  ('readonly', 'reads', 1200, 600),
  ('readonly', 'writes', 120, 60),
  ('readonly', 'heavy', 3000, 1500),
  ('readonly', 'sign_in', 60, 60),
  ('machine', 'reads', 3000, 600),
  ('machine', 'writes', 3000, 600),
  ('machine', 'heavy', 12000, 6000),
  ('machine', 'sign_in', 60, 60),
  ('operator', 'reads', 3000, 600),
  ('operator', 'writes', 3000, 600),
  ('operator', 'heavy', 12000, 6000),
  ('operator', 'sign_in', 60, 60),
  ('supervisor', 'reads', 3000, 600),
  ('supervisor', 'writes', 3000, 600),
  ('supervisor', 'heavy', 12000, 6000),
  ('supervisor', 'sign_in', 60, 60),
  ('manager', 'reads', 3000, 600),
  ('manager', 'writes', 3000, 600),
  ('manager', 'heavy', 30000, 15000),
  ('manager', 'sign_in', 60, 60),
  ('admin', 'reads', 3000, 600),
  ('admin', 'writes', 3000, 600),
  ('admin', 'heavy', 30000, 15000),
  ('admin', 'sign_in', 60, 60),
  ('model', 'reads', 120, 60),
  ('model', 'writes', 30, 15),
  ('model', 'heavy', 600, 300),
  ('model', 'sign_in', 6, 3),
  ('secret_key', 'reads', 60000, 30000),
  ('secret_key', 'writes', 60000, 30000),
  ('secret_key', 'heavy', 600000, 300000),
  ('secret_key', 'sign_in', 600, 600),
  ('address', 'reads', 600, 600),
  ('address', 'unauthenticated', 300, 300);

create table app.rate_limit_overrides (
  caller text collate "C" not null,
  class public.rate_class not null,
  units_per_minute integer not null,
  burst integer not null,
  primary key (caller, class),
  constraint rate_limit_overrides_caller_named
    check (caller ~ '^(user|key|model|secret_key|address):' and char_length(caller) <= 200),
  constraint rate_limit_overrides_units_per_minute_in_range check (units_per_minute between 1 and 100000000),
  constraint rate_limit_overrides_burst_in_range check (burst between 1 and 100000000)
);
comment on table app.rate_limit_overrides is 'Limits of single callers, in place of those of their kind.';
comment on column app.rate_limit_overrides.caller is
  'user:<id>, key:<id>, model:<user id>, secret_key:<name> or address:<IP address, or the /64 of an IPv6 address>.';
alter table app.rate_limit_overrides enable row level security;

-- Called by the functions with the service role, once for each isolate that has the secret RATE_LIMITS.
create function public.set_rate_limits(limits jsonb) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('limits', limits, 65536);
  changed integer;
begin
  with wanted as (
    -- a name wins over "*", in whatever order they stand
    select distinct on (l.kind, l.class) l.kind, l.class,
      (given.value ->> 'units_per_minute')::integer as units_per_minute, (given.value ->> 'burst')::integer as burst
    from jsonb_each(limits) of_kind (name, classes)
    cross join jsonb_each(of_kind.classes) given (name, value)
    join app.rate_limits l
      on of_kind.name in (l.kind::text, '*') and given.name in (l.class::text, '*')
    order by l.kind, l.class, of_kind.name = '*', given.name = '*'
  )
  update app.rate_limits l
  set units_per_minute = coalesce(w.units_per_minute, l.units_per_minute), burst = coalesce(w.burst, l.burst)
  from wanted w
  where w.kind = l.kind and w.class = l.class
    and (coalesce(w.units_per_minute, l.units_per_minute), coalesce(w.burst, l.burst))
      is distinct from (l.units_per_minute, l.burst);
  get diagnostics changed = row_count;
  return json_build_object('changed', changed);
end
$$;
comment on function public.set_rate_limits(jsonb) is
  'Changes limits: {"<kind>": {"<class>": {"units_per_minute", "burst"}}}, where "*" stands for every kind or class. '
  'Answers {"changed"}. For the secret key only.';
grant execute on function public.set_rate_limits to service_role;
