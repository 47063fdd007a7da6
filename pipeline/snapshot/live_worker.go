package snapshot

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// work is one worker's life: it reads one chunk after another and keeps a session as long as there are
// any.
func (l *Live) work(ctx context.Context) error {
	var r Reader
	shut := func() error {
		if r == nil {
			return nil
		}
		err := r.Close()
		r = nil
		return err
	}
	defer func() { _ = shut() }() // the run is over: nothing depends on a session's end
	for {
		p := l.take(ctx, r != nil)
		if p == nil && ctx.Err() != nil {
			return nil
		}
		if p == nil { // nothing to do for a while
			if err := shut(); err != nil {
				l.Log.Debug("close a reader", "error", err)
			}
			continue
		}
		err := l.read(ctx, &r, p)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			_ = shut() // it failed already
			if err := l.failed(ctx, p, err); err != nil {
				return err
			}
		}
	}
}

func (l *Live) read(ctx context.Context, r *Reader, p *Piece) error {
	if *r == nil {
		opened, err := l.Open(ctx)
		if err != nil {
			return err
		}
		*r = opened
	}
	l.mu.Lock()
	limit := Limit{Rows: p.job.rows, Bytes: mostBytes}
	l.mu.Unlock()
	began := time.Now()
	if err := (*r).Read(ctx, p, limit); err != nil {
		return err
	}
	l.done(p, time.Since(began))
	return nil
}

// take waits for a chunk to read and a piece to hold it. A worker with a session gets nil after a while
// without work, to end the session; so does everybody when ctx ends.
func (l *Live) take(ctx context.Context, session bool) *Piece {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := time.Now().Add(idleReader)
	if session {
		timer := time.AfterFunc(idleReader, l.wake)
		defer timer.Stop()
	}
	for !l.over && ctx.Err() == nil {
		if j := l.pick(); j != nil {
			if p := l.hold(); p != nil {
				return l.start(j, p)
			}
		}
		if session && !time.Now().Before(until) {
			return nil
		}
		l.changed.Wait()
	}
	return nil
}

// wake makes everybody look again. It takes the lock so that nobody is between looking and waiting.
func (l *Live) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed.Broadcast()
}

// pick returns the job whose next chunk is read: that with the fewest in flight, so that a large table
// does not hold up a small one. mu is held.
func (l *Live) pick() *job {
	var best *job
	for _, j := range l.jobs {
		if !j.open || j.gate || len(j.todo) == 0 {
			continue
		}
		if best == nil || len(j.busy) < len(best.busy) {
			best = j
		}
	}
	return best
}

// hold returns an empty piece; nil where all are in use. mu is held.
func (l *Live) hold() *Piece {
	if n := len(l.free); n > 0 {
		p := l.free[n-1]
		l.free = l.free[:n-1]
		return p
	}
	if l.made >= piecesEach*max(l.Workers, 1) {
		return nil
	}
	l.made++
	return &Piece{}
}

// start gives a piece the front of a job's work. mu is held.
func (l *Live) start(j *job, p *Piece) *Piece {
	l.lastID++
	p.job, p.id, p.Table, p.Request = j, l.lastID, j.table, j.request
	p.Segment = j.todo[0]
	j.todo = slices.Delete(slices.Clone(j.todo), 0, 1)
	j.busy[p.id] = p.Segment
	l.reading[p.id] = p
	return p
}

// done puts a piece that was read in the queue to be merged, and what it left back to the work.
func (l *Live) done(p *Piece, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.reading, p.id)
	if p.job.ended {
		l.release(p)
		return
	}
	if p.Rest != nil { // first, so that few segments are begun and not done
		p.job.todo = slices.Insert(p.job.todo, 0, *p.Rest)
	}
	p.job.busy[p.id] = p.Segment
	p.job.tries = 0
	p.job.pace(len(p.Rows), took)
	l.enqueue(p)
	l.changed.Broadcast()
}

// pace adapts how much is read at once to the time that it took.
func (j *job) pace(rows int, took time.Duration) {
	switch {
	case took > 2*aimedTime:
		j.rows = max(leastRows, j.rows/growthPerTry)
	case took < aimedTime/2 && rows >= j.rows/2:
		j.rows = min(mostRows, j.rows*growthPerTry)
	}
}

// failed tries a chunk again, or gives its table up. A fault that passes ends the run once it has not
// passed: the whole pipeline begins again from what is saved.
func (l *Live) failed(ctx context.Context, p *Piece, err error) error {
	l.mu.Lock()
	if p.job.ended {
		delete(l.reading, p.id)
		l.release(p)
		l.mu.Unlock()
		return nil
	}
	p.job.tries++
	tries := p.job.tries
	l.mu.Unlock()
	retryable := pipeline.ClassOf(err) == pipeline.Retryable
	if retryable && tries < maxTries {
		l.Log.Warn("a chunk could not be read and is tried again", "table", p.Table, "error", err)
		if pause(ctx, retryPause) != nil {
			return nil
		}
		l.mu.Lock()
		l.again(p)
		l.mu.Unlock()
		return nil
	}
	if retryable {
		return fmt.Errorf("table %s, chunk %s: %w", p.Table, p.Segment.Range(), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finish(p.job, Failed, fmt.Errorf("chunk %s: %w", p.Segment.Range(), err))
	delete(l.reading, p.id)
	l.release(p)
	return nil
}

// again puts what a piece covers back to the front of the work. mu is held.
func (l *Live) again(p *Piece) {
	delete(l.reading, p.id)
	p.job.todo = slices.Insert(p.job.todo, 0, p.job.busy[p.id])
	l.release(p)
}

// release frees a piece that is not merged. mu is held.
func (l *Live) release(p *Piece) {
	l.gone(p)
	delete(p.job.busy, p.id)
	if p.Flags == 0 {
		l.recycle(p)
	}
}

// recycle makes a piece free for the next chunk. mu is held.
func (l *Live) recycle(p *Piece) {
	p.reset()
	l.free = append(l.free, p)
	l.changed.Broadcast()
}
