package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

var (
	errCrashed = errors.New("crashed")
	errLost    = &pipeline.Error{Class: pipeline.Retryable, Err: errors.New("connection lost")}
)

// simSchemas are the tables of the even and the odd keys.
var simSchemas = [2]*pipeline.Schema{
	{Namespace: "t", Table: "even", Columns: []pipeline.Column{{Name: "text", Kind: pipeline.Text}}, Key: []int{0}},
	{Namespace: "t", Table: "odd", Columns: []pipeline.Column{{Name: "text", Kind: pipeline.Text}}, Key: []int{0}},
}

// simPart is a part of one life.
type simPart struct {
	w    *world
	life int
}

// nap passes up to n milliseconds of fake time.
func (p simPart) nap(n int) {
	p.w.mu.Lock()
	d := time.Duration(p.w.rng.IntN(n*1000+1)) * time.Microsecond
	p.w.mu.Unlock()
	time.Sleep(d)
}

// alive locks the world; where the life is over it does not and returns false.
func (p simPart) alive() bool {
	p.w.mu.Lock()
	if p.life == p.w.life {
		return true
	}
	p.w.mu.Unlock()
	return false
}

// simSource reads a simLog: chunks side by side, Drain, a mark that they are done, then the wal.
type simSource struct {
	simPart
	log *simLog
	out pipeline.Output
}

