package postgres

import (
	"context"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// discard is an Output that reuses a fixed number of batches, as the engine does.
type discard struct {
	free chan *pipeline.Batch
}

func newDiscard(n int) *discard {
	d := &discard{free: make(chan *pipeline.Batch, n)}
	for range n {
		d.free <- &pipeline.Batch{MaxRows: 1024, MaxBytes: 1 << 20}
	}
	return d
}

func (d *discard) New(_ context.Context, s pipeline.Stream) (*pipeline.Batch, error) {
	b := <-d.free
	b.Stream = s
	return b, nil
}

func (d *discard) Emit(b *pipeline.Batch) error {
	b.Reset()
	d.free <- b
	return nil
}

func (d *discard) Idle() bool                                      { return true }
func (d *discard) Drain(context.Context, ...pipeline.Stream) error { return nil }

const benchTable = `
CREATE TABLE orders (id bigint PRIMARY KEY, customer int, status int, amount numeric(12,2), name varchar(40), note text,
	at timestamptz, paid boolean, doc jsonb, version bigint);
INSERT INTO orders SELECT i, i % 5000, i % 7, (i % 100000) / 7.0, 'customer ' || i, repeat('n', 100), now() + i * interval '1 s', i % 2 = 0,
	jsonb_build_object('a', i, 'b', 'two'), i FROM generate_series(1, 1000000) i;
VACUUM ANALYZE orders`

// cpu returns the user and system time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSnapshot reads a million rows of ten columns into nothing, beside psql's COPY of the same.
// Run it with -benchtime 1x.
func BenchmarkSnapshot(b *testing.B) {
	const rows = 1_000_000
	pg := pipetest.Postgres(b)
	l := newLab(b, pg)
	pipetest.Exec(b, l.dsn, strings.Split(benchTable, ";")...)
	l.query(l.export, "COMMIT")
	l.name = l.query(l.export, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_export_snapshot()")[0][0]
	var err error
	if l.catalog, err = loadCatalog(b.Context(), l.connect(), nil); err != nil {
		b.Fatal(err)
	}
	b.Run("psql", func(b *testing.B) {
		for b.Loop() {
			psql := osexec.Command(filepath.Join(pg.BinDir, "psql"), l.dsn, "-qc", "COPY (SELECT * FROM orders) TO STDOUT (FORMAT binary)")
			if err := psql.Run(); err != nil {
				b.Fatal(err)
			}
			u := psql.ProcessState
			b.ReportMetric(float64((u.UserTime()+u.SystemTime()).Nanoseconds())/rows, "cpu-ns/row")
		}
		b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	for _, workers := range []int{1, 2} {
		b.Run(map[int]string{1: "one worker", 2: "two workers"}[workers], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				from := cpu()
				if err := l.snapshotter(workers, l.table("public", "orders", 50_000)).run(b.Context(), newDiscard(8)); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64((cpu()-from).Nanoseconds())/rows, "cpu-ns/row")
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
