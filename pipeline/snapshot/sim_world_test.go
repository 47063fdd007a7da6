package snapshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

var errSimCrash = errors.New("crash")

// simWorld is one seed: a database, its targets, and life after life of a pipeline between them.
type simWorld struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	db      *simDB
	targets []*simTarget
	schemas [simTables]*pipeline.Schema
	last    bool // the life that must not fail
	reads   int
	merged  int

	mu    sync.Mutex     // guards the following
	asked map[string]int // by table: the last request that was accepted and not cancelled
	next  int
}

func simTable(name string) int { return int(name[len(name)-1] - '0') }
func simName(n int) string     { return "t" + strconv.Itoa(n) }

func newSimWorld(t *testing.T, seed uint64) *simWorld {
	rng := rand.New(rand.NewPCG(seed, 7))
	w := &simWorld{t: t, seed: seed, rng: rng, db: newSimDB(rand.New(rand.NewPCG(seed, 8))), asked: map[string]int{}}
	for n := range simTables {
		w.schemas[n] = &pipeline.Schema{Table: simName(n), Key: []int{0}, Columns: []pipeline.Column{
			{Name: "id", Kind: pipeline.Int}, {Name: "v", Kind: pipeline.Int}, {Name: "big", Kind: pipeline.Int}}}
	}
	for range 1 + rng.IntN(2) {
		target := &simTarget{cp: pipeline.Checkpoint{}}
		for n := range simTables {
			target.tables[n] = map[int]simRow{}
			if n == 0 { // filled before
				target.tables[n] = maps.Clone(w.db.visible[n])
				target.tables[n][simGhost] = simRow{}
				target.whole[n] = true
			}
		}
		w.targets = append(w.targets, target)
	}
	return w
}

func (w *simWorld) errorf(format string, args ...any) {
	w.t.Errorf("seed %d: %s", w.seed, fmt.Sprintf(format, args...))
}

// checkRead: a row that a snapshot read is what the source has where it is merged into the stream.
func (w *simWorld) checkRead(r *pipeline.Row) {
	at, _ := strconv.Atoi(string(r.Tx.Pos))
	key := int(r.Values[0].Int())
	got := simRow{v: int(r.Values[1].Int()), big: int(r.Values[2].Int())}
	want, here := w.db.at(simTable(r.Schema.Table), key, at)
	if !here || got != want {
		w.errorf("%s key %d at %d: merged %v, the source has %v (%v)", r.Schema.Table, key, at, got, want, here)
	}
}

// checkTable: a whole table is what the source has where the target's stream stands.
func (w *simWorld) checkTable(t *simTarget, n int) {
	at, _ := strconv.Atoi(string(t.cp[simWAL]))
	for key := range simKeys {
		want, here := w.db.at(n, key, at)
		got, there := t.tables[n][key]
		if here != there || here && got != want {
			w.errorf("%s key %d at %d: target has %v (%v), source %v (%v)", simName(n), key, at, got, there, want, here)
		}
	}
}

// simLife is one run of the pipeline.
type simLife struct {
	w    *simWorld
	live *Live
	out  *simOut
	rng  *rand.Rand // of the stream
	at   int        // in the log
	hand *pipeline.Batch

	mu    sync.Mutex // guards the following
	owed  map[string]map[string]bool
	watch map[string]int // where the stream stood when it was first known to be asked for
}

// live runs the pipeline once, until it crashes, or is done where it is the last.
func (w *simWorld) life() {
	ctx, crash := context.WithCancelCause(w.t.Context())
	defer crash(nil)
	from := w.saved()
	w.checkAsked(from)
	ledger, err := LoadLedger(from)
	if err != nil {
		w.errorf("%v", err)
		return
	}
	w.enter(ledger)
	out := newSimOut(w)
	l := &simLife{w: w, out: out, rng: rand.New(rand.NewPCG(w.rng.Uint64(), 2)), owed: map[string]map[string]bool{}}
	l.at, _ = strconv.Atoi(string(from[simWAL]))
	l.live = &Live{Desk: NewDesk(), Ledger: ledger, Out: out, Stream: simWAL, Workers: 1 + w.rng.IntN(3),
		Resolve: l.resolve, Settle: l.settle, Plan: l.plan, More: l.more, End: l.end, Open: l.open}
	l.live.Prepare()

	var all sync.WaitGroup
	for _, t := range out.targets {
		for _, queue := range t.queues {
			all.Go(func() { out.run(ctx, t, queue) })
		}
	}
	all.Go(func() { crash(l.live.Run(ctx)) })
	asker := rand.New(rand.NewPCG(w.rng.Uint64(), 3))
	all.Go(func() { l.ask(ctx, asker, crash) })
	all.Go(func() { crash(l.stream(ctx)) })
	if !w.last {
		time.AfterFunc(time.Duration(w.rng.Int64N(int64(12*time.Second))), func() { crash(errSimCrash) })
	}
	all.Wait()
	if err := context.Cause(ctx); w.last && !errors.Is(err, errSimCrash) {
		w.errorf("the last life ended with %v", err)
	}
}

