package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

func connectTo(t testing.TB, dsn string) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	return conn
}

// most is how long a test waits for what should come soon, on a machine that does much else.
const most = 90 * time.Second

func execOn(t testing.TB, conn *pgconn.PgConn, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	if err := conn.Exec(ctx, sql).Close(); err != nil {
		t.Fatal(err)
	}
}

// background runs a source; the function returned waits for its error.
func background(t testing.TB, src pipeline.Source, from pipeline.Checkpoint, out pipeline.Output) (end func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- src.Run(t.Context(), from, out) }()
	return func() error {
		t.Helper()
		select {
		case err := <-done:
			return err
		case <-time.After(most):
			t.Fatalf("the source did not end within %v", most)
			return nil
		}
	}
}

// streaming waits until the source streams.
func streaming(t testing.TB, src pipeline.Source) {
	t.Helper()
	eventually(t, "the stream to begin", func() bool { return src.(pipeline.Reporter).Report().Phase == "streaming" })
}

// runFails runs a source to its error.
func runFails(t testing.TB, src pipeline.Source, from pipeline.Checkpoint) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	err := src.Run(ctx, from, &pipetest.Collect{})
	if err == nil || ctx.Err() != nil {
		t.Fatalf("the source did not fail: %v", err)
	}
	return err
}

// wantError runs a source that must fail with the class, and both texts in error and hint.
func wantError(t *testing.T, c *Config, from pipeline.Checkpoint, class pipeline.Class, text, hint string, env ...func(*spec.Env)) {
	t.Helper()
	err := runFails(t, open(t, c, env...), from)
	var e *pipeline.Error
	if !errors.As(err, &e) || pipeline.ClassOf(err) != class || e.Node != "source.test" ||
		!strings.Contains(err.Error(), text) || !strings.Contains(pipeline.HintOf(err), hint) {
		t.Errorf("got class %d: %v\nwant class %d, %q, hint %q", pipeline.ClassOf(err), err, class, text, hint)
	}
}

func TestRefusals(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE nokey (id int)`)
	onlyA := func(c *Config) { c.Include = []string{"public.a"} }
	none := func(c *Config) { c.Create = nil }

	wantError(t, configOf(dsn), nil, pipeline.Environment, "public.nokey has no replica identity", `ALTER TABLE "public"."nokey" REPLICA IDENTITY FULL`)
	wantError(t, configOf(dsn, onlyA, none), nil, pipeline.Environment, "publication pub does not exist", `CREATE PUBLICATION "pub" FOR TABLE "public"."a"`)
	wantError(t, configOf(dsn, func(c *Config) { c.Include = []string{"nothing.*"} }), nil, pipeline.Input, "no table", "pipe tables")
	wantError(t, configOf("host=127.0.0.1 port=1 user=x dbname=x"), nil, pipeline.Retryable, "connect", "")

	pipetest.Exec(t, dsn, `CREATE PUBLICATION pub FOR TABLE nokey`)
	wantError(t, configOf(dsn, onlyA, none), nil, pipeline.Environment, "lacks 1 of the tables", `ADD TABLE "public"."a"`)
	pipetest.Exec(t, dsn, `ALTER PUBLICATION pub SET TABLE a`)
	wantError(t, configOf(dsn, onlyA, none), nil, pipeline.Environment, "slot", `create = ["slot"]`)
	if n := pipetest.QueryText(t, dsn, `SELECT count(*) FROM pg_replication_slots WHERE database = current_database()`); n[0][0] != "0" {
		t.Errorf("%s slots were left", n[0][0])
	}
}

func TestPublicationAfterSlot(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
	c := configOf(dsn)
	pipetest.Exec(t, dsn, `SELECT pg_create_logical_replication_slot('`+c.Slot+`', 'pgoutput')`, `INSERT INTO a VALUES (1)`)
	wantError(t, c, nil, pipeline.Environment, "does not exist", "before the slot")
}

func TestPublicationIsAltered(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)`)
	c := configOf(dsn, func(c *Config) { c.Include = []string{"a"} })
	r := start(t, c, nil, nil)
	r.Stop()
	c.Include = []string{"a", "b"}
	again := start(t, c, r.Out.Checkpoint(), nil)
	streaming(t, again.Source) // an active slot may be the first run's still
	pipetest.Exec(t, dsn, `INSERT INTO b VALUES (1)`)
	wantRows(t, again.Out, "insert public.b - -> 1")
	again.Stop()
}

