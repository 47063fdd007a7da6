package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// feed is a source of two tables, one with a key and one without: chunks written side by side, then
// a stream. What it delivers does not depend on how often it has to begin again.
type feed struct {
	resumes bool // chunks that are done are not read again; else an unfinished snapshot starts over
	attempt int
}

const (
	feedChunks  = 6 // of each table
	feedRows    = 1500
	feedStream  = 12 // transactions after the snapshot
	feedPerTx   = 40
	feedAttempt = "source.test/chunk/attempt"
	feedWAL     = "source.test/wal"
)

func feedTables() (keyed, keyless *pipeline.Schema) {
	keyed = users()
	keyed.Indexes = []pipeline.Index{{Name: "by_bio", Columns: []int{2}},
		{Name: "by_email", Columns: []int{1}, Unique: true}}
	keyless = tableOf("logs", col("a", "integer", pipeline.Int), col("b", "text", pipeline.Text))
	keyless.Key, keyless.KeyFull = nil, true
	return keyed, keyless
}

// life is one attempt to deliver everything; nil when it is.
func (f *feed) life(ctx context.Context, c *Config) error {
	sink, err := c.Open(ctx, env())
	if err != nil {
		return err
	}
	defer sink.Close()
	s := sink.(*Sink)
	kept, err := s.Checkpoint(ctx)
	if err != nil {
		return err
	}
	if kept[feedWAL] == "" {
		if err := f.snapshot(ctx, s, kept); err != nil {
			return err
		}
	} else if err := forget(ctx, s, slices.DeleteFunc(kept.Streams(), isChange)...); err != nil {
		return err
	}
	return f.stream(ctx, s, kept[feedWAL])
}

func isChange(s pipeline.Stream) bool { return !isChunk(s) }

func feedChunk(table, n int) pipeline.Stream {
	return pipeline.Stream(fmt.Sprintf("source.test/chunk/t%d/%03d", table, n))
}

func (f *feed) snapshot(ctx context.Context, s *Sink, kept pipeline.Checkpoint) error {
	keyed, keyless := feedTables()
	if err := f.begin(ctx, s, kept, keyed, keyless); err != nil {
		return err
	}
	var wait sync.WaitGroup
	todo := make(chan [2]int, 2*feedChunks)
	for n := range feedChunks {
		todo <- [2]int{0, n}
		todo <- [2]int{1, n}
	}
	close(todo)
	errs := make([]error, 3)
	for w := range errs {
		wait.Go(func() {
			for c := range todo {
				name := feedChunk(c[0], c[1])
				if f.resumes && kept[name] != "" || errs[w] != nil {
					continue
				}
				errs[w] = writeChunk(ctx, s, name, []*pipeline.Schema{keyed, keyless}[c[0]], c[1])
			}
		})
	}
	wait.Wait()
	if err := firstError(errs...); err != nil {
		return err
	}
	var streams []pipeline.Stream
	for n := range feedChunks {
		streams = append(streams, feedChunk(0, n), feedChunk(1, n))
	}
	if !f.resumes { // as sources/postgres does
		if err := forget(ctx, s, streams...); err != nil {
			return err
		}
	}
	if err := s.Write(ctx, pipetest.NewBatch(keyed).Mark(pipetest.Position(100)).Batch()); err != nil {
		return err
	}
	return forget(ctx, s, append(streams, feedAttempt)...)
}

// begin records that a snapshot begins, and voids what an earlier one has delivered.
func (f *feed) begin(ctx context.Context, s *Sink, kept pipeline.Checkpoint, tables ...*pipeline.Schema) error {
	b := &pipeline.Batch{Stream: feedAttempt}
	if kept[feedAttempt] != "" && !f.resumes {
		for _, name := range kept.Streams() {
			if name != feedAttempt {
				if err := forget(ctx, s, name); err != nil {
					return err
				}
			}
		}
		for _, t := range tables {
			r := b.Add()
			r.Schema, r.Op, r.Flags = t, pipeline.Truncate, pipeline.Again
			r.Tx = &pipeline.Tx{Snapshot: true, Pos: pipetest.Position(2 * f.attempt)}
		}
	}
	f.attempt++
	b.Mark(pipetest.Position(2*f.attempt - 1))
	return s.Write(ctx, b)
}

