package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// evolve brings the target in line with a schema as schema_changes says, and reports whether it
// changed anything. old is the schema that the table's rows had before, nil at first.
func (b *binder) evolve(ctx context.Context, c *conn, t *target, old, s *pipeline.Schema) (bool, error) {
	sql, err := b.evolution(ctx, c, t, old, s)
	if err != nil || sql == "" {
		return false, err
	}
	b.log.Info("the target table changes", "table", t.name.String(), "sql", sql)
	return true, c.run(ctx, sql)
}

// evolution returns the statement that evolve runs, "" for none.
func (b *binder) evolution(ctx context.Context, c *conn, t *target, old, s *pipeline.Schema) (string, error) {
	var parts []string
	for i := range s.Columns {
		col := &s.Columns[i]
		part, err := b.change(ctx, c, t, old, s, col)
		if err != nil {
			return "", err
		}
		if part != "" {
			parts = append(parts, part)
		}
	}
	if b.cfg.Deletes == deletesSoft && t.table.attr(b.cfg.DeletedColumn) == nil {
		parts = append(parts, "ADD COLUMN IF NOT EXISTS "+b.deletedDef())
	}
	if b.cfg.SchemaChanges == changesApply {
		parts = append(parts, gone(t.table, s)...)
	}
	if len(parts) == 0 {
		return "", nil
	}
	return "ALTER TABLE " + t.name.sql() + " " + strings.Join(parts, ", "), nil
}

// gone lets columns that the source no longer has be NULL. They are never dropped.
func gone(t *table, s *pipeline.Schema) []string {
	var parts []string
	for i := range t.cols {
		a := &t.cols[i]
		if s.Index(a.name) < 0 && a.notNull && !a.hasDef && !a.identity && !a.generated {
			parts = append(parts, "ALTER COLUMN "+ident(a.name)+" DROP NOT NULL")
		}
	}
	return parts
}

// change returns what ALTER TABLE must do for one column, "" for nothing.
func (b *binder) change(ctx context.Context, c *conn, t *target, old, s *pipeline.Schema,
	col *pipeline.Column) (string, error) {
	a, mode := t.table.attr(col.Name), b.cfg.SchemaChanges
	if a == nil {
		return b.missing(ctx, c, t, s, col)
	}
	if mode == changesIgnore {
		return "", nil
	}
	want, err := typeFor(ctx, c, s, col)
	if err != nil {
		return "", err
	}
	changed := typeChanged(old, col)
	typ, err := wider(ctx, c, want, a)
	switch {
	case err != nil:
		return "", err
	case typ != "" && mode == changesApply:
		return "ALTER COLUMN " + ident(col.Name) + " TYPE " + typ, nil
	case changed && (mode == changesFail || typ != "" || want != a.full && !holds(col, a)):
		return "", &pipeline.Error{Class: pipeline.Input, Table: s.Name(),
			Err: fmt.Errorf("the type of column %s changed to %s, the target has %s", col.Name, col.Type,
				a.full),
			Hint: fmt.Sprintf("Run ALTER TABLE %s ALTER COLUMN %s TYPE ..., and take the table's snapshot again if"+
				" the source rewrote its rows; or set schema_changes", t.name.sql(), ident(col.Name))}
	case mode == changesApply && col.Nullable && a.notNull && !s.IsKey(s.Index(col.Name)):
		return "ALTER COLUMN " + ident(col.Name) + " DROP NOT NULL", nil
	}
	return "", nil
}

// missing adds a column, or refuses, or leaves it out.
func (b *binder) missing(ctx context.Context, c *conn, t *target, s *pipeline.Schema, col *pipeline.Column) (string,
	error) {
	switch b.cfg.SchemaChanges {
	case changesIgnore:
		b.log.Warn("a column has no place in the target and is left out", "table", t.name.String(),
			"column", col.Name)
		return "", nil
	case changesFail:
		def, _, err := b.columnDef(ctx, c, s, col)
		return "", errors.Join(err, &pipeline.Error{Class: pipeline.Input, Table: s.Name(),
			Err:  fmt.Errorf("the target %s has no column %s", t.name, col.Name),
			Hint: "Run ALTER TABLE " + t.name.sql() + " ADD COLUMN " + def})
	}
	def, typ, err := b.columnDef(ctx, c, s, col)
	if err != nil || col.Default == "" {
		return "ADD COLUMN IF NOT EXISTS " + def, err
	}
	expr, ok := constantFor(s.System, col)
	if ok {
		if ok, err = takes(ctx, b.admin, expr, typ); err != nil {
			return "", err
		}
	}
	if ok {
		def += " DEFAULT " + expr
	} else {
		b.log.Warn("the new column's default is not a constant: rows that exist already keep NULL",
			"table", t.name.String(), "column", col.Name, "default", col.Default)
	}
	return "ADD COLUMN IF NOT EXISTS " + def, nil
}

func typeChanged(old *pipeline.Schema, col *pipeline.Column) bool {
	if old == nil {
		return false
	}
	i := old.Index(col.Name)
	return i >= 0 && old.Columns[i].Type != col.Type
}

// holds reports whether a value of the column goes into the attribute without a cast.
func holds(col *pipeline.Column, a *attribute) bool { return wireOf(col.Kind, a).cast == "" }

// wider returns the type that the attribute must be widened to, "" where it is wide enough or where
// widening would not be safe.
func wider(ctx context.Context, c *conn, typ string, a *attribute) (string, error) {
	if typ == a.full {
		return "", nil
	}
	rows, err := c.query(ctx, "SELECT format_type(to_regtype($1), NULL)", typ)
	if err != nil {
		return "", err
	}
	have, want := widthOf(a.typ, a.full), widthOf(rows[0][0], typ)
	if have.family != "" && have.family == want.family && have.less(want) {
		return typ, nil
	}
	return "", nil
}
