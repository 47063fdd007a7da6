package mariadb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// killed runs a source until so many rows were read, each batch taking its time, and returns what was
// saved by then.
func killed(t *testing.T, c *Config, o *oracle, rows int, pause time.Duration) pipeline.Checkpoint {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	read := 0
	out := &pipetest.Collect{OnEmit: func(b *pipeline.Batch) error {
		if err := o.batch(b); err != nil || len(b.Rows) == 0 {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		time.Sleep(pause)
		if read += len(b.Rows); read >= rows {
			cancel()
		}
		return nil
	}}
	if err := open(t, c).Run(ctx, nil, out); err == nil {
		t.Fatal("the snapshot was finished")
	}
	return out.Checkpoint()
}

// TestResume holds that a first snapshot that was killed half way goes on where it was, while changes
// are streamed, and reads hardly anything again.
func TestResume(t *testing.T) {
	const rows = 20_000
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE a (id int PRIMARY KEY, v varchar(20))", "INSERT INTO a SELECT seq, 's' FROM seq_1_to_20000", "ANALYZE TABLE a",
		"CREATE TABLE b (id varchar(20) PRIMARY KEY, v varchar(20))", "INSERT INTO b SELECT concat('k', seq * 7919), 's' FROM seq_1_to_20000", "ANALYZE TABLE b")
	c := configFor(t, maria, db)
	c.ChunkRows = 100
	o := newOracle()
	o.reads = map[string]int{}
	from := killed(t, c, o, rows, 8*time.Millisecond)
	maria.Exec(t, db, "UPDATE a SET v = 'u' WHERE id % 3 = 0", "DELETE FROM a WHERE id % 5 = 0", "UPDATE a SET id = id + 100000 WHERE id % 7 = 0",
		"DELETE FROM b WHERE id LIKE 'k1%'", "INSERT INTO b VALUES ('new', 'n')")
	out := &pipetest.Collect{OnEmit: o.batch}
	s, err := c.Open(specEnv(t, true))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), from, out); err != nil {
		t.Fatal(err)
	}
	again := 0
	for _, n := range o.reads {
		if n > 1 {
			again++
		}
	}
	t.Logf("%d of %d rows were read twice", again, 2*rows)
	if again > 2*rows/20 {
		t.Error("too many")
	}
	for _, b := range out.Batches() {
		for i := range b.Rows {
			if b.Rows[i].Op == pipeline.Truncate {
				t.Error("what was read is void")
			}
		}
	}
	r := &liveRun{oracle: o, t: t, db: db}
	want := map[string]string{}
	for _, row := range maria.QueryText(t, db, "SELECT concat('a/id=', id), concat(id, '|', v, '|') FROM a UNION ALL SELECT concat('b/id=', id), concat(id, '|', v, '|') FROM b") {
		want[r.db+"."+row[0]] = row[1]
	}
	o.check(t, want)
	for table, p := range out.Checkpoint() {
		if name, ok := strings.CutPrefix(string(table), "table/"); ok {
			if e, err := snapshot.ParseEntry(name, p); err != nil || e.Status != snapshot.Done || e.Rows > rows+1 {
				t.Errorf("%+v, %v", e, err)
			}
		}
	}
}

// TestResumeWithoutKey holds that a snapshot with a table whose rest cannot be read later begins anew.
func TestResumeWithoutKey(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE a (id int, v varchar(20))", "INSERT INTO a SELECT seq, 's' FROM seq_1_to_2000")
	c := configFor(t, maria, db)
	from := killed(t, c, newOracle(), 10, 0)
	r := startLive(t, c, db, from, newOracle())
	r.streaming()
	reads, voids := 0, 0
	for _, b := range r.Out.Batches() {
		for i := range b.Rows {
			switch {
			case b.Rows[i].Op == pipeline.Read:
				reads++
			case b.Rows[i].Flags == pipeline.Again:
				voids++
			}
		}
	}
	if reads != 2000 || voids != 1 {
		t.Errorf("%d rows read, %d declared void", reads, voids)
	}
	err := r.source.Ask(t.Context(), snapshot.Request{Table: "a", Reason: snapshot.ForRequest})
	r.until("refusal", func() bool { return r.entry("a").Status == snapshot.Failed })
	if e := r.entry("a"); err != nil || !strings.Contains(e.Error, "no key") {
		t.Errorf("%+v, %v", e, err)
	}
	r.Stop()
}

