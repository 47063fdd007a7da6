package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// kept adds what an output has to a checkpoint.
func kept(cp pipeline.Checkpoint, out *pipetest.Collect) pipeline.Checkpoint {
	cp = cp.Clone()
	for _, b := range out.Batches() {
		if pos, ok := b.Last(); ok {
			cp.Apply(b.Stream, pos)
		}
	}
	return cp
}

// saved waits until a table's entry is saved as done.
func saved(t *testing.T, r *pipetest.Running, table string) {
	t.Helper()
	r.Out.Wait(t, "the entry of "+table, func(batches []*pipeline.Batch) bool {
		done := false
		for _, b := range batches {
			if pos, ok := b.Last(); ok && b.Stream == snapshot.TableStream(table) {
				e, err := snapshot.ParseEntry(table, pos)
				done = err == nil && e.Status == snapshot.Done
			}
		}
		return done
	})
}

// dropSlot drops a source's slot once it is free.
func dropSlot(t *testing.T, dsn string, c *Config) {
	t.Helper()
	eventually(t, "the slot to be free", func() bool {
		return len(pipetest.QueryText(t, dsn, `SELECT FROM pg_replication_slots WHERE active AND slot_name = '`+c.Slot+`'`)) == 0
	})
	pipetest.Exec(t, dsn, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '`+c.Slot+`'`)
}

// TestWhenNeeded loses the slot: tables of that policy are read again, rows that vanished are swept, and the
// stream begins anew. With another table beside them it stops and names that one.
func TestWhenNeeded(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY)`,
		`INSERT INTO a SELECT i, 'v' FROM generate_series(1, 3000) i`, `INSERT INTO b VALUES (1), (2)`)
	c := configOf(dsn, func(c *Config) { c.Snapshot = policyWhenNeeded })
	m := newImage()
	cp := pipeline.Checkpoint{}
	live := func(change ...string) {
		t.Helper()
		r := pipetest.Run(t, open(t, c), cp, m.output())
		m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
		saved(t, r, "public.a")
		saved(t, r, "public.b")
		pipetest.Exec(t, dsn, change...)
		m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
		m.sameSoon(t, dsn, "public.b", `SELECT * FROM b`)
		r.Stop()
		cp = kept(cp, r.Out)
	}
	live(`INSERT INTO a VALUES (3001, 'streamed')`)
	dropSlot(t, dsn, c)
	pipetest.Exec(t, dsn, `DELETE FROM a WHERE id < 100`, `UPDATE a SET v = 'w' WHERE id = 200`, `DELETE FROM b WHERE id = 1`)
	c.TableBlocks = []*TableConfig{{Pattern: "public.b", Snapshot: policyInitial}}
	err := runFails(t, open(t, c), cp)
	if text := fmt.Sprint(err, pipeline.HintOf(err)); !strings.Contains(text, "is gone") || !strings.Contains(text, "public.b") {
		t.Errorf("refused with %v, %s", err, pipeline.HintOf(err))
	}
	c.TableBlocks = nil
	live(`INSERT INTO b VALUES (7)`)
	// A position ahead of the server, as after it was restored.
	ahead := cp.Clone()
	ahead[walStream] = "00FFFFFF" + cp[walStream][8:]
	cp = ahead
	pipetest.Exec(t, dsn, `UPDATE a SET v = 'x' WHERE id = 201`)
	live(`DELETE FROM a WHERE id = 202`)
	if cp[walStream] >= ahead[walStream] {
		t.Errorf("the position is %s still", cp[walStream])
	}
}

// TestLostStartEnds ends a start for which the position was lost after each thing that it makes durable.
func TestLostStartEnds(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`, `INSERT INTO a SELECT generate_series(1, 100)`)
	c := configOf(dsn, func(c *Config) { c.Snapshot = policyWhenNeeded })
	m := newImage()
	r := pipetest.Run(t, open(t, c), nil, m.output())
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	entry(t, r, "public.a", snapshot.Done)
	r.Stop()
	cp := kept(nil, r.Out)
	for n := range 6 {
		dropSlot(t, dsn, c)
		pipetest.Exec(t, dsn, fmt.Sprintf(`DELETE FROM a WHERE id = %d`, n))
		left := n
		out := m.output()
		apply := out.OnEmit
		out.OnEmit = func(b *pipeline.Batch) error {
			if left--; left < 0 {
				return fmt.Errorf("the sink failed")
			}
			return apply(b)
		}
		if err := open(t, c).Run(t.Context(), cp, out); err == nil {
			t.Fatal("no error")
		}
		cp = kept(cp, out)
		r := pipetest.Run(t, open(t, c), cp, m.output())
		m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
		entry(t, r, "public.a", snapshot.Done)
		r.Stop()
		cp = kept(cp, r.Out)
	}
}

// TestAlways reads a table at every start, beside the stream.
func TestAlways(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`, `INSERT INTO a SELECT generate_series(1, 500)`)
	c := configOf(dsn, func(c *Config) { c.Snapshot = policyAlways })
	m := newImage()
	cp := pipeline.Checkpoint{}
	for n := 1; n <= 3; n++ {
		r := pipetest.Run(t, open(t, c), cp, m.output())
		m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
		saved(t, r, "public.a")
		r.Stop()
		cp = kept(cp, r.Out)
		if got := m.readRows(); got != 500*n {
			t.Errorf("start %d: %d rows read", n, got)
		}
	}
}

