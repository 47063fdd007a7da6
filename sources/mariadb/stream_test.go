package mariadb

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// streaming starts a source without a snapshot and waits until it streams.
func streaming(t *testing.T, db string, change func(*Config)) *pipetest.Running {
	t.Helper()
	c := configFor(t, maria, db)
	c.Snapshot = policyNever
	if change != nil {
		change(c)
	}
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.Wait(t, "the first mark", func(b []*pipeline.Batch) bool { return len(b) > 0 })
	return r
}

// wantRows waits for the rows and compares them.
func wantRows(t *testing.T, r *pipetest.Running, db string, want ...string) {
	t.Helper()
	r.Out.WaitRows(t, len(want))
	time.Sleep(50 * time.Millisecond) // more than was wanted is wrong too
	have := r.Out.Rows()
	for i := range have {
		have[i] = strings.ReplaceAll(have[i], db+".", "")
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("(-want +have):\n%s", diff)
	}
}

func TestXA(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	r := streaming(t, db, nil)
	xid := func(n int) string { return fmt.Sprintf("'%s','b',%d", db, n) }
	xa := func(n int, sql string) []string {
		return []string{"XA START " + xid(n), sql, "XA END " + xid(n), "XA PREPARE " + xid(n)}
	}
	maria.Exec(t, db, append(xa(1, "INSERT INTO t VALUES (1, 'one'), (2, 'two')"), "XA ROLLBACK "+xid(1))...)
	maria.Exec(t, db, xa(2, "INSERT INTO t VALUES (3, 'three')")...)
	maria.Exec(t, db, "INSERT INTO t VALUES (4, 'four')")
	wantRows(t, r, db, `insert t (4, four)`)
	from := r.Out.Checkpoint()
	r.Stop()
	if p, err := parsePlace(from[binlogStream]); err != nil || p.held == nil {
		t.Errorf("position %q does not tell of the prepared transaction: %v", from[binlogStream], err)
	}
	maria.Exec(t, db, "XA COMMIT "+xid(2), "XA START "+xid(3), "INSERT INTO t VALUES (5, 'five')", "XA END "+xid(3), "XA COMMIT "+xid(3)+" ONE PHASE")
	c := configFor(t, maria, db)
	again := pipetest.Run(t, open(t, c), from, nil)
	wantRows(t, again, db, `insert t (3, three)`, `insert t (5, five)`)
	again.Stop()
	if p, err := parsePlace(again.Out.Checkpoint()[binlogStream]); err != nil || p.held != nil {
		t.Errorf("position after the commit: %v, %v", p, err)
	}
}

func TestDDL(t *testing.T) {
	for _, metadata := range []string{"FULL", "NO_LOG"} {
		t.Run(metadata, func(t *testing.T) {
			maria.Exec(t, "", "SET GLOBAL binlog_row_metadata = "+metadata)
			defer func() { _, _ = maria.Query(context.Background(), "", "SET GLOBAL binlog_row_metadata = FULL") }()
			db := maria.Database(t)
			maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, v varchar(9), w int unsigned)")
			r := streaming(t, db, nil)
			steps := [][2]string{
				{"INSERT INTO t VALUES (1, 'a', 4000000000)", `insert t (1, a, 4000000000)`},
				{"ALTER TABLE t ADD COLUMN x json AFTER id; INSERT INTO t VALUES (2, '{}', 'b', 1)", `insert t (2, {}, b, 1)`},
				{"ALTER TABLE t MODIFY v varchar(9) FIRST; INSERT INTO t VALUES ('c', 3, '[]', 1)", `insert t (c, 3, [], 1)`},
				{"ALTER TABLE t CHANGE v vv text CHARACTER SET latin1; INSERT INTO t VALUES ('ä', 4, '1', 1)", `insert t (ä, 4, 1, 1)`},
				{"ALTER TABLE t DROP COLUMN x, MODIFY w bigint; INSERT INTO t VALUES ('e', 5, -1)", `insert t (e, 5, -1)`},
				{"CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1)", `insert u (1)`},
				{"TRUNCATE TABLE u", `truncate u`},
				{"CREATE OR REPLACE TABLE u (n uuid PRIMARY KEY) SELECT '123e4567-e89b-12d3-a456-426655440000' n", `truncate u`},
			}
			var want []string
			for _, step := range steps {
				maria.Exec(t, db, step[0])
				want = append(want, step[1])
				r.Out.WaitRows(t, len(want))
			}
			wantRows(t, r, db, append(want, `insert u (123e4567-e89b-12d3-a456-426655440000)`)...)
			for _, b := range r.Out.Batches() {
				for i := range b.Rows {
					checkSchema(t, &b.Rows[i])
				}
			}
			r.Stop()
		})
	}
}

