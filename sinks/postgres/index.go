package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
)

// indexes returns the secondary indexes to make. A history has no unique values.
func (b *binder) indexes(n name, s *pipeline.Schema, taken map[string]bool) []step {
	var out []step
	for _, x := range s.Indexes {
		if len(x.Columns) == 0 || !within(x.Columns, len(s.Columns)) {
			continue
		}
		st := step{Target: n, Verb: stepIndex, Columns: columnList(s, x.Columns), Index: indexName(n, x.Name, taken)}
		if x.Unique && b.cfg.Write == writeUpsert && b.cfg.Deletes == deletesApply {
			st.Verb = stepUnique
		}
		out = append(out, st)
	}
	return out
}

func within(columns []int, n int) bool {
	for _, c := range columns {
		if c < 0 || c >= n {
			return false
		}
	}
	return true
}

// indexName returns the name that a target's index gets, and takes it: that of the source's index where
// it is free in the target's schema, else with the table's name before it. It is decided once, in the
// transaction that makes the table, and kept with the step.
func indexName(n name, index string, taken map[string]bool) string {
	if index == "" {
		return ""
	}
	for _, s := range []string{fitName(index), fitName(n.table + "_" + index), longName(n, index)} {
		if !taken[s] {
			taken[s] = true
			return s
		}
	}
	return "" // the server's choice
}

// keyName returns the name that a key's index gets, and takes it: what the server would choose.
func keyName(n name, taken map[string]bool) string { return indexName(n, n.table+"_pkey", taken) }

// longName is a name that no other table's index has.
func longName(n name, index string) string {
	return cutName(n.table+"_"+index, n.schema+"."+n.table+"."+index)
}

// fitName returns a name that the server does not cut off.
func fitName(s string) string {
	if len(s) <= maxNameSize {
		return s
	}
	return cutName(s, s)
}

// cutName returns the beginning of a name with a digest of what it stands for.
func cutName(s, of string) string {
	sum := sha256.Sum256([]byte(of))
	tail := "_" + hex.EncodeToString(sum[:4])
	if most := maxNameSize - len(tail); len(s) > most {
		for s = s[:most]; !utf8.ValidString(s); {
			s = s[:len(s)-1]
		}
	}
	return s + tail
}

// takenNames returns the names that an index in a schema cannot have: of what is there, and of indexes
// that are still to be made.
func (b *binder) takenNames(ctx context.Context, schema string) (map[string]bool, error) {
	rows, err := b.admin.query(ctx, "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"+
		" WHERE n.nspname = $1 UNION SELECT index_name FROM "+b.state.schema+".load_step WHERE schema_name = $1", schema)
	taken := make(map[string]bool, len(rows))
	for _, r := range rows {
		taken[r[0]] = true
	}
	return taken, err
}

// nameTaken reports whether an index could not be made because another relation has its name; two that
// are made at once meet in the catalogue's own index.
func nameTaken(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && (pe.Code == stateTableExists ||
		pe.Code == stateUnique && pe.ConstraintName == "pg_class_relname_nsp_index")
}
