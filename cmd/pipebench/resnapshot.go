package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// resnapshotAll measures a snapshot of a large table that is killed half way and begun again, beside as
// many pairs of COPY piped into COPY, and then the same table read again while the stream goes on.
func resnapshotAll(ctx context.Context, b *bench) error {
	rows := strconv.Itoa(b.rows)
	say("writing %s rows", rows)
	err := b.exec(ctx, "source", ordersTable, "INSERT INTO orders "+orderRows("1", rows),
		"CREATE TABLE beat (id integer PRIMARY KEY, at timestamptz NOT NULL)", "INSERT INTO beat VALUES (1, clock_timestamp())",
		"VACUUM ANALYZE orders", "CREATE PUBLICATION bench FOR TABLE orders, beat", "CHECKPOINT")
	if err != nil {
		return err
	}
	for range b.rounds {
		if err := b.resnapshotRound(ctx); err != nil {
			return err
		}
	}
	return nil
}

// resnapshotWorkers read at once, on each side.
const resnapshotWorkers = 2

func (b *bench) resnapshotRound(ctx context.Context) error {
	workload := fmt.Sprintf("snapshot of %d rows, %d workers", b.rows, resnapshotWorkers)
	if err := b.resetTarget(ctx, "new keys", nil); err != nil {
		return err
	}
	say("%s: COPY piped into COPY", workload)
	s, err := b.copyPiped(ctx, resnapshotWorkers)
	if err != nil {
		return err
	}
	b.results.add(workload, "COPY | COPY", b.rows, s, target{})
	want := target{reader: "COPY | COPY", rate: 0.9, rss: rssMax}
	for _, kill := range []bool{false, true} {
		if err := b.resetTarget(ctx, "new keys", nil); err != nil {
			return err
		}
		b.runs++
		if !kill {
			say("%s: pipe", workload)
			if s, err = b.pipe(ctx, resnapshotConfig()); err != nil {
				return err
			}
			b.results.add(workload, "pipe", b.rows, s, want)
		} else if err := b.killedRound(ctx, workload, want); err != nil {
			return err
		}
		if err := b.sameRows(ctx); err != nil {
			return err
		}
		if kill {
			if err := b.againRound(ctx); err != nil {
				return err
			}
		}
		if err := b.dropSlot(ctx, "snap"); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) sameRows(ctx context.Context) error {
	got, err := b.text(ctx, "target", "SELECT count(*)::text FROM orders")
	if err != nil || got != strconv.Itoa(b.rows) {
		return fmt.Errorf("the target has %s rows, want %d (%w)", got, b.rows, err)
	}
	return nil
}

// killedRound kills the snapshot when half of the rows are there, and says how many the next life reads
// that the target had.
func (b *bench) killedRound(ctx context.Context, workload string, want target) error {
	say("%s: pipe, killed half way", workload)
	start := time.Now()
	first, err := b.start(ctx, resnapshotConfig(), "run", "--until-caught-up")
	if err != nil {
		return err
	}
	if err := b.awaitRows(ctx, b.rows/2, first); err != nil {
		return errors.Join(err, first.kill())
	}
	if err := first.kill(); err != nil {
		return err
	}
	text, err := b.text(ctx, "target", "SELECT count(*)::text FROM orders")
	if err != nil {
		return err
	}
	had, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	second, err := b.start(ctx, resnapshotConfig(), "run", "--until-caught-up")
	if err == nil {
		err = second.wait()
	}
	if err != nil {
		return err
	}
	read, err := second.rowsRead()
	if err != nil {
		return err
	}
	b.results.add(workload, "pipe, killed half way", b.rows, sample{wall: time.Since(start), cpu: first.cpu() + second.cpu(),
		rss: max(first.rss, second.rss)}, want)
	again := read - (b.rows - had)
	say("killed at %d rows; the next life read %d, of which %d (%.2f %% of the table) the target had: asked for at most 5 %%",
		had, read, again, 100*float64(again)/float64(b.rows))
	return nil
}

// againRound reads the table again on a running pipeline, and measures by how much another table lags.
func (b *bench) againRound(ctx context.Context) error {
	workload := fmt.Sprintf("%d rows again while the stream goes on", b.rows)
	say("%s", workload)
	running, err := b.start(ctx, resnapshotConfig(), "run")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	lag := make(chan time.Duration, 1)
	go func() { lag <- b.beat(ctx) }()
	file := filepath.Join(b.dir, fmt.Sprintf("run%d", b.runs), "bench.hcl")
	for range awaitTries {
		if _, err = os.Stat(filepath.Join(filepath.Dir(file), "state.sock")); err == nil {
			break
		}
		time.Sleep(awaitEvery)
	}
	s, err := timed(ctx, b.env(), b.options.pipe, "snapshot", file, "--table", "public.orders", "--wait")
	cancel()
	worst := <-lag
	if err == nil {
		s.rss = highWater(running.cmd.Process.Pid)
		b.results.add(workload, "pipe snapshot --wait", b.rows, s, target{rss: rssMax})
		say("another table lagged by %v at the most: asked for at most 2 s", worst.Round(time.Millisecond))
	}
	return errors.Join(err, running.stop())
}

// beatEvery is how often the other table is written to, and its target looked at.
const beatEvery = 50 * time.Millisecond

// beat writes to the other table and returns the longest time until a change was in the target.
func (b *bench) beat(ctx context.Context) (worst time.Duration) {
	for ctx.Err() == nil {
		want, err := b.text(ctx, "source", "UPDATE beat SET at = clock_timestamp() RETURNING at::text")
		began := time.Now()
		for err == nil && ctx.Err() == nil {
			var have string
			if have, err = b.text(ctx, "target", "SELECT at::text FROM beat"); have == want {
				break
			}
			time.Sleep(beatEvery)
		}
		worst = max(worst, time.Since(began))
		time.Sleep(beatEvery)
	}
	return worst
}

// How long something is waited for.
const (
	awaitEvery = 20 * time.Millisecond
	awaitTries = 30_000
)

// awaitRows waits until the target was given that many rows, or the process ends.
func (b *bench) awaitRows(ctx context.Context, n int, p *process) error {
	for range awaitTries {
		text, err := b.text(ctx, "target", "SELECT coalesce(sum(n_tup_ins), 0)::text FROM pg_stat_user_tables WHERE relname = 'orders'")
		if err != nil {
			return err
		}
		if have, err := strconv.Atoi(text); err != nil || have >= n {
			return err
		}
		if p.ended() {
			return errors.New("it ended before it could be killed: use more rows")
		}
		time.Sleep(awaitEvery)
	}
	return fmt.Errorf("the target never had %d rows", n)
}

func resnapshotConfig() string {
	return fmt.Sprintf(`
pipeline "bench" {
  state "file" {
    path = env("STATE")
  }
}
source "postgres" "orders" {
  dsn         = env("SOURCE")
  slot        = "snap"
  publication = "bench"
  create      = ["slot"]
  tables      = ["public.orders", "public.beat"]
  workers     = %d
}
sink "postgres" "copy" {
  from = source.orders
  dsn  = env("TARGET")
}
`, resnapshotWorkers)
}
