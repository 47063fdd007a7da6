package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// trackerTable is the tracker's table. It has the form that a well-known snapshotter for Debezium gave it, so
// that one which is there already is taken over, whatever its schema, the name of its key or its other columns.
type trackerTable struct{ schema, name string }

// trackerSpec describes the attributes about the tracker.
func (c *Config) trackerSpec(b *spec.Block) {
	spec.Attr(b, "tracker", &c.Tracker).Example(`"public.snapshot_tracker"`).
		Doc("A table in this database that shows which tables are being read, and in which SQL asks for a snapshot: " +
			"UPDATE ... SET needs_snapshot = true WHERE table_name = 'public.orders' AND server_name = 'shop'. One that is " +
			"there is taken over. It is not read itself.")
	spec.Attr(b, "tracker_server", &c.TrackerServer).
		Doc("What server_name is in the tracker's rows of this source. Without it: the pipeline's name.")
}

// trackerTable returns the table's name: public is the schema of one without.
func (c *Config) trackerTable() trackerTable {
	schema, name, ok := strings.Cut(c.Tracker, ".")
	if !ok {
		schema, name = "public", c.Tracker
	}
	return trackerTable{schema, name}
}

// excluded returns the patterns of the tables to leave out: the tracker's is never read.
func (c *Config) excluded() []string {
	if c.Tracker == "" {
		return c.Exclude
	}
	t := c.trackerTable()
	return append(slices.Clone(c.Exclude), t.quoted())
}

func (t trackerTable) String() string { return t.schema + "." + t.name }
func (t trackerTable) quoted() string { return quoteName(t.schema) + "." + quoteName(t.name) }
func (t trackerTable) grant() string {
	return "GRANT SELECT, INSERT, UPDATE ON " + t.quoted() + " TO <role>"
}

// create returns the statement that makes the table.
func (t trackerTable) create() string {
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (table_name text NOT NULL, server_name text NOT NULL, "+
		"needs_snapshot boolean NOT NULL, under_snapshot boolean NOT NULL, "+
		"CONSTRAINT %s PRIMARY KEY (table_name, server_name))", t.quoted(), quoteName(t.name+"_pk"))
}

// trackerSQL lists the columns that a table of exactly that schema and name has, by kind of type, and whether
// the role may do what is needed.
const trackerSQL = `SELECT a.attname, t.typcategory,
       has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'f')`

// trackerColumns returns the columns needed, and the category of their types: S text, B boolean.
func trackerColumns() [][2]string {
	return [][2]string{{"table_name", "S"}, {"server_name", "S"}, {"needs_snapshot", "B"}, {"under_snapshot", "B"}}
}

// prepare makes the table where it is missing and may be made, and refuses one that cannot be used.
func (t *tracker) prepare(ctx context.Context, conn *pgconn.PgConn) error {
	if t.server.Standby {
		return failed(pipeline.Input, "Leave tracker out, or read from the primary", "a standby cannot keep a tracker")
	}
	for made := false; ; made = true {
		result, err := queryTexts(ctx, conn, "look for the tracker", trackerSQL, t.table.schema, t.table.name)
		if err != nil {
			return err
		}
		if len(result.Rows) > 0 {
			return t.table.refuse(result)
		}
		if made || !t.config.creates("tracker") {
			return failed(pipeline.Environment, t.table.create()+"; or create = [\"tracker\"]",
				"the tracker's table %s does not exist", t.table)
		}
		if err := execute(ctx, conn, "make the tracker's table", t.table.create()); err != nil {
			return &pipeline.Error{Class: pipeline.Environment, Err: err, Hint: "Have somebody run: " + t.table.create() + "; " + t.table.grant()}
		}
	}
}

// refuse says what a table lacks.
func (t trackerTable) refuse(columns *pgconn.Result) error {
	have := map[string]string{}
	allowed := true
	for _, row := range columns.Rows {
		have[string(row[0])] = string(row[1])
		allowed = allowed && string(row[2]) == "t"
	}
	for _, c := range trackerColumns() {
		if column, kind := c[0], c[1]; have[column] != kind {
			return failed(pipeline.Environment, "Name another table, or let this one be made: "+t.create(),
				"table %s is not a tracker: it has no column %s of the right type", t, column)
		}
	}
	if !allowed {
		return failed(pipeline.Environment, t.grant(), "the role may not keep the tracker's table %s", t)
	}
	return nil
}
