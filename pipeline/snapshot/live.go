package snapshot

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The bounds of reading on a running pipeline.
const (
	maxJobs      = 4                      // tables at once; others wait
	piecesEach   = 2                      // pieces for each worker: one being read, one waiting for its fence
	maxTries     = 5                      // of one chunk, before its table is given up
	retryPause   = 500 * time.Millisecond // before a chunk is tried again
	keepEvery    = 250 * time.Millisecond // the least between two saves of a ledger
	idleReader   = 10 * time.Second       // after which a worker without work ends its session
	aimedTime    = 100 * time.Millisecond // for one chunk to be read
	leastRows    = 256
	firstRows    = 4096
	mostRows     = 64 << 10
	mostBytes    = 4 << 20
	maxOwed      = 1 << 8 // segments that are read and still in the ledger
	growthPerTry = 2
)

var (
	errRunOver   = errors.New("the run is over")
	errCancelled = errors.New("cancelled")
	errFull      = errors.New("too many transactions changed the table while one chunk of it was read")
)

// Live reads tables while the stream of changes goes on: chunk after chunk, each in a short transaction
// of its own, merged into the stream where it fits, so that it looks like one more transaction of it.
// The stream's position never moves back, and other tables wait for nothing. A crash repeats the chunks
// in flight at most.
//
// The fields in capitals are set before Prepare. Next, Merge, Merged and Window belong to the stream's
// goroutine.
type Live struct {
	Desk    *Desk
	Ledger  *Ledger
	Out     pipeline.Output
	Stream  pipeline.Stream // of changes
	Workers int
	Log     *slog.Logger
	// Resolve returns the name of the table that somebody named, or an error that says which there are.
	Resolve func(table string) (string, error)
	// Settle, unless nil, waits until every transaction that the stream delivered before it watched the
	// table is seen by any new snapshot: the window does not know those. It is called each time that the
	// reading of a table begins, also where a run goes on with one that was planned before.
	Settle func(ctx context.Context, table string) error
	// Plan cuts a table that the stream watches already into segments, and estimates its rows (-1
	// unknown).
	Plan func(ctx context.Context, q *Request) (segments []Segment, rows int64, err error)
	// End, unless nil, returns a position that includes everything that is committed. Notes about a
	// snapshot wait for it: a sink may hold a later position than the run began at, and trims what comes
	// before.
	End func(ctx context.Context) (pipeline.Position, error)
	// More, unless nil, returns what is still to be read once all segments are durable; it is asked
	// again after that, until it returns nothing.
	More func(ctx context.Context, q *Request) ([]Segment, error)
	Open func(ctx context.Context) (Reader, error)

	Window Window

	busy    atomic.Int64  // jobs that are not finished, and answers being given
	lacking atomic.Int64  // jobs whose request is not Filled
	ready   atomic.Bool   // Next has something to look at
	landed  chan struct{} // something was merged; buffered by one
	nudge   chan struct{} // Run shall look at the jobs; buffered by one
	saving  chan struct{} // holds one while the ledger is saved

	mu      sync.Mutex // guards the following; the Ledger's is taken inside it
	changed sync.Cond
	jobs    []*job
	waiting []*Piece // read, not merged, in the order of their fences
	merged  []merged // and not known to be durable
	free    []*Piece
	made    int
	reading map[uint64]*Piece
	lastID  uint64
	seen    candidate
	closing []string        // tables of jobs that ended since the last save
	ending  map[string]bool // tables whose end is not saved: nothing of them begins before it is
	over    bool
	watch   []*job   // to be watched from the next end of a transaction on
	unwatch []string // and not any more
}

