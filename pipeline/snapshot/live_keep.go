package snapshot

import (
	"context"
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
		l.mu.Lock()
		records := l.merged
		l.merged = nil
		l.mu.Unlock()
		if err := l.Out.Drain(ctx, l.Stream); err != nil {
			return err
		}
		jobs := map[*job]bool{}
		for i := range records {
			l.durable(&records[i])
			jobs[records[i].job] = true
		}
		for j := range jobs {
			if err := l.advance(ctx, j); err != nil {
				return err
			}
		}
		if err := l.save(ctx); err != nil {
			return err
		}
	}
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
	j := m.job
	l.mu.Lock()
	delete(j.busy, m.id)
	left, ended := j.left(), j.ended
	switch m.flags {
	case pipeline.Sift:
		j.sifted, j.gate = true, false
		l.changed.Broadcast()
	case pipeline.Sweep:
		j.swept, j.gate = true, false
	}
	sifted := j.sifted
	l.mu.Unlock()
	if ended {
		return
	}
	l.Ledger.Change(j.table, func(e *Entry) {
		e.Left, e.Fence, e.Sifted = left, m.fence, sifted
		e.Rows += m.rows
		if m.flags == 0 && m.fence != "" {
			e.ChunksDone++
		}
	})
}

// advance ends a job that has nothing left to read, or finds what it has.
func (l *Live) advance(ctx context.Context, j *job) error {
	l.mu.Lock()
	idle := !j.ended && j.planned && !j.gate && len(j.todo) == 0 && len(j.busy) == 0
	swept := j.swept || !j.request.Replace
	l.mu.Unlock()
	if !idle {
		return nil
	}
	if l.More != nil {
		more, err := l.More(ctx, &j.request)
		if err != nil {
			return err
		}
		if len(more) > 0 {
			l.Ledger.Change(j.table, func(e *Entry) { e.Left = more })
			l.mu.Lock()
			j.todo = more
			l.changed.Broadcast()
			l.mu.Unlock()
			return nil
		}
	}
	if !swept {
		l.mu.Lock()
		l.note(j, pipeline.Sweep)
		l.mu.Unlock()
		return nil
	}
	l.finish(j, Done, nil)
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
