package mariadb

import (
	"context"
	"errors"
	"log/slog"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// memoryBoard is the board of one of two in this process. The helper is given every second chunk.
type memoryBoard struct {
	*boardState
	owner string
}

type boardState struct {
	mu     sync.Mutex // guards the following
	share  *snapshot.Share
	chunks []snapshot.Chunk
	owners []string
	done   []bool
	news   []snapshot.Finished // of helpers, for the leader
	counts map[string]int      // chunks finished, by owner
	opened func()
}

func (b *memoryBoard) Open(_ context.Context, s snapshot.Share, chunks []snapshot.Chunk, _ func(string) int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.share, b.chunks = &s, slices.Clone(chunks)
	b.owners, b.done, b.counts = make([]string, len(chunks)), make([]bool, len(chunks)), map[string]int{}
	b.opened()
	return nil
}

func (b *memoryBoard) Find(context.Context) (snapshot.Share, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.share == nil {
		return snapshot.Share{}, false, nil
	}
	return *b.share, true, nil
}

func (b *memoryBoard) Claim(context.Context, snapshot.Attempt) (c snapshot.Claim, ok, over bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, owner := range b.owners {
		if owner == "" && (b.owner == "leader" || i%2 == 0) {
			b.owners[i] = b.owner
			return snapshot.Claim{Number: i, Chunk: b.chunks[i]}, true, false, nil
		}
	}
	return c, false, b.owner != "leader" || !slices.Contains(b.done, false), nil
}

func (b *memoryBoard) Beat(context.Context, snapshot.Attempt) (bool, error) { return true, nil }
func (b *memoryBoard) Every() time.Duration                                 { return time.Second }
func (b *memoryBoard) Lease() time.Duration                                 { return time.Minute }

func (b *memoryBoard) Finish(_ context.Context, _ snapshot.Attempt, list []snapshot.Finished) ([]snapshot.Finished, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range list {
		b.done[f.Number] = true
		b.counts[b.owner]++
		if f.Table = b.chunks[f.Number].Table; b.owner != "leader" {
			b.news = append(b.news, f)
		}
	}
	return list, nil
}

func (b *memoryBoard) News(context.Context, snapshot.Attempt) (out []snapshot.Finished, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out, b.news = b.news, nil
	return out, nil
}

func (b *memoryBoard) Recall(context.Context, snapshot.Attempt) (out []snapshot.Claim, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, c := range b.chunks {
		out = append(out, snapshot.Claim{Number: i, Chunk: c})
	}
	return out, nil
}

func (b *memoryBoard) Release(context.Context, snapshot.Attempt) error { return nil }

func (b *memoryBoard) Close(context.Context) error { return nil }

// shareSchema has keys of several types, a table without one and one without transactions.
var shareSchema = []string{
	"CREATE TABLE a (id int PRIMARY KEY, v text, n int)", "INSERT INTO a SELECT seq, 'start', 0 FROM seq_1_to_5000",
	"CREATE TABLE b (k varchar(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v text)",
	"INSERT INTO b SELECT concat('k', seq), 'start' FROM seq_1_to_2000",
	"CREATE TABLE c (x int, y decimal(9,3), z datetime(3), v text, PRIMARY KEY (x, y, z))",
	"INSERT INTO c SELECT seq % 7, seq / 8, '2020-01-01' + INTERVAL seq SECOND, 'start' FROM seq_1_to_2000",
	"CREATE TABLE d (id int PRIMARY KEY, v text)", "INSERT INTO d SELECT seq, 'start' FROM seq_1_to_10",
	"CREATE TABLE k (v text)", "INSERT INTO k SELECT concat('row ', seq % 5) FROM seq_1_to_50",
	"CREATE TABLE m (id int PRIMARY KEY, v text) ENGINE MyISAM", "INSERT INTO m SELECT seq, 'start' FROM seq_1_to_100",
	"CREATE TABLE fence (id int PRIMARY KEY)", "ANALYZE TABLE a, b, c",
}

// shareTest is a leader that is held once its share is open, before its first chunk, and a database.
type shareTest struct {
	t      *testing.T
	db     string
	board  *boardState
	leader *pipetest.Running
}

// newShareTest starts the leader and returns when it is held.
func newShareTest(t *testing.T) *shareTest {
	t.Helper()
	s := &shareTest{t: t, db: maria.Database(t)}
	maria.Exec(t, s.db, shareSchema...)
	out := &pipetest.Collect{}
	opened := make(chan struct{})
	s.board = &boardState{opened: func() { out.Hold(); close(opened) }}
	source := s.open(nil, nil)
	source.(snapshot.Sharer).Lead(&memoryBoard{s.board, "leader"})
	s.leader = pipetest.Run(t, source, nil, out)
	select {
	case <-opened:
	case <-time.After(time.Minute):
		t.Fatal("the leader opens no share")
	}
	return s
}

func (s *shareTest) open(log *slog.Logger, change func(*Config)) pipeline.Source {
	c := configFor(s.t, maria, s.db)
	c.Workers, c.ChunkRows = 2, 300
	if change != nil {
		change(c)
	}
	source, err := c.Open(spec.Env{Address: "source.shop", Log: log, Dir: s.t.TempDir()})
	if err != nil {
		s.t.Fatal(err)
	}
	return source
}

// help runs a helper until it ends, and returns what it emitted and logged.
func (s *shareTest) help() (*pipetest.Collect, string) {
	s.t.Helper()
	log := &strings.Builder{}
	source := s.open(slog.New(slog.NewTextHandler(log, nil)), nil)
	r := pipetest.Run(s.t, source.(snapshot.Sharer).Help(&memoryBoard{s.board, "helper"}), nil, nil)
	if err := r.Wait(); err != nil {
		s.t.Fatalf("the helper ended: %v", err)
	}
	return r.Out, log.String()
}

// state is what a plain copy of the tables with a key has.
func (s *shareTest) state() map[string]string {
	s.t.Helper()
	r := pipetest.Run(s.t, s.open(nil, func(c *Config) { c.Snapshot = policyOnly }), nil, nil)
	if err := r.Wait(); err != nil {
		s.t.Fatal(err)
	}
	out := map[string]string{}
	eachKeyed(r.Out, func(_ pipeline.Stream, row *pipeline.Row) { out[rowKey(row, row.Values)] = rowText(row.Values) })
	return out
}

// eachKeyed calls f with the rows of tables with a key.
func eachKeyed(out *pipetest.Collect, f func(pipeline.Stream, *pipeline.Row)) {
	for _, b := range out.Batches() {
		for i := range b.Rows {
			if len(b.Rows[i].Schema.Key) > 0 {
				f(b.Stream, &b.Rows[i])
			}
		}
	}
}

// TestShareIsExact lets a helper begin after many kinds of changes, and changes more while it reads: what both
// read is what was there at the leader's moment, but for rows that the stream brings, and all of it together
// the tables as they are at the end.
func TestShareIsExact(t *testing.T) {
	s := newShareTest(t)
	then := s.state()
	maria.Exec(t, s.db,
		"UPDATE a SET v = 'changed', n = 1 WHERE id % 10 = 3", "DELETE FROM a WHERE id % 50 = 7",
		"INSERT INTO a SELECT seq, 'new', 2 FROM seq_5001_to_5400", "UPDATE a SET id = id + 10000 WHERE id % 100 = 11",
		"UPDATE a SET id = -id WHERE id % 100 = 12", "DELETE FROM a WHERE id = 5", "INSERT INTO a VALUES (5, 'again', 3)",
		"REPLACE INTO a VALUES (6, 'replaced', 4)", "BEGIN", "UPDATE a SET v = 'undone' WHERE id < 100", "ROLLBACK",
		"UPDATE b SET k = upper(k) WHERE k LIKE 'k1%'", "UPDATE b SET v = 'changed' WHERE k LIKE 'k2%5'",
		"UPDATE c SET v = 'changed' WHERE x = 3", "UPDATE c SET y = y + 1000 WHERE x = 4", "DELETE FROM c WHERE x = 5 AND y < 20",
		"INSERT INTO k VALUES ('later')", "UPDATE m SET v = 'later' WHERE id = 1", "DELETE FROM d WHERE id = 1",
		"XA START 'share'", "UPDATE a SET v = 'xa' WHERE id = 1000", "XA END 'share'", "XA PREPARE 'share'", "XA COMMIT 'share'",
		"SET binlog_row_image = MINIMAL", "UPDATE a SET v = 'part' WHERE id > 5000 AND id < 5010", "DELETE FROM a WHERE id = 4000")
	out, log := s.help()
	maria.Exec(t, s.db, "UPDATE a SET n = 9 WHERE id % 7 = 1", "UPDATE b SET v = 'last' WHERE k LIKE 'k3%'", "DELETE FROM c WHERE x = 6")
	s.leader.Out.Release()
	maria.Exec(t, s.db, "INSERT INTO fence VALUES (1)")
	s.leader.Out.Wait(t, "the fence", func(batches []*pipeline.Batch) bool {
		last := batches[len(batches)-1]
		return last.Stream == binlogStream && len(last.Rows) > 0 && last.Rows[len(last.Rows)-1].Schema.Table == "fence"
	})
	s.leader.Stop()
	if s.board.counts["helper"] < 5 || s.board.counts["leader"] < 5 || !strings.Contains(log, "left_out=") {
		t.Errorf("chunks read: %v\n%s", s.board.counts, log)
	}
	have := map[string]string{}
	chunks := func(_ pipeline.Stream, row *pipeline.Row) {
		key, text := rowKey(row, row.Values), rowText(row.Values)
		if was, twice := have[key]; twice {
			t.Errorf("%s was read twice: %s, %s", key, was, text)
		}
		if have[key] = text; then[key] != text {
			t.Errorf("read %s: it was %q", text, then[key])
		}
	}
	eachKeyed(out, chunks)
	read := len(have)
	eachKeyed(s.leader.Out, func(stream pipeline.Stream, row *pipeline.Row) {
		if stream == binlogStream {
			follow(t, have, row)
			return
		}
		chunks(stream, row)
	})
	if diff := cmp.Diff(s.state(), have); diff != "" {
		t.Errorf("(-want +have):\n%.3000s", diff)
	}
	for stream := range s.leader.Out.Checkpoint() {
		if strings.HasPrefix(string(stream), "chunk/") {
			t.Errorf("the position of %s is left", stream)
		}
	}
	t.Logf("%d rows of %d were read by the helper; %s", read, len(then), log)
}

// follow applies a change, of which values that were left out must be there.
func follow(t *testing.T, state map[string]string, row *pipeline.Row) {
	t.Helper()
	var was string
	if row.Before != nil {
		key := rowKey(row, row.Before)
		was = state[key]
		delete(state, key)
	}
	if row.Values == nil {
		return
	}
	old := strings.Split(was, "|")
	for i := range row.Values {
		switch {
		case !row.Values[i].IsAbsent():
		case was == "":
			t.Errorf("%s: the row is not there", pipetest.RowText(row))
			return
		default:
			row.Values[i] = pipeline.StringValue(pipeline.Text, old[i])
		}
	}
	state[rowKey(row, row.Values)] = rowText(row.Values)
}

// TestShareUnfit holds that a process does not help where what was changed since cannot be left to the stream.
func TestShareUnfit(t *testing.T) {
	for _, c := range []struct{ name, sql, why string }{
		{"values left out", "SET binlog_row_image = MINIMAL; UPDATE a SET n = 1 WHERE id = 7", "without all values"},
		{"truncate", "TRUNCATE d", "altered or emptied"},
		{"alter", "ALTER TABLE d FORCE", "altered or emptied"},
		{"another shape", "ALTER TABLE d ADD COLUMN w int; INSERT INTO d VALUES (11, 'x', 1)", "not those of the process that leads"},
		{"there and back", "ALTER TABLE d ADD COLUMN w int; INSERT INTO d VALUES (11, 'x', 1); ALTER TABLE d DROP COLUMN w", "altered or emptied"},
		{"a statement", "SET binlog_format = STATEMENT; UPDATE b SET v = 'x' WHERE k = 'k1'", "altered or emptied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShareTest(t)
			maria.Exec(t, s.db, c.sql)
			out, log := s.help()
			if len(out.Rows()) > 0 || !strings.Contains(log, "not helping") || !strings.Contains(log, c.why) {
				t.Errorf("%d rows\n%s", len(out.Rows()), log)
			}
		})
	}
}

