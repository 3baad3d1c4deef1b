-- What: reason codes and the functions behind their endpoints.
-- Why: stops, scrap, holds, cancellations, shortfalls and downtime are explained by codes that can be counted.

create type public.reason_kind as enum ('STOP', 'SCRAP', 'HOLD', 'CANCEL', 'SHORTFALL', 'DOWNTIME');
comment on type public.reason_kind is 'What a reason explains.';

create type public.downtime_category as enum ('PLANNED', 'UNPLANNED');
comment on type public.downtime_category is
  'Whether time in which a workplace stands still is planned, such as maintenance, or a loss.';

create type public.loss as enum ('PLANNED', 'UNPLANNED', 'NONE');
comment on type public.loss is
  'What the time after a STOP is in reports: planned, such as a break, an unplanned loss, or neither by itself.';

create table public.reason_codes (
  kind public.reason_kind not null,
  code text collate "C" not null,
  description text,
  category public.downtime_category,
  parent text collate "C",
  loss public.loss,
  active boolean not null default true,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  level integer not null generated always as (case when parent is null then 1 else 2 end) stored,
  parent_level integer generated always as (case when parent is not null then 1 end) stored,
  primary key (kind, code),
  constraint reason_codes_code_is_key check (app.is_key(code)),
  constraint reason_codes_description_short check (char_length(description) <= 500),
  constraint reason_codes_category_of_downtime check ((kind = 'DOWNTIME') = (category is not null)),
  constraint reason_codes_parent_of_downtime check (parent is null or kind = 'DOWNTIME'),
  constraint reason_codes_loss_of_stop check ((kind = 'STOP') = (loss is not null)),
  -- Two levels: a parent is of level 1, also when a code that is a parent gets one itself.
  constraint reason_codes_by_level unique (kind, code, level),
  constraint reason_codes_parent_is_first_level
    foreign key (kind, parent, parent_level) references public.reason_codes (kind, code, level)
);
comment on table public.reason_codes is
  'Why something stopped, was scrapped, held, cancelled or closed short, and why a workplace stood still.';
comment on column public.reason_codes.kind is 'What the reason explains.';
comment on column public.reason_codes.code is 'Short code, unique within its kind, e.g. MATERIAL.';
comment on column public.reason_codes.category is
  'Of DOWNTIME: category of a downtime that states none itself; null for other kinds.';
comment on column public.reason_codes.parent is 'Of DOWNTIME: the code that this one belongs to; null = none.';
comment on column public.reason_codes.loss is 'Of STOP: what the time after the stop is; null for other kinds.';
comment on column public.reason_codes.level is '1, or 2 for a code with a parent.';
comment on column public.reason_codes.parent_level is 'Level that the parent must have.';
comment on column public.reason_codes.active is 'False once the code is no longer offered; events keep it.';
create index reason_codes_by_parent on public.reason_codes (kind, parent, parent_level) where parent is not null;
grant select on public.reason_codes to authenticated, service_role;

-- The API writes these codes for clients of the first service, which send a new status without a reason.
insert into public.reason_codes (kind, code, description) values
  ('SHORTFALL', 'UNSPECIFIED', 'Closed short without a stated reason'),
  ('HOLD', 'UNSPECIFIED', 'Held without a stated reason'),
  ('CANCEL', 'UNSPECIFIED', 'Cancelled without a stated reason');

create trigger reason_codes_bump_version before update on public.reason_codes
  for each row execute function app.bump_version();

create trigger reason_codes_refuse_direct_write before insert or update or delete or truncate on public.reason_codes
  for each statement execute function app.refuse_direct_write();

alter table public.reason_codes enable row level security;

create policy "Users with a workplace read all reason codes"
  on public.reason_codes for select to authenticated
  using ((select app.has_workplace(app.current_caller())));

create function app.reason_code_json(r public.reason_codes) returns json
language sql stable
begin atomic
  select json_build_object(
    'kind', (r).kind,
    'code', (r).code,
    'description', (r).description,
    'category', (r).category,
    'parent', (r).parent,
    'loss', (r).loss,
    'active', (r).active,
    'version', (r).version,
    'created_at', app.iso((r).created_at),
    'updated_at', app.iso((r).updated_at)
  );
end;
comment on function app.reason_code_json(public.reason_codes) is 'The reason code as the API writes it.';
grant execute on function app.reason_code_json to authenticated, service_role;

