package snapshot

import (
	"context"
	"slices"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// job is a table being read. Its fields are guarded by the Live's mu.
type job struct {
	table   string
	request Request
	watched chan struct{} // closed once the stream watches the table
	begun   bool
	ended   bool
	planned bool
	gate    bool // a note is in flight, and everything else waits for it
	sifted  bool
	swept   bool
	todo    []Segment
	busy    map[uint64]Segment // by piece: being read, waiting, merged and not durable
	rows    int                // to read at once
	tries   int                // that failed in a row
}

// add makes the job of an open entry. What was read when the last run ended and is not durable is read
// again: it is part of Left.
func (l *Live) add(e *Entry) {
	j := &job{table: e.Table, request: e.Request, watched: make(chan struct{}), busy: map[uint64]Segment{}, rows: firstRows,
		sifted: e.Sifted || !e.Request.Replace}
	if e.Planned {
		j.planned, j.todo = true, e.Left
	}
	l.busy.Add(1)
	l.jobs = append(l.jobs, j)
}

// ask records a request: it begins now, or waits for the one that runs.
func (l *Live) ask(q Request) {
	var fresh *Entry
	l.Ledger.Change(q.Table, func(e *Entry) {
		if e.Status.Open() {
			e.Queue = append(e.Queue, q)
			return
		}
		e.restart(q)
		c := e.Clone()
		fresh = &c
	})
	if fresh == nil {
		return
	}
	l.mu.Lock()
	l.add(fresh)
	l.mu.Unlock()
	l.look()
}

// restart makes the entry that of a request that begins.
func (e *Entry) restart(q Request) {
	*e = Entry{Table: e.Table, Version: e.Version, Status: Pending, Request: q, Estimate: -1, Queue: e.Queue}
}

// next begins the oldest request that waits for a table.
func (l *Live) next(table string) {
	var fresh *Entry
	l.Ledger.Change(table, func(e *Entry) {
		if e.Status.Open() || len(e.Queue) == 0 {
			return
		}
		q := e.Queue[0]
		e.Queue = slices.Clone(e.Queue[1:])
		e.restart(q)
		c := e.Clone()
		fresh = &c
	})
	if fresh == nil {
		return
	}
	l.mu.Lock()
	l.add(fresh)
	l.mu.Unlock()
	l.look()
}

// cancel gives up what runs and what waits.
func (l *Live) cancel(table string) {
	l.Ledger.Change(table, func(e *Entry) { e.Queue = nil })
	l.mu.Lock()
	i := slices.IndexFunc(l.jobs, func(j *job) bool { return j.table == table })
	var j *job
	if i >= 0 {
		j = l.jobs[i]
	}
	l.mu.Unlock()
	if j != nil {
		l.finish(j, Cancelled, errCancelled)
	}
}

// finish ends a job, once.
func (l *Live) finish(j *job, status Status, cause error) {
	l.mu.Lock()
	if j.ended {
		l.mu.Unlock()
		return
	}
	j.ended = true
	l.jobs = slices.DeleteFunc(l.jobs, func(o *job) bool { return o == j })
	l.unwatch = append(l.unwatch, j.table)
	l.ready.Store(true)
	l.changed.Broadcast()
	l.mu.Unlock()
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
	l.mu.Lock()
	l.closing++
	l.record(merged{job: j}) // the keeper saves the entry
	l.mu.Unlock()
	l.look()
}

// plan begins a job: once the stream watches its table, it is cut into segments.
func (l *Live) plan(ctx context.Context, j *job) {
	select {
	case <-j.watched:
	case <-ctx.Done():
		return
	}
	l.mu.Lock()
	planned := j.planned
	l.mu.Unlock()
	if planned {
		l.planned(j, nil)
		return
	}
	segments, rows, err := l.Plan(ctx, &j.request)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		l.finish(j, Failed, err)
		return
	}
	l.Ledger.Change(j.table, func(e *Entry) {
		e.Status, e.Started, e.Estimate, e.Left, e.Planned = Running, time.Now().UTC(), rows, segments, true
	})
	l.Log.Info("a table's snapshot begins", "table", j.table, "reason", string(j.request.Reason), "rows", rows)
	l.planned(j, segments)
}

// planned hands a job's segments to the workers.
func (l *Live) planned(j *job, segments []Segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j.planned = true
	j.todo = append(j.todo, segments...)
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
	j.busy[p.id] = Segment{}
	l.enqueue(p)
}

// left is what a job's entry says is not known to be durable. mu is held.
func (j *job) left() []Segment {
	var out []Segment
	for _, s := range j.busy {
		if s.Part != "" || s.Low != nil || s.High != nil || s.Keys != nil {
			out = append(out, s)
		}
	}
	return append(out, j.todo...)
}
