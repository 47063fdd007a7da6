package engine

import (
	"context"

	"github.com/pipe-cdc/pipe/pipeline"
)

// simSink writes to a simTable. It checks each row and mark against what the table must get next.
// What comes after a batch's last Mark it holds in memory, where a crash loses it.
type simSink struct {
	simPart
	table  *simTable
	epoch  int
	next   map[pipeline.Stream]int  // the row that must come next, in this life
	busy   map[pipeline.Stream]bool // being written
	failed bool
	closed bool
}

// The kinds of sinks: a sink is a Keeper, or Parallel, by its type.
type (
	simKeeper         struct{ *simSink }
	simParallel       struct{ *simSink }
	simParallelKeeper struct{ simKeeper }
)

func (s simParallel) Lanes() int       { return s.table.lanes }
func (s simParallelKeeper) Lanes() int { return s.table.lanes }

func newSimSink(p simPart, k *simTable) (*simSink, pipeline.Sink) {
	s := &simSink{simPart: p, table: k, next: map[pipeline.Stream]int{}, busy: map[pipeline.Stream]bool{}}
	switch {
	case k.keeper && k.lanes > 0:
		return s, simParallelKeeper{simKeeper{s}}
	case k.keeper:
		return s, simKeeper{s}
	case k.lanes > 0:
		return s, simParallel{s}
	}
	return s, s
}

func (s simKeeper) Checkpoint(context.Context) (pipeline.Checkpoint, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.table.epoch++
	s.epoch = s.table.epoch
	return s.table.kept.Clone(), nil
}

func (s *simSink) Write(_ context.Context, b *pipeline.Batch) error {
	if !s.alive() {
		return errCrashed
	}
	s.begin(b)
	s.w.mu.Unlock()
	s.nap(8)
	if !s.alive() {
		return errCrashed
	}
	defer s.w.mu.Unlock()
	delete(s.busy, b.Stream)
	early := s.w.chance(150)
	if early {
		s.failed = true
		return errLost
	}
	s.take(b)
	if s.w.chance(150) { // the answer to the commit is lost
		s.failed = true
		return errLost
	}
	return nil
}

// begin checks how the engine calls Write; with the world locked.
func (s *simSink) begin(b *pipeline.Batch) {
	if s.failed {
		s.w.violate(6, "%s is written to after it failed", s.table.address)
	}
	if s.closed {
		s.w.violate(6, "%s is written to after Close", s.table.address)
	}
	if s.busy[b.Stream] {
		s.w.violate(3, "%s gets two batches of %s at once", s.table.address, b.Stream)
	}
	s.busy[b.Stream] = true
	if len(s.busy) > max(s.table.lanes, 1) {
		s.w.violate(3, "%s has %d lanes and %d writes", s.table.address, s.table.lanes, len(s.busy))
	}
}

// take makes a batch durable up to its last Mark; with the world locked.
func (s *simSink) take(b *pipeline.Batch) {
	k, q, i := s.table, b.Stream, 0
	if _, begun := s.next[q]; !begun {
		s.next[q] = k.upTo(q, s.resumed(q))
	}
	for _, m := range b.Marks {
		if m.End > len(b.Rows) {
			s.w.violate(1, "%s got of %s a mark after row %d of %d", k.address, q, m.End, len(b.Rows))
		}
		for ; i < min(m.End, len(b.Rows)); i++ {
			s.row(q, &b.Rows[i])
		}
		s.mark(q, m)
	}
	for ; i < len(b.Rows); i++ {
		s.row(q, &b.Rows[i])
	}
}

// resumed returns where this life's source was told to begin.
func (s *simSink) resumed(q pipeline.Stream) pipeline.Position {
	for _, l := range s.w.sources {
		if local, ok := q.Local(l.address); ok {
			return l.from[local]
		}
	}
	return ""
}

func (s *simSink) row(q pipeline.Stream, r *pipeline.Row) {
	n, want := s.next[q], s.table.want[q]
	s.next[q]++
	if r.Tx == nil || r.Schema == nil || len(r.Values) != 1 || r.Values[0].Kind() != pipeline.Text {
		s.w.violate(3, "%s got of %s a row whose memory was given to somebody else", s.table.address, q)
		return
	}
	if n >= len(want) {
		s.w.violate(3, "%s got of %s row %d (%s), there are only %d", s.table.address, q, n, r.Values[0], len(want))
		return
	}
	if have := r.Values[0].String(); have != want[n].text || r.Tx.Pos != pos(want[n].tx) {
		s.w.violate(3, "%s got of %s as row %d %q of %s, want %q of %s", s.table.address, q, n,
			have, r.Tx.Pos, want[n].text, pos(want[n].tx))
	}
}

// mark makes durable what came before it. A Keeper takes only what lies after the position it holds.
func (s *simSink) mark(q pipeline.Stream, m pipeline.Mark) {
	k := s.table
	have, want := s.next[q], k.upTo(q, m.Pos)
	if m.Pos == "" {
		want = max(have, k.durable[q])
		s.next[q] = len(k.want[q])
	} else if have != want {
		s.w.violate(1, "%s got of %s the mark %q after %d rows, want %d", k.address, q, m.Pos, have, want)
	}
	k.durable[q] = max(k.durable[q], want)
	if k.keeper {
		if s.epoch != k.epoch {
			s.w.violate(6, "%s writes under an old fence", k.address)
		}
		if m.Pos == "" || m.Pos > k.kept[q] {
			k.kept.Apply(q, m.Pos)
		}
	}
}

func (s *simSink) Close() error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.closed {
		s.w.violate(6, "%s is closed twice", s.table.address)
	}
	if len(s.busy) > 0 && s.life == s.w.life {
		s.w.violate(6, "%s is closed while it writes", s.table.address)
	}
	s.closed = true
	return nil
}
