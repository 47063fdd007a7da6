package mariadb

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// TestBigTransaction holds that a transaction of a million rows goes through in little memory.
func TestBigTransaction(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, v varchar(100))")
	at := maria.QueryText(t, "", "SELECT @@gtid_binlog_pos")[0][0]
	const rows, bound = 1_000_000, 64 << 20
	maria.Exec(t, db, fmt.Sprintf("INSERT INTO t SELECT seq, 'some text that makes the row longer' FROM seq_1_to_%d", rows))
	s, err := configFor(t, maria, db).Open(spec.Env{Address: "source.test", UntilCaughtUp: true})
	if err != nil {
		t.Fatal(err)
	}
	debug.FreeOSMemory() // what other tests left
	var peak uint64
	ctx, cancel := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() {
		for ctx.Err() == nil {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
			time.Sleep(10 * time.Millisecond)
		}
	})
	out := newDiscard()
	err = s.Run(t.Context(), pipeline.Checkpoint{binlogStream: positionAt(t, at)}, out)
	cancel()
	watch.Wait()
	if err != nil || out.rows != rows || peak > bound {
		t.Errorf("%d rows, %d bytes of heap, %v", out.rows, peak, err)
	}
}

// TestSlowSink holds that the server does not give up a reader that takes nothing for longer than
// its net_write_timeout.
func TestSlowSink(t *testing.T) {
	m := pipetest.MariaDB(t, "net_write_timeout=1")
	db := m.Database(t)
	m.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, v mediumtext)")
	c := configFor(t, m, db)
	c.Snapshot, c.Heartbeat = policyNever, 500*time.Millisecond
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.Wait(t, "the first mark", func(b []*pipeline.Batch) bool { return len(b) > 0 })
	r.Out.Hold()
	const rows = 600
	m.Exec(t, db, fmt.Sprintf("INSERT INTO t SELECT seq, repeat('x', 100000) FROM seq_1_to_%d", rows))
	time.Sleep(3500 * time.Millisecond)
	r.Out.Release()
	r.Out.WaitRows(t, rows)
	r.Stop()
}

// TestRefusals holds that what the server refuses is said with what to do.
func TestRefusals(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY)", "CREATE OR REPLACE USER poor@'127.0.0.1' IDENTIFIED BY 'secret word'",
		"GRANT SELECT ON "+db+".* TO poor@'127.0.0.1'")
	from := pipeline.Checkpoint{binlogStream: positionAt(t, maria.QueryText(t, "", "SELECT @@gtid_binlog_pos")[0][0])}
	poor := configFor(t, maria, db)
	poor.User, poor.Password = "poor", "secret word"
	wantFailure(t, poor, from, "GRANT REPLICATION SLAVE")
	poor.Password = "wrong secret"
	wantFailure(t, poor, nil, "Check user and password")
	if err := failing(t, poor, nil); strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows the password: %v", err)
	}
	unmatched := configFor(t, maria, db)
	unmatched.Include = []string{"nothing.*"}
	if err := failing(t, unmatched, nil); pipeline.ClassOf(err) != pipeline.Input {
		t.Errorf("no table: %v", err)
	}
	stranger := configFor(t, maria, db)
	wantFailure(t, stranger, pipeline.Checkpoint{binlogStream: "00/7/7"}, "belongs to another pipeline")
	maria.Exec(t, "", "SET GLOBAL binlog_format = MIXED")
	defer func() { _, _ = maria.Query(context.Background(), "", "SET GLOBAL binlog_format = ROW") }()
	wantFailure(t, stranger, from, "binlog_format = ROW")
}

// TestSameServerID holds that a number that another replica has ends the run, rather than taking
// turns with it for ever.
func TestSameServerID(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY)")
	c := configFor(t, maria, db)
	c.ServerID, c.Snapshot = 77, policyNever
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.Wait(t, "the first mark", func(b []*pipeline.Batch) bool { return len(b) > 0 })
	from := r.Out.Checkpoint()
	r.Stop()
	first, source := make(chan error, 1), open(t, c).(*Source)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	go func() {
		defer cancel() // the second one too
		first <- source.Run(t.Context(), from, &pipetest.Collect{})
	}()
	streams(t, source)
	_ = open(t, c).Run(ctx, from, &pipetest.Collect{})
	if err := <-first; pipeline.ClassOf(err) != pipeline.Environment || !strings.Contains(pipeline.HintOf(err), "server_id") {
		t.Errorf("class %v: %v", pipeline.ClassOf(err), err)
	}
}

// TestPolicies holds what becomes of values that no kind holds.
func TestPolicies(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, d date NOT NULL, b tinyint(1), c time)", "SET sql_mode = ''",
		"INSERT INTO t VALUES (1, '0000-00-00', 2, '-25:00:00')")
	if err := failing(t, configFor(t, maria, db), nil); pipeline.ClassOf(err) != pipeline.Input ||
		!strings.Contains(err.Error(), "column d") || !strings.Contains(pipeline.HintOf(err), "zero_dates") {
		t.Errorf("a zero date by default: %v", err)
	}
	for _, x := range []struct{ zero, tiny, clock, want string }{
		{onNull, asInt, asInterval, "read t (1, null, 2, -25:00:00)"},
		{onEpoch, asBool, asText, "read t (1, 1970-01-01, true, -25:00:00)"},
	} {
		c := configFor(t, maria, db)
		c.Snapshot, c.ZeroDates, c.TinyInt1, c.Time = policyOnly, x.zero, x.tiny, x.clock
		out := &pipetest.Collect{}
		if err := open(t, c).Run(t.Context(), nil, out); err != nil {
			t.Fatal(err)
		}
		have := slices.DeleteFunc(out.Rows(), func(s string) bool { return !strings.HasPrefix(s, "read") })
		if diff := cmp.Diff([]string{x.want}, have); diff != "" && !strings.HasSuffix(have[0], x.want[len("read t"):]) {
			t.Error(diff)
		}
	}
}

// TestCheckAndTables holds what the commands show of a database.
func TestCheckAndTables(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE p (id int PRIMARY KEY, u int NOT NULL, w int, UNIQUE ux (u), KEY wx (w, u)) ", "CREATE TABLE n (a int)",
		"CREATE TABLE c (id int NOT NULL UNIQUE, p int, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE) ENGINE InnoDB",
		"CREATE VIEW v AS SELECT * FROM p", "CREATE SEQUENCE s", "CREATE TABLE h (id int PRIMARY KEY) WITH SYSTEM VERSIONING")
	c := configFor(t, maria, db)
	codes := map[string]int{}
	for _, f := range c.Check(t.Context(), spec.Env{}, nil) {
		codes[f.Code]++
	}
	if want := map[string]int{codeNoKey: 1, codeCascade: 1}; cmp.Diff(want, codes) != "" {
		t.Errorf("findings %v, want %v", codes, want)
	}
	list, err := c.Tables(t.Context(), spec.Env{})
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, info := range list {
		have[info.Schema.Table] = fmt.Sprint(info.Taken, " ", info.Identity, " ", info.Schema.Key, " ", info.Schema.Indexes)
	}
	want := map[string]string{"p": "true default [0] [{ux [1] true} {wx [2 1] false}]", "n": "true nothing [] []", "c": "true index id [0] [{p [1] false}]",
		"v": "false nothing [] []", "s": "false nothing [] []", "h": "false default [0] []"}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	poor := configFor(t, maria, db)
	poor.Port = 1
	if f := poor.Check(t.Context(), spec.Env{}, nil); len(f) != 1 || !f[0].Unreachable {
		t.Errorf("findings of a server that is not there: %v", f)
	}
}
