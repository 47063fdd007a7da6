package snapshot

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
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
	growthPerTry = 2
)

var (
	errRunOver   = errors.New("the run is over")
	errCancelled = errors.New("cancelled")
)

// Live reads tables while the stream of changes goes on: chunk after chunk, each in a short transaction
// of its own, merged into the stream where it fits, so that it looks like one more transaction of it.
// The stream's position never moves back, and other tables wait for nothing. A crash repeats the chunks
// in flight at most.
//
// The fields in capitals are set before Run. Next, Merge, Merged and Window belong to the stream's
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
	// Plan cuts a table that the stream watches already into segments, and estimates its rows (-1
	// unknown). It may wait until chunks can be exact.
	Plan func(ctx context.Context, q *Request) (segments []Segment, rows int64, err error)
	// More, unless nil, returns what is still to be read once all segments are durable; it is asked
	// again after that, until it returns nothing.
	More func(ctx context.Context, q *Request) ([]Segment, error)
	Open func(ctx context.Context) (Reader, error)

	Window Window

	busy   atomic.Int64  // jobs that are not finished
	ready  atomic.Bool   // Next has something to look at
	landed chan struct{} // something was merged; buffered by one
	nudge  chan struct{} // Run shall look at the jobs; buffered by one

	mu      sync.Mutex // guards the following
	changed sync.Cond
	jobs    []*job
	waiting []*Piece // read, not merged, in the order of their fences
	merged  []merged // and not known to be durable
	free    []*Piece
	made    int
	reading map[uint64]*Piece
	lastID  uint64
	seen    candidate
	closing int64 // jobs that ended and whose entry is not saved
	over    bool
	watch   []*job   // to be watched from the next end of a transaction on
	unwatch []string // and not any more
}

// candidate is a snapshot beyond which the window may be forgotten, once every piece whose reading began
// before it was taken is merged.
type candidate struct {
	sees func(tx uint64) bool
	left map[uint64]bool
}

// Run serves the desk and reads what the ledger says is open, until ctx ends or the run must.
func (l *Live) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.begin()
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
	all.Go(func() { fail(l.keep(ctx)) })
	all.Go(func() { fail(l.serve(ctx, &all)) })
	<-ctx.Done()
	all.Wait()
	l.Desk.Close()
	return context.Cause(ctx)
}

// Prepare makes the jobs of what the ledger says is open. The stream's goroutine calls it before it
// begins, so that Busy and Watching tell the truth from the first row on.
func (l *Live) Prepare() {
	l.changed.L = &l.mu
	l.landed = make(chan struct{}, 1)
	l.nudge = make(chan struct{}, 1)
	l.reading = map[uint64]*Piece{}
	if l.Log == nil {
		l.Log = slog.New(slog.DiscardHandler)
	}
	for _, e := range l.Ledger.Entries() {
		if e.Status.Open() {
			l.add(&e)
		} else if len(e.Queue) > 0 {
			l.next(e.Table)
		}
	}
}

func (l *Live) begin() {
	l.Desk.Serve(l.Ledger)
	l.look()
}

// end wakes everybody who waits for something that will not come.
func (l *Live) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.changed.Broadcast()
}

// Busy reports whether something is asked for and not done.
func (l *Live) Busy() bool { return l.busy.Load() > 0 || l.Desk.Waiting() }

// look makes the serving goroutine look at the jobs.
func (l *Live) look() {
	select {
	case l.nudge <- struct{}{}:
	default:
	}
}