// TestTablesComeAndGo holds that a table that was added is read while the others are streamed, and that
// one that was removed is forgotten; also one that appears while the source runs.
func TestTablesComeAndGo(t *testing.T) {
	db := maria.Database(t)
	for _, name := range []string{"a", "b", "c"} {
		maria.Exec(t, db, "CREATE TABLE "+name+" (id int PRIMARY KEY, v varchar(20))", "INSERT INTO "+name+" SELECT seq, 's' FROM seq_0_to_499")
	}
	c := configFor(t, maria, db)
	c.Include = []string{db + ".a", db + ".b", db + ".fence"}
	o := newOracle()
	r := startLive(t, c, db, nil, o)
	r.streaming()
	r.fence()
	r.Stop()
	stop := churn(t, db, 2, 500, "a", "c")
	c.Include = []string{db + ".a", db + ".c", db + ".d", db + ".e", db + ".fence"}
	c.ChunkRows = 20
	r = startLive(t, c, db, r.Out.Checkpoint(), o)
	r.until("added table", func() bool { return r.entry("c").Status == snapshot.Done })
	maria.Exec(t, db, "CREATE TABLE hidden (id int PRIMARY KEY, v varchar(20))", "INSERT INTO hidden VALUES (1, 'x'), (2, 'y')",
		"RENAME TABLE hidden TO d", "INSERT INTO d VALUES (3, 'z')", "CREATE TABLE e (id int PRIMARY KEY, v varchar(20))", "INSERT INTO e VALUES (1, 'x')")
	r.until("table that appeared", func() bool { return r.entry("d").Status == snapshot.Done })
	stop()
	r.fence()
	r.Stop()
	if e := r.entry("c"); e.Request.Reason != snapshot.ForAdded {
		t.Errorf("%+v", e)
	}
	if e := r.entry("b"); e.Status != "" {
		t.Errorf("removed: %+v", e)
	}
	if e := r.entry("a"); e.Request.Reason != snapshot.ForInitial {
		t.Errorf("%+v", e)
	}
	if e := r.entry("e"); e.Status != snapshot.Recorded {
		t.Errorf("made while the stream went on: %+v", e)
	}
	want := r.image("a", "c", "d", "e")
	for _, row := range maria.QueryText(t, db, "SELECT id, v FROM b") {
		want[db+".b/id="+row[0]] = row[0] + "|" + row[1] + "|"
	}
	o.check(t, want)
	if cp := r.Out.Checkpoint(); cp[snapshot.TableStream(db+".b")] != "" {
		t.Errorf("%v", cp)
	}
}

// TestFailingAndCancelled holds that neither a snapshot that cannot be taken nor one that is cancelled
// stops the stream.
func TestFailingAndCancelled(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE a (id int PRIMARY KEY, v varchar(20))", "INSERT INTO a SELECT seq, 's' FROM seq_1_to_20000",
		"CREATE TABLE b (id int PRIMARY KEY, v varchar(20))")
	c := configFor(t, maria, db)
	c.ChunkRows = 20
	o := newOracle()
	o.strict = true
	r := startLive(t, c, db, nil, o)
	r.streaming()
	if err := r.source.Ask(t.Context(), snapshot.Request{Table: "nothing"}); pipeline.ClassOf(err) != pipeline.Input || !strings.Contains(pipeline.HintOf(err), ".a") {
		t.Errorf("%v; %s", err, pipeline.HintOf(err))
	}
	r.ask(snapshot.Request{Table: "a", Reason: snapshot.ForRequest, Where: "row.nothing == 1"})
	if e := r.entry("a"); e.Status != snapshot.Failed || !strings.Contains(e.Error, "nothing") {
		t.Errorf("%+v", e)
	}
	o.pause.Store(int64(5 * time.Millisecond)) // so that it cannot be done before it is cancelled
	if err := r.source.Ask(t.Context(), snapshot.Request{Table: "a", Reason: snapshot.ForRequest}); err != nil {
		t.Fatal(err)
	}
	r.until("a chunk", func() bool { return o.count() > 5 })
	if err := r.source.Cancel(t.Context(), db+".a"); err != nil {
		t.Fatal(err)
	}
	if e := r.entry("a"); e.Status != snapshot.Cancelled {
		t.Errorf("%+v", e)
	}
	o.pause.Store(0)
	r.ask(snapshot.Request{Table: "a", Reason: snapshot.ForRequest, Where: `row.id <= 10 && row.v == "s"`})
	if e := r.entry("a"); e.Status != snapshot.Done || e.Rows != 10 {
		t.Errorf("%+v", e)
	}
	maria.Exec(t, db, "DELETE FROM a WHERE id > 3", "INSERT INTO b VALUES (1, 'x')")
	r.fence()
	r.Stop()
	o.check(t, r.image("a", "b"))
}

