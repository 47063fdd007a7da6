package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestCrashResumesSnapshot kills a pipeline in the middle of a first load, once its rows are durable in the
// target: the next process finishes the load, builds what it put off, and reads what is left beside the
// stream, not what is there.
func TestCrashResumesSnapshot(t *testing.T) {
	t.Parallel()
	for _, unlogged := range []bool{false, true} {
		t.Run(fmt.Sprint("unlogged ", unlogged), func(t *testing.T) { crashResumes(t, unlogged) })
	}
}

func crashResumes(t *testing.T, unlogged bool) {
	const rows = 600_000
	pg := pipetest.Postgres(t, "log_min_messages=panic")
	source, target := pg.Database(t), pg.Database(t)
	pipetest.Exec(t, source, `CREATE TABLE big (id int PRIMARY KEY, v text, n int); CREATE INDEX big_n ON big (n)`,
		fmt.Sprintf(`INSERT INTO big SELECT i, 'value ' || i || repeat('.', 150), i %% 100 FROM generate_series(1, %d) i`, rows), `ANALYZE big`)
	file := writeConfig(t, fmt.Sprintf(`
pipeline "resume" {
  state "sink" {
    sink = sink.copy
  }
}
source "postgres" "load" {
  dsn         = env("SOURCE")
  slot        = "resume"
  publication = "resume"
  create      = ["slot", "publication"]
  tables      = ["public.*"]
  workers     = 1
  chunk_rows  = 4000
}
sink "postgres" "copy" {
  from = source.load
  dsn  = env("TARGET")
  load {
    unlogged      = %t
    defer_indexes = true
  }
}
`, unlogged))
	env := []string{"SOURCE=" + source, "TARGET=" + target}
	killWhen(t, file, env, func() bool { return recordedRows(t, target) > rows/5 })
	kept, there := recordedRows(t, target), countRows(t, target)
	t.Logf("killed with %d rows in the target, %d in the ledger: %.1f %% of the table are read again", there, kept,
		100*float64(there-kept)/rows)
	if kept == 0 || there-kept > rows/4 || there == rows {
		t.Errorf("%d rows in the target, %d in the ledger", there, kept)
	}
	pipetest.Exec(t, source, `DELETE FROM big WHERE id % 50 = 1`, `UPDATE big SET v = 'changed' WHERE id % 50 = 2`,
		`INSERT INTO big VALUES (-1, 'new', 5)`)
	cmd, log := pipeCommand(t, env, "run", "--until-caught-up", file)
	timer := time.AfterFunc(5*time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	for _, want := range []string{"what is left is read beside the stream", "status=done"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, log)
		}
	}
	const query = `SELECT ROW(id, v, n)::text FROM big`
	missing, extra := diffSorted(lines(t, source, query), lines(t, target, query))
	if len(missing)+len(extra) > 0 {
		t.Errorf("%d rows missing %.200q, %d extra %.200q", len(missing), first(missing, 3), len(extra), first(extra, 3))
	}
	made := pipetest.QueryText(t, target, `SELECT relpersistence, (SELECT count(*) FROM pg_index WHERE indrelid = c.oid)
		FROM pg_class c WHERE relname = 'big' AND relkind = 'r'`)
	if got := fmt.Sprint(made); got != "[[p 2]]" {
		t.Errorf("persistence and indexes of the target: %s", got)
	}
}

// recordedRows is what the ledger in the target says of its table.
func recordedRows(t *testing.T, target string) int {
	t.Helper()
	if pipetest.QueryText(t, target, `SELECT to_regclass('pipe.checkpoint_unlogged') IS NULL`)[0][0] == "t" {
		return 0
	}
	found := pipetest.QueryText(t, target, `SELECT max(substring(position FROM '"rows":([0-9]+)')::bigint) FROM (
		SELECT stream, position FROM pipe.checkpoint UNION ALL SELECT stream, position FROM pipe.checkpoint_unlogged) c
		WHERE stream LIKE '%/table/public.big'`)
	n, err := strconv.Atoi(found[0][0])
	if err != nil {
		return 0
	}
	return n
}

func countRows(t *testing.T, target string) int {
	t.Helper()
	n, err := strconv.Atoi(pipetest.QueryText(t, target, `SELECT count(*) FROM big`)[0][0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
