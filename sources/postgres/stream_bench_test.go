package postgres

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// counter is an Output that reuses one batch and counts rows.
type counter struct {
	batch pipeline.Batch
	rows  int
}

func (c *counter) New(ctx context.Context, s pipeline.Stream) (*pipeline.Batch, error) {
	c.batch.Stream, c.batch.MaxRows, c.batch.MaxBytes = s, 4096, 4<<20
	return &c.batch, ctx.Err()
}

func (c *counter) Emit(b *pipeline.Batch) error {
	c.rows += len(b.Rows)
	b.Reset()
	return nil
}

func (c *counter) Idle() bool                                      { return true }
func (c *counter) Drain(context.Context, ...pipeline.Stream) error { return nil }

// BenchmarkStream reads the WAL of b.N rows of 10 columns in transactions of 10,000 by pg_recvlogical
// and by the source, in text and in binary, twice each in turn. Run it with -benchtime 1000000x.
func BenchmarkStream(b *testing.B) {
	server := pipetest.Postgres(b, "max_wal_size=4GB")
	dsn := server.Database(b)
	pipetest.Exec(b, dsn, `CREATE TABLE o (id bigint PRIMARY KEY, c int, q int, price numeric(12,2), status varchar(20),
		note text, at timestamptz, paid boolean, meta jsonb, x int)`, `CREATE PUBLICATION pub FOR TABLE o`)
	read := map[string]func(slot string) (time.Duration, int64){
		"recv":   func(slot string) (time.Duration, int64) { return recvlogical(b, server, dsn, slot) },
		"text":   func(slot string) (time.Duration, int64) { return streamAll(b, dsn, slot, "off") },
		"binary": func(slot string) (time.Duration, int64) { return streamAll(b, dsn, slot, "on") },
	}
	names := []string{"recv", "text", "binary"}
	for round := range 2 {
		for _, name := range names {
			pipetest.Exec(b, dsn, fmt.Sprintf(`SELECT pg_create_logical_replication_slot('%s%d', 'pgoutput')`, name, round))
		}
	}
	for i := 0; i < b.N; i += 10_000 {
		pipetest.Exec(b, dsn, fmt.Sprintf(`INSERT INTO o SELECT i, i %% 1000, 3, i / 7.0, 'shipped', repeat('n', 100), now(), true,
			'{"a": 1}', i FROM generate_series(%d, %d) i`, i, min(i+10_000, b.N)-1))
	}
	took, cpu := map[string]time.Duration{}, map[string]int64{}
	for round := range 2 {
		for _, name := range names {
			d, us := read[name](fmt.Sprintf("%s%d", name, round))
			if round == 0 || d < took[name] {
				took[name], cpu[name] = d, us
			}
		}
	}
	for _, name := range names {
		b.ReportMetric(float64(b.N)/took[name].Seconds(), name+"-rows/s")
		b.ReportMetric(float64(cpu[name])/float64(b.N), name+"-us/row")
	}
	b.ReportMetric(0, "ns/op")
}

func cpuOf(u *syscall.Rusage) int64 { return (u.Utime.Nano() + u.Stime.Nano()) / 1000 }

func recvlogical(b *testing.B, server *pipetest.PG, dsn, slot string) (time.Duration, int64) {
	end := pipetest.QueryText(b, dsn, `SELECT pg_current_wal_flush_lsn()`)[0][0]
	cmd := exec.Command(filepath.Join(server.BinDir, "pg_recvlogical"), "-d", dsn, "-S", slot, "--start", "-f", "-",
		"-o", "proto_version=1", "-o", "publication_names=pub", "-E", end)
	cmd.Stdout = io.Discard
	began := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began), cpuOf(cmd.ProcessState.SysUsage().(*syscall.Rusage))
}

func streamAll(b *testing.B, dsn, slot, binary string) (time.Duration, int64) {
	c := configOf(dsn, func(c *Config) { c.Slot, c.Binary, c.Create = slot, binary, nil })
	src, err := c.Open(spec.Env{Dir: b.TempDir(), UntilCaughtUp: true})
	if err != nil {
		b.Fatal(err)
	}
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	began, out := time.Now(), &counter{}
	if err := src.Run(b.Context(), nil, out); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	if out.rows != b.N {
		b.Fatalf("%d rows of %d", out.rows, b.N)
	}
	return took, cpuOf(&after) - cpuOf(&before)
}