func checkSchema(t *testing.T, row *pipeline.Row) {
	t.Helper()
	s := row.Schema
	if len(s.Key) != 1 || s.System != pipeline.MariaDB {
		t.Errorf("schema %+v", s)
	}
	if row.Values == nil {
		return
	}
	if len(row.Values) != len(s.Columns) {
		t.Errorf("%d values, %d columns", len(row.Values), len(s.Columns))
	}
	for i, v := range row.Values {
		if v.Kind() != s.Columns[i].Kind {
			t.Errorf("column %s is %v, its value %v", s.Columns[i].Name, s.Columns[i].Kind, v.Kind())
		}
	}
}

// TestDDLBeforeReading holds that changes are read with the columns of their time where the log has
// them, although the catalogue has others since.
func TestDDLBeforeReading(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, a text, b int)")
	r := streaming(t, db, nil)
	r.Stop()
	maria.Exec(t, db, "INSERT INTO t VALUES (1, 'x', 2)", "ALTER TABLE t DROP a, CHANGE b c varchar(5) FIRST", "INSERT INTO t VALUES ('y', 2)", "DROP TABLE t",
		"CREATE TABLE t (z int PRIMARY KEY)")
	again := pipetest.Run(t, open(t, configFor(t, maria, db)), r.Out.Checkpoint(), nil)
	wantRows(t, again, db, `insert t (1, x, 2)`, `insert t (y, 2)`)
	again.Stop()
}

func TestMinimalImage(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, a text, b int)")
	r := streaming(t, db, nil)
	for _, image := range []string{"MINIMAL", "NOBLOB"} {
		maria.Exec(t, db, "SET binlog_row_image = "+image, "INSERT INTO t VALUES (1, 'x', 2)", "UPDATE t SET b = NULL", "UPDATE t SET id = 7", "DELETE FROM t")
	}
	wantRows(t, r, db, `insert t (1, x, 2)`, `update t old (1, absent, absent) (1, absent, null)`, `update t old (1, absent, absent) (7, absent, absent)`,
		`delete t old (7, absent, absent)`,
		`insert t (1, x, 2)`, `update t old (1, absent, 2) (1, absent, null)`, `update t old (1, absent, null) (7, absent, null)`,
		`delete t old (7, absent, null)`)
	r.Stop()
}

func TestRotationAndRestart(t *testing.T) {
	m := pipetest.MariaDB(t)
	db := m.Database(t)
	m.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY)")
	c := configFor(t, m, db)
	c.Snapshot = policyNever
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.Wait(t, "the first mark", func(b []*pipeline.Batch) bool { return len(b) > 0 })
	m.Exec(t, db, "INSERT INTO t VALUES (1)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (2)")
	wantRows(t, r, db, "insert t (1)", "insert t (2)")
	from := r.Out.Checkpoint()
	r.Stop()
	ended, source := make(chan error, 1), open(t, c).(*Source)
	go func() { ended <- source.Run(t.Context(), from, &pipetest.Collect{}) }()
	streams(t, source) // one that connects after the restart never fails
	m.Restart(t, "immediate")
	err := <-ended
	if pipeline.ClassOf(err) != pipeline.Retryable {
		t.Errorf("after a crash of the server: %v, want a retryable error", err)
	}
	m.Exec(t, db, "INSERT INTO t VALUES (3)")
	again := pipetest.Run(t, open(t, c), r.Out.Checkpoint(), nil)
	wantRows(t, again, db, "insert t (3)")
	again.Stop()
}