create function public.get_reason_code(kind text, code text) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('kind', kind) and app.require_bounded('code', code);
  reason public.reason_codes;
begin
  select * into reason from public.reason_codes r
    where r.kind = get_reason_code.kind::public.reason_kind and r.code = get_reason_code.code;
  if not found then
    perform app.refuse_missing();
  end if;
  return app.reason_code_json(reason);
end
$$;
comment on function public.get_reason_code(text, text) is 'One reason code. Raises 404 not_found.';
grant execute on function public.get_reason_code to authenticated, service_role;

create function public.list_reason_codes(
  kind text default null,
  active boolean default null,
  q text default null,
  after_kind text default null,
  after_code text default null,
  skip integer default 0,
  take integer default 100,
  count text default null
) returns json
language plpgsql stable
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('kind', kind) and app.require_bounded('q', q)
    and app.require_bounded('after_kind', after_kind) and app.require_bounded('after_code', after_code)
    and app.require_bounded('skip', skip) and app.require_bounded('count', count);
  rows public.reason_codes[];
begin
  -- a direct call of the Data API may ask for any number
  take := least(take, 500);
  rows := array(
    select r from public.reason_codes r
    where (list_reason_codes.kind is null or r.kind = list_reason_codes.kind::public.reason_kind)
      and (list_reason_codes.active is null or r.active = list_reason_codes.active)
      and (q is null or app.begins_with(r.code, q) or app.begins_with(r.description, q))
      and (after_kind is null or (r.kind::text, r.code) > (after_kind, after_code))
    order by r.kind::text, r.code
    limit take + 1 offset skip
  );
  return json_build_object(
    'items', (select coalesce(json_agg(app.reason_code_json(r)), '[]') from unnest(rows[1:take]) r),
    'next', case when cardinality(rows) > take then json_build_array(rows[take].kind, rows[take].code) end,
    -- few rows: the exact count is as cheap as an estimate
    'total', case when count is not null then (
      select count(*) from public.reason_codes r
      where (list_reason_codes.kind is null or r.kind = list_reason_codes.kind::public.reason_kind)
        and (list_reason_codes.active is null or r.active = list_reason_codes.active)
        and (q is null or app.begins_with(r.code, q) or app.begins_with(r.description, q))
    ) end
  );
end
$$;
comment on function public.list_reason_codes(text, boolean, text, text, text, integer, integer, text) is
  'A page of the reason codes, of those whose code or description begins with q, ordered by kind and code: {"items": '
  '[...], "next": key of the last item or null, "total": number when asked}.';
grant execute on function public.list_reason_codes to authenticated, service_role;

create function app.reason_code_problem(r public.reason_codes) returns app.problem
language plpgsql stable
set search_path = ''
as $$
declare
  parent public.reason_codes;
begin
  if r.kind <> 'DOWNTIME' and r.category is not null then
    return app.field_problem('/category', 'not_used', format('%s takes no category: DOWNTIME does', r.kind));
  elsif r.kind <> 'DOWNTIME' and r.parent is not null then
    return app.field_problem('/parent', 'not_used', format('%s takes no parent: DOWNTIME does', r.kind));
  elsif r.kind <> 'STOP' and r.loss is not null then
    return app.field_problem('/loss', 'not_used', format('%s takes no loss: STOP does', r.kind));
  elsif r.parent is null then
    return null;
  end if;
  select * into parent from public.reason_codes p where p.kind = r.kind and p.code = r.parent;
  return case
    when parent.code is null then app.field_problem('/parent', 'unknown_reason',
      format('"%s" is not a reason code of kind %s', r.parent, r.kind))
    when parent.parent is not null or parent.code = r.code
      or exists (select from public.reason_codes c where c.kind = r.kind and c.parent = r.code)
    then app.field_problem('/parent', 'too_many_levels',
      format('Reason codes have two levels: "%s" cannot belong to "%s"', r.code, r.parent))
  end;
end
$$;
comment on function app.reason_code_problem(public.reason_codes) is
  'The problem validation_failed of a reason code with a field that its kind does not take, or with a parent that is '
  'missing or leads to a third level.';

