package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// snapshotAll measures a snapshot PostgreSQL -> PostgreSQL with one and two workers, beside as many
// pairs of COPY piped into COPY, with the same binary tuples into the same kind of table.
func snapshotAll(ctx context.Context, b *bench) error {
	rows := strconv.Itoa(b.rows)
	say("writing %s rows", rows)
	err := b.exec(ctx, "source", ordersTable, "INSERT INTO orders "+orderRows("1", rows), "VACUUM ANALYZE orders",
		"CREATE PUBLICATION bench FOR TABLE orders", "CHECKPOINT")
	if err != nil {
		return err
	}
	for range b.rounds {
		for workers := 1; workers <= 2; workers++ {
			if err := b.snapshotRound(ctx, workers); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) snapshotRound(ctx context.Context, workers int) error {
	workload := fmt.Sprintf("snapshot of %d rows, %d workers", b.rows, workers)
	if err := b.resetTarget(ctx, "new keys", nil); err != nil {
		return err
	}
	say("%s: COPY piped into COPY", workload)
	s, err := b.copyPiped(ctx, workers)
	if err != nil {
		return err
	}
	b.results.add(workload, "COPY | COPY", b.rows, s, target{})
	if err := b.resetTarget(ctx, "new keys", nil); err != nil {
		return err
	}
	say("%s: pipe", workload)
	b.runs++
	s, err = b.pipe(ctx, snapshotConfig(workers))
	if err != nil {
		return err
	}
	b.results.add(workload, "pipe", b.rows, s, target{reader: "COPY | COPY", rate: 0.95, rss: rssMax})
	got, err := b.text(ctx, "target", "SELECT count(*)::text FROM orders")
	if err != nil {
		return err
	}
	if got != strconv.Itoa(b.rows) {
		return fmt.Errorf("the target has %s rows, want %d", got, b.rows)
	}
	return b.exec(ctx, "source", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'snap'")
}

// copyPiped runs pairs of psql, each for an equal range of the table's blocks, at the same time.
func (b *bench) copyPiped(ctx context.Context, workers int) (sample, error) {
	text, err := b.text(ctx, "source", "SELECT (pg_relation_size('orders') / 8192 + 1)::text")
	if err != nil {
		return sample{}, err
	}
	blocks, err := strconv.Atoi(text)
	if err != nil {
		return sample{}, err
	}
	psql := filepath.Join(b.pg.BinDir, "psql")
	var wg sync.WaitGroup
	samples, errs := make([]sample, workers), make([]error, workers)
	start := time.Now()
	for w := range workers {
		script := fmt.Sprintf(`set -o pipefail
'%[1]s' -X -d '%[2]s' -c "COPY (SELECT * FROM orders WHERE ctid >= '(%[4]d,0)' AND ctid < '(%[5]d,0)') TO STDOUT (FORMAT binary)" |
'%[1]s' -X -d '%[3]s' -c "COPY orders FROM STDIN (FORMAT binary)"`,
			psql, b.dsn("source"), b.dsn("target"), blocks*w/workers, blocks*(w+1)/workers)
		wg.Go(func() { samples[w], errs[w] = timed(ctx, nil, "bash", "-c", script) })
	}
	wg.Wait()
	all := sample{}
	for w := range workers {
		if errs[w] != nil {
			return all, errs[w]
		}
		all = all.plus(samples[w])
	}
	all.wall = time.Since(start)
	if got, err := b.text(ctx, "target", "SELECT count(*)::text FROM orders"); err != nil || strings.TrimSpace(got) != strconv.Itoa(b.rows) {
		return all, fmt.Errorf("COPY | COPY left %s rows, want %d (%v)", got, b.rows, err)
	}
	return all, nil
}
