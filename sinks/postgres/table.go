package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// name is the qualified name of a target.
type name struct{ schema, table string }

func (n name) String() string { return n.schema + "." + n.table }

// sql returns the name quoted.
func (n name) sql() string { return ident(n.schema) + "." + ident(n.table) }

// attribute is a column of the target as its catalogue has it.
type attribute struct {
	name      string
	oid       uint32 // of the type, or of the type that a domain is over
	elem      uint32 // of the element where the type is an array
	enum      bool
	typ       string // the type without modifiers
	full      string // the type as declared
	notNull   bool
	generated bool
	identity  bool
	hasDef    bool
}

// table is a target as its catalogue has it.
type table struct {
	oid     string
	kind    string // relkind
	cols    []attribute
	unique  [][]string // the columns of each unique index that can settle a conflict
	others  bool       // it has unique indexes or exclusion constraints of another kind
	foreign bool       // it takes part in a foreign key

	unlogged bool // a crash of the server empties it
}

// attr returns the attribute of that name, nil where there is none.
func (t *table) attr(name string) *attribute {
	for i := range t.cols {
		if t.cols[i].name == name {
			return &t.cols[i]
		}
	}
	return nil
}

// keyed reports whether a unique index has exactly those columns.
func (t *table) keyed(columns []string) bool {
	for _, u := range t.unique {
		if sameSet(u, columns) {
			return true
		}
	}
	return false
}

func sameSet(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for _, s := range a {
		found := false
		for _, o := range b {
			found = found || s == o
		}
		if !found {
			return false
		}
	}
	return true
}

const tableSQL = `SELECT c.oid, c.relkind, EXISTS (SELECT FROM pg_constraint k WHERE k.contype = 'f'
	AND (k.conrelid = c.oid OR k.confrelid = c.oid)), c.relpersistence = 'u'
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`

// columnsSQL follows domains down to the type that they are over.
const columnsSQL = `WITH RECURSIVE base (num, oid) AS (
	SELECT attnum, atttypid FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped
	UNION ALL SELECT b.num, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd')
SELECT a.attname, t.oid, CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END, t.typtype = 'e',
	format_type(a.atttypid, NULL), format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated <> '',
	a.attidentity <> '', a.atthasdef
FROM pg_attribute a JOIN base b ON b.num = a.attnum JOIN pg_type t ON t.oid = b.oid AND t.typtype <> 'd'
WHERE a.attrelid = $1::oid ORDER BY a.attnum`

const indexesSQL = `SELECT i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate,
	a.attname, i.indexrelid
FROM pg_index i JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(num, pos) ON k.pos <= i.indnkeyatts
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
WHERE i.indrelid = $1::oid AND (i.indisunique OR i.indisexclusion) AND i.indislive ORDER BY i.indexrelid, k.pos`

// readTable reads the catalogue; nil where there is no such relation.
func readTable(ctx context.Context, c *conn, n name) (*table, error) {
	rows, err := c.query(ctx, tableSQL, n.schema, n.table)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	t := &table{oid: rows[0][0], kind: rows[0][1], foreign: rows[0][2] == "t", unlogged: rows[0][3] == "t"}
	if !strings.Contains("rpf", t.kind) {
		return nil, &pipeline.Error{Class: pipeline.Input, Table: n.String(),
			Err: errors.New("is not a table"), Hint: "Set into to the name of a table"}
	}
	if rows, err = c.query(ctx, columnsSQL, t.oid); err != nil {
		return nil, err
	}
	for _, r := range rows {
		t.cols = append(t.cols, attribute{name: r[0], oid: oidOf(r[1]), elem: oidOf(r[2]),
			enum: r[3] == "t", typ: r[4],
			full: r[5], notNull: r[6] == "t", generated: r[7] == "t", identity: r[8] == "t", hasDef: r[9] == "t"})
	}
	if rows, err = c.query(ctx, indexesSQL, t.oid); err != nil {
		return nil, err
	}
	t.indexes(rows)
	return t, nil
}

func (t *table) indexes(rows [][]string) {
	for i := 0; i < len(rows); {
		var columns []string
		index, usable := rows[i][2], rows[i][0] == "t"
		for ; i < len(rows) && rows[i][2] == index; i++ {
			columns = append(columns, rows[i][1])
		}
		if usable {
			t.unique = append(t.unique, columns)
			continue
		}
		t.others = true
	}
}

func oidOf(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
