package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
)

// The SQLSTATEs that the sink itself reacts to.
const (
	stateUnique         = "23505"
	stateExclusion      = "23P01"
	stateTwice          = "21000" // ON CONFLICT cannot affect a row a second time
	stateNotNull        = "23502"
	stateCheckpoint     = "checkpoint" // the constraint-less column that a lost fence leaves NULL
	stateTableExists    = "42P07"
	stateUntranslatable = "22P05"
	stateDeadlock       = "40P01"
	stateLock           = "55P03"
	stateLimit          = "54000" // a value too large for an index
)

// rule is one line of the error table: what an SQLSTATE, or a class of them, means.
type rule struct {
	prefix string
	class  pipeline.Class
	hint   string
}

// rules returns the error table (PostgreSQL documentation, appendix "Error Codes"), longest prefix
// first. What it does not know stops the pipeline.
func rules() []rule {
	return []rule{
		{"57P01", pipeline.Retryable, ""}, // admin_shutdown
		{"57P02", pipeline.Retryable, ""}, // crash_shutdown
		{"57P03", pipeline.Retryable, ""}, // cannot_connect_now
		{"57P05", pipeline.Retryable, ""}, // idle_session_timeout
		{"57014", pipeline.Retryable,
			"The statement was cancelled: raise statement_timeout if it needs longer"},
		{"25006", pipeline.Retryable,
			"The server is read-only: after a failover, name all hosts in dsn with target_session_attrs=read-write"},
		{"25P03", pipeline.Retryable, ""}, // idle_in_transaction_session_timeout
		{"40001", pipeline.Retryable, ""}, // serialization_failure
		{"40P01", pipeline.Retryable, ""}, // deadlock_detected
		{"40003", pipeline.Retryable, ""}, // statement_completion_unknown
		{"55P03", pipeline.Retryable,
			"Another session holds a lock on the table: find it in pg_locks, or raise lock_timeout"},
		{"55006", pipeline.Retryable, ""}, // object_in_use
		{"08P01", pipeline.Internal, ""},
		{"08", pipeline.Retryable, ""},
		{"53100", pipeline.Retryable,
			"The target's disk is full: free space; the pipeline goes on by itself"},
		{"53", pipeline.Retryable, ""}, // too many connections, out of memory
		{"58", pipeline.Environment, "The server had an I/O error: look into its log"},
		{"28", pipeline.Environment, "Check user and password in dsn, and pg_hba.conf on the server"},
		{"3D000", pipeline.Environment, "Create the database, or correct the name in dsn"},
		{"42501", pipeline.Environment, "Grant the role of dsn what the message names"},
		{"42P01", pipeline.Input, "Create the table, or set create_tables = true"},
		{"42703", pipeline.Input, "Add the column, or set schema_changes = \"add_columns\""},
		{"42804", pipeline.Input,
			"Change the column's type in the target, or convert it with a transform \"cast\""},
		{"42846", pipeline.Input,
			"Change the column's type in the target, or convert it with a transform \"cast\""},
		{"42P10", pipeline.Input, "Create a unique index on the key's columns in the target"},
		{"42", pipeline.Input, ""},
		{"54", pipeline.Input,
			"The value is too large for an index of the target, or the row for a page: drop the index there"},
		{"22", pipeline.Input,
			"The value does not fit the target's column: change the column's type, or convert or mask it in a" +
				" transform"},
		{"23502", pipeline.Input,
			"The target forbids NULL here: ALTER TABLE ... ALTER COLUMN ... DROP NOT NULL"},
		{"23503", pipeline.Input,
			"Let the role set session_replication_role, to leave foreign keys to the source:" +
				" GRANT SET ON PARAMETER session_replication_role TO <role>"},
		{"23505", pipeline.Input,
			"Another row of the target has this value: drop the unique index there, or correct the row"},
		{"23", pipeline.Input,
			"A constraint of the target refuses the row: drop it there, or correct the row"},
		{"0A", pipeline.Input, ""},
		{"25", pipeline.Internal, ""},
		{"26", pipeline.Internal,
			"Prepared statements are lost between transactions: connect to the server itself, or use the pooler's" +
				" session mode"},
	}
}

func ruleOf(state string) (rule, bool) {
	for _, r := range rules() {
		if strings.HasPrefix(state, r.prefix) {
			return r, true
		}
	}
	return rule{}, false
}