// TestAlteredInTheWindow holds that a table that is truncated, altered and made anew while it is read
// comes out right.
func TestAlteredInTheWindow(t *testing.T) {
	db := maria.Database(t)
	fill := "INSERT INTO a (id, v) SELECT seq, 's' FROM seq_1_to_2000"
	maria.Exec(t, db, "CREATE TABLE a (id int PRIMARY KEY, v varchar(20))", fill)
	c := configFor(t, maria, db)
	c.ChunkRows = 10
	o := newOracle()
	r := startLive(t, c, db, nil, o)
	r.streaming()
	for n, sql := range [][]string{{"TRUNCATE a", "INSERT INTO a VALUES (5, 'x')"}, {"DELETE FROM a"}, {"TRUNCATE TABLE a", fill},
		{"ALTER TABLE a ADD COLUMN w int", "UPDATE a SET w = id WHERE id % 2 = 0"}, {"ALTER TABLE a DROP COLUMN w, ALGORITHM=INSTANT"},
		{"ALTER TABLE a MODIFY v varchar(300)"}, {"CREATE OR REPLACE TABLE a (id int PRIMARY KEY, v varchar(9))", "INSERT INTO a VALUES (1, 'y')"}} {
		if n < 3 {
			maria.Exec(t, db, "REPLACE INTO a (id, v) SELECT seq, 'r' FROM seq_1_to_2000")
		}
		before := o.count()
		if err := r.source.Ask(t.Context(), snapshot.Request{Table: "a", Reason: snapshot.ForRequest}); err != nil {
			t.Fatal(err)
		}
		r.until("a chunk", func() bool { return o.count() > before })
		maria.Exec(t, db, sql...)
		r.until("end", func() bool { return !r.open() })
		if e := r.entry("a"); e.Status != snapshot.Done {
			t.Errorf("after %q: %+v", sql, e)
		}
	}
	r.fence()
	r.Stop()
	o.check(t, r.image("a"))
}

// TestWhenNeeded holds that a table whose position is lost is read again under its policy, without the
// rows that are gone, and that a table with another policy ends the run.
func TestWhenNeeded(t *testing.T) {
	m := pipetest.MariaDB(t)
	db := m.Database(t)
	m.Exec(t, db, "CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a SELECT seq FROM seq_1_to_10")
	c := configFor(t, m, db)
	c.Snapshot = policyWhenNeeded
	var from pipeline.Checkpoint
	run := func(what string, reason snapshot.Reason, rows int) {
		t.Helper()
		out := &pipetest.Collect{}
		s, err := c.Open(specEnv(t, true))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context(), from, out); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if from == nil {
			from = pipeline.Checkpoint{}
		}
		reads, notes := 0, 0
		for _, b := range out.Batches() {
			for i := range b.Rows {
				switch {
				case b.Rows[i].Op == pipeline.Read:
					reads++
				case b.Rows[i].Note():
					notes++
				}
			}
			for _, mark := range b.Marks {
				from.Apply(b.Stream, mark.Pos)
			}
		}
		e, err := snapshot.ParseEntry(db+".a", from[snapshot.TableStream(db+".a")])
		if err != nil || e.Status != snapshot.Done || e.Request.Reason != reason || reads != rows || (notes == 2) != (rows > 0 && reason != snapshot.ForInitial) {
			t.Errorf("%s: %d rows read, %d notes, %+v, %v", what, reads, notes, e, err)
		}
	}
	run("first", snapshot.ForInitial, 10)
	run("again", snapshot.ForInitial, 0)
	m.Exec(t, db, "DELETE FROM a WHERE id > 7", "FLUSH BINARY LOGS", "INSERT INTO a VALUES (100)", "FLUSH BINARY LOGS")
	purge(t, m)
	c.TableBlocks = []*TableConfig{{Pattern: db + ".b", Snapshot: policyNever}}
	m.Exec(t, db, "CREATE TABLE b (id int PRIMARY KEY)")
	if err := failing(t, c, from); pipeline.ClassOf(err) != pipeline.Environment || !strings.Contains(err.Error(), db+".b") {
		t.Errorf("with a table that is never read: %v", err)
	}
	m.Exec(t, db, "DROP TABLE b")
	run("purged", snapshot.ForLost, 8)
	run("after that", snapshot.ForLost, 0)
	m.Exec(t, db, "RESET MASTER", "INSERT INTO a VALUES (101)")
	run("another history", snapshot.ForLost, 9)
	c.Snapshot = policyAlways
	run("always", snapshot.ForAlways, 9)
	run("always", snapshot.ForAlways, 9)
}

