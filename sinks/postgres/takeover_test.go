package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// takeoverKey is the advisory lock at which steps wait in TestTakeover.
const takeoverKey = "4711"

// TestTakeover has a second instance of the pipeline take over while the first is in the middle of a
// step after its load: of the first or the second table's SET LOGGED, of the key's index, of the key, of an index. The first
// must stop, whether its step was committed or not, and the second ends with what a delivery in peace does.
func TestTakeover(t *testing.T) {
	for load, verbs := range map[string][]string{
		"load {}": {"CREATE UNIQUE INDEX%pkey%", "ALTER%PRIMARY KEY%", "CREATE INDEX%", "CREATE UNIQUE INDEX%email%"},
		unlogged:  {"%logs\" SET LOGGED", "%users\" SET LOGGED", "ALTER%PRIMARY KEY%", "CREATE INDEX%"},
		"load {\n unlogged = true\n defer_indexes = false\n}": {"%logs\" SET LOGGED", "%users\" SET LOGGED"},
	} {
		want, _ := untouched(t, pg, load)
		for _, verb := range verbs {
			for _, killed := range []bool{false, true} {
				dsn := pg.Database(t)
				takeOver(t, dsn, load, verb, killed)
				if diff := cmp.Diff(want, feedState(t, dsn)); diff != "" {
					t.Errorf("%s in %s, killed %v (-want +have):\n%s", load, verb, killed, diff)
				}
			}
		}
	}
}

// takeOver begins a delivery, has another one take over in the step that verb matches, and lets that end.
func takeOver(t *testing.T, dsn, load, verb string, killed bool) {
	t.Helper()
	const held = " FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database ="
	pipetest.Exec(t, dsn, `CREATE FUNCTION wait() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
		IF current_query() LIKE '`+verb+`' THEN PERFORM pg_advisory_xact_lock_shared(`+takeoverKey+`); END IF; END $$`,
		"CREATE EVENT TRIGGER wait ON ddl_command_end EXECUTE FUNCTION wait()", "ALTER EVENT TRIGGER wait ENABLE ALWAYS")
	lock, err := configure(t, dsn, "").connect(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.close()
	if err := lock.run(t.Context(), "SELECT pg_advisory_lock("+takeoverKey+")"); err != nil {
		t.Fatal(err)
	}
	first := make(chan error, 1)
	go func() { first <- (&feed{}).life(t.Context(), configure(t, dsn, load)) }()
	waitFor(t, first, dsn, "SELECT count(*) > 0"+held+" (SELECT oid FROM pg_database WHERE datname = current_database())")
	second := make(chan error, 1)
	go func() { second <- (&feed{attempt: 100}).life(t.Context(), configure(t, dsn, load)) }()
	waitFor(t, second, dsn, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%fence%'"+
		" AND datname = current_database()")
	if killed {
		pipetest.Exec(t, dsn, "SELECT pg_terminate_backend(pid)"+held+" (SELECT oid FROM pg_database WHERE datname = current_database())")
	}
	if err := lock.run(t.Context(), "SELECT pg_advisory_unlock("+takeoverKey+")"); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err == nil || !killed && !errors.Is(err, pipeline.ErrFenced) {
		t.Errorf("the first instance, killed %v: %v", killed, err)
	}
	for tries := 0; ; tries++ {
		if err := <-second; err == nil {
			return
		} else if tries > 2 || pipeline.ClassOf(err) != pipeline.Retryable {
			t.Fatalf("the second instance: %v", err)
		}
		go func() { second <- (&feed{attempt: 200}).life(t.Context(), configure(t, dsn, load)) }()
	}
}

// waitFor waits until a query says t, while an instance runs.
func waitFor(t *testing.T, running <-chan error, dsn, sql string) {
	t.Helper()
	for until := time.Now().Add(90 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-running:
			t.Fatalf("it ended: %v; before: %s", err, sql)
		default:
		}
		if pipetest.QueryText(t, dsn, sql)[0][0] == "t" {
			return
		}
	}
	t.Fatalf("never: %s; the sessions: %v", sql, pipetest.QueryText(t, dsn, `SELECT pid, state, wait_event_type, wait_event,
		left(query, 100) FROM pg_stat_activity WHERE datname = current_database()`))
}
