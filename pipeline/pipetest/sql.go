package pipetest

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// Exec runs statements one after another on one connection to a PostgreSQL database. Each string
// may hold several statements, which then run in one transaction.
func Exec(t testing.TB, dsn string, sql ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close(t.Context())
	for _, s := range sql {
		if _, err := conn.PgConn().Exec(t.Context(), s).ReadAll(); err != nil {
			t.Fatalf("%v in\n%s", err, s)
		}
	}
}

// QueryText returns the rows of a query on a PostgreSQL database, every value as the server prints
// it, NULL as "NULL".
func QueryText(t testing.TB, dsn, sql string, args ...any) [][]string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), sql, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, args...)...)
	if err != nil {
		t.Fatalf("%v in\n%s", err, sql)
	}
	defer rows.Close()
	var out [][]string
	for rows.Next() {
		line := make([]string, 0, len(rows.RawValues()))
		for _, v := range rows.RawValues() {
			if v == nil {
				line = append(line, "NULL")
				continue
			}
			line = append(line, string(v))
		}
		out = append(out, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%v in\n%s", err, sql)
	}
	return out
}
