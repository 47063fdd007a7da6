package mariadb

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// query handles a statement in the log.
func (s *stream) query(h *binlog.Header, body []byte) error {
	var q binlog.Query
	if err := binlog.ParseQuery(h.Type, body, &s.z, &q); err != nil {
		return err
	}
	if !s.group.open {
		return nil // made up by the sender
	}
	if string(q.SQL) == "COMMIT" {
		return s.end(h)
	}
	if s.group.Flags&binlog.GTIDCompletedXA != 0 {
		commit := bytes.HasPrefix(bytes.ToUpper(q.SQL), []byte("XA COMMIT"))
		if err := s.outcome(s.group.XID, commit); err != nil {
			return err
		}
		return s.end(h)
	}
	st := parseStatement(string(q.SQL))
	if err := s.statement(&q, st); err != nil {
		return err
	}
	if s.group.Flags&binlog.GTIDStandalone != 0 || st.Verb == verbRollback {
		return s.end(h)
	}
	return nil
}

// statement does what a statement means to rows.
func (s *stream) statement(q *binlog.Query, st statement) error {
	switch st.Verb {
	case verbTruncate, verbShape, verbMade, verbLossy, verbDrop:
		s.ddl++
	}
	if s.group.skip {
		return nil
	}
	database := string(q.Database)
	s.voidAll(database, st)
	switch st.Verb {
	case verbMade:
		s.made(database, st.Names)
	case verbRollback, verbUndo:
		if s.seq > 0 {
			return failed(pipeline.Environment, "Do not mix tables of engines with and without transactions in one transaction",
				"transaction %s was rolled back after rows of it were logged", s.group.GTID)
		}
	case verbTruncate:
		s.made(database, st.Names)
		return s.truncate(database, st.Names)
	case verbChange:
		if t := s.captured(database, st.Names); t != nil {
			return s.lossyTable(t, "table %s was changed by a statement that was logged as text: %.200s", t, q.SQL)
		}
	case verbLossy:
		if t := s.captured(database, st.Names); t != nil {
			return s.lossyTable(t, "rows of table %s changed without being in the log: %.200s", t, q.SQL)
		}
	case verbDrop:
		if t := s.captured(database, st.Names); t != nil {
			s.env.Log.Warn("a table was dropped; its rows stay where they were delivered", "table", t.String())
		}
	}
	return nil
}

// made remembers that a table was made where the stream saw it: all of its rows are in the log.
func (s *stream) made(database string, names []name) {
	for _, n := range names {
		if n.Database == "" {
			n.Database = database
		}
		key := tableKey(n.Database, n.Table)
		if _, ok := s.settings.picker.named(n.Database, n.Table); ok && s.tables[key] == nil && len(s.merging.made) < maxMapped {
			s.merging.made[key] = true
		}
	}
}

// voidAll: chunks of tables that a statement may have altered are read again where they were read before
// it.
func (s *stream) voidAll(database string, st statement) {
	switch st.Verb {
	case verbTruncate, verbShape, verbMade, verbLossy, verbDrop, verbChange:
		for _, n := range st.Names {
			if t := s.taken(database, n); t != nil {
				s.merging.void(t)
				if s.voided != nil {
					s.voided(t)
				}
			}
		}
	}
}

// lossyTable: a table whose policy is to be read again where changes are lost is read again.
func (s *stream) lossyTable(t *table, format string, args ...any) error {
	if t.Policy != policyWhenNeeded && t.Policy != policyAlways || s.merging.live == nil {
		return s.lossy(format, args...)
	}
	s.env.Log.Warn("a table is read again: "+fmt.Sprintf(format, args...), "position", string(s.pos))
	return s.reread(t)
}

// lossy does what the configuration says about changes that cannot be delivered.
func (s *stream) lossy(format string, args ...any) error {
	if s.config.LossyDDL == onWarn {
		s.env.Log.Warn("changes are missing: "+fmt.Sprintf(format, args...), "position", string(s.pos))
		return nil
	}
	err := failed(pipeline.Environment, `Set lossy_ddl = "warn" to pass over it, and take a new snapshot of the table; `+
		"keep binlog_format = ROW in every session. A table with snapshot = \"when_needed\" is read again by itself", format, args...)
	err.Pos = s.pos
	return err
}

// captured returns the first of the tables named that is taken, nil where none is.
func (s *stream) captured(database string, names []name) *table {
	for _, n := range names {
		if t := s.taken(database, n); t != nil {
			return t
		}
	}
	return nil
}

func (s *stream) taken(database string, n name) *table {
	if n.Database != "" {
		database = n.Database
	}
	t := s.tables[tableKey(database, n.Table)]
	if t == nil { // the server may compare names without case
		t = s.tables[tableKey(strings.ToLower(database), strings.ToLower(n.Table))]
	}
	if t == nil || t.Policy == policyOnly {
		return nil
	}
	return t
}

// truncate adds a row for a table that was emptied, where it is taken.
func (s *stream) truncate(database string, names []name) error {
	t := s.captured(database, names)
	if t == nil {
		return nil
	}
	b, err := s.room()
	if err != nil {
		return err
	}
	row := b.Add()
	row.Schema, row.Op, row.Tx, row.Seq = t.Schema, pipeline.Truncate, s.tx, s.seq
	s.seq++
	return nil
}
