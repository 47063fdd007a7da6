package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// The verbs of steps. SET LOGGED writes a table anew with all of its indexes, so it comes before there are
// any. A key is an index that is made like others and beside them, for nobody can so much as read a table
// whose key is made in one go.
const (
	stepLogged   = "logged"
	stepKeyIndex = "key_index"
	stepKey      = "key"
	stepUnique   = "unique"
	stepIndex    = "index"
	stepAnalyze  = "analyze"
)

// step is one thing that is left to be done to a target after its load: a row of load_step, which is
// deleted in the transaction that does it.
type step struct {
	Target  name
	Ordinal int
	Source  string // address
	Verb    string
	Columns string // as SQL
	Index   string // its name, or of a key that of the index that was made for it; "" for the server's choice
}

// sql returns the statement that does the step.
func (s *step) sql() string {
	switch s.Verb {
	case stepLogged:
		return "ALTER TABLE " + s.Target.sql() + " SET LOGGED"
	case stepKey:
		return "ALTER TABLE " + s.Target.sql() + " ADD PRIMARY KEY (" + s.Columns + ")"
	case stepUnique, stepKeyIndex:
		return "CREATE UNIQUE INDEX " + s.index() + "ON " + s.Target.sql() + " (" + s.Columns + ")"
	case stepIndex:
		return "CREATE INDEX " + s.index() + "ON " + s.Target.sql() + " (" + s.Columns + ")"
	}
	return "ANALYZE " + s.Target.sql()
}

// adoptSQL makes the key of an index that is there.
func (s *step) adoptSQL(index string) string {
	return "ALTER TABLE " + s.Target.sql() + " ADD PRIMARY KEY USING INDEX " + ident(index)
}

func (s *step) index() string {
	if s.Index == "" {
		return ""
	}
	return ident(s.Index) + " "
}

// spare reports whether the pipeline can go on without the step.
func (s *step) spare() bool {
	return s.Verb == stepUnique || s.Verb == stepIndex || s.Verb == stepAnalyze
}

// dedupSQL deletes all but one row of each key: a row that was read twice, because it moved from one
// chunk to another between two reads. The stream brings each of them to its last state.
func (s *step) dedupSQL() string {
	return "DELETE FROM " + s.Target.sql() + " WHERE ctid IN (SELECT d.ctid FROM (SELECT ctid, row_number()" +
		" OVER (PARTITION BY " + s.Columns + " ORDER BY ctid DESC) AS n FROM " + s.Target.sql() +
		") AS d WHERE d.n > 1)"
}

// owner is the condition that picks the sink's rows of a state table.
func (s *state) owner() string {
	return "pipeline = " + literal(s.pipeline) + " AND sink = " + literal(s.sink)
}

// planSQL replaces the steps of a target.
func (s *state) planSQL(n name, steps []step) string {
	var b strings.Builder
	b.WriteString("DELETE FROM " + s.schema + ".load_step WHERE " + s.owner() + " AND target = " + literal(n.sql()))
	for _, st := range steps {
		b.WriteString("; INSERT INTO " + s.schema + ".load_step" +
			" (pipeline, sink, target, ordinal, source, verb, columns, schema_name, table_name, index_name) VALUES (")
		values := []string{s.pipeline, s.sink, n.sql(), strconv.Itoa(st.Ordinal), st.Source, st.Verb, st.Columns,
			n.schema, n.table, st.Index}
		for i, v := range values {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(literal(v))
		}
		b.WriteString(")")
	}
	return b.String()
}

// stepsOf returns the steps that are left of a source's loads, or of one target's.
func (s *state) stepsOf(ctx context.Context, c *conn, column, value string) ([]step, error) {
	rows, err := c.query(ctx, "SELECT schema_name, table_name, ordinal, source, verb, columns, index_name FROM "+
		s.schema+".load_step WHERE "+
		s.owner()+" AND "+column+" = $1 ORDER BY target, ordinal", value)
	if err != nil {
		return nil, err
	}
	out := make([]step, len(rows))
	for i, r := range rows {
		ordinal, err := strconv.Atoi(r[2])
		if err != nil {
			return nil, fmt.Errorf("the state's step %q: %w", r[2], err)
		}
		out[i] = step{Target: name{r[0], r[1]}, Ordinal: ordinal, Source: r[3], Verb: r[4], Columns: r[5], Index: r[6]}
	}
	return out, nil
}

// dropStepSQL deletes a step and returns it, if it is still there.
func (s *state) dropStepSQL(st *step) string {
	return "DELETE FROM " + s.schema + ".load_step WHERE " + s.owner() + " AND target = " + literal(st.Target.sql()) +
		" AND ordinal = " + strconv.Itoa(st.Ordinal) + " RETURNING 1"
}

// troubleSQL records why a step could not be done.
func (s *state) troubleSQL(st *step, err error) string {
	return "UPDATE " + s.schema + ".load_step SET trouble = " + literal(err.Error()) + " WHERE " + s.owner() +
		" AND target = " + literal(st.Target.sql()) + " AND ordinal = " + strconv.Itoa(st.Ordinal)
}

// keepMarksSQL makes the positions of a source's chunks durable once all of its targets are: a stream may
// have rows in several of them.
func (s *state) keepMarksSQL(source string) string {
	prefix := literal(source + "/")
	of := s.owner() + " AND left(stream, length(" + prefix + ")) = " + prefix + " AND NOT EXISTS (SELECT FROM " +
		s.schema + ".load_step l WHERE " + s.owner() + " AND l.source = " + literal(source) +
		" AND l.verb = " + literal(stepLogged) + ")"
	return "INSERT INTO " + s.schema +
		".checkpoint (pipeline, sink, stream, position) SELECT pipeline, sink, stream, position FROM " +
		s.schema + ".checkpoint_unlogged WHERE " + of + " ON CONFLICT (pipeline, sink, stream) DO UPDATE SET" +
		" position = excluded.position, updated_at = now(); DELETE FROM " + s.schema +
		".checkpoint_unlogged WHERE " + of
}
