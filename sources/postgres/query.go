package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// errQuery is a failed query with what it was for.
func errQuery(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// execute runs statements whose results do not matter.
func execute(ctx context.Context, conn *pgconn.PgConn, what, sql string) error {
	return errQuery(what, conn.Exec(ctx, sql).Close())
}

// queryRow returns the first row of a query by the simple protocol, which replication connections
// need; nil where there is none. A NULL is "".
func queryRow(ctx context.Context, conn *pgconn.PgConn, what, sql string) ([]string, error) {
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, errQuery(what, err)
	}
	if len(results) == 0 || len(results[0].Rows) == 0 {
		return nil, nil
	}
	row := make([]string, len(results[0].Rows[0]))
	for i, v := range results[0].Rows[0] {
		row[i] = string(v)
	}
	return row, nil
}
