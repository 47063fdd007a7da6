package engine

import (
	"context"
	"sync"

	"github.com/pipe-cdc/pipe/pipeline"
)

// pool is the fixed stock of batches of one source, and with it the bound of memory and the only
// back-pressure (invariant 4).
type pool struct {
	limits Limits
	slots  int
	bytes  int // of one batch
	budget int // bytes of all
	poison bool

	mu      sync.Mutex // guards the following
	used    int
	charged int // bytes of the batches in use; those being filled count as full
	free    []*flight
	views   []*view
	waiting signal
}

func newPool(l Limits, slots int, poison bool) *pool {
	return &pool{limits: l, slots: slots, bytes: int(l.Bytes), budget: slots * int(l.Bytes), poison: poison}
}

// flight waits for a free batch. One batch may exceed the budget alone, never in company.
func (p *pool) flight(ctx context.Context, dead <-chan struct{}) (*flight, error) {
	for {
		p.mu.Lock()
		if p.used == 0 || p.used < p.slots && p.charged+p.bytes <= p.budget {
			f := p.take()
			p.mu.Unlock()
			return f, nil
		}
		changed := p.waiting.wait()
		p.mu.Unlock()
		select {
		case <-changed:
		case <-dead:
			return nil, errStopped
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take is called with mu held.
func (p *pool) take() *flight {
	p.used++
	p.charged += p.bytes
	var f *flight
	if n := len(p.free); n > 0 {
		f, p.free = p.free[n-1], p.free[:n-1]
	} else {
		f = &flight{pool: p}
		f.root.flight = f
	}
	f.charge = p.bytes
	f.root.batch.MaxRows, f.root.batch.MaxBytes = p.limits.Rows, p.bytes
	f.root.refs.Store(1)
	f.refs.Store(1)
	return f
}

// recharge says how many bytes a flight really holds.
func (p *pool) recharge(f *flight, size int) {
	p.mu.Lock()
	p.charged += size - f.charge
	f.charge = size
	p.waiting.fire()
	p.mu.Unlock()
}

// put takes a flight back.
func (p *pool) put(f *flight) {
	if p.poison || poisonAlways {
		f.root.batch.Poison()
		poisonRows(f.root.batch.Rows)
	} else {
		f.root.batch.Reset()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	p.charged -= f.charge
	if !p.poison && !poisonAlways {
		f.stream, f.marks, f.root.origin = nil, f.marks[:0], f.root.origin[:0]
		p.free = append(p.free, f)
	}
	p.waiting.fire()
}

// view returns an empty view of a flight.
func (p *pool) view(f *flight) *view {
	p.mu.Lock()
	var v *view
	if n := len(p.views); n > 0 {
		v, p.views = p.views[n-1], p.views[:n-1]
	} else {
		v = &view{}
	}
	p.mu.Unlock()
	f.refs.Add(1)
	v.flight = f
	v.batch.Stream = f.root.batch.Stream
	v.refs.Store(1)
	return v
}

func (p *pool) putView(v *view) {
	if p.poison || poisonAlways {
		v.batch.Poison()
		poisonRows(v.batch.Rows)
		return
	}
	v.batch.Reset()
	v.flight, v.origin = nil, v.origin[:0]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.views = append(p.views, v)
}

// inUse returns the batches and bytes in use.
func (p *pool) inUse() (batches, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used, p.charged
}

func poisonRows(rows []pipeline.Row) {
	for i := range rows {
		rows[i] = pipeline.Row{Op: 0xDB, Seq: 0xDBDBDBDB}
	}
}

// signal wakes everybody who waits for a change of what a mutex guards; used with that mutex held.
type signal struct{ ch chan struct{} }

func (s *signal) wait() <-chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) fire() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