func forget(ctx context.Context, s *Sink, streams ...pipeline.Stream) error {
	for _, name := range streams {
		b := &pipeline.Batch{Stream: name}
		b.Mark("")
		if err := s.Write(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func writeChunk(ctx context.Context, s *Sink, name pipeline.Stream, t *pipeline.Schema, n int) error {
	for part := range 3 {
		b := pipetest.NewBatch(t).In(name)
		for i := range feedRows / 3 {
			id := n*feedRows + part*feedRows/3 + i
			if len(t.Key) > 0 {
				b.Read(id, fmt.Sprint("mail", id), strings.Repeat("bio ", id%20))
			} else {
				b.Read(id%100, "line")
			}
		}
		if part == 2 {
			b.Mark("done")
		}
		if err := s.Write(ctx, b.Batch()); err != nil {
			return err
		}
	}
	return nil
}

// stream delivers what comes after a position.
func (f *feed) stream(ctx context.Context, s *Sink, from pipeline.Position) error {
	keyed, keyless := feedTables()
	for tx := range feedStream {
		pos := pipetest.Position(101 + tx)
		if pos <= from {
			continue
		}
		rng := rand.New(rand.NewPCG(uint64(tx), 1))
		b := pipetest.NewBatch(keyed).Tx(pos, 0)
		for i := range feedPerTx {
			id := tx*feedPerTx + i
			b.Update(nil, id, fmt.Sprint("new", rng.IntN(1000), ".", id), absent)
			b.Delete(5000+id, absent, absent).Insert(20000+id, fmt.Sprint("ins", id), nil)
			b.Table(keyless).Insert(-id, "stream").Delete(id%100, "line").Table(keyed)
		}
		if err := s.Write(ctx, b.Mark(pos).Batch()); err != nil {
			return err
		}
	}
	return nil
}

// feedState is what the target holds in the end.
func feedState(t testing.TB, dsn string) []string {
	t.Helper()
	var out []string
	for _, sql := range []string{
		"SELECT count(*), md5(string_agg(u::text, ',' ORDER BY id)) FROM users u",
		"SELECT count(*), md5(string_agg(l::text, ',' ORDER BY a, b)) FROM logs l",
		"SELECT relname, relpersistence FROM pg_class WHERE relname IN ('users', 'logs') ORDER BY 1",
		"SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING', indisunique || ' ' || indisprimary) FROM pg_index" +
			" WHERE indrelid = 'users'::regclass ORDER BY 1",
		"SELECT count(*) FROM pipe.load_step",
		"SELECT count(*) FROM pipe.checkpoint_unlogged",
		"SELECT stream, position FROM pipe.checkpoint ORDER BY 1",
	} {
		for _, r := range pipetest.QueryText(t, dsn, sql) {
			out = append(out, strings.Join(r, "|"))
		}
	}
	return out
}

// fault breaks something, and heal mends what it broke.
type fault struct {
	name        string
	break_, end func() error
}

// survive delivers under faults, into one database after the other until enough lives were broken, and
// compares each with what a delivery in peace leaves.
func survive(t *testing.T, srv *pipetest.PG, text string, resumes bool, lives int, faults ...fault) {
	t.Helper()
	want, within := untouched(t, srv, text)
	rng := rand.New(rand.NewPCG(uint64(lives), 7))
	broken, rounds := 0, 0
	for ; broken < lives && (rounds < lives || broken == 0 && rounds < 20*lives); rounds++ {
		dsn := srv.Database(t)
		c := configure(t, throughProxy(t, srv, dsn, faults), text)
		f := &feed{resumes: resumes}
		for err := errors.New("begin"); err != nil; {
			one, began := faults[rng.IntN(len(faults))], time.Now()
			err = f.brokenLife(t, c, one, time.Duration(rng.Int64N(int64(within))))
			if err == nil {
				within = min(within, time.Since(began)) // the first one may have been slow
				break
			}
			broken++
			if pipeline.ClassOf(err) != pipeline.Retryable {
				t.Fatalf("%s: %v", one.name, err)
			}
		}
		if diff := cmp.Diff(want, feedState(t, dsn)); diff != "" {
			t.Fatalf("after %d broken lives (-want +have):\n%s", broken, diff)
		}
	}
	t.Logf("%d lives were broken, %d deliveries", broken, rounds)
	if broken == 0 {
		t.Errorf("no fault of %d deliveries came in time", rounds)
	}
}

// brokenLife is a life with a fault after some time.
func (f *feed) brokenLife(t *testing.T, c *Config, one fault, after time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- f.life(ctx, c) }()
	time.Sleep(after)
	if err := one.break_(); err != nil {
		t.Fatal(err)
	}
	err := <-result
	if one.end == nil {
		return err
	}
	if failed := one.end(); failed != nil {
		t.Fatal(failed)
	}
	return err
}

// untouched returns the state that a run without faults ends in, and how long it takes.
func untouched(t *testing.T, srv *pipetest.PG, text string) ([]string, time.Duration) {
	t.Helper()
	dsn, began := srv.Database(t), time.Now()
	if err := (&feed{}).life(t.Context(), configure(t, dsn, text)); err != nil {
		t.Fatal(err)
	}
	within := time.Since(began)
	return feedState(t, dsn), within
}

// throughProxy lets the sink connect through a proxy, and adds the proxy's faults.
func throughProxy(t *testing.T, srv *pipetest.PG, dsn string, faults []fault) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	p := pipetest.NewProxy(t, u.Host)
	u.Host = p.Addr()
	for i, f := range faults {
		if f.name == "cut" {
			faults[i].break_ = func() error { p.CutAfter(int64(rand.IntN(100 << 10))); return nil }
			faults[i].end = func() error { p.Resume(); return nil }
		}
	}
	return u.String()
}

func terminate(t *testing.T, dsn string) fault {
	return fault{name: "terminate", break_: func() error {
		pipetest.Exec(t, dsn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pipe %'")
		return nil
	}}
}

func crash(ctx context.Context, srv *pipetest.PG) fault {
	return fault{name: "crash", break_: func() error { return srv.Stop("immediate") },
		end: func() error { return srv.Start(ctx) }}
}

// TestFeedIsTheSame holds the reference of the tests of crashes to what it must be.
func TestFeedIsTheSame(t *testing.T) {
	dsn := pg.Database(t)
	if err := (&feed{}).life(t.Context(), configure(t, dsn, "")); err != nil {
		t.Fatal(err)
	}
	wantQuery(t, dsn, "SELECT count(*), min(id), max(id) FROM users", "9000|0|20479")
	wantQuery(t, dsn, "SELECT count(*) FROM logs", "9000")
	if !slices.Contains(feedState(t, dsn), "source.test/wal|00000112") {
		t.Error(feedState(t, dsn))
	}
}
