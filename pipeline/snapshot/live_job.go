package snapshot

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// job is a table being read. Its fields are guarded by the Live's mu.
type job struct {
	table   string
	request Request
	watched chan struct{}   // closed once the stream watches the table
	life    context.Context // until the job ended
	quit    context.CancelFunc
	begun   bool
	ended   bool
	planned bool
	open    bool // its segments are with the workers
	gate    bool // a note is in flight, and everything else waits for it
	sifted  bool
	told    chan struct{} // closed once sifted
	swept   bool
	floor   pipeline.Position // before which no note is sent
	todo    []Segment
	busy    map[uint64]Segment // by piece: being read, waiting, merged and not durable
	fragile bool               // as Entry.Fragile
	rekeyed bool               // and saved, because of a key
	// owed are segments that are durable but for rows that More tells of: a crash forgets those.
	owed  []Segment
	rows  int // to read at once
	tries int // that failed in a row
}

// add makes the job of an open entry. What was read when the last run ended and is not durable is read
// again: it is part of Left. mu is held.
func (l *Live) add(e *Entry) {
	j := &job{table: e.Table, request: e.Request, watched: make(chan struct{}),
		busy: map[uint64]Segment{}, rows: firstRows, sifted: e.Sifted || !e.Request.Replace}
	if j.told = make(chan struct{}); j.sifted {
		close(j.told)
	}
	if !e.Request.Filled() {
		l.lacking.Add(1)
	}
	if e.Planned {
		j.planned, j.todo = true, e.Left
	}
	j.life, j.quit = context.WithCancel(context.Background())
	l.busy.Add(1)
	l.jobs = append(l.jobs, j)
	l.look()
}

// ask records a request: it begins now, or waits for the one that runs.
func (l *Live) ask(q Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Ledger.Change(q.Table, func(e *Entry) { e.Queue = append(slices.Clone(e.Queue), q) })
	l.next(q.Table)
}

// restart makes the entry that of a request that begins.
func (e *Entry) restart(q Request) {
	q.Lacks = e.lacks()
	*e = Entry{Table: e.Table, Version: e.Version, Status: Pending, Request: q, Estimate: -1, Queue: e.Queue}
}

// next begins the oldest request that waits for a table, unless one is being served. mu is held.
//
// It does not begin before the end of the last one is saved: a sink that is ahead would know of the
// beginning of this one, and a crash would have it told of the last one's end.
func (l *Live) next(table string) {
	if e, _ := l.Ledger.Entry(table); l.ending[table] || e.Status.Open() || len(e.Queue) == 0 {
		return
	}
	l.Ledger.Change(table, func(e *Entry) {
		q := e.Queue[0]
		e.Queue = slices.Clone(e.Queue[1:])
		e.restart(q)
	})
	fresh, _ := l.Ledger.Entry(table)
	l.add(&fresh)
}

// cancel gives up what runs and what waits.
func (l *Live) cancel(table string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, _ := l.Ledger.Entry(table); len(e.Queue) > 0 {
		l.Ledger.Change(table, func(e *Entry) { e.Queue = nil })
	}
	if i := slices.IndexFunc(l.jobs, func(j *job) bool { return j.table == table }); i >= 0 {
		l.finish(l.jobs[i], Cancelled, errCancelled)
	}
}

// finish ends a job, once. mu is held.
func (l *Live) finish(j *job, status Status, cause error) {
	if j.ended {
		return
	}
	j.ended = true
	j.quit()
	if !j.request.Filled() {
		l.lacking.Add(-1)
	}
	l.jobs = slices.DeleteFunc(l.jobs, func(o *job) bool { return o == j })
	l.unwatch = append(l.unwatch, j.table)
	l.ready.Store(true)
	l.changed.Broadcast()
	l.Ledger.Change(j.table, func(e *Entry) {
		e.Status, e.Ended, e.Left = status, time.Now().UTC(), nil
		e.Planned, e.Fragile = false, false
		if e.Error = ""; status == Failed {
			e.Error = cause.Error()
		}
	})
	if status == Failed {
		l.Log.Error("a table's snapshot failed; the stream goes on", "table", j.table, "error", cause)
	} else {
		l.Log.Info("a table's snapshot ended", "table", j.table, "status", string(status))
	}
	l.closing, l.ending[j.table] = append(l.closing, j.table), true
	l.record(merged{job: j}) // the keeper saves the entry
	l.look()
}

// plan begins a job: once the stream watches its table, and a chunk of it can be exact, it is cut into
// segments.
func (l *Live) plan(ctx context.Context, j *job) error {
	select {
	case <-j.watched:
	case <-j.life.Done():
		return nil
	case <-ctx.Done():
		return nil
	}
	return l.retry(ctx, j, func(ctx context.Context) error { return l.planOnce(ctx, j) })
}