create function public.create_reason_code(reason_code jsonb, idempotency jsonb default null) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('reason_code', reason_code);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  wanted public.reason_codes := jsonb_populate_record(null::public.reason_codes, reason_code);
  stored public.reason_codes;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may create reason codes');
  perform app.raise_problem(app.reason_code_problem(wanted));
  if wanted.kind = 'DOWNTIME' then
    wanted.category := coalesce(wanted.category, 'UNPLANNED');
  elsif wanted.kind = 'STOP' then
    wanted.loss := coalesce(wanted.loss, 'NONE');
  end if;
  insert into public.reason_codes (kind, code, description, category, parent, loss, active)
  values (wanted.kind, wanted.code, wanted.description, wanted.category, wanted.parent, wanted.loss,
    coalesce(wanted.active, true))
  on conflict do nothing
  returning * into stored;
  if not found then
    perform app.refuse(409, 'duplicate_reason_code',
      format('Reason code %s/%s exists already', wanted.kind, wanted.code));
  end if;
  return app.finish_command(command, null, json_build_object('status', 201, 'body', app.reason_code_json(stored)));
end
$$;
comment on function public.create_reason_code(jsonb, jsonb) is
  'Creates a reason code. Answers {"status", "body"}. Raises 403 forbidden, 409 duplicate_reason_code.';
grant execute on function public.create_reason_code to authenticated, service_role;

create function public.update_reason_code(
  kind text, code text, patch jsonb, if_match integer[] default null, idempotency jsonb default null
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('kind', kind) and app.require_bounded('code', code)
    and app.require_bounded('patch', patch) and app.require_bounded('if_match', if_match);
  command constant app.command := app.begin_command(idempotency);
  caller constant app.caller := command.caller;
  reason public.reason_codes;
  wanted public.reason_codes;
begin
  if command.answer is not null then
    return command.answer;
  end if;
  perform app.require_plant(caller);
  select * into reason from public.reason_codes r
    where r.kind = update_reason_code.kind::public.reason_kind and r.code = update_reason_code.code for update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may change reason codes');
  perform app.require_version(reason.version, if_match);
  wanted := jsonb_populate_record(reason, patch);
  if wanted is distinct from reason then
    perform app.raise_problem(app.reason_code_problem(wanted));
    update public.reason_codes r
    set (description, category, parent, loss, active) = row (
      wanted.description, coalesce(wanted.category, reason.category), wanted.parent, coalesce(wanted.loss, reason.loss),
      coalesce(wanted.active, reason.active)
    )
    where r.kind = reason.kind and r.code = reason.code
    returning * into reason;
  end if;
  return app.finish_command(command, null, json_build_object('status', 200, 'body', app.reason_code_json(reason)));
end
$$;
comment on function public.update_reason_code(text, text, jsonb, integer[], jsonb) is
  'Changes fields of a reason code. Answers {"status", "body"}. Raises 403 forbidden, 404 not_found, '
  '412 stale_version.';
grant execute on function public.update_reason_code to authenticated, service_role;

create function public.delete_reason_code(kind text, code text, if_match integer[] default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  bounded constant boolean := app.require_bounded('kind', kind) and app.require_bounded('code', code)
    and app.require_bounded('if_match', if_match);
  caller constant app.caller := app.current_caller();
  reason public.reason_codes;
begin
  perform app.require_plant(caller);
  select * into reason from public.reason_codes r
    where r.kind = delete_reason_code.kind::public.reason_kind and r.code = delete_reason_code.code for update;
  if not found then
    perform app.refuse_missing();
  end if;
  perform app.require_role(caller, 'manager', 'Only managers may delete reason codes');
  perform app.require_version(reason.version, if_match);
  if reason.code = 'UNSPECIFIED' then
    perform app.refuse(409, 'in_use', 'UNSPECIFIED is what the API itself writes: set it inactive instead');
  end if;
  delete from public.reason_codes r where r.kind = reason.kind and r.code = reason.code;
exception when foreign_key_violation then
  perform app.refuse(409, 'in_use',
    format('Reason code %s/%s stands in events, or is a parent: set it inactive instead', reason.kind, reason.code));
end
$$;
comment on function public.delete_reason_code(text, text, integer[]) is
  'Deletes a reason code that no event and no other code has. Raises 403 forbidden, 404 not_found, 409 in_use, 412 '
  'stale_version.';
grant execute on function public.delete_reason_code to authenticated, service_role;
