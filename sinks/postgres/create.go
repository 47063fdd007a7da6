package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// constrained reports whether tables that the sink makes have the source's NOT NULL and defaults. A
// history has rows that were sent in part, and of merged tables one may have what another has not.
func (c *Config) constrained() bool {
	return c.Constraints && !c.Merge && c.Write == writeUpsert
}

// createTable makes the table that a schema's rows need. It is committed on its own, so that lanes
// that write to it do not wait for one another.
func (b *binder) createTable(ctx context.Context, c *conn, n name, s *pipeline.Schema) error {
	defs, err := b.tableDefs(ctx, c, s, true)
	if err != nil {
		return err
	}
	made, err := b.createOnce(ctx, c, n, "CREATE TABLE "+n.sql()+" ("+strings.Join(defs, ", ")+"); "+
		b.state.madeSQL(n))
	if made {
		b.tell(n, s, false)
	}
	return err
}

// tableDefs returns what stands between the parentheses of CREATE TABLE.
func (b *binder) tableDefs(ctx context.Context, c *conn, s *pipeline.Schema, withKey bool) ([]string, error) {
	defs := make([]string, 0, len(s.Columns)+2)
	for i := range s.Columns {
		def, typ, err := b.columnDef(ctx, c, s, &s.Columns[i])
		if err != nil {
			return nil, err
		}
		more, err := b.constraints(ctx, c, s, i, typ)
		if err != nil {
			return nil, err
		}
		defs = append(defs, def+more)
	}
	if b.cfg.Deletes == deletesSoft {
		defs = append(defs, b.deletedDef())
	}
	if withKey && len(s.Key) > 0 && b.cfg.Write == writeUpsert {
		defs = append(defs, "PRIMARY KEY ("+columnList(s, s.Key)+")")
	}
	return defs, nil
}

// constraints returns what follows a column's type in a table that the sink makes.
func (b *binder) constraints(ctx context.Context, c *conn, s *pipeline.Schema, i int, typ string) (string, error) {
	def, col := "", &s.Columns[i]
	if expr, known := defaultFor(s.System, col); b.cfg.constrained() && known && expr != "" {
		ok, err := takes(ctx, c, expr, typ)
		if err != nil {
			return "", err
		}
		if ok {
			def += " DEFAULT " + expr
		} else {
			b.log.Warn("the target does not take a default", "table", s.Name(), "column", col.Name, "default", expr)
		}
	}
	if s.IsKey(i) && b.cfg.Write == writeUpsert || b.cfg.constrained() && !col.Nullable {
		def += " NOT NULL"
	}
	return def, nil
}

// createOnce runs a CREATE that another instance may run at the same time, and reports whether it was
// this one that made the table. The error is stateTableExists where the name of an index is taken.
func (b *binder) createOnce(ctx context.Context, c *conn, n name, create string) (made bool, err error) {
	for range claimTries {
		sql := create
		rows, qerr := c.query(ctx, "SELECT to_regnamespace($1) IS NULL", ident(n.schema))
		if qerr != nil {
			return false, qerr
		}
		if rows[0][0] == "t" {
			sql = "CREATE SCHEMA IF NOT EXISTS " + ident(n.schema) + "; " + sql
		}
		err = c.run(ctx, sql)
		switch s := sqlState(err); s {
		case "":
			return err == nil, err
		case stateTableExists, stateUnique, "42P06":
			if rows, qerr = c.query(ctx, "SELECT to_regclass($1) IS NOT NULL", n.sql()); qerr != nil {
				return false, qerr
			}
			if rows[0][0] == "t" {
				return false, nil
			}
			if s == stateTableExists {
				return false, err
			}
		default:
			return false, err
		}
	}
	return false, err
}

func (b *binder) deletedDef() string {
	return ident(b.cfg.DeletedColumn) + " boolean NOT NULL DEFAULT false"
}

// columnDef returns a column's quoted name with its type, and the type.
func (b *binder) columnDef(ctx context.Context, c *conn, s *pipeline.Schema, col *pipeline.Column) (def, typ string,
	err error) {
	if err := checkName(col.Name); err != nil {
		return "", "", &pipeline.Error{Class: pipeline.Input, Table: s.Name(), Err: err,
			Hint: "Shorten it with a transform \"rename\""}
	}
	typ, err = typeFor(ctx, c, s, col)
	return ident(col.Name) + " " + typ, typ, err
}

// tell logs what a table that the sink has made does not have of its source's.
func (b *binder) tell(n name, s *pipeline.Schema, indexes bool) {
	if left := b.cfg.leftOut(s, indexes); len(left) > 0 {
		b.log.Info("a table is made without some of what its source has", "table", n.String(), "without",
			strings.Join(left, "; "))
	}
}

// leftOut lists what tables that the sink makes do not have of their source's: defaults that may mean
// something else here, and indexes of other kinds.
func (c *Config) leftOut(s *pipeline.Schema, indexes bool) []string {
	var out []string
	for i := range s.Columns {
		col := &s.Columns[i]
		if _, ok := defaultFor(s.System, col); !ok && c.constrained() {
			out = append(out, fmt.Sprintf("the default of %s: %s", col.Name, col.Default))
		}
	}
	if !indexes {
		if n := len(s.Indexes); n > 0 {
			out = append(out, fmt.Sprintf("%d secondary indexes, which a block load makes (not with merge)", n))
		}
		return out
	}
	for _, x := range s.OtherIndexes {
		out = append(out, fmt.Sprintf("index %s: %s", x.Name, x.Why))
	}
	return out
}

// madeSQL records that the sink made a table: what follows a CREATE TABLE, in its transaction.
func (s *state) madeSQL(n name) string {
	return "INSERT INTO " + s.schema + ".made (pipeline, sink, schema_name, table_name, table_oid) VALUES (" +
		literal(s.pipeline) + ", " + literal(s.sink) + ", " + literal(n.schema) + ", " + literal(n.table) + ", " +
		literal(n.sql()) + "::regclass::oid) ON CONFLICT (pipeline, sink, schema_name, table_name) DO UPDATE SET" +
		" table_oid = excluded.table_oid"
}

// isMade reports whether the sink made the table of that name and number.
func (s *state) isMade(ctx context.Context, c *conn, n name, oid string) (bool, error) {
	rows, err := c.query(ctx, "SELECT 1 FROM "+s.schema+".made WHERE "+s.owner()+
		" AND schema_name = $1 AND table_name = $2 AND table_oid = $3::oid", n.schema, n.table, oid)
	return len(rows) > 0, err
}