func active(t testing.TB, dsn string, c *Config) bool {
	t.Helper()
	rows := pipetest.QueryText(t, dsn, `SELECT active FROM pg_replication_slots WHERE slot_name = $1`, c.Slot)
	return len(rows) == 1 && rows[0][0] == "t"
}

func TestPositionIsChecked(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
	c := configOf(dsn)
	r := start(t, c, nil, nil)
	old := r.Out.Checkpoint()
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1)`)
	r.Out.WaitRows(t, 1)
	lsn, id, err := parsePosition(r.Out.Checkpoint()[walStream])
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Source.Commit(t.Context(), r.Out.Checkpoint()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the slot to move", func() bool {
		rows := pipetest.QueryText(t, dsn, `SELECT confirmed_flush_lsn >= $1::pg_lsn FROM pg_replication_slots WHERE slot_name = $2`, formatLSN(lsn), c.Slot)
		return rows[0][0] == "t"
	})
	r.Stop()
	at := func(lsn uint64, id identity) pipeline.Checkpoint {
		return pipeline.Checkpoint{walStream: id.position(lsn)}
	}
	wantError(t, c, old, pipeline.Environment, "was moved or made anew", "pg_drop_replication_slot")
	wantError(t, c, at(lsn+1<<40, id), pipeline.Environment, "ahead of the server", "restored")
	wantError(t, c, at(lsn, identity{system: id.system + 1, timeline: id.timeline}), pipeline.Environment, "system identifier", "")
	wantError(t, c, at(lsn, identity{system: id.system, timeline: id.timeline + 1}), pipeline.Environment, "timeline", "snapshot")
	wantError(t, c, pipeline.Checkpoint{walStream: "junk"}, pipeline.Environment, "junk", "another pipeline")
	pipetest.Exec(t, dsn, `SELECT pg_drop_replication_slot('`+c.Slot+`')`)
	wantError(t, c, at(lsn, id), pipeline.Environment, "is gone", "snapshot")
}

func TestSlotInUse(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
	c := configOf(dsn)
	r := start(t, c, nil, nil)
	eventually(t, "the slot to be active", func() bool { return active(t, dsn, c) })
	wantError(t, c, r.Out.Checkpoint(), pipeline.Retryable, "in use by the process with pid", "own slot")
	c.Standby = most
	second := pipetest.Run(t, open(t, c), r.Out.Checkpoint(), nil)
	eventually(t, "the standby", func() bool { return second.Source.(pipeline.Reporter).Report().Phase == "standby" })
	r.Stop()
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1)`)
	second.Out.WaitRows(t, 1)
	second.Stop()
}

// TestSlotInUseBySnapshot: while a first snapshot is taken the slot is not active, and a second
// instance waits all the same.
func TestSlotInUseBySnapshot(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`, `INSERT INTO a SELECT generate_series(1, 10)`)
	c := configOf(dsn, func(c *Config) { c.Snapshot = policyInitial })
	out := &pipetest.Collect{}
	out.Hold()
	first := pipetest.Run(t, open(t, c), nil, out)
	eventually(t, "the slot, not active: the snapshot is held back", func() bool { // while it is made it is active, too
		there := pipetest.QueryText(t, dsn, `SELECT FROM pg_replication_slots WHERE slot_name = $1`, c.Slot)
		return len(there) > 0 && !active(t, dsn, c)
	})
	err := open(t, c).(pipeline.Exclusive).Await(t.Context())
	if pipeline.ClassOf(err) != pipeline.Retryable || !strings.Contains(fmt.Sprint(err), "in use by the process with pid") {
		t.Errorf("a second instance: %v", err)
	}
	out.Release()
	first.Out.WaitRows(t, 10)
	first.Stop()
	if err := open(t, c).(pipeline.Exclusive).Await(t.Context()); err != nil {
		t.Errorf("after the first ended: %v", err)
	}
}

func TestSlotBlocked(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
	other := connectTo(t, dsn)
	execOn(t, other, `BEGIN; INSERT INTO a VALUES (1)`)
	c := configOf(dsn, func(c *Config) { c.SlotTimeout = time.Second })
	wantError(t, c, nil, pipeline.Retryable, "transaction of pid", "pg_terminate_backend")
	eventually(t, "the half made slot to go", func() bool {
		return len(pipetest.QueryText(t, dsn, `SELECT FROM pg_replication_slots WHERE slot_name = $1`, c.Slot)) == 0
	})
	execOn(t, other, `ROLLBACK`)
}

func TestSlotLost(t *testing.T) {
	t.Parallel()
	own := pipetest.Postgres(t, "max_slot_wal_keep_size=1MB", "min_wal_size=32MB", "max_wal_size=48MB")
	dsn := own.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE noise (v text)`)
	c := configOf(dsn, func(c *Config) { c.Include = []string{"a"} })
	r := start(t, c, nil, nil)
	from := r.Out.Checkpoint()
	r.Stop()
	for range 4 {
		pipetest.Exec(t, dsn, `INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 20000)`, `SELECT pg_switch_wal()`, `CHECKPOINT`)
	}
	wantError(t, c, from, pipeline.Environment, "is lost", "pg_drop_replication_slot")
}

