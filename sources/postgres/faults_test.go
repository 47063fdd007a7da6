package postgres

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// rowCounter is a discard that counts rows and looks at the heap from time to time.
type rowCounter struct {
	*discard
	t     *testing.T
	rows  atomic.Int64
	marks atomic.Int64
	next  int64  // the id that comes next
	heap  uint64 // the most seen
	seen  int
}

func (c *rowCounter) Emit(b *pipeline.Batch) error {
	for i := range b.Rows {
		if id := b.Rows[i].Values[0].Int(); id != c.next {
			c.t.Errorf("row %d came, %d is next", id, c.next)
			return fmt.Errorf("out of order")
		}
		c.next++
	}
	if c.seen++; c.seen%64 == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		c.heap = max(c.heap, m.HeapInuse)
	}
	c.rows.Add(int64(len(b.Rows)))
	c.marks.Add(int64(len(b.Marks)))
	return c.discard.Emit(b)
}

// TestHugeTransaction streams a transaction that is many times larger than the memory it may take.
func TestHugeTransaction(t *testing.T) {
	const rows = 500_000
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text)`)
	c := configOf(dsn, func(c *Config) { c.Spill = 1 << 20 })
	out := &rowCounter{discard: newDiscard(6), t: t, next: 1}
	ctx, stop := context.WithCancel(t.Context())
	src, done := open(t, c), make(chan error, 1)
	go func() { done <- src.Run(ctx, nil, out) }()
	streaming(t, src)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	marks := out.marks.Load()
	pipetest.Exec(t, dsn, fmt.Sprintf(`INSERT INTO a SELECT i, repeat('v', 200) FROM generate_series(1, %d) i`,
		rows))
	eventually(t, "the transaction", func() bool { return out.rows.Load() >= rows && out.marks.Load() > marks })
	stop()
	<-done
	grown := int64(out.heap) - int64(before.HeapInuse)
	t.Logf("the heap grew by %d KiB for about %d MiB of rows", grown>>10, rows*210>>20)
	if grown > 32<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

// TestPreparedTransactions: what was prepared comes once, when it commits, or never.
func TestPreparedTransactions(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text)`)
	c := configOf(dsn)
	r := start(t, c, nil, nil)
	large := `INSERT INTO a SELECT i, repeat('p', 400) FROM generate_series(1001, 1400) i` // streamed before it is prepared
	pipetest.Exec(t, dsn, `BEGIN; INSERT INTO a VALUES (1, 'kept'); PREPARE TRANSACTION 'kept'`,
		`BEGIN; INSERT INTO a VALUES (2, 'gone'); PREPARE TRANSACTION 'gone'`,
		`BEGIN; `+large+`; PREPARE TRANSACTION 'large'`, `INSERT INTO a VALUES (3, 'between')`, `ROLLBACK PREPARED 'gone'`)
	wantRows(t, r.Out, "insert public.a - -> 3,between")
	cp := r.Out.Checkpoint()
	if err := r.Source.Commit(t.Context(), cp); err != nil {
		t.Fatal(err)
	}
	r.Stop() // both are prepared, and neither is delivered
	again := start(t, c, cp, nil)
	streaming(t, again.Source)
	pipetest.Exec(t, dsn, `COMMIT PREPARED 'kept'`, `COMMIT PREPARED 'large'`, `INSERT INTO a VALUES (4, 'after')`)
	again.Out.WaitRows(t, 402)
	got := shown(again.Out)
	if len(got) != 402 || got[0] != "insert public.a - -> 1,kept" ||
		!strings.HasPrefix(got[400], "insert public.a - -> 1400,") ||
		got[401] != "insert public.a - -> 4,after" {
		t.Errorf("%d rows: %s ... %s", len(got), got[0], got[len(got)-1])
	}
	again.Stop()
}

// TestSlotInvalidatedWhileActive: to the client it looks like a restart; only the next start tells.
func TestSlotInvalidatedWhileActive(t *testing.T) {
	t.Parallel()
	own := pipetest.Postgres(t, "max_slot_wal_keep_size=1MB", "min_wal_size=32MB", "max_wal_size=48MB")
	dsn := own.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE noise (v text)`)
	c := configOf(dsn, func(c *Config) { c.Include = []string{"a"} })
	src, out := open(t, c), &pipetest.Collect{}
	end := background(t, src, nil, out)
	streaming(t, src)
	for range 4 { // nothing is committed, so the slot stays where it is
		pipetest.Exec(t, dsn, `INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 20000)`,
			`SELECT pg_switch_wal()`, `CHECKPOINT`)
	}
	if err := end(); pipeline.ClassOf(err) != pipeline.Retryable {
		t.Errorf("class %d: %v", pipeline.ClassOf(err), err)
	}
	wantError(t, c, out.Checkpoint(), pipeline.Environment, "is lost", "pg_drop_replication_slot")
	if rows := pipetest.QueryText(t, dsn, `SELECT wal_status FROM pg_replication_slots`); len(rows) != 1 || rows[0][0] != "lost" {
		t.Errorf("the slot was touched: %v", rows)
	}
}

// TestDeadConnection lets a network lose everything: the source gives up, and is worth trying again.
func TestDeadConnection(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
	parsed, err := configOf(dsn).config()
	if err != nil {
		t.Fatal(err)
	}
	proxy := pipetest.NewProxy(t, fmt.Sprintf("%s:%d", parsed.Host, parsed.Port))
	c := configOf(dsn, func(c *Config) { c.Host, c.Port = "127.0.0.1", proxy.Port() })
	c.DSN += "&options=-cwal_sender_timeout%3D4s"
	src, out := open(t, c), &pipetest.Collect{}
	end := background(t, src, nil, out)
	streaming(t, src)
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1)`)
	out.WaitRows(t, 1)
	proxy.Blackhole()
	began := time.Now()
	err = end()
	if pipeline.ClassOf(err) != pipeline.Retryable || !strings.Contains(err.Error(), "silent") {
		t.Errorf("class %d: %v", pipeline.ClassOf(err), err)
	}
	t.Logf("given up after %v", time.Since(began).Round(time.Millisecond))
	proxy.Resume()
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (2)`)
	c.Standby = most
	again := pipetest.Run(t, open(t, c), out.Checkpoint(), nil)
	again.Out.WaitRows(t, 1)
	if got := show(lastRows(again.Out, 1)[0]); got != "insert public.a - -> 2" {
		t.Error(got)
	}
	again.Stop()
}
