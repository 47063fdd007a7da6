package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// applyBatch is the batch of the single statement that pipe is compared with: the best of the
// statements measured, COPY into a temporary table and one INSERT ... ON CONFLICT.
const applyBatch = 10_000

// applyStream measures PostgreSQL -> PostgreSQL by upserts, of new keys and of keys that are there.
func applyStream(ctx context.Context, b *bench) error {
	if err := b.writeOrders(ctx, b.rows, 10_000); err != nil {
		return err
	}
	single, err := b.copyOut(ctx)
	if err != nil {
		return err
	}
	for range b.rounds {
		for _, keys := range []string{"new keys", "existing keys"} {
			if err := b.applyRound(ctx, keys, single); err != nil {
				return err
			}
		}
	}
	return b.dropWorkload(ctx)
}

// applyRound runs the statement alone and then pipe, each on an empty table or on a full one.
func (b *bench) applyRound(ctx context.Context, keys string, batches []string) error {
	workload := fmt.Sprintf("%d rows, %s", b.rows, keys)
	if err := b.resetTarget(ctx, keys, batches); err != nil {
		return err
	}
	say("%s: COPY + INSERT ON CONFLICT alone", workload)
	start := time.Now()
	if err := b.upsertAlone(ctx, batches); err != nil {
		return err
	}
	b.results.add(workload, "single statement", b.rows, sample{wall: time.Since(start)}, target{})
	if err := b.resetTarget(ctx, keys, batches); err != nil {
		return err
	}
	least := target{reader: "single statement", rate: 0.85, rss: rssMax}
	return b.pipeRun(ctx, workload, "pipe -> postgres", b.rows, least, applyConfig("auto"))
}

// resetTarget leaves the target's table empty, or full where the keys should be there already.
func (b *bench) resetTarget(ctx context.Context, keys string, batches []string) error {
	err := b.exec(ctx, "target", "DROP TABLE IF EXISTS orders", "DROP SCHEMA IF EXISTS pipe CASCADE", ordersTable)
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

// copyOut reads the workload as batches of COPY text.
func (b *bench) copyOut(ctx context.Context) ([]string, error) {
	conn, err := pgconn.Connect(ctx, b.dsn("source"))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	var out []string
	for first := 1; first <= b.rows; first += applyBatch {
		var text strings.Builder
		sql := fmt.Sprintf("COPY (SELECT * FROM orders WHERE id BETWEEN %d AND %d) TO STDOUT", first, first+applyBatch-1)
		if _, err := conn.CopyTo(ctx, &text, sql); err != nil {
			return nil, err
		}
		out = append(out, text.String())
	}
	return out, nil
}

// upsertAlone writes the batches, one transaction each, as a hand-written loader would.
func (b *bench) upsertAlone(ctx context.Context, batches []string) error {
	conn, err := pgconn.Connect(ctx, b.dsn("target"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	steps := []string{
		"CREATE TEMP TABLE staging (LIKE orders) ON COMMIT DELETE ROWS",
	}
	for _, s := range steps {
		if _, err := conn.Exec(ctx, s).ReadAll(); err != nil {
			return err
		}
	}
	const merge = `INSERT INTO orders SELECT * FROM staging ON CONFLICT (id) DO UPDATE SET
		customer = excluded.customer, kind = excluded.kind, quantity = excluded.quantity, amount = excluded.amount,
		code = excluded.code, note = excluded.note, placed_at = excluded.placed_at, express = excluded.express,
		attributes = excluded.attributes`
	for _, text := range batches {
		if _, err := conn.Exec(ctx, "BEGIN").ReadAll(); err != nil {
			return err
		}
		if _, err := conn.CopyFrom(ctx, strings.NewReader(text), "COPY staging FROM STDIN"); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, merge+"; COMMIT").ReadAll(); err != nil {
			return err
		}
	}
	return nil
}
