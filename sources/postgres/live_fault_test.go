package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// waitsForStandby runs a statement whose commit waits for a standby that is missing.
func waitsForStandby(t *testing.T, dsn, sql string) (ended chan error) {
	t.Helper()
	ended = make(chan error, 1)
	go func() {
		conn, err := pgconn.Connect(context.Background(), dsn)
		if err == nil {
			err = conn.Exec(context.Background(), sql).Close()
			conn.Close(context.Background())
		}
		ended <- err
	}()
	return ended
}

// missesStandby makes commits wait for a standby that is missing, and returns once they do. local is a DSN
// whose own commits do not wait.
func missesStandby(t *testing.T, dsn, local string) {
	t.Helper()
	pipetest.Exec(t, local, `ALTER SYSTEM SET synchronous_standby_names = 'missing'`, `SELECT pg_reload_conf()`)
	eventually(t, "commits to wait for a standby", func() bool {
		ended := waitsForStandby(t, dsn, `SELECT txid_current(), pg_logical_emit_message(true, 'waits', '')`)
		for { // cancelled, the commit counts all the same
			select {
			case err := <-ended:
				if err != nil {
					t.Fatal(err)
				}
				return false
			case <-time.After(5 * time.Millisecond):
			}
			if len(pipetest.QueryText(t, local, `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)) > 0 {
				<-ended
				return true
			}
		}
	})
}

// TestStandbyGap: a commit that was flushed and streamed, and that waits for a synchronous standby, is not
// visible yet. A snapshot that is taken meanwhile reverts nothing, whether the one that streamed it asks or
// the next.
func TestStandbyGap(t *testing.T) {
	own := pipetest.Postgres(t)
	dsn := own.Database(t)
	local := dsn + "&options=-csynchronous_commit%3Dlocal"
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text)`, `INSERT INTO a VALUES (1, 'old'), (2, 'old'), (3, 'old')`)
	c := configOf(local, func(c *Config) { c.Snapshot = policyInitial })
	m := newImage()
	r := pipetest.Run(t, open(t, c), nil, m.output())
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	saved(t, r, "public.a")
	missesStandby(t, dsn, local)
	ended := waitsForStandby(t, dsn, `UPDATE a SET v = 'new' WHERE id = 1; `)
	want := []string{"1|new", "2|old", "3|old"}
	holds := func(when string) {
		t.Helper()
		if got := m.lines("public.a"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	eventually(t, "the update to be streamed", func() bool { return fmt.Sprint(m.lines("public.a")) == fmt.Sprint(want) })
	before := m.readRows()
	ask(t, r, "public.a")
	time.Sleep(1500 * time.Millisecond)
	holds("while it waits")
	pipetest.Exec(t, local, `INSERT INTO a VALUES (4, 'streamed')`)
	want = append(want, "4|streamed")
	eventually(t, "the stream to go on", func() bool { return len(m.lines("public.a")) == 4 })
	r.Stop()
	cp := kept(nil, r.Out)
	r = pipetest.Run(t, open(t, c), cp, m.output()) // it does not know what the other one streamed
	streaming(t, r.Source)
	time.Sleep(2 * time.Second)
	holds("after a restart")
	if n := m.readRows() - before; n != 0 {
		t.Errorf("%d rows were read while an update that was streamed was not visible", n)
	}
	pipetest.Exec(t, local, `ALTER SYSTEM RESET synchronous_standby_names`, `SELECT pg_reload_conf()`)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	saved(t, r, "public.a")
	holds("at the end")
	if n := m.readRows() - before; n != 4 {
		t.Errorf("%d rows were read, want 4", n)
	}
	r.Stop()
}

// TestLiveRefusals asks for what cannot be read: the stream goes on, and so do others.
func TestLiveRefusals(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE nokey (id int); ALTER TABLE nokey REPLICA IDENTITY FULL`,
		`CREATE SCHEMA s; CREATE TABLE s.a (id int PRIMARY KEY); CREATE TABLE gone (id int PRIMARY KEY); CREATE TABLE ok (id int PRIMARY KEY)`,
		`INSERT INTO ok SELECT generate_series(1, 100)`, `INSERT INTO a SELECT i, 'v' || i % 3 FROM generate_series(1, 300) i`)
	m := newImage()
	r := start(t, configOf(dsn), nil, m.output())
	pipetest.Exec(t, dsn, `DROP TABLE gone`)
	for table, want := range map[string]string{"missing": "reads no table missing", "a": "several tables", "public.b": "The tables are"} {
		err := askerOf(t, r).Ask(t.Context(), snapshot.Request{Table: table, Reason: snapshot.ForRequest})
		if text := fmt.Sprint(err, pipeline.HintOf(err)); pipeline.ClassOf(err) != pipeline.Input || !strings.Contains(text, want) {
			t.Errorf("%s: %v", table, text)
		}
	}
	request := func(table, where string) snapshot.Request {
		return snapshot.Request{Table: table, Reason: snapshot.ForRequest, Asked: time.Now(), Where: where}
	}
	askFor(t, r, request("nokey", ""), request("gone", ""), request("public.a", "row.nothing == 1"), request("ok", ""))
	for table, want := range map[string]string{"public.nokey": "without a key", "public.gone": "does not exist", "public.a": "nothing"} {
		if e := entry(t, r, table, snapshot.Failed); !strings.Contains(e.Error, want) {
			t.Errorf("%s: %q", table, e.Error)
		}
	}
	entry(t, r, "public.ok", snapshot.Done)
	askFor(t, r, request("public.a", `row.v == "v1"`))
	if e := entry(t, r, "public.a", snapshot.Done); e.Rows != 100 {
		t.Errorf("%d rows, want the 100 of the condition", e.Rows)
	}
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1000, 'x')`)
	eventually(t, "the stream", func() bool { return len(m.lines("public.a")) == 101 })
	r.Stop()
}

// TestLiveColumnsChange adds and drops columns while a table is read.
func TestLiveColumnsChange(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text, w int)`, `INSERT INTO a SELECT i, 'v', i FROM generate_series(1, 4000) i`)
	c := configOf(dsn, func(c *Config) { c.liveRows = 50 })
	m := newImage()
	r := start(t, c, nil, m.output())
	ask(t, r, "public.a")
	eventually(t, "some rows", func() bool { return m.readRows() > 200 })
	pipetest.Exec(t, dsn, `ALTER TABLE a ADD x text DEFAULT 'dflt'`, `UPDATE a SET x = 'set' WHERE id % 100 = 0`)
	time.Sleep(50 * time.Millisecond)
	pipetest.Exec(t, dsn, `ALTER TABLE a DROP w`, `INSERT INTO a VALUES (5000, 'v', 'last')`)
	entry(t, r, "public.a", snapshot.Done)
	if n := len(m.lines("public.a")); n != 4001 {
		t.Errorf("%d rows, want 4001", n)
	}
	ask(t, r, "public.a")
	time.Sleep(50 * time.Millisecond)
	entry(t, r, "public.a", snapshot.Done)
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	r.Stop()
}

// TestLiveCancel gives up a snapshot that waits for a lock.
func TestLiveCancel(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)`, `INSERT INTO a VALUES (1)`)
	m := newImage()
	r := start(t, configOf(dsn), nil, m.output())
	unlock := openTransaction(t, dsn, `LOCK TABLE a IN ACCESS EXCLUSIVE MODE`)
	ask(t, r, "public.a", "public.a")
	time.Sleep(200 * time.Millisecond)
	if err := askerOf(t, r).Cancel(t.Context(), "public.a"); err != nil {
		t.Fatal(err)
	}
	entry(t, r, "public.a", snapshot.Cancelled)
	pipetest.Exec(t, dsn, `INSERT INTO b VALUES (1)`)
	m.sameSoon(t, dsn, "public.b", `SELECT * FROM b`)
	unlock()
	time.Sleep(300 * time.Millisecond)
	if n := m.readRows(); n != 0 {
		t.Errorf("%d rows were read", n)
	}
	ask(t, r, "public.a")
	entry(t, r, "public.a", snapshot.Done)
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	r.Stop()
}

// TestLiveHoldsNothingUp reads a large table: no transaction of ours is long, so that vacuum goes on, and
// changes of another table come without delay.
func TestLiveHoldsNothingUp(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE big (id int PRIMARY KEY, v text); CREATE TABLE small (id int PRIMARY KEY, at timestamptz)`,
		`INSERT INTO big SELECT i, repeat('v', 100) FROM generate_series(1, 600000) i`, `ANALYZE big`)
	c := configOf(dsn)
	var worst, reads atomic.Int64
	out := &pipetest.Collect{OnEmit: func(b *pipeline.Batch) error {
		time.Sleep(time.Duration(len(b.Rows)) * 4 * time.Microsecond) // a sink's pace
		for i := range b.Rows {
			row := &b.Rows[i]
			if row.Op == pipeline.Read {
				reads.Add(1)
			} else if row.Schema.Table == "small" {
				worst.Store(max(worst.Load(), time.Now().UnixMicro()-pipeline.EpochMicros-row.Tx.Time))
			}
		}
		b.Rows, b.Arena = nil, pipeline.Arena{}
		return nil
	}}
	r := start(t, c, nil, out)
	began, longest := time.Now(), time.Duration(0)
	ask(t, r, "public.big")
	for n := 0; ; n++ {
		pipetest.Exec(t, dsn, fmt.Sprintf(`INSERT INTO small VALUES (%d, now())`, n))
		age := pipetest.QueryText(t, dsn, `SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)) * 1000, 0)::int
			FROM pg_stat_activity WHERE application_name = 'pipe' AND backend_xmin IS NOT NULL AND backend_type = 'client backend' AND datname = current_database()`)
		var ms int
		fmt.Sscan(age[0][0], &ms)
		longest = max(longest, time.Duration(ms)*time.Millisecond)
		if e := askerOf(t, r).Entries(); len(e) > 0 && e[0].Status == snapshot.Done && e[0].Rows > 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	took, lag := time.Since(began), time.Duration(worst.Load())*time.Microsecond
	t.Logf("%d rows read in %v; the longest transaction %v; the other table's lag at most %v", reads.Load(), took, longest, lag)
	if bound := max(2*time.Second, took/2); reads.Load() != 600000 || longest > bound || lag > bound {
		t.Error("a snapshot held something up")
	}
	r.Stop()
}
