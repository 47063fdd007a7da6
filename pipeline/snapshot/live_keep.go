package snapshot

import (
	"context"
	"slices"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// merged is what is remembered of a piece that was merged until it is durable. There are as many as the
// batches in flight can hold.
type merged struct {
	job   *job
	id    uint64
	rows  int64
	fence pipeline.Position
	flags pipeline.Flags
	owed  bool
}

// keep records what was merged once it is durable in every sink: only then the ledger may say that it
// is there (pipeline invariant 1).
func (l *Live) keep(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.landed:
		}
		if err := pause(ctx, keepEvery); err != nil {
			return nil
		}
		if err := l.settle(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// settle waits until what was merged so far is durable, and tells the ledger.
func (l *Live) settle(ctx context.Context) error {
	l.mu.Lock()
	records := l.merged
	l.merged = nil
	l.mu.Unlock()
	if err := l.Out.Drain(ctx, l.Stream); err != nil {
		return err
	}
	var jobs []*job
	for i := range records {
		l.durable(&records[i])
		if j := records[i].job; !slices.Contains(jobs, j) {
			jobs = append(jobs, j)
		}
	}
	for _, j := range jobs {
		if err := l.advance(ctx, j); err != nil {
			return err
		}
	}
	return l.save(ctx)
}

// record hands a merged piece to the keeper. mu is held.
func (l *Live) record(m merged) {
	l.merged = append(l.merged, m)
	select {
	case l.landed <- struct{}{}:
	default:
	}
}

// durable takes a piece off its job's list.
func (l *Live) durable(m *merged) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := m.job
	if j.ended || m.id == 0 {
		return
	}
	if m.owed && l.More != nil && !j.request.Filled() {
		j.owed = append(j.owed, j.busy[m.id])
	}
	delete(j.busy, m.id)
	switch m.flags {
	case pipeline.Sift:
		j.sifted, j.gate = true, false
	case pipeline.Sweep:
		j.swept, j.gate = true, false
	}
	l.changed.Broadcast()
	l.Ledger.Change(j.table, func(e *Entry) {
		e.Left, e.Fence, e.Sifted = j.left(), m.fence, j.sifted
		e.Rows += m.rows
		if m.flags == 0 {
			e.ChunksDone++
		}
	})
}

// idle reports whether all that is known of a job is durable. mu is held.
func (j *job) idle() bool {
	return !j.ended && j.open && !j.gate && len(j.todo) == 0 && len(j.busy) == 0
}

// advance ends a job that has nothing left to read, or finds what it has.
func (l *Live) advance(ctx context.Context, j *job) error {
	l.mu.Lock()
	idle := j.idle()
	l.mu.Unlock()
	if !idle {
		return nil
	}
	var more []Segment
	if l.More != nil {
		var err error
		if more, err = l.More(ctx, &j.request); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case j.ended:
	case len(more) > 0:
		j.todo = slices.Clone(more)
		l.Ledger.Change(j.table, func(e *Entry) { e.Left = j.left() })
		l.changed.Broadcast()
	case j.request.Replace && !j.swept:
		l.note(j, pipeline.Sweep)
	default:
		l.finish(j, Done, nil)
	}
	return nil
}

// pause sleeps for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
