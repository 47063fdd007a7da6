package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pipe-cdc/pipe/pipeline/pipetest/server"
)

// bench holds the server and the results of one measurement.
type bench struct {
	options
	pg      *server.Postgres // the source
	target  *server.Postgres
	results results
	runs    int // names slots and state directories
}

func newBench(ctx context.Context, o options) (*bench, error) {
	b := &bench{options: o}
	for name, place := range map[string]**server.Postgres{"source": &b.pg, "target": &b.target} {
		pg, err := server.StartPostgres(ctx, server.PostgresConfig{Settings: []string{
			"fsync=on", "shared_buffers=1GB", "max_wal_size=16GB", "checkpoint_timeout=1h",
			"synchronous_commit=on", "autovacuum=off", "max_wal_senders=20", "max_replication_slots=40",
		}})
		if err != nil {
			b.close()
			return nil, err
		}
		*place = pg
		if err := execAt(ctx, pg.SocketDSN("postgres"), "CREATE DATABASE "+name); err != nil {
			b.close()
			return nil, err
		}
	}
	return b, nil
}

func (b *bench) close() {
	for _, pg := range []*server.Postgres{b.pg, b.target} {
		if pg == nil {
			continue
		}
		if err := pg.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "pipebench: stop PostgreSQL:", err)
		}
	}
}

// server returns the one that has the database.
func (b *bench) server(database string) *server.Postgres {
	if database == "target" {
		return b.target
	}
	return b.pg
}

// dsn returns the URL of a database, as the readers get it.
func (b *bench) dsn(database string) string {
	if b.socket {
		return b.server(database).SocketDSN(database)
	}
	return b.server(database).DSN(database)
}

// exec runs statements one after another in one session of a database.
func (b *bench) exec(ctx context.Context, database string, statements ...string) error {
	return execAt(ctx, b.server(database).SocketDSN(database), statements...)
}

func execAt(ctx context.Context, dsn string, statements ...string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%.120s: %w", s, err)
		}
	}
	return nil
}

// text returns the only value of a query as text.
func (b *bench) text(ctx context.Context, database, query string) (string, error) {
	conn, err := pgx.Connect(ctx, b.server(database).SocketDSN(database))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var s string
	if err := conn.QueryRow(ctx, query).Scan(&s); err != nil {
		return "", fmt.Errorf("%.120s: %w", query, err)
	}
	return s, nil
}

// say prints a progress line: a measurement takes minutes.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}
