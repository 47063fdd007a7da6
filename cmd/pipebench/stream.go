package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// rssMax is what no reader may exceed.
const rssMax = 128 << 20

// streamAll measures PostgreSQL -> nowhere for small, medium and large transactions.
func streamAll(ctx context.Context, b *bench) error {
	for _, perTx := range []int{1, 100, 10_000} {
		rows := b.rows
		if perTx == 1 {
			rows /= 5 // a transaction for each row: the writing takes longer than the reading
		}
		if err := b.streamOne(ctx, rows, perTx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) streamOne(ctx context.Context, rows, perTx int) error {
	if err := b.writeOrders(ctx, rows, perTx); err != nil {
		return err
	}
	workload := fmt.Sprintf("%d rows, tx of %d", rows, perTx)
	least := target{reader: "pg_recvlogical", rate: 0.95, cpu: 1.3, rss: rssMax}
	for range b.rounds {
		if err := b.recvlogical(ctx, workload, rows, "text"); err != nil {
			return err
		}
		if err := b.pipeRun(ctx, workload, "pipe, text", rows, least, discardConfig("off")); err != nil {
			return err
		}
		if err := b.recvlogical(ctx, workload, rows, "binary"); err != nil {
			return err
		}
		binary := least
		binary.rate = 1
		if err := b.pipeRun(ctx, workload, "pipe, binary", rows, binary, discardConfig("on")); err != nil {
			return err
		}
	}
	return b.dropWorkload(ctx)
}

func (b *bench) writeOrders(ctx context.Context, rows, perTx int) error {
	if err := b.prepareOrders(ctx); err != nil {
		return err
	}
	return b.insertOrders(ctx, rows, perTx)
}

// recvlogical has pg_recvlogical read the WAL up to now into nothing.
func (b *bench) recvlogical(ctx context.Context, workload string, rows int, format string) error {
	slot, err := b.slot(ctx)
	if err != nil {
		return err
	}
	end, err := b.text(ctx, "source", "SELECT pg_current_wal_flush_lsn()::text")
	if err != nil {
		return err
	}
	reader, binary := "pg_recvlogical", "false"
	if format == "binary" {
		reader, binary = "pg_recvlogical, binary", "true"
	}
	say("%s: %s", workload, reader)
	s, err := timed(ctx, nil, filepath.Join(b.pg.BinDir, "pg_recvlogical"), "-d", b.dsn("source"), "--slot", slot,
		"--start", "--no-loop", "--endpos", end, "-f", "/dev/null", "-o", "proto_version=1",
		"-o", "publication_names=bench", "-o", "binary="+binary)
	if err != nil {
		return err
	}
	b.results.add(workload, reader, rows, s, target{})
	return b.dropSlot(ctx, slot)
}

// pipeRun has pipe read the WAL up to now by a configuration.
func (b *bench) pipeRun(ctx context.Context, workload, reader string, events int, t target, config string) error {
	slot, err := b.slot(ctx)
	if err != nil {
		return err
	}
	say("%s: %s", workload, reader)
	s, err := b.pipe(ctx, config, "SLOT="+slot)
	if err != nil {
		return err
	}
	b.results.add(workload, reader, events, s, t)
	return b.dropSlot(ctx, slot)
}

// pipe runs the binary under test by a configuration until it is caught up.
func (b *bench) pipe(ctx context.Context, config string, env ...string) (sample, error) {
	return b.pipeUntil(ctx, nil, config, env...)
}

// pipeUntil is pipe, with a border in its log or none.
func (b *bench) pipeUntil(ctx context.Context, where *border, config string, env ...string) (sample, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("run%d", b.runs))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return sample{}, err
	}
	file := filepath.Join(dir, "bench.hcl")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return sample{}, err
	}
	env = append(env, "SOURCE="+b.dsn("source"), "TARGET="+b.dsn("target"), "STATE="+filepath.Join(dir, "state"))
	args := []string{"run", "--until-caught-up", file}
	if b.profile != "" {
		args = append(args, "--cpu-profile", fmt.Sprintf("%s.%d", b.profile, b.runs))
	}
	return timedUntil(ctx, where, env, b.options.pipe, args...)
}
