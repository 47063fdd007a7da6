package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline/pipetest/server"
)

// loadColumns are the columns of the table that pipe makes of mariaTable, for the tables that it is
// compared with.
const loadColumns = `id bigint NOT NULL, customer integer NOT NULL, kind integer NOT NULL, quantity integer NOT NULL,
	amount numeric(12,2) NOT NULL, code text NOT NULL, note text, placed_at timestamptz NOT NULL, express boolean NOT NULL,
	attributes text`

// mariaIndexes are the secondary indexes as MariaDB has them.
const mariaIndexes = "CREATE INDEX by_customer ON orders (customer, id); CREATE INDEX by_time ON orders (placed_at)"

// loadSelect reads mariaTable so that its rows are COPY's text.
const loadSelect = "SET time_zone = '+00:00'; SELECT id, customer, kind, quantity, amount, code, note, placed_at, express + 0, attributes FROM bench.orders"

// mariaLoad measures a first load MariaDB -> PostgreSQL with the key and two indexes (loadround.go).
func mariaLoad(ctx context.Context, b *bench) error {
	return b.withMaria(ctx, func(m *server.MariaDB) error {
		if _, err := b.mariaOrders(ctx, m, false); err != nil {
			return err
		}
		for range b.rounds {
			if err := b.mariaLoadRound(ctx, m); err != nil {
				return err
			}
		}
		return nil
	})
}

// mariaChanges measures changes MariaDB -> PostgreSQL, beside the best single statement.
func mariaChanges(ctx context.Context, b *bench) error {
	return b.withMaria(ctx, func(m *server.MariaDB) error {
		if err := b.mariaStart(ctx, m); err != nil {
			return err
		}
		batches, err := b.mariaOrders(ctx, m, true)
		if err != nil {
			return err
		}
		for range b.rounds {
			for _, keys := range []string{"new keys", "existing keys"} {
				if err := b.mariaApplyRound(ctx, m, keys, batches); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// withMaria runs a measurement with a MariaDB that has the workload's table, empty.
func (b *bench) withMaria(ctx context.Context, run func(*server.MariaDB) error) error {
	m, err := server.StartMariaDB(ctx, server.MariaDBConfig{Settings: []string{"innodb_buffer_pool_size=1G", "innodb_flush_log_at_trx_commit=2"}})
	if err != nil {
		return err
	}
	defer m.Close()
	if _, err := m.Query(ctx, "", "CREATE DATABASE bench; USE bench; "+mariaTable+"; "+mariaIndexes); err != nil {
		return err
	}
	return run(m)
}

// mariaOrders writes the rows, and returns them as batches of COPY's text where that is asked.
func (b *bench) mariaOrders(ctx context.Context, m *server.MariaDB, asText bool) ([]string, error) {
	say("writing %d rows in transactions of %d", b.rows, applyBatch)
	var batches []string
	for first := 1; first <= b.rows; first += applyBatch {
		last := min(first+applyBatch-1, b.rows)
		if _, err := m.Query(ctx, "bench", "INSERT INTO orders "+mariaRows(first, last)); err != nil {
			return nil, err
		}
		if !asText {
			continue
		}
		text, err := m.Query(ctx, "bench", fmt.Sprintf("%s WHERE id BETWEEN %d AND %d", loadSelect, first, last))
		if err != nil {
			return nil, err
		}
		batches = append(batches, text)
	}
	_, err := m.Query(ctx, "bench", "ANALYZE TABLE orders")
	return batches, err
}

// mariaStart gives the stream the position that every measured run begins from.
func (b *bench) mariaStart(ctx context.Context, m *server.MariaDB) error {
	if err := b.exec(ctx, "target", "CREATE TABLE orders ("+loadColumns+", PRIMARY KEY (id))"); err != nil {
		return err
	}
	if _, err := b.pipe(ctx, mariaCopyConfig("never", ""), "MARIADB="+m.DSN("bench")); err != nil {
		return err
	}
	return b.exec(ctx, "target", "CREATE TABLE began AS SELECT stream, position FROM pipe.checkpoint")
}

// mariaApplyRound runs the statement alone and then pipe, each on an empty table or on a full one.
func (b *bench) mariaApplyRound(ctx context.Context, m *server.MariaDB, keys string, batches []string) error {
	workload := fmt.Sprintf("MariaDB, changes: %d rows, %s", b.rows, keys)
	if err := b.resetApplied(ctx, keys, batches); err != nil {
		return err
	}
	say("%s: COPY + INSERT ON CONFLICT alone", workload)
	start := time.Now()
	if err := b.upsertAlone(ctx, batches); err != nil {
		return err
	}
	b.results.add(workload, "single statement", b.rows, sample{wall: time.Since(start)}, target{})
	if err := b.resetApplied(ctx, keys, batches); err != nil {
		return err
	}
	b.runs++
	say("%s: pipe", workload)
	s, err := b.pipe(ctx, mariaCopyConfig("never", ""), "MARIADB="+m.DSN("bench"))
	if err != nil {
		return err
	}
	if got, err := b.text(ctx, "target", "SELECT count(*)::text FROM orders"); err != nil || got != strconv.Itoa(b.rows) {
		return fmt.Errorf("pipe left %s rows, want %d (%v)", got, b.rows, err)
	}
	b.results.add(workload, "pipe -> postgres", b.rows, s, target{reader: "single statement", rate: 0.85, rss: rssMax})
	return nil
}

// resetApplied leaves the target's table empty, or full where the keys should be there already, and the
// stream where it began.
func (b *bench) resetApplied(ctx context.Context, keys string, batches []string) error {
	err := b.exec(ctx, "target", "TRUNCATE orders",
		"UPDATE pipe.checkpoint c SET position = b.position FROM began b WHERE b.stream = c.stream")
	if err != nil || keys == "new keys" {
		return err
	}
	conn, err := pgconn.Connect(ctx, b.dsn("target"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, text := range batches {
		if _, err := conn.CopyFrom(ctx, strings.NewReader(text), "COPY orders FROM STDIN"); err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, "CHECKPOINT").ReadAll()
	return err
}