// serve answers the desk and begins jobs.
func (l *Live) serve(ctx context.Context, all *sync.WaitGroup) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.Desk.wake:
			for _, a := range l.Desk.take() {
				a.answer <- l.answer(ctx, a)
			}
		case <-l.nudge:
		}
		for _, j := range l.due() {
			all.Go(func() { l.plan(ctx, j) })
		}
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
	for i := range a.requests {
		a.requests[i].Table = names[i]
		if e, _ := l.Ledger.Entry(names[i]); len(e.Queue) >= maxQueue {
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

// save saves the ledger and waits until that is durable.
func (l *Live) save(ctx context.Context) error {
	l.mu.Lock()
	ended := l.closing
	l.closing = 0
	l.mu.Unlock()
	streams, err := l.Ledger.Save(ctx, l.Out)
	if err == nil && len(streams) > 0 {
		err = l.Out.Drain(ctx, streams...)
	}
	l.busy.Add(-ended)
	return err
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

// Next returns a piece to merge now that the stream stands at a transaction's end; nil where there is
// none. Call it at each such end, and while the stream is idle.
func (l *Live) Next(reached pipeline.Position) *Piece {
	if !l.ready.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, table := range l.unwatch { // before watch: a table may be begun again
		l.Window.Unwatch(table)
	}
	for _, j := range l.watch {
		l.Window.Watch(j.table)
		close(j.watched)
	}
	l.watch, l.unwatch = nil, nil
	for len(l.waiting) > 0 && l.waiting[0].Fence <= reached {
		p := l.waiting[0]
		l.waiting = slices.Delete(l.waiting, 0, 1)
		if p.job.ended {
			l.release(p)
			continue
		}
		if p.Flags == 0 && l.Window.Voided(p.Table, p.Sees) {
			l.again(p)
			continue
		}
		return p
	}
	l.ready.Store(len(l.waiting) > 0)
	return nil
}

// Merge copies the rows of a piece that are not stale into batches: room returns the one in hand, emit
// hands it over. tx is what the rows belong to; done counts its rows.
func (l *Live) Merge(p *Piece, tx *pipeline.Tx, room func() (*pipeline.Batch, error), emit func() error) error {
	for i := range p.Rows {
		from := &p.Rows[i]
		if l.Window.Stale(p.Table, from, p.Sees) {
			continue
		}
		b, err := room()
		if err != nil {
			return err
		}
		values := b.Values(len(from.Values))
		for n, v := range from.Values {
			if v.Kind() >= pipeline.Text {
				v = pipeline.BytesValue(v.Kind(), b.Copy(v.Bytes()))
			}
			values[n] = v
		}
		row := b.Add()
		row.Schema, row.Tx, row.Values, row.Op = from.Schema, tx, values, pipeline.Read
		row.Seq, row.At = uint32(p.rows), tx.LSN
		p.rows++
		if !b.Full() {
			continue
		}
		if err := emit(); err != nil {
			return err
		}
	}
	return nil
}

// Merged says that the rows of a piece were emitted, and a mark after them, at that position. The piece
// must not be used any more.
func (l *Live) Merged(p *Piece, reached pipeline.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record(merged{job: p.job, id: p.id, rows: p.rows, fence: reached, flags: p.Flags})
	if p.Flags != 0 {
		return
	}
	l.forget(p)
	l.recycle(p)
}

// forget drops from the window what no piece in flight, nor any later one, can miss. mu is held.
func (l *Live) forget(p *Piece) {
	l.gone(p)
	if l.seen.sees != nil {
		return
	}
	left := map[uint64]bool{}
	for id := range l.reading {
		left[id] = true
	}
	for _, w := range l.waiting {
		left[w.id] = true
	}
	l.seen = candidate{sees: p.Sees, left: left}
	l.settleWindow()
}

// gone says that a piece is not in flight any more. mu is held.
func (l *Live) gone(p *Piece) {
	if l.seen.sees == nil {
		return
	}
	delete(l.seen.left, p.id)
	l.settleWindow()
}

func (l *Live) settleWindow() {
	if l.seen.sees == nil || len(l.seen.left) > 0 {
		return
	}
	l.Window.Forget(l.seen.sees)
	l.seen = candidate{}
}

// enqueue puts a piece among those that wait for their fence. mu is held.
func (l *Live) enqueue(p *Piece) {
	at, _ := slices.BinarySearchFunc(l.waiting, p, func(a, b *Piece) int {
		return cmp.Or(cmp.Compare(a.Fence, b.Fence), cmp.Compare(a.id, b.id))
	})
	l.waiting = slices.Insert(l.waiting, at, p)
	l.ready.Store(true)
}
