package postgres

import "strings"

// The catalogue queries. Each is run once, whatever the number of tables, inside one transaction
// with search_path = pg_catalog, so that format_type names every user's type with its schema.

const queryFacts = `
SELECT current_setting('server_version_num'), current_database(),
       coalesce((SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user), false),
       current_user`

const queryRelations = `
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence = 'u', c.relispartition,
       coalesce(i.inhparent, 0), c.relreplident, c.relrowsecurity, c.relforcerowsecurity,
       pg_has_role(c.relowner, 'USAGE'),
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
       c.relpages, c.reltuples::numeric::bigint, coalesce(am.amname, '')
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_am am ON am.oid = c.relam
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhseqno = 1
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname`

const queryColumns = `
SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, format_type(a.atttypid, a.atttypmod),
       CASE WHEN t.typcategory = 'A' THEN format_type(t.typelem, a.atttypmod) ELSE '' END,
       a.attnotnull, a.attgenerated <> '', a.attidentity <> '',
       coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
       has_column_privilege(a.attrelid, a.attnum, 'SELECT')
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum`

const queryKeys = `
SELECT i.indrelid, i.indisprimary, i.indisreplident, c.relname, k.num
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (num, n)
WHERE i.indrelid = ANY ($1::oid[]) AND (i.indisprimary OR i.indisreplident) AND k.n <= i.indnkeyatts
ORDER BY i.indrelid, i.indexrelid, k.n`

// queryIndexes says of an index why it is none over whole columns and all rows, where it is not.
const queryIndexes = `
SELECT i.indrelid, i.indisprimary, i.indisunique, c.relname, coalesce(a.attname, ''),
       CASE WHEN i.indisexclusion THEN 'an exclusion constraint'
            WHEN am.amname <> 'btree' THEN am.amname
            WHEN i.indexprs IS NOT NULL THEN 'on an expression'
            WHEN i.indpred IS NOT NULL THEN 'on a part of the rows'
            WHEN NOT i.indimmediate THEN 'deferrable'
            WHEN i.indnullsnotdistinct THEN 'nulls not distinct'
            WHEN EXISTS (SELECT FROM pg_opclass p WHERE p.oid = ANY (i.indclass::oid[]) AND NOT p.opcdefault)
                 THEN 'with an operator class'
            ELSE '' END
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am am ON am.oid = c.relam
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (num, n)
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
WHERE i.indrelid = ANY ($1::oid[]) AND i.indisvalid AND i.indislive AND k.n <= i.indnkeyatts
ORDER BY i.indrelid, c.relname, k.n`

const querySizes = `
SELECT c.oid, coalesce(pg_total_relation_size(c.oid), -1)
FROM pg_class c WHERE c.oid = ANY ($1::oid[])`

// A true array is what its element calls its array: int2vector and oidvector print otherwise.
const queryTypes = `
WITH RECURSIVE used (oid) AS (
	SELECT DISTINCT unnest($1::oid[])
	UNION
	SELECT ref.oid FROM used
	JOIN pg_type t ON t.oid = used.oid
	CROSS JOIN LATERAL (VALUES (t.typbasetype), (t.typelem)) AS ref (oid)
	WHERE ref.oid <> 0
)
SELECT t.oid, t.typname, t.typtype, coalesce(e.typarray = t.oid, false), t.typelem,
       t.typbasetype, t.typtypmod,
       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE '' END,
       CASE WHEN b.typcategory = 'A' THEN format_type(b.typelem, t.typtypmod) ELSE '' END,
       quote_ident(pn.nspname) || '.' || quote_ident(p.proname)
FROM used
JOIN pg_type t ON t.oid = used.oid
JOIN pg_proc p ON p.oid = t.typoutput
JOIN pg_namespace pn ON pn.oid = p.pronamespace
LEFT JOIN pg_type e ON e.oid = t.typelem
LEFT JOIN pg_type b ON b.oid = t.typbasetype`

const queryLabels = `
SELECT enumtypid, enumlabel FROM pg_enum WHERE enumtypid = ANY ($1::oid[])
ORDER BY enumtypid, enumsortorder`

// forVersion takes out of a query what an older server does not have.
func forVersion(sql string, version int) string {
	const hasIncluded, hasGenerated, hasNulls = 110000, 120000, 150000
	if version < hasNulls {
		sql = strings.Replace(sql, "i.indnullsnotdistinct", "false", 1)
	}
	if version < hasGenerated {
		sql = strings.Replace(sql, "a.attgenerated <> ''", "false", 1)
	}
	if version < hasIncluded {
		sql = strings.Replace(sql, "i.indnkeyatts", "i.indnatts", 1)
	}
	return sql
}
