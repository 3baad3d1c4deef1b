-- What: settings of a plant.
-- Why: limits and rules that differ between plants are rows, so that changing one needs no deployment.

-- One row, changed by the plant's administrator in SQL: update app.settings set report_age_limit = interval '60 days';
create table app.settings (
  only_row boolean primary key default true,
  report_age_limit interval not null default interval '31 days',
  batch_slots integer not null default 2,
  require_aal2 boolean not null default false,
  plant_name text,
  time_zone text,
  constraint settings_has_one_row check (only_row),
  constraint settings_report_age_limit_at_least_a_day check (report_age_limit >= interval '1 day'),
  constraint settings_batch_slots_positive check (batch_slots > 0),
  constraint settings_plant_name_short check (char_length(plant_name) between 1 and 100),
  constraint settings_time_zone_short check (char_length(time_zone) between 1 and 64)
);
comment on table app.settings is 'One row: the settings of the plant.';
comment on column app.settings.report_age_limit is
  'How old a report of a machine or an operator may be; supervisors may report what is older.';
comment on column app.settings.batch_slots is
  'Most large batches that run at the same time; the server rejects the next one with a time to retry.';
comment on column app.settings.require_aal2 is
  'True when managers and admins need a token of a session with a second factor. The functions store what '
  'REQUIRE_AAL2 says.';
comment on column app.settings.plant_name is 'How language models are told the plant is called; null = no name.';
comment on column app.settings.time_zone is
  'IANA name of the zone in which language models are told times; null = that of the calendars in use.';
insert into app.settings default values;
alter table app.settings enable row level security;
