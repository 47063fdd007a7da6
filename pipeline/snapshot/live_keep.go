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
func (l *Live) keep(ctx context.Context, spawn func(func() error)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.landed:
		}
		if err := pause(ctx, keepEvery); err != nil {
			return nil
		}
		if err := l.settle(ctx, spawn); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// settle waits until what was merged so far is durable, and tells the ledger.
func (l *Live) settle(ctx context.Context, spawn func(func() error)) error {
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
		if l.idle(j) {
			spawn(func() error { return l.advance(ctx, j) })
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
		j.owe(j.busy[m.id])
	}
	delete(j.busy, m.id)
	switch m.flags {
	case pipeline.Sift:
		j.sifted, j.gate = true, false
		close(j.told)
	case pipeline.Sweep:
		j.swept, j.gate = true, false
	}
	l.changed.Broadcast()
	l.Ledger.Change(j.table, func(e *Entry) {
		e.Left, e.Fence, e.Sifted = j.left(), m.fence, j.sifted
		e.Fragile = e.Fragile || j.fragile
		e.Rows += m.rows
		if m.flags == 0 {
			e.ChunksDone++
		}
	})
}

// owe keeps a segment in the ledger for rows that More tells of. Of too many the ledger says that a crash
// has the whole table read again. mu is held.
func (j *job) owe(s Segment) {
	if j.owed = append(j.owed, s); len(j.owed) > maxOwed {
		j.fragile = true
	}
	if j.fragile {
		j.owed = nil
	}
}

// idle reports whether all that is known of a job is durable, and takes it from the workers if so.
func (l *Live) idle(j *job) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if j.ended || !j.open || j.gate || len(j.todo)+len(j.busy) > 0 {
		return false
	}
	j.open = false
	return true
}

// advance ends a job that has nothing left to read, or finds what it has. That is read once the changes
// which are the reason for it are visible.
func (l *Live) advance(ctx context.Context, j *job) error {
	var more []Segment
	return l.retry(ctx, j, func(ctx context.Context) error {
		err := l.sifted(ctx, j)
		if err != nil {
			return err
		}
		if l.More != nil && len(more) == 0 {
			more, err = l.More(ctx, &j.request)
		}
		if err == nil && len(more) > 0 && l.Settle != nil {
			err = l.Settle(ctx, j.table)
		}
		if err != nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.proceed(j, more)
		return nil
	})
}

// sifted waits until the sinks can delete what vanished without holding the stream up.
func (l *Live) sifted(ctx context.Context, j *job) error {
	l.mu.Lock()
	sweeps := j.request.Replace && !j.swept
	l.mu.Unlock()
	out, ok := l.Out.(pipeline.Sifting)
	if !ok || !sweeps {
		return nil
	}
	return out.Sifted(ctx, j.table)
}

// proceed gives a job what is still to be read, or ends it. mu is held.
func (l *Live) proceed(j *job, more []Segment) {
	j.open = true
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