// enter makes the entries of tables that nothing is known of, as a source does.
func (w *simWorld) enter(ledger *Ledger) {
	for n := range simTables {
		if _, known := ledger.Entry(simName(n)); known {
			continue
		}
		ledger.Change(simName(n), func(e *Entry) {
			if e.Status = Recorded; n > 0 {
				e.restart(Request{Table: simName(n), Reason: ForAdded, By: "0", Replace: n == 2})
			}
		})
	}
}

// checkAsked: a crash loses no request that was accepted.
func (w *simWorld) checkAsked(cp pipeline.Checkpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for table, want := range w.asked {
		e, err := ParseEntry(table, cp[TableStream(table)])
		if err != nil {
			w.errorf("%v", err)
			continue
		}
		have := 0
		for _, q := range append(slices.Clone(e.Queue), e.Request) {
			n, _ := strconv.Atoi(q.By)
			have = max(have, n)
		}
		if have < want {
			w.errorf("table %s: request %d was accepted and is lost: %+v", table, want, e)
		}
	}
}

// ask asks for snapshots and cancels some; in the last life it asks for all tables, waits, and ends it.
func (l *simLife) ask(ctx context.Context, rng *rand.Rand, end func(error)) {
	every := 2 * time.Second
	if rng.IntN(3) == 0 {
		every /= 5
	}
	for !l.w.last {
		select {
		case <-time.After(time.Duration(rng.Int64N(int64(every)))):
		case <-ctx.Done():
			return
		}
		table := simName(rng.IntN(simTables))
		if rng.IntN(4) == 0 {
			l.w.mu.Lock()
			delete(l.w.asked, table)
			l.w.mu.Unlock()
			_ = l.live.Desk.Cancel(ctx, table)
			continue
		}
		l.request(ctx, Request{Table: table, Reason: ForRequest, Replace: rng.IntN(2) == 0})
	}
	for n := range simTables {
		if err := l.live.Desk.Cancel(ctx, simName(n)); err != nil {
			l.w.errorf("cancel: %v", err)
		}
		l.request(ctx, Request{Table: simName(n), Reason: ForRequest, Replace: true})
	}
	for ctx.Err() == nil && (l.live.Busy() || !l.quiet()) {
		time.Sleep(time.Second)
	}
	end(errSimCrash)
}

// request asks, and remembers what was accepted.
func (l *simLife) request(ctx context.Context, q Request) {
	l.w.mu.Lock()
	l.w.next++
	n := l.w.next
	l.w.mu.Unlock()
	q.By = strconv.Itoa(n)
	if err := l.live.Desk.Ask(ctx, q); err == nil {
		l.w.mu.Lock()
		l.w.asked[q.Table] = n
		l.w.mu.Unlock()
	}
}

// quiet reports whether the writers have ended and every target has everything.
func (l *simLife) quiet() bool {
	l.w.db.mu.Lock()
	stopped := l.w.db.stopped && len(l.w.db.open) == 0
	l.w.db.mu.Unlock()
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	return stopped && l.w.saved()[simWAL] == simPos(l.w.db.end())
}

func (l *simLife) resolve(table string) (string, error) {
	if !strings.HasPrefix(table, "t") {
		return "", errors.New("no such table")
	}
	return table, nil
}

func (l *simLife) end(context.Context) (pipeline.Position, error) { return simPos(l.w.db.end()), nil }

func (l *simLife) settle(ctx context.Context, _ string) error {
	for n := l.w.db.end(); !l.w.db.settled(n); {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// random returns a number from the world's source, for goroutines of a life.
func (l *simLife) random(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.IntN(n)
}

func (l *simLife) fault(one int) error {
	if l.w.last {
		return nil
	}
	if l.random(one) == 0 {
		return &pipeline.Error{Class: pipeline.Retryable, Err: errors.New("connection lost")}
	}
	if l.random(8*one) == 0 {
		return &pipeline.Error{Class: pipeline.Input, Err: errors.New("a bad row")}
	}
	return nil
}

func (l *simLife) plan(ctx context.Context, q *Request) ([]Segment, int64, error) {
	if err := pause(ctx, time.Duration(l.random(200))*time.Millisecond); err != nil {
		return nil, 0, err
	}
	var bounds [][]string
	for k := 1; k < simKeys; k++ {
		if l.random(12) == 0 {
			bounds = append(bounds, []string{fmt.Sprintf("%04d", k)})
		}
	}
	return Segments(q.Table, Keys(bounds)), simKeys, l.fault(10)
}
