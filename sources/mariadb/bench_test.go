package mariadb

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// discard is an output that counts rows and reuses one batch for each stream.
type discard struct {
	free chan *pipeline.Batch
	rows int
}

func newDiscard() *discard {
	d := &discard{free: make(chan *pipeline.Batch, 6)}
	for range cap(d.free) {
		d.free <- &pipeline.Batch{MaxRows: 8192, MaxBytes: 4 << 20}
	}
	return d
}

func (d *discard) New(_ context.Context, s pipeline.Stream) (*pipeline.Batch, error) {
	b := <-d.free
	b.Stream = s
	return b, nil
}

func (d *discard) Emit(b *pipeline.Batch) error {
	d.rows += len(b.Rows)
	b.Reset()
	d.free <- b
	return nil
}

func (d *discard) Idle() bool                                      { return true }
func (d *discard) Drain(context.Context, ...pipeline.Stream) error { return nil }

// benchRows is the size of the tables.
const benchRows = 500_000

func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// measured runs a source to its end and reports what each row cost.
func measured(b *testing.B, c *Config, from pipeline.Checkpoint) {
	b.Helper()
	for b.Loop() {
		s, err := c.Open(spec.Env{Address: "source.bench", UntilCaughtUp: true})
		if err != nil {
			b.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, start, used := newDiscard(), time.Now(), cpu()
		if err := s.Run(b.Context(), from, out); err != nil {
			b.Fatal(err)
		}
		took, used := time.Since(start), cpu()-used
		runtime.ReadMemStats(&after)
		n := float64(out.rows)
		b.ReportMetric(n/took.Seconds(), "rows/s")
		b.ReportMetric(float64(used.Nanoseconds())/n, "cpu-ns/row")
		b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/row")
	}
}

const benchTable = "CREATE TABLE t (id bigint PRIMARY KEY, a int, b bigint, c varchar(40), d varchar(40), e decimal(12,2), f datetime(6), " +
	"g timestamp NULL, h double, i tinyint)"

func benchInsert(from, to int) string {
	return fmt.Sprintf("INSERT INTO t SELECT seq, seq, seq * 7, concat('customer number ', seq), 'some street and number', seq / 7, "+
		"'2024-02-29 13:14:15.161718', '2024-02-29 13:14:15', seq / 3, 1 FROM seq_%d_to_%d", from, to)
}

// BenchmarkStream reads a log by transactions of a size, beside the server's own program.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{10_000, 100, 1} {
		db := benchDatabase(b)
		maria.Exec(b, "", "FLUSH BINARY LOGS")
		at := maria.QueryText(b, "", "SELECT @@gtid_binlog_pos")[0][0]
		file := maria.QueryText(b, "", "SHOW MASTER STATUS")[0][0]
		rows := benchRows
		if size < 100 {
			rows /= 10
		}
		var sql strings.Builder
		for i := 1; i < rows; i += size {
			sql.WriteString(benchInsert(i, i+size-1) + ";")
		}
		maria.Exec(b, db, sql.String())
		c := configFor(b, maria, db)
		b.Run(fmt.Sprintf("tx=%d/source", size), func(b *testing.B) {
			measured(b, c, pipeline.Checkpoint{binlogStream: positionAt(b, at)})
		})
		b.Run(fmt.Sprintf("tx=%d/mariadb-binlog", size), func(b *testing.B) {
			program(b, rows, "mariadb-binlog", "--no-defaults", "--read-from-remote-server", "--raw", "--host=127.0.0.1",
				fmt.Sprintf("--port=%d", maria.Port), "--user=pipe", "--password=pipe", "--result-file="+b.TempDir()+"/", file)
		})
	}
}

// program measures another program that reads so many rows.
func program(b *testing.B, rows int, name string, args ...string) {
	b.Helper()
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), name, args...)
		start := time.Now()
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		took, used := time.Since(start), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
		b.ReportMetric(float64(rows)/took.Seconds(), "rows/s")
		b.ReportMetric(float64(used.Nanoseconds())/float64(rows), "cpu-ns/row")
	}
}

func BenchmarkSnapshot(b *testing.B) {
	db := benchDatabase(b)
	maria.Exec(b, db, benchInsert(1, benchRows), "ANALYZE TABLE t")
	c := configFor(b, maria, db)
	c.Snapshot, c.Workers = policyOnly, 1
	b.Run("source", func(b *testing.B) { measured(b, c, nil) })
	b.Run("mariadb", func(b *testing.B) {
		program(b, benchRows, "mariadb", "--no-defaults", "--quick", "--host=127.0.0.1", fmt.Sprintf("--port=%d", maria.Port),
			"--user=pipe", "--password=pipe", db, "--execute=SELECT * FROM t")
	})
}

// benchDatabase makes a database with an empty table.
func benchDatabase(b *testing.B) string {
	b.Helper()
	db := maria.Database(b)
	maria.Exec(b, db, benchTable)
	return db
}
