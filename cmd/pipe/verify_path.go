package main

import (
	"context"
	"sync"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The bounds of the batches that a comparison reads.
const (
	verifyRows    = 8192
	verifyBytes   = 4 << 20
	verifyBatches = 3 // one being compared, the others being filled
)

// verifyPath is a way from a source through transforms to a sink.
type verifyPath struct {
	source, sink string
	stages       []*stage // from upstream to downstream
}

// stage is a transform with what it is bound to.
type stage struct {
	address   string
	transform pipeline.Transform
	bound     map[*pipeline.Schema]*binding
}

type binding struct {
	out *pipeline.Schema
	f   pipeline.Func
}

func (s *stage) bind(in *pipeline.Schema) (*binding, error) {
	if b := s.bound[in]; b != nil {
		return b, nil
	}
	out, f, err := s.transform.Bind(in)
	if err != nil {
		return nil, at(s.address, err)
	}
	b := &binding{out: out, f: f}
	s.bound[in] = b
	return b, nil
}

// schema returns what a table's rows leave the path under; nil where it drops the table.
func (p *verifyPath) schema(s *pipeline.Schema) (*pipeline.Schema, error) {
	for _, stage := range p.stages {
		b, err := stage.bind(s)
		if err != nil || b.out == nil {
			return nil, err
		}
		s = b.out
	}
	return s, nil
}

// pass sends a row through the path and returns what comes out; nil where the path drops it.
func (p *verifyPath) pass(a *pipeline.Arena, r *pipeline.Row) (*pipeline.Row, error) {
	out := *r
	out.Values = a.Values(len(r.Values))
	copy(out.Values, r.Values)
	for _, stage := range p.stages {
		b, err := stage.bind(out.Schema)
		if err != nil || b.out == nil {
			return nil, err
		}
		out.Schema = b.out
		if b.f == nil {
			continue
		}
		if keep, err := b.f(a, &out); err != nil || !keep {
			return nil, err
		}
	}
	return &out, nil
}

// rowOutput hands batches of rows to a function, one at a time. It is the pipeline.Output of a source
// that is read for a comparison; nothing is saved, so there is nothing to wait for.
type rowOutput struct {
	handle func(b *pipeline.Batch) error
	room   chan struct{} // a place for each batch

	mu   sync.Mutex // held while handle runs; guards the following
	free []*pipeline.Batch
	err  error
}

func newRowOutput(handle func(b *pipeline.Batch) error) *rowOutput {
	return &rowOutput{handle: handle, room: make(chan struct{}, maxReaders+verifyBatches)}
}

// maxReaders is the most readers that a source may have (the bound of its workers), each of which holds a
// batch.
const maxReaders = 64

// New implements pipeline.Output.
func (o *rowOutput) New(ctx context.Context, s pipeline.Stream) (*pipeline.Batch, error) {
	select {
	case o.room <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return nil, o.err
	}
	b := &pipeline.Batch{MaxRows: verifyRows, MaxBytes: verifyBytes}
	if n := len(o.free); n > 0 {
		b, o.free = o.free[n-1], o.free[:n-1]
	}
	b.Stream = s
	return b, nil
}

// Emit implements pipeline.Output.
func (o *rowOutput) Emit(b *pipeline.Batch) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	<-o.room
	if o.err == nil {
		o.err = o.handle(b)
	}
	b.Reset()
	o.free = append(o.free, b)
	return o.err
}

// Idle implements pipeline.Output.
func (o *rowOutput) Idle() bool { return true }

// Drain implements pipeline.Output.
func (o *rowOutput) Drain(context.Context, ...pipeline.Stream) error { return nil }