func (s *simSource) Run(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error {
	if !s.alive() {
		return errCrashed
	}
	s.out, s.log.from = out, from
	s.w.running[s.log.address] = true
	if from["wal"] < s.log.forgot {
		s.w.violate(2, "resumed at %q where upstream has forgotten what is before %q", from["wal"], s.log.forgot)
	}
	s.w.mu.Unlock()
	defer func() {
		s.w.mu.Lock()
		defer s.w.mu.Unlock()
		if s.life == s.w.life {
			s.w.running[s.log.address] = false
		}
	}()
	if err := s.snapshot(ctx, from); err != nil {
		return err
	}
	if err := s.read(ctx, "wal", number(from["wal"])); err != nil {
		return err
	}
	return s.drain(ctx)
}

func (s *simSource) snapshot(ctx context.Context, from pipeline.Checkpoint) error {
	var chunks []pipeline.Stream
	for c := range s.log.streams {
		if c != "wal" {
			chunks = append(chunks, c)
		}
	}
	slices.Sort(chunks)
	if from["table"] == "" {
		if err := s.readChunks(ctx, from, chunks); err != nil {
			return err
		}
		if err := s.drain(ctx, chunks...); err != nil {
			return err
		}
		if err := s.mark(ctx, "table", pos(1)); err != nil {
			return err
		}
		if err := s.drain(ctx, "table"); err != nil {
			return err
		}
	}
	for _, c := range chunks {
		if err := s.mark(ctx, c, ""); err != nil {
			return err
		}
	}
	return nil
}

func (s *simSource) readChunks(ctx context.Context, from pipeline.Checkpoint, chunks []pipeline.Stream) error {
	var reading sync.WaitGroup
	errs := make([]error, len(chunks))
	for i, c := range chunks {
		reading.Go(func() { errs[i] = s.read(ctx, c, number(from[c])) })
	}
	reading.Wait()
	return errors.Join(errs...)
}

// read emits a stream's transactions from one on, cutting batches where it likes.
func (s *simSource) read(ctx context.Context, stream pipeline.Stream, tx int) error {
	var b *pipeline.Batch
	var err error
	for ; tx < len(s.log.streams[stream]); tx++ {
		at := &pipeline.Tx{Pos: pos(tx)}
		for _, ev := range s.log.streams[stream][tx] {
			if b != nil && b.Full() {
				if err = s.emit(b); err != nil {
					return err
				}
				b = nil
			}
			if b == nil {
				if b, err = s.out.New(ctx, stream); err != nil {
					return err
				}
			}
			r := b.Add()
			r.Schema, r.Tx, r.Op, r.Values = simSchemas[ev.key%2], at, pipeline.Insert, b.Values(1)
			r.Values[0] = pipeline.BytesValue(pipeline.Text, b.Copy([]byte(ev.text)))
		}
		b.Mark(pos(tx + 1))
		if s.w.cut(s.out.Idle()) {
			if err = s.emit(b); err != nil {
				return err
			}
			b = nil
			if err = s.pauseOrDrain(ctx, stream); err != nil {
				return err
			}
		}
	}
	if b == nil {
		return nil
	}
	return s.emit(b)
}

// cut decides whether a source emits a batch that is not full.
func (w *world) cut(idle bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return idle || w.rng.IntN(3) == 0
}

func (s *simSource) pauseOrDrain(ctx context.Context, stream pipeline.Stream) error {
	s.w.mu.Lock()
	choice := s.w.rng.IntN(20)
	s.w.mu.Unlock()
	switch {
	case choice == 0:
		return s.drain(ctx, stream)
	case choice == 1: // all is written by now, and not saved yet
		s.nap(30)
		return s.drain(ctx, stream)
	case choice < 8:
		s.nap(3)
	}
	return ctx.Err()
}

func (s *simSource) mark(ctx context.Context, stream pipeline.Stream, p pipeline.Position) error {
	b, err := s.out.New(ctx, stream)
	if err != nil {
		return err
	}
	b.Mark(p)
	return s.emit(b)
}

func (s *simSource) emit(b *pipeline.Batch) error {
	q, p, marked := b.Stream, pipeline.Position(""), false
	p, marked = b.Last()
	if err := s.out.Emit(b); err != nil {
		return err
	}
	if marked && s.alive() {
		s.w.emitted[q] = p
		s.w.mu.Unlock()
	}
	return nil
}

func (s *simSource) drain(ctx context.Context, streams ...pipeline.Stream) error {
	if err := s.out.Drain(ctx, streams...); err != nil {
		return err
	}
	if s.alive() {
		if len(streams) == 0 {
			streams = []pipeline.Stream{"wal", "table"}
		}
		s.w.checkDrained(s.log, streams)
		s.w.mu.Unlock()
	}
	return nil
}

func (s *simSource) Commit(_ context.Context, cp pipeline.Checkpoint) error {
	if !s.alive() {
		return errCrashed
	}
	defer s.w.mu.Unlock()
	if !s.w.running[s.log.address] {
		s.w.violate(2, "told after Run had returned")
	}
	told := pipeline.Checkpoint{}
	for local, p := range cp {
		q := local.In(s.log.address)
		told[q] = p
		if s.w.store && s.w.saved[q] < p {
			s.w.violate(2, "told %s at %q where %q is saved", q, p, s.w.saved[q])
		}
	}
	s.w.checkDurable(s.w.told, merged(s.w, s.log.address, told))
	s.w.told = merged(s.w, s.log.address, told)
	s.log.forgot = max(s.log.forgot, cp["wal"])
	return nil
}

// merged returns what was told with one source's part replaced.
func merged(w *world, address string, part pipeline.Checkpoint) pipeline.Checkpoint {
	out := part.Clone()
	for q, p := range w.told {
		if _, ours := q.Local(address); !ours {
			out[q] = p
		}
	}
	return out
}

// simTransform is a simStep as a Transform; it makes new values in the arena it is given.
type simTransform struct {
	step simStep
}

func (x simTransform) Bind(in *pipeline.Schema) (*pipeline.Schema, pipeline.Func, error) {
	if in.Table == [2]string{"even", "odd"}[max(x.step.table, 0)] && x.step.table >= 0 {
		return nil, nil, nil
	}
	out := *in
	n := 0
	return &out, func(a *pipeline.Arena, r *pipeline.Row) (bool, error) {
		if n++; n%16 == 0 {
			time.Sleep(x.step.delay)
		}
		text := r.Values[0].String()
		var key int
		fmt.Sscanf(text[strings.Index(text, " k"):], " k%d", &key)
		ev, keep := x.step.apply(simEvent{key, text})
		r.Values[0] = pipeline.BytesValue(pipeline.Text, a.Copy([]byte(ev.text)))
		return keep, nil
	}, nil
}

// simStore is the store of one life.
type simStore struct{ simPart }

func (s simStore) Load(context.Context) (pipeline.Checkpoint, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.w.saved.Clone(), nil
}

func (s simStore) Save(_ context.Context, cp pipeline.Checkpoint) error {
	s.nap(3)
	if !s.alive() {
		return errCrashed
	}
	defer s.w.mu.Unlock()
	if s.w.chance(60) {
		return errLost
	}
	s.w.checkDurable(s.w.saved, cp)
	s.w.saved = cp.Clone()
	return nil
}

func (s simStore) Close() error { return nil }
