package mariadb

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// xaOf are the statements up to XA PREPARE.
func xaOf(xid, sql string) []string {
	return []string{"XA START " + xid, sql, "XA END " + xid, "XA PREPARE " + xid}
}

// TestXASpilled holds that prepared transactions beyond the bound of memory come whole, in order and
// interleaved with others, and that their files are gone.
func TestXASpilled(t *testing.T) {
	db, dir := maria.Database(t), t.TempDir()
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, v varchar(200))")
	at := maria.QueryText(t, "", "SELECT @@gtid_binlog_pos")[0][0]
	const rows = 30_000
	xid := func(n int) string { return fmt.Sprintf("'%s','big%d',7", db, n) }
	for i := range 3 {
		maria.Exec(t, db, xaOf(xid(i), fmt.Sprintf("INSERT INTO t SELECT seq, repeat('v', 150) FROM seq_%d_to_%d", i*rows+1, i*rows+rows))...)
	}
	maria.Exec(t, db, "INSERT INTO t VALUES (0, 'between')", "XA COMMIT "+xid(2), "XA ROLLBACK "+xid(1), "XA COMMIT "+xid(0))
	c := configFor(t, maria, db)
	c.Spill = 2 << 20
	s, err := c.Open(spec.Env{Address: "source.test", UntilCaughtUp: true, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	out := &pipetest.Collect{}
	if err := s.Run(t.Context(), pipeline.Checkpoint{binlogStream: positionAt(t, at)}, out); err != nil {
		t.Fatal(err)
	}
	var have, want []int64
	for _, b := range out.Batches() {
		for i := range b.Rows {
			have = append(have, b.Rows[i].Values[0].Int())
		}
	}
	want = append(want, 0)
	for _, first := range []int64{2*rows + 1, 1} {
		for i := range int64(rows) {
			want = append(want, first+i)
		}
	}
	if !slices.Equal(have, want) {
		t.Errorf("%d rows from %v on, want %d", len(have), have[:min(3, len(have))], len(want))
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

// TestHeldOnFile holds that events come back from the file as they went there, and that a full disk is
// an error that says what to do.
func TestHeldOnFile(t *testing.T) {
	h := newHeld(t.TempDir(), 1000)
	defer h.close()
	var want, have []string
	x, y := binlog.XID{GTrid: "x"}, binlog.XID{GTrid: "y"}
	for _, id := range []binlog.XID{x, y} {
		h.begin(&binlog.Begin{XID: id}, nil)
		for i := range 50 {
			e := binlog.Header{Time: uint32(i), Type: binlog.TableMapEvent, Server: 7, End: uint32(1000 + i), Flags: 3}
			body := strings.Repeat(string(rune('a'+i%26)), i*3)
			if err := h.add(&e, []byte(body)); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprint(e, body))
		}
	}
	if h.used > 1000 || h.byXID[x].file == nil || h.byXID[y].file == nil {
		t.Errorf("%d bytes in memory", h.used)
	}
	for _, id := range []binlog.XID{x, y} {
		err := h.byXID[id].replay(func(e *binlog.Header, body []byte) error {
			have = append(have, fmt.Sprint(*e, string(body)))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		h.drop(id)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	if h.used != 0 || h.spilled != 0 {
		t.Errorf("%d bytes in memory, %d on file after the end", h.used, h.spilled)
	}
	broken := newHeld(t.TempDir()+"/none", 0)
	broken.begin(&binlog.Begin{XID: x}, nil)
	if err := broken.add(&binlog.Header{}, []byte("body")); pipeline.ClassOf(err) != pipeline.Environment || !strings.Contains(pipeline.HintOf(err), "spill") {
		t.Errorf("without a directory: %v", err)
	}
}

// TestXABefore holds that a transaction that was prepared before the first start is refused by name,
// and that the start goes on once it has ended.
func TestXABefore(t *testing.T) {
	m := pipetest.MariaDB(t)
	db := m.Database(t)
	m.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY)")
	m.Exec(t, db, xaOf("'early','b',5", "INSERT INTO t VALUES (1)")...)
	for _, policy := range []string{policyInitial, policyNever} {
		c := configFor(t, m, db)
		c.Snapshot = policy
		err := failing(t, c, nil)
		if pipeline.ClassOf(err) != pipeline.Retryable || !strings.Contains(err.Error(), "'early','b',5") {
			t.Errorf("%s: %v", policy, err)
		}
	}
	m.Exec(t, db, "XA COMMIT 'early','b',5")
	r := pipetest.Run(t, open(t, configFor(t, m, db)), nil, nil)
	r.Out.WaitRows(t, 1)
	r.Stop()
}

// TestXAKilled holds that a transaction that was prepared before both the server and the source died is
// delivered at its commit, whole and once; and one that is prepared between the look for prepared ones
// and the first position likewise.
func TestXAKilled(t *testing.T) {
	m := pipetest.MariaDB(t, "innodb_flush_log_at_trx_commit=1", "sync_binlog=1")
	db := m.Database(t)
	m.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	c := configFor(t, m, db)
	c.Snapshot = policyNever
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.Wait(t, "the first mark", func(b []*pipeline.Batch) bool { return len(b) > 0 })
	m.Exec(t, db, xaOf("'killed'", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")...)
	m.Exec(t, db, "INSERT INTO t VALUES (9, 'z')")
	wantRows(t, r, db, "insert t (9, z)")
	from := r.Out.Checkpoint()
	r.Stop()
	m.Restart(t, "immediate")
	m.Exec(t, db, "INSERT INTO t VALUES (10, 'after')")
	again := pipetest.Run(t, open(t, c), from, nil)
	wantRows(t, again, db, "insert t (10, after)")
	from = again.Out.Checkpoint()
	again.Stop()
	m.Exec(t, db, "XA COMMIT 'killed'")
	last := pipetest.Run(t, open(t, c), from, nil)
	wantRows(t, last, db, "insert t (1, a)", "insert t (2, b)", "insert t (3, c)")
	from = last.Out.Checkpoint()
	last.Stop()

	before, err := binlog.ParseSet(m.QueryText(t, "", "SELECT @@gtid_binlog_pos")[0][0])
	if err != nil {
		t.Fatal(err)
	}
	m.Exec(t, db, xaOf("'raced'", "INSERT INTO t VALUES (20, 'raced')")...)
	moment, err := binlog.ParseSet(m.QueryText(t, "", "SELECT @@gtid_binlog_pos")[0][0])
	if err != nil {
		t.Fatal(err)
	}
	m.Exec(t, db, "INSERT INTO t VALUES (21, 'on')", "XA COMMIT 'raced'")
	at := (&runner{server: server{Position: before}}).begun(moment)
	pos, err := at.position()
	if err != nil {
		t.Fatal(err)
	}
	raced := pipetest.Run(t, open(t, c), pipeline.Checkpoint{binlogStream: pos}, nil)
	wantRows(t, raced, db, "insert t (21, on)", "insert t (20, raced)")
	raced.Out.Wait(t, "the last mark", func(b []*pipeline.Batch) bool {
		marks := b[len(b)-1].Marks
		return len(marks) > 0 && strings.Count(string(marks[len(marks)-1].Pos), "/") == 1
	})
	raced.Stop()
}

// TestXALost holds that a prepared transaction that the server lost in a crash does not keep the
// position from going on, and that one which is prepared still does.
func TestXALost(t *testing.T) {
	m := pipetest.MariaDB(t)
	db := m.Database(t)
	m.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY)")
	c := configFor(t, m, db)
	c.Snapshot = policyNever
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.Wait(t, "the first mark", func(b []*pipeline.Batch) bool { return len(b) > 0 })
	m.Exec(t, db, xaOf("'lost','b',3", "INSERT INTO t VALUES (1)")...)
	m.Exec(t, db, "INSERT INTO t VALUES (9)")
	wantRows(t, r, db, "insert t (9)")
	from := r.Out.Checkpoint()
	r.Stop()
	for _, lost := range []bool{false, true} {
		if lost {
			m.Exec(t, db, "SET sql_log_bin = 0", "XA ROLLBACK 'lost','b',3") // as if it had never been
		}
		id := 20
		if lost {
			id = 30
		}
		again := pipetest.Run(t, open(t, c), from, nil)
		m.Exec(t, db, fmt.Sprintf("INSERT INTO t VALUES (%d)", id), fmt.Sprintf("INSERT INTO t VALUES (%d)", id+1))
		wantRows(t, again, db, fmt.Sprintf("insert t (%d)", id), fmt.Sprintf("insert t (%d)", id+1))
		from = again.Out.Checkpoint()
		again.Stop()
		if p, err := parsePlace(from[binlogStream]); err != nil || (p.held == nil) != lost {
			t.Errorf("lost %v: position %q, %v", lost, from[binlogStream], err)
		}
	}
}