// retry does a step of a job until it works, the job ends or ctx does. A fault that passes ends the run
// once it has not passed, as with chunks; any other gives the table up.
func (l *Live) retry(ctx context.Context, j *job, step func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(j.life, cancel)
	defer stop()
	for tries := 1; ; tries++ {
		err := step(ctx)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if pipeline.ClassOf(err) != pipeline.Retryable {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.finish(j, Failed, err)
			return nil
		}
		if tries >= maxTries {
			return fmt.Errorf("table %s: %w", j.table, err)
		}
		l.Log.Warn("a table cannot be read and is tried again", "table", j.table, "error", err)
		if pause(ctx, retryPause) != nil {
			return nil
		}
	}
}

// planOnce settles and cuts a table, and hands its segments to the workers. Sinks are told of the
// beginning first: what they are to remember from there on must be all that chunks do not see.
func (l *Live) planOnce(ctx context.Context, j *job) error {
	if j.request.Replace {
		if err := l.sift(ctx, j); err != nil {
			return err
		}
	}
	if l.Settle != nil {
		if err := l.Settle(ctx, j.table); err != nil {
			return err
		}
	}
	l.mu.Lock()
	planned := j.planned
	l.mu.Unlock()
	var segments []Segment
	var rows int64
	if !planned {
		var err error
		if segments, rows, err = l.Plan(ctx, &j.request); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if j.ended {
		return nil
	}
	if !planned {
		l.Ledger.Change(j.table, func(e *Entry) {
			e.Status, e.Started, e.Estimate, e.Left, e.Planned = Running, time.Now().UTC(), rows, segments, true
		})
		l.Log.Info("a table's snapshot begins", "table", j.table, "reason", string(j.request.Reason), "rows", rows)
	}
	l.hand(j, segments)
	return nil
}

// sift tells the sinks that a snapshot of the whole table begins, unless they know, and waits until
// that is durable.
func (l *Live) sift(ctx context.Context, j *job) error {
	if l.End != nil {
		floor, err := l.End(ctx)
		if err != nil {
			return err
		}
		l.mu.Lock()
		j.floor = floor
		l.mu.Unlock()
	}
	l.mu.Lock()
	if !j.sifted && !j.gate && !j.ended {
		l.note(j, pipeline.Sift)
	}
	l.mu.Unlock()
	select {
	case <-j.told:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hand hands a job's segments to the workers. mu is held.
func (l *Live) hand(j *job, segments []Segment) {
	j.planned, j.open = true, true
	j.todo = append(slices.Clone(j.todo), segments...)
	if len(j.todo) == 0 { // nothing to read: the keeper ends it
		l.record(merged{job: j})
	}
	l.changed.Broadcast()
}

// Rekeyed must be called before an update is emitted that changes the key of a row and leaves values
// out. Where the row is not downstream yet the update cannot be completed there, and no chunk that is
// left need cover the new key: More tells of it, but a crash forgets what More knows. So the ledger says
// first, once for each snapshot, that a crash has the whole table read again. The stream's goroutine
// calls it.
func (l *Live) Rekeyed(ctx context.Context, table string) error {
	if l.lacking.Load() == 0 || !l.rekeyed(table) {
		return nil
	}
	return l.save(ctx)
}

// rekeyed reports whether the ledger must be saved.
func (l *Live) rekeyed(table string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.jobs, func(j *job) bool { return j.table == table })
	if i < 0 || l.jobs[i].request.Filled() || l.jobs[i].rekeyed {
		return false
	}
	j := l.jobs[i]
	select {
	case <-j.watched: // More tells of it in this run
		j.rekeyed, j.fragile = true, true
		l.Ledger.Change(table, func(e *Entry) { e.Fragile = true })
		return true
	default:
	}
	if !j.planned {
		return false // all of it is read
	}
	j.planned, j.todo = false, nil
	l.Ledger.Change(table, (*Entry).unplan)
	return true
}

// unplan makes an entry one whose table is to be cut, and read, anew.
func (e *Entry) unplan() { e.Planned, e.Left, e.Fragile = false, nil, false }

// note sends a word about the snapshot through the stream, behind what was merged and before anything
// that is read from here on. mu is held.
func (l *Live) note(j *job, flags pipeline.Flags) {
	j.gate = true
	l.lastID++
	p := &Piece{Request: j.request, Table: j.table, Flags: flags, Fence: j.floor, job: j, id: l.lastID}
	l.enqueue(p)
}

// left is what a job's entry says is not known to be durable. mu is held.
func (j *job) left() []Segment {
	var out []Segment
	for _, id := range slices.Sorted(maps.Keys(j.busy)) {
		out = append(out, j.busy[id])
	}
	return append(append(out, j.todo...), j.owed...)
}
