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
	swept   bool
	todo    []Segment
	busy    map[uint64]Segment // by piece: being read, waiting, merged and not durable
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
	*e = Entry{Table: e.Table, Version: e.Version, Status: Pending, Request: q, Estimate: -1, Queue: e.Queue}
}

// next begins the oldest request that waits for a table, unless one is being served. mu is held.
func (l *Live) next(table string) {
	if e, _ := l.Ledger.Entry(table); e.Status.Open() || len(e.Queue) == 0 {
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
	l.jobs = slices.DeleteFunc(l.jobs, func(o *job) bool { return o == j })
	l.unwatch = append(l.unwatch, j.table)
	l.ready.Store(true)
	l.changed.Broadcast()
	l.Ledger.Change(j.table, func(e *Entry) {
		e.Status, e.Ended, e.Left, e.Planned = status, time.Now().UTC(), nil, false
		if e.Error = ""; status == Failed {
			e.Error = cause.Error()
		}
	})
	if status == Failed {
		l.Log.Error("a table's snapshot failed; the stream goes on", "table", j.table, "error", cause)
	} else {
		l.Log.Info("a table's snapshot ended", "table", j.table, "status", string(status))
	}
	l.next(j.table)
	l.closing++
	l.record(merged{job: j}) // the keeper saves the entry
	l.look()
}

// plan begins a job: once the stream watches its table, and a chunk of it can be exact, it is cut into
// segments. A fault that does not pass ends the run, as with chunks.
func (l *Live) plan(ctx context.Context, j *job) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(j.life, cancel)
	defer stop()
	select {
	case <-j.watched:
	case <-ctx.Done():
		return nil
	}
	for tries := 1; ; tries++ {
		err := l.planOnce(ctx, j)
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
			return fmt.Errorf("table %s: plan its snapshot: %w", j.table, err)
		}
		l.Log.Warn("a table could not be cut into chunks and is tried again", "table", j.table, "error", err)
		if pause(ctx, retryPause) != nil {
			return nil
		}
	}
}

// planOnce settles and cuts a table, and hands its segments to the workers.
func (l *Live) planOnce(ctx context.Context, j *job) error {
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

// hand hands a job's segments to the workers. mu is held.
func (l *Live) hand(j *job, segments []Segment) {
	j.planned, j.open = true, true
	j.todo = append(slices.Clone(j.todo), segments...)
	switch {
	case !j.sifted:
		l.note(j, pipeline.Sift)
	case len(j.todo) == 0: // nothing to read: the keeper ends it
		l.record(merged{job: j})
	}
	l.changed.Broadcast()
}

// note sends a word about the snapshot through the stream, behind what was merged and before anything
// that is read from here on. mu is held.
func (l *Live) note(j *job, flags pipeline.Flags) {
	j.gate = true
	l.lastID++
	p := &Piece{Request: j.request, Table: j.table, Flags: flags, job: j, id: l.lastID}
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
