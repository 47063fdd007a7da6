package postgres

import (
	"context"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// follow gives what is stored of sources that were moved their new names, as the engine does with what it
// has: the sink would not know what it has of their streams, and one that is forgotten under its new name
// would come back under its old one. What is there under the new name already was moved before, and wins.
func (s *state) follow(ctx context.Context, c *conn, moves []spec.Move) error {
	for _, m := range moves {
		for _, table := range []string{"checkpoint", "checkpoint_unlogged"} {
			if err := s.followIn(ctx, c, m, table, "stream"); err != nil {
				return err
			}
		}
		for _, table := range []string{"load", "load_step", "sift"} {
			if err := s.followIn(ctx, c, m, table, "source"); err != nil {
				return err
			}
		}
	}
	return nil
}

// followIn renames in one table. A source's address ends where the name does, or with a key, a stream or the
// name of a table.
func (s *state) followIn(ctx context.Context, c *conn, m spec.Move, table, column string) error {
	of := " WHERE t.pipeline = $1 AND t.sink = $2 AND substr(t." + column + ", 1, length($3)) = $3" +
		" AND substr(t." + column + ", length($3) + 1, 1) IN ('', '[', '/', ' ')"
	renamed := "$4 || substr(t." + column + ", length($3) + 1)"
	sql := "UPDATE " + s.schema + "." + table + " AS t SET " + column + " = " + renamed + of
	if column == "stream" {
		sql += " AND NOT EXISTS (SELECT FROM " + s.schema + "." + table + " AS n WHERE n.pipeline = t.pipeline" +
			" AND n.sink = t.sink AND n.stream = " + renamed + ")"
	}
	if _, err := c.query(ctx, sql, s.pipeline, s.sink, m.From, m.To); err != nil || column != "stream" {
		return err
	}
	_, err := c.query(ctx, "DELETE FROM "+s.schema+"."+table+" AS t"+of, s.pipeline, s.sink, m.From)
	return err
}
