package checkpoint

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// held is what a process knows of its lease without asking.
type held struct {
	opened time.Time
	renew  atomic.Int64 // when the last sign of life that arrived was begun, in nanoseconds from opened
	once   sync.Once
	lost   chan struct{} // closed once another process has the pipeline
}

func newHeld(taken time.Time) *held { return &held{opened: taken, lost: make(chan struct{})} }

// told notes what the server said to a sign of life that was begun then.
func (h *held) told(ours bool, began time.Time) error {
	if !ours {
		h.once.Do(func() { close(h.lost) })
		return pipeline.ErrFenced
	}
	for at := int64(began.Sub(h.opened)); ; {
		last := h.renew.Load()
		if at <= last || h.renew.CompareAndSwap(last, at) {
			return nil
		}
	}
}

// overdue reports whether another process may have taken the pipeline by now.
func (h *held) overdue(lease time.Duration) bool {
	return time.Since(h.opened)-time.Duration(h.renew.Load()) >= lease
}

// Term is the number of this process's turn among all that had the pipeline.
func (p *Postgres) Term() int64 { return p.epoch }

// Lost implements pipeline.Leased.
func (p *Postgres) Lost() <-chan struct{} { return p.held.lost }

// Held implements pipeline.Leased: within the lease after a sign of life nobody else can have the pipeline,
// after it the server is asked.
func (p *Postgres) Held(ctx context.Context) error {
	select {
	case <-p.held.lost:
		return p.server.explain(ctx, pipeline.ErrFenced)
	default:
	}
	if !p.held.overdue(p.server.Lease) {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.held.overdue(p.server.Lease) { // somebody was faster
		return nil
	}
	within, cancel := context.WithTimeout(ctx, p.server.Lease)
	defer cancel()
	if err := p.sign(within); err != nil {
		return p.failed(ctx, err)
	}
	return nil
}

// sign gives a sign of life. mu is held.
func (p *Postgres) sign(ctx context.Context) error {
	if err := p.connected(ctx); err != nil {
		return err
	}
	began := time.Now()
	rows, err := query(ctx, p.conn, p.server.sql(beatSQL), text(p.server.Pipeline), number(p.epoch))
	if err != nil {
		return err
	}
	return p.held.told(len(rows) == 1, began)
}

var _ pipeline.Leased = (*Postgres)(nil)
