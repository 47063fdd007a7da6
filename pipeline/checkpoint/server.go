package checkpoint

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
)

var errDSN = errors.New("the connection string cannot be read")

// createSQL makes the tables. state is what Save stores; lease says whose the pipeline is.
const createSQL = `CREATE TABLE IF NOT EXISTS STATE.lease (pipeline text PRIMARY KEY, epoch bigint NOT NULL,
		owner text NOT NULL, taken_at timestamptz NOT NULL DEFAULT now(), beat timestamptz NOT NULL)
		WITH (fillfactor = 50);
	CREATE TABLE IF NOT EXISTS STATE.state (pipeline text NOT NULL, stream text NOT NULL, position text NOT NULL,
		updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (pipeline, stream)) WITH (fillfactor = 50)`

// createTries bounds how often the tables are made beside another process that does it too.
const createTries = 5

// SQLSTATEs that mean that another session made the same object first.
const (
	stateUnique       = "23505"
	stateTableExists  = "42P07"
	stateSchemaExists = "42P06"
)

// sql puts the schema's name into a statement.
func (s *Server) sql(statement string) string {
	return strings.ReplaceAll(statement, "STATE.", ident(s.Schema)+".")
}

func ident(name string) string { return string(pgtext.AppendIdent(nil, name)) }

// create makes what is missing. A role that may not create anything can use what is there.
func (s *Server) create(ctx context.Context, conn *pgconn.PgConn) error {
	rows, err := query(ctx, conn, "SELECT to_regclass($1) IS NOT NULL, to_regnamespace($2) IS NULL",
		text(ident(s.Schema)+".state"), text(ident(s.Schema)))
	if err != nil {
		return err
	}
	if rows[0][0] == "t" {
		return s.shape(ctx, conn)
	}
	statement := createSQL
	if rows[0][1] == "t" {
		statement = "CREATE SCHEMA IF NOT EXISTS " + ident(s.Schema) + ";" + statement
	}
	for range createTries {
		err = conn.Exec(ctx, s.sql(statement)).Close()
		if state := sqlState(err); state != stateUnique && state != stateTableExists && state != stateSchemaExists {
			return err
		}
	}
	return err
}

var errForeignTable = errors.New("there is a table state or lease that is not pipe's")

// shape looks whether tables that are there are ours.
func (s *Server) shape(ctx context.Context, conn *pgconn.PgConn) error {
	_, err := query(ctx, conn, s.sql("SELECT FROM (SELECT pipeline, stream, position, updated_at FROM STATE.state LIMIT 0) s, "+
		"(SELECT pipeline, epoch, owner, taken_at, beat FROM STATE.lease LIMIT 0) l"))
	switch sqlState(err) {
	case "42703", "42P01": // no such column; no such table
		return fmt.Errorf("%w: %w", errForeignTable, err)
	}
	return err
}

// explain makes an error one that says what to do.
func (s *Server) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	class, hint := s.classify(err)
	return &pipeline.Error{Node: "state", Class: class, Err: fmt.Errorf("postgres: %w", err), Hint: hint}
}

func (s *Server) classify(err error) (pipeline.Class, string) {
	var owned *errOwned
	var refused *pgconn.ConnectError
	state := sqlState(err)
	schema := ident(s.Schema)
	switch {
	case errors.As(err, &owned):
		return pipeline.Environment, "End that process, or let this one wait for it"
	case errors.Is(err, pipeline.ErrFenced):
		return pipeline.Retryable, "It took over because this one gave no sign of life for longer than the lease"
	case errors.Is(err, errDSN):
		return pipeline.Input, "Write dsn as a URL, or as keywords and values"
	case errors.Is(err, errForeignTable):
		return pipeline.Environment, "Set another schema"
	case errors.Is(err, errDamaged):
		return pipeline.Environment, "Restore the table " + schema + ".state from a backup; or delete the pipeline's" +
			" rows, to begin from nothing"
	case state == "42501": // insufficient_privilege
		return pipeline.Environment, "Let the role of dsn make them: GRANT CREATE ON DATABASE <database> TO <role>; or make them" +
			" for it: CREATE SCHEMA " + schema + " AUTHORIZATION <role>"
	case state == "25006": // read_only_sql_transaction
		return pipeline.Retryable, "The server is read-only: name all hosts in dsn with target_session_attrs=read-write"
	case strings.HasPrefix(state, "28"):
		return pipeline.Environment, "Check user and password in dsn, and pg_hba.conf on the server"
	case state == "3D000":
		return pipeline.Environment, "Create the database, or correct the name in dsn"
	case strings.HasPrefix(state, "42"), strings.HasPrefix(state, "58"), strings.HasPrefix(state, "XX"):
		return pipeline.Environment, "Look into the server's log"
	case errors.As(err, &refused):
		return pipeline.Retryable, "Check that the server runs and that dsn names it"
	}
	return pipeline.Retryable, ""
}

func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// query returns rows as text, NULL as "".
func query(ctx context.Context, conn *pgconn.PgConn, sql string, args ...[]byte) ([][]string, error) {
	res := conn.ExecParams(ctx, sql, args, nil, nil, nil).Read()
	if res.Err != nil {
		return nil, res.Err
	}
	out := make([][]string, len(res.Rows))
	for i, row := range res.Rows {
		for _, v := range row {
			out[i] = append(out[i], string(v))
		}
	}
	return out, nil
}

func text(s string) []byte  { return []byte(s) }
func number(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

// array renders texts as PostgreSQL's text form of an array.
func array(texts []string) []byte {
	out := []byte{'{'}
	for i, s := range texts {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, '"')
		for j := range len(s) {
			if s[j] == '"' || s[j] == '\\' {
				out = append(out, '\\')
			}
			out = append(out, s[j])
		}
		out = append(out, '"')
	}
	return append(out, '}')
}

// hexed begins a text that the server could not hold as it is.
const hexed = `\x`

var errDamaged = errors.New("it is not what was saved")

// escape makes a text one that a column can hold: what is not UTF-8, or has a NUL, becomes \x and digits.
func escape(s string) string {
	if utf8.ValidString(s) && !strings.ContainsRune(s, 0) && !strings.HasPrefix(s, hexed) {
		return s
	}
	return hexed + hex.EncodeToString([]byte(s))
}

// unescape is the inverse of escape.
func unescape(s string) (string, error) {
	digits, ok := strings.CutPrefix(s, hexed)
	if !ok {
		return s, nil
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return "", fmt.Errorf("%w: %.40q", errDamaged, s)
	}
	return string(raw), nil
}
