package pipetest

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pipe-cdc/pipe/pipeline/pipetest/server"
)

// cleanupWithin bounds what a cleanup may take, which has no test context any more.
const cleanupWithin = 90 * time.Second

// PG is a private PostgreSQL server. BinDir has psql, pg_recvlogical and the others.
type PG struct {
	*server.Postgres
	databases atomic.Int64
}

// RunWithPostgres starts a server, stores it in srv, runs the tests of a package and stops the
// server. For TestMain: os.Exit(pipetest.RunWithPostgres(m, &pg)). Settings are "name=value" lines
// of postgresql.conf; wal_level is logical, fsync off unless set.
func RunWithPostgres(m *testing.M, srv **PG, settings ...string) int {
	p, err := server.StartPostgres(context.Background(), server.PostgresConfig{Settings: settings})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*srv = &PG{Postgres: p}
	code := m.Run()
	if code != 0 {
		fmt.Fprintf(os.Stderr, "PostgreSQL complained:\n%s\n", complaints(p.Log()))
	}
	if err := p.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Postgres starts a server for one test, with settings as in RunWithPostgres; it is stopped when
// the test ends, and what it complained of is shown if the test failed.
func Postgres(t testing.TB, settings ...string) *PG {
	t.Helper()
	p, err := server.StartPostgres(t.Context(), server.PostgresConfig{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("PostgreSQL complained:\n%s", complaints(p.Log()))
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return &PG{Postgres: p}
}

// Restart stops the server, "fast" (checkpoint) or "immediate" (crash), and starts it again.
func (p *PG) Restart(t testing.TB, mode string) {
	t.Helper()
	if err := p.Stop(mode); err != nil {
		t.Fatal(err)
	}
	p.StartAgain(t)
}

// Kill ends the server by SIGKILL; StartAgain brings it back.
func (p *PG) Kill(t testing.TB) {
	t.Helper()
	p.Postgres.Kill()
}

// StartAgain starts a server that was stopped or killed.
func (p *PG) StartAgain(t testing.TB) {
	t.Helper()
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Database creates a database with a fresh name and returns its DSN. It is dropped when the test
// ends, with its replication slots and prepared transactions.
func (p *PG) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", p.databases.Add(1))
	Exec(t, p.DSN("postgres"), "CREATE DATABASE "+name)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupWithin)
		defer cancel()
		if err := p.drop(ctx, name); err != nil {
			t.Errorf("drop database %s: %v", name, err)
		}
	})
	return p.DSN(name)
}

// drop removes a database and what would hold it.
func (p *PG) drop(ctx context.Context, name string) error {
	if err := p.rollbackPrepared(ctx, name); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, p.DSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for ctx.Err() == nil {
		_, err = conn.Exec(ctx, `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
			WHERE database = $1 AND active_pid IS NOT NULL`, name)
		if err != nil {
			return err
		}
		var left int
		err = conn.QueryRow(ctx, `WITH gone AS MATERIALIZED (SELECT pg_drop_replication_slot(slot_name)
			FROM pg_replication_slots WHERE database = $1 AND active_pid IS NULL)
			SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = $1) - (SELECT count(*) FROM gone)`,
			name).Scan(&left)
		if err == nil && left <= 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	_, err = conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
	return err
}

// rollbackPrepared ends the prepared transactions of a database, which only a connection to it may.
func (p *PG) rollbackPrepared(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, p.DSN(name))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts
		WHERE database = current_database()`)
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
