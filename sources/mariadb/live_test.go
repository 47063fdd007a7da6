package mariadb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// oracle is a target to which the stream is applied exactly. What chunks bring meanwhile must be there
// already: the stream has brought all that a chunk's snapshot sees, and the chunk nothing older.
type oracle struct {
	mu     sync.Mutex
	state  map[string]string // by table and key
	seen   map[string]bool   // since the last Sift; nil outside
	strict bool              // chunks bring nothing new
	wrong  []string
	chunks int // transactions that chunks look like
	last   *pipeline.Tx
	swept  int
	reads  map[string]int // by table and key, where it is asked for
	pause  atomic.Int64   // nanoseconds for each batch
}

func newOracle() *oracle { return &oracle{state: map[string]string{}} }

func rowKey(r *pipeline.Row, v []pipeline.Value) string {
	return r.Schema.Name() + "/" + r.Schema.KeyText(v)
}

func rowText(v []pipeline.Value) string {
	var b strings.Builder
	for _, x := range v {
		b.WriteString(x.String() + "|")
	}
	return b.String()
}

func (o *oracle) batch(b *pipeline.Batch) error {
	time.Sleep(time.Duration(o.pause.Load()))
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range b.Rows {
		if len(o.wrong) < 5 {
			o.row(&b.Rows[i], b.Stream == binlogStream)
		}
	}
	return nil
}

func (o *oracle) bad(r *pipeline.Row, format string, args ...any) {
	o.wrong = append(o.wrong, pipetest.RowText(r)+": "+fmt.Sprintf(format, args...))
}

func (o *oracle) row(r *pipeline.Row, streamed bool) {
	switch {
	case r.Op == pipeline.Truncate:
		o.truncate(r)
		return
	case r.Op == pipeline.Read && streamed && o.strict:
		if have, ok := o.state[rowKey(r, r.Values)]; !ok || have != rowText(r.Values) {
			o.bad(r, "the stream has brought %q, %v", have, ok)
		}
	}
	if r.Op == pipeline.Read && streamed && r.Tx != o.last {
		o.chunks, o.last = o.chunks+1, r.Tx
	}
	if r.Before != nil {
		if _, ok := o.state[rowKey(r, r.Before)]; !ok && o.strict {
			o.bad(r, "there is no such row")
		}
		delete(o.state, rowKey(r, r.Before))
	}
	if r.Values == nil {
		return
	}
	key := rowKey(r, r.Values)
	if _, ok := o.state[key]; ok && r.Op != pipeline.Read && o.strict {
		o.bad(r, "it is there already")
	}
	o.state[key] = rowText(r.Values)
	if o.reads != nil && r.Op == pipeline.Read {
		o.reads[key]++
	}
	if o.seen != nil {
		o.seen[key] = true
	}
}

func (o *oracle) truncate(r *pipeline.Row) {
	prefix := r.Schema.Name() + "/"
	switch r.Flags {
	case pipeline.Sift:
		o.seen = map[string]bool{}
	case pipeline.Sweep:
		for key := range o.state {
			if !strings.HasPrefix(key, prefix) || o.seen[key] {
				continue
			}
			if delete(o.state, key); o.strict {
				o.bad(r, "%s was neither read nor written", key)
			}
		}
		o.seen, o.swept = nil, o.swept+1
	case 0:
		for key := range o.state {
			if strings.HasPrefix(key, prefix) {
				delete(o.state, key)
			}
		}
	}
}

// check compares with the tables once everything has come: the last row of a table fence.
func (o *oracle) check(t *testing.T, want map[string]string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range o.wrong {
		t.Error(w)
	}
	if diff := cmp.Diff(want, o.state); diff != "" {
		t.Errorf("(-want +have):\n%.3000s", diff)
	}
}

// liveRun is a source that runs into an oracle.
type liveRun struct {
	*pipetest.Running
	*oracle
	t      *testing.T
	db     string
	config *Config
	source *Source
}

func startLive(t *testing.T, c *Config, db string, from pipeline.Checkpoint, o *oracle) *liveRun {
	t.Helper()
	s := open(t, c).(*Source)
	return &liveRun{Running: pipetest.Run(t, s, from, &pipetest.Collect{OnEmit: o.batch}), oracle: o, t: t, db: db, config: c, source: s}
}

// phase waits until the source streams.
func (r *liveRun) streaming() {
	r.t.Helper()
	r.until("streaming", func() bool { return r.source.Report().Phase == phaseStreaming })
}

func (r *liveRun) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("no %s: %v, %+v", what, r.failures(), r.source.Entries())
		}
	}
}