// TestPurged holds that a position whose logs are deleted, or that the server never had, is an error
// that says what to do.
func TestPurged(t *testing.T) {
	m := pipetest.MariaDB(t)
	db := m.Database(t)
	m.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY)")
	c := configFor(t, m, db)
	c.Snapshot = policyNever
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.Wait(t, "the first mark", func(b []*pipeline.Batch) bool { return len(b) > 0 })
	r.Stop()
	from := r.Out.Checkpoint()
	m.Exec(t, db, "INSERT INTO t VALUES (1)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (2)", "FLUSH BINARY LOGS")
	killDumps(t, m) // the server does not delete a log that is being read
	purge(t, m)
	wantFailure(t, c, from, "binlog_expire_logs_seconds")
	m.Exec(t, db, "RESET MASTER", "INSERT INTO t VALUES (3)")
	wantFailure(t, c, from, "restored to an earlier point")
}

// streams waits until a source streams.
func streams(t *testing.T, s *Source) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); s.Report().Phase != phaseStreaming; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not stream: %+v", s.Report())
		}
	}
}

// killDumps ends the server's side of all that read its log; one that ends by itself meanwhile is no error.
func killDumps(t *testing.T, m *pipetest.Maria) {
	t.Helper()
	for _, row := range m.QueryText(t, "", "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Binlog Dump'") {
		_, _ = m.Query(t.Context(), "", "KILL "+row[0]+";")
	}
}

// failing runs a source that is expected to fail.
func failing(t *testing.T, c *Config, from pipeline.Checkpoint) error {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	return open(t, c).Run(ctx, from, &pipetest.Collect{})
}

func wantFailure(t *testing.T, c *Config, from pipeline.Checkpoint, hint string) {
	t.Helper()
	err := failing(t, c, from)
	if pipeline.ClassOf(err) != pipeline.Environment || !strings.Contains(pipeline.HintOf(err), hint) {
		t.Errorf("class %v, error %v; want a hint with %q", pipeline.ClassOf(err), err, hint)
	}
}

// TestLossy holds that changes without row events stop the stream.
func TestLossy(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (10), PARTITION b VALUES LESS THAN (20))",
		"CREATE TABLE other (id int)", "CREATE TABLE fresh (id int PRIMARY KEY)")
	for _, sql := range []string{
		"SET binlog_format = STATEMENT; UPDATE t SET id = 1",
		"ALTER TABLE t TRUNCATE PARTITION a",
		"/* c */ alter /*!50000 table */ `" + db + "`.`t` drop partition a",
		"RENAME TABLE other TO old, fresh TO t2, t2 TO other",
	} {
		r := streaming(t, db, nil)
		r.Stop()
		maria.Exec(t, db, sql)
		if err := failing(t, configFor(t, maria, db), r.Out.Checkpoint()); pipeline.ClassOf(err) != pipeline.Environment || !strings.Contains(pipeline.HintOf(err), "lossy_ddl") {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestNoKeyAndBigTransaction(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (a int, b text)")
	r := streaming(t, db, nil)
	const rows = 20000
	maria.Exec(t, db, fmt.Sprintf("INSERT INTO t SELECT seq, 'text' FROM seq_1_to_%d", rows))
	r.Out.Wait(t, "the transaction's mark", func(b []*pipeline.Batch) bool {
		n := 0
		for i := range b {
			n += len(b[i].Rows)
		}
		return n == rows && len(b[len(b)-1].Marks) > 0
	})
	r.Stop()
	seen := 0
	for _, b := range r.Out.Batches() {
		for i := range b.Rows {
			if !b.Rows[i].Schema.KeyFull || int(b.Rows[i].Seq) != int(b.Rows[i].Values[0].Int())-1 {
				t.Fatalf("row %v", pipetest.RowText(&b.Rows[i]))
			}
		}
		if seen += len(b.Rows); seen > 0 && seen < rows && len(b.Marks) > 0 {
			t.Errorf("a mark after %d rows of a transaction", seen)
		}
	}
}

// TestEndsBetweenGroups holds that a run which has reached its end does not stop inside of a group: what was
// emitted of that would have no mark, or one of before it.
func TestEndsBetweenGroups(t *testing.T) {
	s := &stream{reached: true}
	if !s.finished() {
		t.Error("nothing is left to be done")
	}
	if s.group.open = true; s.finished() {
		t.Error("the end is inside of a group")
	}
}