// Prepare makes the jobs of what the ledger says is open. The stream's goroutine calls it before it
// begins, so that Busy tells the truth from the first row on.
func (l *Live) Prepare() {
	l.changed.L = &l.mu
	l.landed = make(chan struct{}, 1)
	l.nudge = make(chan struct{}, 1)
	l.saving = make(chan struct{}, 1)
	l.reading = map[uint64]*Piece{}
	l.ending = map[string]bool{}
	if l.Log == nil {
		l.Log = slog.New(slog.DiscardHandler)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.Ledger.Entries() {
		switch {
		case !e.Status.Open():
			l.next(e.Table)
			continue
		case e.Fragile:
			e.unplan()
			l.Ledger.Change(e.Table, (*Entry).unplan)
		}
		l.add(&e)
	}
}

// Run serves the desk and reads what the ledger says is open, until ctx ends or the run must.
func (l *Live) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.Desk.Serve(l.Ledger)
	l.look()
	stop := context.AfterFunc(ctx, l.end)
	defer stop()

	var all sync.WaitGroup
	fail := func(err error) {
		if err != nil {
			cancel(err)
		}
	}
	for range max(l.Workers, 1) {
		all.Go(func() { fail(l.work(ctx)) })
	}
	spawn := func(f func() error) { all.Go(func() { fail(f()) }) }
	spawn(func() error { return l.keep(ctx, spawn) })
	spawn(func() error { return l.serve(ctx, spawn) })
	<-ctx.Done()
	all.Wait()
	l.Desk.Close()
	return context.Cause(ctx)
}

// end wakes everybody who waits for something that will not come.
func (l *Live) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.changed.Broadcast()
}

// Busy reports whether something is asked for and not done.
func (l *Live) Busy() bool { return l.Desk.Waiting() || l.busy.Load() > 0 }

// look makes the serving goroutine look at the jobs.
func (l *Live) look() {
	select {
	case l.nudge <- struct{}{}:
	default:
	}
}

// serve answers the desk and begins jobs until ctx ends.
func (l *Live) serve(ctx context.Context, spawn func(func() error)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.Desk.wake:
			l.answers(ctx)
		case <-l.nudge:
		}
		for _, j := range l.due() {
			spawn(func() error { return l.plan(ctx, j) })
		}
	}
}

// answers what was asked. It counts as busy until then, so that a run that ends once nothing is left to
// do does not end in between.
func (l *Live) answers(ctx context.Context) {
	l.busy.Add(1)
	defer l.busy.Add(-1)
	for _, a := range l.Desk.take() {
		a.answer <- l.answer(ctx, a)
	}
}

// answer does what was asked and waits until that is saved.
func (l *Live) answer(ctx context.Context, a *ask) error {
	names := make([]string, 0, len(a.requests)+len(a.cancel))
	for i := range a.requests {
		names = append(names, a.requests[i].Table)
	}
	names = append(names, a.cancel...)
	for i, name := range names {
		table, err := l.Resolve(name)
		if err != nil {
			return err
		}
		names[i] = table
	}
	asked := map[string]int{}
	for i := range a.requests {
		a.requests[i].Table = names[i]
		asked[names[i]]++
		if e, _ := l.Ledger.Entry(names[i]); len(e.Queue)+asked[names[i]] > maxQueue {
			return &pipeline.Error{Class: pipeline.Input, Table: names[i],
				Err: errors.New("too many requests wait for it"), Hint: "Wait for them, or cancel them"}
		}
	}
	for _, q := range a.requests {
		l.ask(q)
	}
	for _, table := range names[len(a.requests):] {
		l.cancel(table)
	}
	return l.save(ctx)
}

// save saves the ledger and waits until that is durable, one caller after the other: what this one
// changed may be among what another one emits.
func (l *Live) save(ctx context.Context) error {
	select {
	case l.saving <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.saving }()
	l.mu.Lock()
	ended := l.closing
	l.closing = nil
	l.mu.Unlock()
	streams, err := l.Ledger.Save(ctx, l.Out)
	if err == nil && len(streams) > 0 {
		err = l.Out.Drain(ctx, streams...)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, table := range ended {
		delete(l.ending, table)
		l.next(table)
	}
	l.busy.Add(-int64(len(ended)))
	return nil
}

// due returns the jobs to begin now.
func (l *Live) due() []*job {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*job
	begun := 0
	for _, j := range l.jobs {
		if j.begun {
			begun++
		}
	}
	for _, j := range l.jobs {
		if j.begun || begun >= maxJobs {
			continue
		}
		j.begun = true
		begun++
		l.watch = append(l.watch, j)
		out = append(out, j)
	}
	if len(out) > 0 {
		l.ready.Store(true)
	}
	return out
}