// purge deletes all binary logs but the last.
func purge(t *testing.T, m *pipetest.Maria) {
	t.Helper()
	files := m.QueryText(t, "", "SHOW BINARY LOGS")
	for range 600 { // a log is kept until the storage engine has written what it tells of, and while it is read
		m.Exec(t, "", "PURGE BINARY LOGS TO '"+files[len(files)-1][0]+"'")
		if len(m.QueryText(t, "", "SHOW BINARY LOGS")) == 1 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the logs are still there")
}

// TestPartialImages holds that under binlog_row_image MINIMAL rows that the stream changes while they are
// read for the first time are whole in the end.
func TestPartialImages(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE a (id int PRIMARY KEY, v varchar(20), w varchar(20))", "INSERT INTO a SELECT seq, 's', concat('w', seq) FROM seq_0_to_999",
		"CREATE TABLE z (id int PRIMARY KEY)")
	c := configFor(t, maria, db)
	c.Include = []string{db + ".z"}
	r := startLive(t, c, db, nil, newOracle())
	r.streaming()
	r.Stop()
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	for w := range 3 {
		writer.Go(func() {
			for n := w; ctx.Err() == nil; n += 7 {
				var sql strings.Builder
				sql.WriteString("SET binlog_row_image = 'MINIMAL';")
				for i := range 100 {
					fmt.Fprintf(&sql, "UPDATE a SET v = 'v%d' WHERE id = %d; UPDATE IGNORE a SET id = %d WHERE id = %d;", n, (n*131+i*17)%1000, (n*7+i*13)%1000, (n+i*11)%1000)
				}
				_, _ = maria.Query(ctx, db, sql.String())
			}
		})
	}
	c.Include, c.ChunkRows, c.Workers = []string{db + ".*"}, 5, 3
	merged := map[string]map[string]string{} // a target that changes the columns that come, where the row is
	out := &pipetest.Collect{OnEmit: func(b *pipeline.Batch) error {
		for i := range b.Rows {
			patch(merged, &b.Rows[i])
		}
		return nil
	}}
	s := open(t, c).(*Source)
	run := pipetest.Run(t, s, r.Out.Checkpoint(), out)
	r = &liveRun{Running: run, oracle: newOracle(), t: t, db: db, source: s}
	r.until("snapshot", func() bool { return r.entry("a").ChunksDone > 100 })
	stop()
	writer.Wait()
	r.until("end of the snapshot", func() bool { return r.entry("a").Status == snapshot.Done })
	maria.Exec(t, db, "INSERT INTO z VALUES (7)")
	out.Wait(t, "fence", func(list []*pipeline.Batch) bool {
		return slices.ContainsFunc(list, func(b *pipeline.Batch) bool {
			return slices.ContainsFunc(b.Rows, func(r pipeline.Row) bool { return r.Schema.Table == "z" })
		})
	})
	run.Stop()
	bad, rows := 0, maria.QueryText(t, db, "SELECT id, v, w FROM a")
	for _, row := range rows {
		have := merged["id="+row[0]]
		if have == nil || have["v"] != row[1] || have["w"] != row[2] {
			if bad++; bad < 5 {
				t.Errorf("row %v is %v", row, have)
			}
		}
	}
	if merged["wrong"] != nil {
		t.Errorf("the target does not have the row of %v", merged["wrong"])
	}
	t.Logf("%d of %d rows are wrong; %d chunks", bad, len(rows), r.entry("a").ChunksDone)
}

// patch applies a row of table a to a target that keeps what an update does not say, and does nothing
// where there is no such row.
func patch(state map[string]map[string]string, r *pipeline.Row) {
	if r.Schema.Table != "a" || r.Op == pipeline.Truncate {
		return
	}
	at := r.Schema.KeyText(r.Key())
	old := state[at]
	if r.Before != nil {
		key := r.Schema.KeyText(r.Before)
		old = state[key]
		delete(state, key)
	}
	if r.Values == nil {
		return
	}
	if r.Op == pipeline.Update && old == nil && !r.Complete() {
		state["wrong"] = map[string]string{"row": pipetest.RowText(r)}
		return
	}
	row := map[string]string{}
	for i, v := range r.Values {
		if name := r.Schema.Columns[i].Name; v.IsAbsent() {
			row[name] = old[name]
		} else {
			row[name] = v.String()
		}
	}
	state[at] = row
}
