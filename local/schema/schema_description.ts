import { connect } from "../postgres/bootstrap.ts";

/** Reads everything that migrations make, as one line of text for each object, in order. */
const description = `
with ours as (
  select oid, nspname as schema, nspacl, obj_description(oid) as comment
  from pg_namespace
  where nspname not in ('pg_catalog', 'information_schema', 'supabase_migrations') and nspname !~ '^pg_'
)
select line
from (
  select concat_ws(' | ', 'schema', schema, (select array_agg(acl::text order by acl::text collate "C") from unnest(nspacl) acl)::text, comment) as line
  from ours
  union all
  select concat_ws(' | ', 'relation', o.schema, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, (select array_agg(acl::text order by acl::text collate "C") from unnest(c.relacl) acl)::text,
    pg_get_userbyid(c.relowner), c.reloptions::text, obj_description(c.oid, 'pg_class'),
    case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end)
  from pg_class c
  join ours o on o.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
  union all
  select concat_ws(' | ', 'column', o.schema, c.relname, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    a.attidentity, a.attgenerated, (select array_agg(acl::text order by acl::text collate "C") from unnest(a.attacl) acl)::text, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p', 'v', 'm')
  join ours o on o.oid = c.relnamespace
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attnum > 0 and not a.attisdropped
  union all
  select concat_ws(' | ', 'constraint', o.schema, conrelid::regclass, conname, pg_get_constraintdef(con.oid), convalidated,
    obj_description(con.oid, 'pg_constraint'))
  from pg_constraint con
  join ours o on o.oid = con.connamespace
  union all
  select concat_ws(' | ', 'index', o.schema, pg_get_indexdef(i.indexrelid), i.indisvalid, obj_description(i.indexrelid, 'pg_class'))
  from pg_index i
  join pg_class c on c.oid = i.indrelid
  join ours o on o.oid = c.relnamespace
  union all
  select concat_ws(' | ', 'function', o.schema, p.oid::regprocedure, pg_get_userbyid(p.proowner), (select array_agg(acl::text order by acl::text collate "C") from unnest(p.proacl) acl)::text,
    obj_description(p.oid, 'pg_proc'), case when p.prokind <> 'a' then pg_get_functiondef(p.oid) end)
  from pg_proc p
  join ours o on o.oid = p.pronamespace
  union all
  select concat_ws(' | ', 'trigger', o.schema, c.relname, pg_get_triggerdef(t.oid), t.tgenabled, obj_description(t.oid, 'pg_trigger'))
  from pg_trigger t
  join pg_class c on c.oid = t.tgrelid
  join ours o on o.oid = c.relnamespace
  where not t.tgisinternal
  union all
  select concat_ws(' | ', 'policy', o.schema, c.relname, p.polname, p.polcmd, p.polpermissive, p.polroles::regrole[]::text,
    pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid), obj_description(p.oid, 'pg_policy'))
  from pg_policy p
  join pg_class c on c.oid = p.polrelid
  join ours o on o.oid = c.relnamespace
  union all
  select concat_ws(' | ', 'type', o.schema, t.typname, t.typtype, (select array_agg(acl::text order by acl::text collate "C") from unnest(t.typacl) acl)::text, obj_description(t.oid, 'pg_type'),
    (select string_agg(e.enumlabel, ',' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid))
  from pg_type t
  join ours o on o.oid = t.typnamespace
  where t.typtype in ('e', 'd', 'c') and t.typrelid = 0
  union all
  select concat_ws(' | ', 'default privileges', pg_get_userbyid(d.defaclrole), coalesce(o.schema, '*'), d.defaclobjtype, (select array_agg(acl::text order by acl::text collate "C") from unnest(d.defaclacl) acl)::text)
  from pg_default_acl d
  left join ours o on o.oid = d.defaclnamespace
  union all
  select concat_ws(' | ', 'extension', e.extname, e.extversion, n.nspname)
  from pg_extension e
  join pg_namespace n on n.oid = e.extnamespace
) as objects
order by line collate "C"
`;

/** A description of a database's schema: equal for two databases exactly when their schemas are. */
export async function schemaOf(url: string): Promise<string[]> {
  const sql = connect(url);
  try {
    const rows = await sql.unsafe<{ line: string }[]>(description);
    return rows.map(({ line }) => line);
  } finally {
    await sql.end({ timeout: 1 });
  }
}