func TestConnectionLossIsRetryable(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
	c := configOf(dsn)
	src := open(t, c)
	end := background(t, src, nil, &pipetest.Collect{})
	streaming(t, src) // while the slot is made it is active, too
	pipetest.Exec(t, dsn, `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '`+c.Slot+`'`)
	if err := end(); pipeline.ClassOf(err) != pipeline.Retryable {
		t.Errorf("class %d: %v", pipeline.ClassOf(err), err)
	}
}

func TestWALLevel(t *testing.T) {
	t.Parallel()
	own := pipetest.Postgres(t, "wal_level=replica")
	dsn := own.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
	wantError(t, configOf(dsn), nil, pipeline.Environment, "wal_level is replica", "ALTER SYSTEM SET wal_level")
}

func TestDryRunLeavesNoTrace(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
	dry := func(e *spec.Env) { e.DryRun = true }
	foreign := configOf(dsn, func(c *Config) { c.Create = []string{"slot"} })
	wantError(t, foreign, nil, pipeline.Environment, "publication pub does not exist", "CREATE PUBLICATION", dry)
	if err := open(t, configOf(dsn), dry).Run(t.Context(), nil, &pipetest.Collect{}); err != nil {
		t.Errorf("without a publication there is nothing to stream, and nothing wrong: %v", err)
	}
	pipetest.Exec(t, dsn, `CREATE PUBLICATION pub FOR TABLE a`)
	r := pipetest.Run(t, open(t, configOf(dsn), dry), nil, nil)
	r.Out.Wait(t, "a first mark", func(b []*pipeline.Batch) bool { return len(b) > 0 })
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1)`)
	wantRows(t, r.Out, "insert public.a - -> 1")
	r.Stop()
	eventually(t, "the temporary slot to go", func() bool {
		return len(pipetest.QueryText(t, dsn, `SELECT FROM pg_replication_slots WHERE database = current_database()`)) == 0
	})
}

func TestSecretsStayHidden(t *testing.T) {
	c := configOf("postgres://me:hunter2@127.0.0.1:1/db")
	err := runFails(t, open(t, c), nil)
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	c = configOf("postgres://me:hunter2@%zz/db")
	if _, err := c.config(); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

// TestPublicationForAllTables: one that somebody made is used as it is, and warned about.
func TestPublicationForAllTables(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`, `CREATE PUBLICATION pub FOR ALL TABLES`)
	c := configOf(dsn)
	warned := slices.ContainsFunc(c.Check(t.Context(), spec.Env{}, nil), func(f spec.Finding) bool {
		return f.Code == codePublication && f.Severity == spec.Warning
	})
	if !warned {
		t.Error("no warning")
	}
	r := start(t, c, nil, nil)
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1)`)
	wantRows(t, r.Out, "insert public.a - -> 1")
	r.Stop()
	if all := pipetest.QueryText(t, dsn, `SELECT puballtables FROM pg_publication`); all[0][0] != "true" && all[0][0] != "t" {
		t.Errorf("the publication was altered: %v", all)
	}
}