// TestTablesComeAndGo adds a table to the file, in which a transaction of before is open, and removes another.
func TestTablesComeAndGo(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, v text, big text);
		ALTER TABLE b ALTER big SET STORAGE EXTERNAL`, `INSERT INTO a VALUES (1)`,
		`INSERT INTO b SELECT i, 'v', repeat('x', 3000) FROM generate_series(1, 2000) i`)
	c := configOf(dsn, func(c *Config) { c.Snapshot, c.Include = policyInitial, []string{"public.a"} })
	m := newImage()
	r := pipetest.Run(t, open(t, c), nil, m.output())
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	entry(t, r, "public.a", snapshot.Done)
	r.Stop()
	cp := kept(nil, r.Out)

	commit := openTransaction(t, dsn, `INSERT INTO b VALUES (5000, 'open', 'y')`)
	c.Include = []string{"public.a", "public.b"}
	before := m.readRows()
	r = pipetest.Run(t, open(t, c), cp, m.output())
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (2)`)
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	time.Sleep(500 * time.Millisecond)
	if n := m.readRows(); n != before {
		t.Errorf("%d rows were read while a transaction was open that is not published", n-before)
	}
	pipetest.Exec(t, dsn, `UPDATE b SET v = 'w' WHERE id % 100 = 0`) // their large values are not sent
	commit()
	entry(t, r, "public.b", snapshot.Done)
	m.sameSoon(t, dsn, "public.b", `SELECT * FROM b`)
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	if n := m.readRows() - before; n > 2100 {
		t.Errorf("%d rows were read", n)
	}
	r.Stop()
	cp = kept(cp, r.Out)

	c.Include = []string{"public.b"}
	r = pipetest.Run(t, open(t, c), cp, m.output())
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (3)`, `DELETE FROM b WHERE id = 7`)
	m.sameSoon(t, dsn, "public.b", `SELECT * FROM b`)
	r.Stop()
	cp = kept(cp, r.Out)
	if cp[snapshot.TableStream("public.a")] != "" || cp[snapshot.TableStream("public.b")] == "" || m.readRows()-before > 2100 {
		t.Errorf("checkpoint %v", cp)
	}
}

// openTransaction begins one and returns what commits it.
func openTransaction(t *testing.T, dsn, sql string) (commit func()) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	if err := conn.Exec(t.Context(), "BEGIN; "+sql).Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := conn.Exec(t.Context(), "COMMIT").Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestOldStateIsTakenAsComplete upgrades a state from before there was a ledger.
func TestOldStateIsTakenAsComplete(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`, `INSERT INTO a VALUES (1)`)
	c := configOf(dsn, func(c *Config) { c.Snapshot = policyInitial })
	m := newImage()
	r := pipetest.Run(t, open(t, c), nil, m.output())
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	entry(t, r, "public.a", snapshot.Done)
	r.Stop()
	r = pipetest.Run(t, open(t, c), pipeline.Checkpoint{walStream: kept(nil, r.Out)[walStream]}, m.output())
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (2)`)
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	entry(t, r, "public.a", snapshot.Recorded)
	r.Stop()
	if m.readRows() != 1 {
		t.Errorf("%d rows were read", m.readRows())
	}
}

// TestRewrittenIsReadAgain changes a column's values by a change of its type.
func TestRewrittenIsReadAgain(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v int)`, `INSERT INTO a SELECT i, i FROM generate_series(1, 1000) i`)
	c := configOf(dsn, func(c *Config) { c.Snapshot = policyWhenNeeded })
	m := newImage()
	r := pipetest.Run(t, open(t, c), nil, m.output())
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	pipetest.Exec(t, dsn, `ALTER TABLE a ALTER v TYPE text USING 'n' || v`, `INSERT INTO a VALUES (2000, 'new')`)
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	saved(t, r, "public.a")
	r.Stop()
	// Where nothing says that it may, it stops, until somebody asks.
	c.Snapshot = policyInitial
	src, out := open(t, c), m.output()
	end := background(t, src, kept(nil, r.Out), out)
	streaming(t, src)
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (2001, 'new')`)
	out.WaitRows(t, 1)
	pipetest.Exec(t, dsn, `ALTER TABLE a ALTER v TYPE varchar(50) USING v || '?'`, `INSERT INTO a VALUES (2002, 'new')`)
	if err := end(); err == nil || !strings.Contains(err.Error(), "needs a new snapshot") {
		t.Fatalf("it ended with %v", err)
	}
	cp := kept(kept(nil, r.Out), out)
	runFails(t, open(t, c), cp)
	asked := open(t, c)
	go func() {
		_ = asked.(snapshot.Asker).Ask(t.Context(), snapshot.Request{Table: "public.a", Reason: snapshot.ForRequest, Asked: time.Now()})
	}()
	eventually(t, "the request", asked.(*Source).desk.Waiting)
	r = pipetest.Run(t, asked, cp, m.output())
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	saved(t, r, "public.a")
	r.Stop()
	cp = kept(cp, r.Out)
	r = pipetest.Run(t, open(t, c), cp, m.output())
	r.Out.Wait(t, "a mark", func(b []*pipeline.Batch) bool { return len(b) > 0 })
	r.Stop()
	if cp = kept(cp, r.Out); cp[rewritePrefix+"public.a"] != "" {
		t.Errorf("the stop is still there: %v", cp)
	}
}
