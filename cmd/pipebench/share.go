package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// shareProcesses are at most so many that share a snapshot here.
const shareProcesses = 3

// shareDelays are how far the target is away: next to the source, where the processors are the bound, and
// behind a network with a round trip of 60 ms, where they are not.
var shareDelays = [...]struct {
	name  string
	later time.Duration
	least [shareProcesses]float64 // the rate of so many processes, of one process's
}{
	{"target on this machine", 0, [...]float64{1, 1, 1}},
	{"target 60 ms away", 30 * time.Millisecond, [...]float64{1, 1.5, 2}},
}

// shareAll measures an initial snapshot PostgreSQL -> PostgreSQL that several processes of one pipeline
// share, each of which reads and writes one chunk at a time.
func shareAll(ctx context.Context, b *bench) error {
	rows := strconv.Itoa(b.rows)
	say("writing %s rows", rows)
	err := b.exec(ctx, "source", ordersTable, "INSERT INTO orders "+orderRows("1", rows), "VACUUM ANALYZE orders",
		"CREATE PUBLICATION bench FOR TABLE orders", "CREATE DATABASE state", "CHECKPOINT")
	if err != nil {
		return err
	}
	for range b.rounds {
		for i := range shareDelays {
			for n := 1; n <= shareProcesses; n++ {
				if err := b.shareRound(ctx, i, n); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// shareRound has n processes share a snapshot into an empty table, at the i-th distance.
func (b *bench) shareRound(ctx context.Context, i, n int) error {
	far := &shareDelays[i]
	workload := fmt.Sprintf("shared snapshot of %d rows, %s", b.rows, far.name)
	if err := b.resetTarget(ctx, "new keys", nil); err != nil {
		return err
	}
	if err := b.exec(ctx, "state", "DROP SCHEMA IF EXISTS pipe CASCADE"); err != nil {
		return err
	}
	reader := processes(n)
	say("%s: %s", workload, reader)
	dsn := b.dsn("target")
	if far.later > 0 {
		port := strconv.Itoa(b.target.Port)
		d, err := newDelay(net.JoinHostPort("127.0.0.1", port), far.later)
		if err != nil {
			return err
		}
		defer d.close()
		dsn = strings.Replace(b.target.DSN("target"), "127.0.0.1:"+port, d.addr(), 1)
	}
	s, used, err := b.shared(ctx, n, "TARGET="+dsn, "STATE="+b.dsn("state"))
	if err != nil {
		return err
	}
	if err := b.sameRows(ctx); err != nil {
		return err
	}
	b.results.add(workload, reader, b.rows, s, target{reader: processes(1), rate: far.least[n-1], rss: rssMax})
	b.results.addPart(workload, reader, "snapshot", used)
	return b.dropSlot(ctx, "snap")
}

func processes(n int) string {
	if n == 1 {
		return "1 process"
	}
	return fmt.Sprintf("%d processes", n)
}

// shared runs n processes at once, until the snapshot is there and the stream begins.
func (b *bench) shared(ctx context.Context, n int, env ...string) (s sample, used part, err error) {
	began := b.usage(b.pg.Pid())
	var all []*process
	for range n {
		b.runs++
		p, err := b.startIn(ctx, env, shareConfig(), "run", "--until-caught-up")
		if err != nil {
			return s, used, errors.Join(err, killAll(all))
		}
		all = append(all, p)
	}
	if err := b.awaitStream(ctx, all[0]); err != nil {
		return s, used, errors.Join(err, killAll(all))
	}
	ended := b.usage(b.pg.Pid())
	for _, p := range all {
		s.cpu += cpuOf(p.cmd.Process.Pid)
	}
	used = ended.since(began, s.cpu)
	s.wall = used.wall
	for _, p := range all {
		err = errors.Join(err, p.wait())
		s.rss = max(s.rss, p.rss)
	}
	return s, used, err
}

// awaitStream waits until the stream has its first position, which is when the snapshot counts as done.
func (b *bench) awaitStream(ctx context.Context, p *process) error {
	for range awaitTries {
		text, err := b.text(ctx, "state", "SELECT to_regclass('pipe.state') IS NOT NULL || ''")
		if err == nil && text == "true" {
			text, err = b.text(ctx, "state", "SELECT count(*)::text FROM pipe.state WHERE stream LIKE '%/wal'")
		}
		if err != nil {
			return err
		}
		if text == "1" {
			return nil
		}
		if p.ended() {
			if err := p.wait(); err != nil {
				return err
			}
			return errors.New("it ended before the stream began")
		}
		time.Sleep(awaitEvery)
	}
	return errors.New("the stream never began")
}

func killAll(all []*process) error {
	var errs []error
	for _, p := range all {
		errs = append(errs, p.kill())
	}
	return errors.Join(errs...)
}