// TestTouchedIsBounded holds that what a helper remembers does not grow with the log, and that rows which are
// changed again count once.
func TestTouchedIsBounded(t *testing.T) {
	one := &table{Schema: &pipeline.Schema{System: pipeline.MariaDB, Database: "d", Table: "t", Key: []int{0},
		Columns: []pipeline.Column{{Name: "id", Kind: pipeline.Int}}}, relation: &relation{Database: "d", Name: "t"}}
	into := newTouched([]*table{one})
	row := pipeline.Row{Schema: one.Schema, Op: pipeline.Insert}
	change := func(id int) error {
		row.Values = []pipeline.Value{pipeline.IntValue(int64(id))}
		return into.row(&row)
	}
	for id := range maxTouched {
		for range 2 {
			if err := change(id); err != nil {
				t.Fatalf("after %d rows: %v", id, err)
			}
		}
	}
	var why *unfitError
	if err := change(maxTouched); !errors.As(err, &why) {
		t.Errorf("%d rows are remembered: %v", into.count, err)
	}
}

// TestShareSettled takes all sets of chunks off what is left of a table, as the ledger says it: what is left
// then are the others, and a chunk that the ledger says is there, and is not, is found out.
func TestShareSettled(t *testing.T) {
	ranges := snapshot.Keys([][]string{{"10"}, {"20"}, {"30"}, {"40"}})
	var list []snapshot.Claim
	for i, r := range ranges {
		list = append(list, snapshot.Claim{Number: 7 + i, Chunk: snapshot.Chunk{Table: "a", Ordinal: i, Range: r}})
	}
	for there := range 1 << len(ranges) {
		for told := range 1 << len(ranges) {
			b := &book{left: map[string][]booked{}}
			for i, r := range ranges {
				if told&(1<<i) == 0 {
					b.left["a"] = append(b.left["a"], booked{i, snapshot.Segment{Part: "a(id)", Cut: r.Cut, Low: r.Low, High: r.High}})
				}
			}
			e := snapshot.Entry{Left: joined(b.segments("a"))}
			missing, done := settled(&e, told != 1<<len(ranges)-1, list, func(n int) bool { return there&(1<<(n-7)) != 0 })
			if want := told&^there != 0; missing != want {
				t.Fatalf("there %05b, told %05b: missing is %v", there, told, missing)
			}
			if missing {
				continue
			}
			covered := 0
			for i := range e.Left {
				from, to := chunksOf(&e.Left[i], list)
				for ; from <= to; from++ {
					covered |= 1 << from
				}
			}
			if covered != (1<<len(ranges)-1)&^there || done != bits.OnesCount(uint(there&^told)) {
				t.Fatalf("there %05b, told %05b: left are %05b, %d done", there, told, covered, done)
			}
		}
	}
}

// joined joins neighbours, as the ledger does where there are very many.
func joined(list []snapshot.Segment) []snapshot.Segment {
	var out []snapshot.Segment
	for _, s := range list {
		if n := len(out); n > 0 && sameBound(out[n-1].High, s.Low) {
			out[n-1].High = s.High
			continue
		}
		out = append(out, s)
	}
	return out
}
