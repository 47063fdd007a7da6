package postgres

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// canned makes the messages of one transaction of n inserts into relation 9 with 10 text columns.
func canned(n int) (relation []byte, messages [][]byte) {
	relation = binary.BigEndian.AppendUint32([]byte{'R'}, 9)
	relation = append(relation, "public\x00t\x00d\x00\x0a"...)
	row := binary.BigEndian.AppendUint32([]byte{'I'}, 9)
	row = append(row, 'N', 0, 10)
	for i := range 10 {
		key := byte(0)
		if i == 0 {
			key = 1
		}
		relation = append(append(relation, key), fmt.Sprintf("c%d\x00", i)...)
		relation = binary.BigEndian.AppendUint32(relation, 23)
		relation = binary.BigEndian.AppendUint32(relation, 0xffffffff)
		row = append(row, 't', 0, 0, 0, 5, '1', '2', '3', '4', '5')
	}
	begin := binary.BigEndian.AppendUint64([]byte{'B'}, 1000)
	begin = append(begin, make([]byte, 12)...)
	messages = append(messages, begin)
	for range n {
		messages = append(messages, row)
	}
	commit := binary.BigEndian.AppendUint64([]byte{'C', 0}, 1000)
	commit = binary.BigEndian.AppendUint64(commit, 1100)
	return relation, append(messages, append(commit, make([]byte, 8)...))
}

// cannedStream is a stream that needs no server.
func cannedStream(t testing.TB, out pipeline.Output) *stream {
	t.Helper()
	c := configOf("host=none")
	src := open(t, c).(*Source)
	r, err := newRunner(src)
	if err != nil {
		t.Fatal(err)
	}
	columns := make([]attribute, 10)
	for i := range columns {
		columns[i] = attribute{Num: int16(i + 1), Name: fmt.Sprintf("c%d", i)}
		columns[i].Type.OID, columns[i].Type.Mod, columns[i].Type.Name, columns[i].Type.Class = 23, -1, "int4", 'b'
	}
	r.catalog = &catalog{Database: "d"}
	table, err := r.settings.table(r.catalog, &relation{OID: 9, Namespace: "public", Name: "t", Kind: kindTable, Identity: 'd',
		Columns: columns, Primary: []int16{1}})
	if err != nil {
		t.Fatal(err)
	}
	r.tables = append(r.tables, table)
	return &stream{runner: r, ctx: t.Context(), out: out, relations: map[uint32]*streamed{}}
}

func TestRowsCostNoAllocation(t *testing.T) {
	out := &counter{}
	s := cannedStream(t, out)
	relation, messages := canned(10_000)
	feed := func() {
		for _, m := range messages {
			if err := s.change(1000, m); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.change(1, relation); err != nil {
		t.Fatal(err)
	}
	feed()
	if n := testing.AllocsPerRun(10, feed) / 10_000; n > 0.001 {
		t.Errorf("%v allocations a row", n)
	}
	if out.rows < 10_000 {
		t.Errorf("%d rows", out.rows)
	}
}

// BenchmarkChange decodes rows of 10 int4 columns into batches.
func BenchmarkChange(b *testing.B) {
	s := cannedStream(b, &counter{})
	relation, messages := canned(1)
	if err := s.change(1, relation); err != nil {
		b.Fatal(err)
	}
	if err := s.change(1, messages[0]); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.change(1, messages[1]); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSpool(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "stream-7.spill")
	if err := os.WriteFile(left, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := newSpool(dir, 300)
	if err != nil {
		t.Fatal(err)
	}
	change := func(xid uint32, text string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{'I'}, xid), text...)
	}
	s.begin(1)
	s.begin(2)
	for i := range 50 {
		for _, err := range []error{s.add(1, uint64(i), change(10+uint32(i%2), strings.Repeat("x", i))), s.add(2, uint64(i), change(2, "y"))} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) == 0 {
		t.Error("nothing was spilled")
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
	}
	s.abort(1, 11)
	s.abort(2, 2)
	var got, want []string
	for i := 0; i < 50; i += 2 {
		want = append(want, fmt.Sprintf("%d %q", i, change(10, strings.Repeat("x", i))))
	}
	err = s.replay(1, func(lsn uint64, data []byte) error {
		got = append(got, fmt.Sprintf("%d %q", lsn, data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 0 || s.used != 0 {
		t.Errorf("%v left, %d bytes", files, s.used)
	}
	if s.replay(2, nil) == nil || s.add(3, 1, change(3, "")) == nil {
		t.Error("an unknown transaction was taken")
	}
}

// TestServerCrashes restarts the server under load, immediately and fast; every row comes once.
func TestServerCrashes(t *testing.T) {
	t.Parallel()
	own := pipetest.Postgres(t, "fsync=on", "synchronous_commit=on")
	dsn := own.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text)`)
	c := configOf(dsn)
	cp := pipeline.Checkpoint{}
	var ids []int64
	next := 1
	for _, mode := range []string{"immediate", "fast", "immediate"} {
		src := open(t, c)
		out := &pipetest.Collect{OnEmit: func(b *pipeline.Batch) error { // a fast stop waits until all is confirmed
			pos, ok := b.Last()
			if !ok || b.Stream != walStream {
				return nil
			}
			return src.Commit(t.Context(), pipeline.Checkpoint{walStream: pos})
		}}
		end := background(t, src, cp.Clone(), out)
		streaming(t, src) // a source that connects after the restart never fails
		for range 20 {
			pipetest.Exec(t, dsn, fmt.Sprintf(`INSERT INTO a SELECT i, 'v' FROM generate_series(%d, %d) i`, next, next+9))
			next += 10
		}
		time.Sleep(50 * time.Millisecond)
		own.Restart(t, mode)
		if err := end(); pipeline.ClassOf(err) != pipeline.Retryable {
			t.Fatalf("%s: class %d: %v", mode, pipeline.ClassOf(err), err)
		}
		for s, pos := range out.Checkpoint() {
			cp.Apply(s, pos)
		}
		ids = append(ids, idsOf(out, cp)...)
	}
	src := open(t, c, func(e *spec.Env) { e.UntilCaughtUp = true })
	out := &pipetest.Collect{}
	if err := background(t, src, cp, out)(); err != nil {
		t.Fatal(err)
	}
	ids = append(ids, idsOf(out, out.Checkpoint())...)
	if len(ids) != next-1 {
		t.Fatalf("%d rows, want %d", len(ids), next-1)
	}
	for i, id := range ids {
		if id != int64(i+1) {
			t.Fatalf("row %d has id %d", i, id)
		}
	}
}

// idsOf returns the ids of the rows that lie before the checkpoint.
func idsOf(out *pipetest.Collect, cp pipeline.Checkpoint) []int64 {
	var ids []int64
	for _, b := range out.Batches() {
		for i := range b.Rows {
			if b.Rows[i].Tx.In(cp[walStream]) {
				ids = append(ids, b.Rows[i].Values[0].Int())
			}
		}
	}
	return ids
}