// sqlState returns the SQLSTATE of a server's error, "" for any other.
func sqlState(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// rowFault is an error that is known to come from one row.
type rowFault struct {
	row  *pipeline.Row
	plan *plan
	err  error
}

func (f *rowFault) Error() string { return f.err.Error() }
func (f *rowFault) Unwrap() error { return f.err }

// errMissing says that an update without all values met no row.
var errMissing = errors.New("the target does not have the row, and the source did not send all of its values")

// aboutRows reports whether an error can be pinned on a row by trying parts of the batch.
func aboutRows(err error) bool {
	if errors.Is(err, errMissing) {
		return true
	}
	s := sqlState(err)
	return strings.HasPrefix(s, "22") || strings.HasPrefix(s, "23") || s == stateTwice || s == stateLimit
}

// explain makes an error of the sink's boundary: class, hint, table, key, position.
func explain(node string, err error) error {
	var known *pipeline.Error
	if err == nil {
		return nil
	}
	if errors.As(err, &known) {
		if known.Node == "" {
			known.Node = node
		}
		return known
	}
	e := &pipeline.Error{Node: node, Err: err}
	var f *rowFault
	if errors.As(err, &f) {
		e.Table, e.Key = f.row.Schema.Name(), faultKey(f.row)
		if f.row.Tx != nil {
			e.Pos = f.row.Tx.Pos
		}
		e.Err = f.err
	}
	e.Class, e.Hint = classify(e.Err)
	if column := escapedNul(f, err); column != "" {
		e.Err = fmt.Errorf("column %s has the escape \\u0000, which jsonb cannot hold: %w", column, e.Err)
		e.Hint = "Change the target's column to json or text, or take the escape out with a transform \"set\""
		return e
	}
	if pe := (*pgconn.PgError)(nil); errors.As(err, &pe) {
		e.Err = &serverError{pe}
	}
	return e
}

// escapedNul returns the column of a row that jsonb refused because of an escaped NUL, which the server
// does not name; "" where that is not what happened.
func escapedNul(f *rowFault, err error) string {
	if f == nil || sqlState(err) != stateUntranslatable {
		return ""
	}
	for i, v := range f.row.Values {
		a := f.plan.target.table.attr(f.row.Schema.Columns[i].Name)
		if a != nil && a.typ == "jsonb" && strings.Contains(v.View(), `\u0000`) {
			return f.row.Schema.Columns[i].Name
		}
	}
	return ""
}

func faultKey(r *pipeline.Row) string {
	values := r.Key()
	if len(r.Schema.Key) == 0 || values == nil {
		return ""
	}
	return r.Schema.KeyText(values)
}

const hintConnect = "Check that the server runs and that dsn names it"

func classify(err error) (pipeline.Class, string) {
	var ee *pgtext.EncodeError
	var ce *pgconn.ConnectError
	switch {
	case errors.Is(err, pipeline.ErrFenced):
		return pipeline.Environment, "Run one instance of a pipeline at a time"
	case errors.As(err, &ce) && errors.Is(err, context.DeadlineExceeded): // it took the connection and says nothing
		return pipeline.Retryable, hintConnect
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return pipeline.Retryable, ""
	case errors.Is(err, errMissing):
		return pipeline.Input, "Take the table's snapshot again, or set missing_rows = \"skip\""
	case errors.As(err, &ee):
		return pipeline.Input, "Change the column's type in the target, convert it with a transform \"cast\"," +
			" or see the attribute nul"
	}
	if s := sqlState(err); s != "" {
		r, ok := ruleOf(s)
		if !ok {
			return pipeline.Environment, ""
		}
		return r.class, r.hint
	}
	if errors.As(err, &ce) {
		return pipeline.Retryable, hintConnect
	}
	return pipeline.Retryable, "" // the connection broke; the position tells what was committed
}

// serverError renders what the server said with the parts that name the place.
type serverError struct{ *pgconn.PgError }

// Error renders "null value in column ... (SQLSTATE 23502): detail; column total".
func (e *serverError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (SQLSTATE %s)", e.Message, e.Code)
	if e.ColumnName != "" && !strings.Contains(e.Message, e.ColumnName) {
		b.WriteString("; column " + e.ColumnName)
	}
	if e.ConstraintName != "" && !strings.Contains(e.Message, e.ConstraintName) {
		b.WriteString("; constraint " + e.ConstraintName)
	}
	if _, column, ok := strings.Cut(e.Where, ", column "); ok && e.ColumnName == "" {
		b.WriteString("; column " + column)
	}
	return b.String()
}

// Unwrap returns the server's error.
func (e *serverError) Unwrap() error { return e.PgError }
