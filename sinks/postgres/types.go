package postgres

import (
	"context"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
)

// typeFor returns the type to create for a source's column: its own where the target knows it and it
// holds the column's values, else the one that holds its kind.
func typeFor(ctx context.Context, c *conn, s *pipeline.Schema, col *pipeline.Column) (string, error) {
	if s.System == pipeline.PostgreSQL && col.Type != "" {
		for _, t := range []string{col.Type, ident(s.Namespace) + "." + col.Type} {
			ok, err := known(ctx, c, t, col)
			if err != nil {
				return "", err
			}
			if ok {
				return t, nil
			}
		}
	}
	return ruleFor(s.System, col).expand(col), nil
}

// known reports whether the target has a type of that text that takes the column's values. The text
// comes from a source: to_regtype takes nothing but a type's name, and an error means no.
func known(ctx context.Context, c *conn, typ string, col *pipeline.Column) (bool, error) {
	rows, err := c.query(ctx, `WITH RECURSIVE base AS (SELECT t.* FROM pg_type t WHERE t.oid = to_regtype($1)
		UNION ALL SELECT t.* FROM base b JOIN pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd')
		SELECT oid, CASE WHEN typcategory = 'A' THEN typelem ELSE 0 END, typtype = 'e'
		FROM base WHERE typtype <> 'd'`, typ)
	if err != nil && sqlState(err) == "" {
		return false, err
	}
	if err != nil || len(rows) == 0 {
		return false, nil
	}
	oid, elem, enum := oidOf(rows[0][0]), oidOf(rows[0][1]), rows[0][2] == "t"
	if pgtext.Wire(col.Kind, oid, elem, enum) {
		return true, nil
	}
	return col.Kind == pipeline.Other || col.Kind == pipeline.Array || col.Kind == pipeline.Text &&
		!pgtext.Native(oid), nil
}
