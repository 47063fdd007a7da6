package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

var slots atomic.Int64

// configOf is a configuration for a database, with its own slot and publication, changes alone.
func configOf(dsn string, change ...func(*Config)) *Config {
	c := &Config{}
	spec.Describe("postgres", c)
	c.DSN = spec.Secret(dsn)
	c.Slot = fmt.Sprintf("slot_%d", slots.Add(1))
	c.Publication = "pub"
	c.Create = []string{"slot", "publication"}
	c.Include = []string{"*.*"}
	c.Snapshot = policyNever
	c.StatusInterval = 200 * time.Millisecond
	c.Standby = 2 * time.Second
	for _, f := range change {
		f(c)
	}
	return c
}

func open(t testing.TB, c *Config, env ...func(*spec.Env)) pipeline.Source {
	t.Helper()
	e := spec.Env{Address: "source.test", Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, f := range env {
		f(&e)
	}
	s, err := c.Open(e)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs a source and waits for its first mark: the slot is there, and it streams.
func start(t testing.TB, c *Config, from pipeline.Checkpoint, out *pipetest.Collect) *pipetest.Running {
	t.Helper()
	if out == nil {
		out = &pipetest.Collect{}
	}
	r := pipetest.Run(t, open(t, c), from, out)
	if from == nil {
		r.Out.Wait(t, "a first mark", func(b []*pipeline.Batch) bool { return len(b) > 0 })
	}
	return r
}

// show renders a row as op table before -> values.
func show(r *pipeline.Row) string {
	list := func(values []pipeline.Value) string {
		if values == nil {
			return "-"
		}
		var out []string
		for _, v := range values {
			text := v.String()
			if len(text) > 40 {
				text = fmt.Sprintf("%d bytes", len(text))
			}
			out = append(out, text)
		}
		return strings.Join(out, ",")
	}
	return fmt.Sprintf("%s %s %s -> %s", r.Op, r.Schema.Name(), list(r.Before), list(r.Values))
}

func shown(out *pipetest.Collect) []string {
	var all []string
	for _, b := range out.Batches() {
		for i := range b.Rows {
			all = append(all, show(&b.Rows[i]))
		}
	}
	return all
}

func wantRows(t testing.TB, out *pipetest.Collect, want ...string) {
	t.Helper()
	out.WaitRows(t, len(want))
	if diff := cmp.Diff(want, shown(out)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestStreamOperations(t *testing.T) {
	for _, binary := range []string{"off", "on"} {
		t.Run("binary "+binary, func(t *testing.T) {
			dsn := pg.Database(t)
			pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text, n numeric(6,2)); ALTER TABLE a ALTER v SET STORAGE EXTERNAL;
				CREATE TABLE f (id int, v text); ALTER TABLE f REPLICA IDENTITY FULL; ALTER TABLE f ALTER v SET STORAGE EXTERNAL;
				CREATE TABLE i (x int, u int NOT NULL, w text); CREATE UNIQUE INDEX iu ON i (u); ALTER TABLE i REPLICA IDENTITY USING INDEX iu`)
			r := start(t, configOf(dsn, func(c *Config) { c.Binary = binary }), nil, nil)
			pipetest.Exec(t, dsn,
				`INSERT INTO a VALUES (1, repeat('x', 9000), 1.5), (2, NULL, NULL)`,
				`UPDATE a SET n = 2 WHERE id = 1`,
				`UPDATE a SET id = 5, n = 3 WHERE id = 1`,
				`DELETE FROM a WHERE id = 2`,
				`INSERT INTO f VALUES (1, repeat('y', 9000))`,
				`UPDATE f SET id = 2`,
				`DELETE FROM f`,
				`INSERT INTO i VALUES (1, 2, 'w'); UPDATE i SET u = 3; DELETE FROM i`,
				`TRUNCATE a, f RESTART IDENTITY CASCADE`)
			wantRows(t, r.Out,
				"insert public.a - -> 1,9000 bytes,1.50",
				"insert public.a - -> 2,null,null",
				"update public.a - -> 1,absent,2.00",
				"update public.a 1,absent,absent -> 5,absent,3.00",
				"delete public.a 2,absent,absent -> -",
				"insert public.f - -> 1,9000 bytes",
				"update public.f 1,9000 bytes -> 2,9000 bytes",
				"delete public.f 2,9000 bytes -> -",
				"insert public.i - -> 1,2,w",
				"update public.i absent,2,absent -> 1,3,w",
				"delete public.i absent,3,absent -> -",
				"truncate public.a - -> -",
				"truncate public.f - -> -",
			)
			last := lastRows(r.Out, 2)
			if last[0].Flags != pipeline.Cascade|pipeline.RestartIdentity || last[1].Flags&pipeline.Joined == 0 {
				t.Errorf("truncate flags %b and %b", last[0].Flags, last[1].Flags)
			}
			if !last[1].Schema.KeyFull || last[0].Schema.KeyFull {
				t.Error("KeyFull is wrong")
			}
			r.Stop()
		})
	}
}

func lastRows(out *pipetest.Collect, n int) []*pipeline.Row {
	var all []*pipeline.Row
	for _, b := range out.Batches() {
		for i := range b.Rows {
			all = append(all, &b.Rows[i])
		}
	}
	return all[len(all)-n:]
}

func TestStreamNamesAndPartitions(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE SCHEMA "Odd ""Schema"; CREATE TABLE "Odd ""Schema"."Ta.b'le" ("Id" int PRIMARY KEY, "select" text);
		CREATE TABLE p (id int, r text, v int, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
		CREATE TABLE p1 (v int, r text NOT NULL, id int NOT NULL, PRIMARY KEY (id, r)); ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN ('a');
		CREATE TABLE p2 PARTITION OF p FOR VALUES IN ('b');
		CREATE TABLE g (id int PRIMARY KEY, d int GENERATED ALWAYS AS (id * 2) STORED, e int)`)
	r := start(t, configOf(dsn), nil, nil)
	pipetest.Exec(t, dsn, `INSERT INTO "Odd ""Schema"."Ta.b'le" VALUES (1, 'x')`, `INSERT INTO p VALUES (1, 'a', 7)`,
		`UPDATE p SET r = 'b'`, `INSERT INTO g VALUES (1, DEFAULT, 3)`)
	wantRows(t, r.Out,
		`insert Odd "Schema.Ta.b'le - -> 1,x`,
		"insert public.p - -> 1,a,7",
		"delete public.p 1,a,absent -> -",
		"insert public.p - -> 1,b,7",
		"insert public.g - -> 1,3",
	)
	r.Stop()
}

func TestStreamedTransactions(t *testing.T) {
	for _, spill := range []spec.Bytes{defaultSpill, 10 << 10} {
		t.Run(spill.String(), func(t *testing.T) {
			dsn := pg.Database(t)
			pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text)`)
			r := start(t, configOf(dsn, func(c *Config) { c.Spill = spill }), nil, nil)
			pipetest.Exec(t, dsn, `BEGIN; INSERT INTO a SELECT i, repeat('k', 400) FROM generate_series(1, 250) i;
				SAVEPOINT s; INSERT INTO a SELECT i, repeat('r', 400) FROM generate_series(1001, 1500) i; ROLLBACK TO s;
				ALTER TABLE a ADD w int;
				INSERT INTO a SELECT i, repeat('k', 400), 7 FROM generate_series(251, 500) i; COMMIT`,
				`BEGIN; INSERT INTO a SELECT i, repeat('r', 400) FROM generate_series(2001, 2500) i; ROLLBACK`,
				`INSERT INTO a VALUES (501, 'end')`)
			r.Out.WaitRows(t, 501)
			rows := lastRows(r.Out, 501)
			for i, row := range rows {
				if id := row.Values[0].Int(); id != int64(i+1) {
					t.Fatalf("row %d has id %d", i, id)
				}
				if i == 0 || i == 500 {
					continue
				}
				if row.Tx != rows[0].Tx || row.Seq != uint32(i) {
					t.Fatalf("row %d: transaction or ordinal %d is wrong", i, row.Seq)
				}
			}
			if n, m := len(rows[0].Values), len(rows[300].Values); n != 2 || m != 3 || rows[300].Schema == rows[0].Schema {
				t.Errorf("%d columns before ALTER TABLE, %d after", n, m)
			}
			r.Stop()
			if n := pipetest.QueryText(t, dsn, `SELECT sum(stream_txns) > 0 FROM pg_stat_replication_slots`); n[0][0] != "t" {
				t.Log("the server did not report streamed transactions (statistics lag)")
			}
		})
	}
}

// TestResumeWithOpenTransaction interleaves a long transaction with others across a restart.
func TestResumeWithOpenTransaction(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text)`)
	c := configOf(dsn)
	long := connectTo(t, dsn)
	r := start(t, c, nil, nil)
	execOn(t, long, `BEGIN; INSERT INTO a SELECT i, repeat('l', 400) FROM generate_series(1, 300) i`)
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1001, 'x')`)
	r.Out.WaitRows(t, 1)
	if err := r.Source.Commit(t.Context(), r.Out.Checkpoint()); err != nil {
		t.Fatal(err)
	}
	r.Stop()
	execOn(t, long, `INSERT INTO a VALUES (301, 'y'); COMMIT`)
	again := start(t, c, r.Out.Checkpoint(), nil)
	again.Out.WaitRows(t, 301)
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1002, 'z')`)
	again.Out.WaitRows(t, 302)
	rows := lastRows(again.Out, 302)
	if rows[0].Values[0].Int() != 1 || rows[301].Values[0].Int() != 1002 {
		t.Errorf("first %s, last %s", show(rows[0]), show(rows[301]))
	}
	again.Stop()
}

func TestSlotFollowsCommitOnly(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
	c := configOf(dsn)
	r := start(t, c, nil, nil)
	flushed := func() string {
		return pipetest.QueryText(t, dsn, `SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = $1`, c.Slot)[0][0]
	}
	first := flushed()
	pipetest.Exec(t, dsn, `INSERT INTO a SELECT generate_series(1, 1000)`)
	r.Out.WaitRows(t, 1000)
	time.Sleep(time.Second) // several statuses
	if now := flushed(); now != first {
		t.Errorf("the slot went from %s to %s with nothing saved", first, now)
	}
	pos := r.Out.Checkpoint()[walStream]
	if err := r.Source.Commit(t.Context(), pipeline.Checkpoint{walStream: pos}); err != nil {
		t.Fatal(err)
	}
	lsn, _, err := parsePosition(pos)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the slot to reach the saved position", func() bool { return flushed() == formatLSN(lsn) })
	r.Stop()
}

func TestIdleSlotAdvances(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE noise (id int)`)
	c := configOf(dsn, func(c *Config) { c.Include = []string{"public.a"} })
	r := start(t, c, nil, nil)
	pipetest.Exec(t, dsn, `INSERT INTO noise SELECT generate_series(1, 100000)`)
	want := pipetest.QueryText(t, dsn, `SELECT pg_current_wal_lsn()`)[0][0]
	target, err := parseLSN(want)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "an idle mark", func() bool {
		lsn, _, _ := parsePosition(r.Out.Checkpoint()[walStream])
		return lsn >= target
	})
	if n := len(r.Out.Rows()); n != 0 {
		t.Errorf("%d rows", n)
	}
	r.Stop()
}

func TestStalledOutputKeepsConnection(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text)`)
	c := configOf(dsn+"&options=-cwal_sender_timeout%3D4s", func(c *Config) { c.StatusInterval = time.Minute })
	r := start(t, c, nil, &pipetest.Collect{MaxRows: 10})
	r.Out.Hold()
	pipetest.Exec(t, dsn, `INSERT INTO a SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i`)
	time.Sleep(6 * time.Second)
	r.Out.Release()
	r.Out.WaitRows(t, 20000)
	r.Stop()
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited %v for %s", most, what)
}

func TestUntilCaughtUp(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
	c := configOf(dsn)
	r := start(t, c, nil, nil)
	r.Stop()
	pipetest.Exec(t, dsn, `INSERT INTO a SELECT generate_series(1, 10)`)
	until := func(e *spec.Env) { e.UntilCaughtUp = true }
	again := pipetest.Run(t, open(t, c, until), r.Out.Checkpoint(), nil)
	if err := again.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := len(again.Out.Rows()); n != 10 {
		t.Errorf("%d rows", n)
	}
	idle := pipetest.Run(t, open(t, c, until), again.Out.Checkpoint(), nil)
	if err := idle.Wait(); err != nil || len(idle.Out.Rows()) != 0 {
		t.Errorf("%v, %d rows", err, len(idle.Out.Rows()))
	}
}

func TestRelationChanges(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text, secret text)`)
	c := configOf(dsn, func(c *Config) {
		c.TableBlocks = []*TableConfig{{Pattern: "public.a", Omit: []string{"secret"}}}
	})
	r := start(t, c, nil, nil)
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1, 'x', 's')`, `ANALYZE a`, `INSERT INTO a VALUES (2, 'x', 's')`,
		`CREATE TYPE mood AS ENUM ('ok', 'sad'); ALTER TABLE a ADD m mood`, `INSERT INTO a VALUES (3, 'x', 's', 'sad')`,
		`ALTER TABLE a DROP v`, `INSERT INTO a VALUES (4, 's', 'ok')`)
	wantRows(t, r.Out, "insert public.a - -> 1,x", "insert public.a - -> 2,x", "insert public.a - -> 3,x,sad", "insert public.a - -> 4,ok")
	rows := lastRows(r.Out, 4)
	if rows[0].Schema != rows[1].Schema || rows[1].Schema == rows[2].Schema {
		t.Error("the schema pointer is not the version")
	}
	r.Stop()
}

func TestSettingsOfRoleDoNotMatter(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, d timestamptz, i interval, b bytea, f float8, m money)`,
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET datestyle = German', current_database());
		EXECUTE format('ALTER DATABASE %I SET intervalstyle = iso_8601', current_database());
		EXECUTE format('ALTER DATABASE %I SET bytea_output = escape', current_database());
		EXECUTE format('ALTER DATABASE %I SET extra_float_digits = -15', current_database());
		EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Kolkata''', current_database()); END $$`)
	r := start(t, configOf(dsn, func(c *Config) { c.Binary = "off" }), nil, nil)
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1, '2024-02-29 12:00:00+00', '1 year 2 mons 3 days', '\x00ff', 0.1234567890123, 5)`)
	wantRows(t, r.Out, `insert public.a - -> 1,2024-02-29 12:00:00+00,1 year 2 mons 3 days,"\x00\xff",0.1234567890123,$5.00`)
	r.Stop()
}

func TestMessagesAndOrigin(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
	r := start(t, configOf(dsn, func(c *Config) { c.Messages = []string{"app"} }), nil, nil)
	pipetest.Exec(t, dsn, `SELECT pg_logical_emit_message(true, 'app', 'in'), pg_logical_emit_message(true, 'other', 'x'), pg_logical_emit_message(false, 'app', 'out')`)
	r.Out.WaitRows(t, 2)
	got := shown(r.Out)
	want := []string{`message pg_catalog.pg_logical_message - -> app,"out"`, `message pg_catalog.pg_logical_message - -> app,"in"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	r.Stop()
}

func TestRunEndsPromptly(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
	r := start(t, configOf(dsn), nil, nil)
	began := time.Now()
	r.Stop()
	if d := time.Since(began); d > most/3 {
		t.Errorf("took %v", d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := open(t, configOf(dsn)).Run(ctx, nil, &pipetest.Collect{}); err == nil {
		t.Error("no error from an ended context")
	}
}