// ask asks for snapshots and waits for their end.
func (r *liveRun) ask(q ...snapshot.Request) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	if err := r.source.Ask(ctx, q...); err != nil {
		r.t.Fatal(err)
	}
	r.until("end of the snapshots", func() bool { return !r.open() })
}

func (r *liveRun) open() bool {
	for _, e := range r.source.Entries() {
		if e.Status.Open() {
			return true
		}
	}
	return false
}

func (r *liveRun) entry(table string) snapshot.Entry {
	for _, e := range r.source.Entries() {
		if e.Table == r.db+"."+table {
			return e
		}
	}
	return snapshot.Entry{}
}

// fence waits until everything committed so far has come.
func (r *liveRun) fence() {
	r.t.Helper()
	maria.Exec(r.t, r.db, "CREATE TABLE IF NOT EXISTS fence (id int PRIMARY KEY AUTO_INCREMENT)", "INSERT INTO fence VALUES (NULL)")
	id := maria.QueryText(r.t, r.db, "SELECT max(id) FROM fence")[0][0]
	r.until("fence", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		_, ok := r.state[r.db+".fence/id="+id]
		return ok
	})
}

// image is what tables of (id, v) should be downstream, with the fence.
func (r *liveRun) image(tables ...string) map[string]string {
	r.t.Helper()
	want := map[string]string{}
	for _, table := range append(tables, "fence") {
		second := "v"
		if table == "fence" {
			second = "''"
		}
		for _, row := range maria.QueryText(r.t, r.db, "SELECT id, "+second+" FROM "+table) {
			text := row[0] + "|"
			if table != "fence" {
				text += row[1] + "|"
			}
			want[r.db+"."+table+"/id="+row[0]] = text
		}
	}
	return want
}

// churn changes rows of tables of (id, v) until the function returned is called.
func churn(t *testing.T, db string, writers, span int, tables ...string) func() {
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 11))
			for n := 0; ctx.Err() == nil; n++ {
				var sql strings.Builder
				for range 100 {
					a, b, table := rnd.IntN(span), rnd.IntN(span), tables[rnd.IntN(len(tables))]
					fmt.Fprintf(&sql, "BEGIN; REPLACE INTO %[1]s VALUES (%[2]d, 'w%[4]d'); DELETE FROM %[1]s WHERE id = %[3]d; COMMIT;", table, a, b, n)
					fmt.Fprintf(&sql, "UPDATE IGNORE %s SET id = %d, v = 'm%d' WHERE id = %d;", table, rnd.IntN(span), n, rnd.IntN(span))
				}
				_, _ = maria.Query(ctx, db, sql.String()) // a deadlock ends the batch
			}
		})
	}
	return func() { stop(); all.Wait() }
}

// TestLiveIsExact holds that thousands of chunks read under concurrent writers, while others ask for the
// server's status, bring nothing that the stream has not brought, and miss nothing.
func TestLiveIsExact(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE a (id int PRIMARY KEY, v varchar(20))", "CREATE TABLE b (id int PRIMARY KEY, v varchar(20))",
		"INSERT INTO a SELECT seq, 's' FROM seq_0_to_999", "INSERT INTO b SELECT seq, 's' FROM seq_0_to_999")
	c := configFor(t, maria, db)
	c.ChunkRows, c.Workers = 4, 3
	o := newOracle()
	o.strict = true
	r := startLive(t, c, db, nil, o)
	r.streaming()
	stop := churn(t, db, 3, 1000, "a", "b")
	ctx, quit := context.WithCancel(t.Context())
	var nosy sync.WaitGroup
	nosy.Go(func() {
		for ctx.Err() == nil {
			_, _ = maria.Query(ctx, db, strings.Repeat("SHOW GLOBAL STATUS LIKE 'binlog%';", 200))
		}
	})
	begin := time.Now()
	enough := func() bool { // less where the machine does much else
		return o.count() >= 3000 || o.count() >= 1000 && time.Since(begin) > 40*time.Second || time.Since(begin) > 4*time.Minute
	}
	for n := 0; !enough() && len(o.failures()) == 0; n++ {
		r.ask(snapshot.Request{Table: "a", Reason: snapshot.ForRequest, Replace: n%2 == 0}, snapshot.Request{Table: db + ".b", Reason: snapshot.ForRequest})
	}
	took := time.Since(begin)
	quit()
	nosy.Wait()
	stop()
	r.fence()
	t.Logf("%d chunks in %v, swept %d times", o.count(), took, o.swept)
	r.Stop()
	o.check(t, r.image("a", "b"))
	if o.count() < 1000 {
		t.Errorf("%d chunks", o.count())
	}
}

func (o *oracle) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.chunks
}

func (o *oracle) failures() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.wrong
}
