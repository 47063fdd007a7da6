package engine

import (
	"sync/atomic"

	"github.com/pipe-cdc/pipe/pipeline"
)

// flight is one batch on its way from Emit until every sink has written it.
type flight struct {
	pool   *pool
	root   view // the batch as the source filled it
	refs   atomic.Int32
	charge int // bytes; guarded by pool.mu
	extra  int // bytes of the views; used by the source's transform goroutine

	stream *stream
	seq    uint64          // ordinal in the stream, from 1
	marks  []pipeline.Mark // as emitted: transforms re-base those of the batch
	rows   int             // as emitted
	left   int             // sinks that have not written it yet; guarded by tracker.mu
	next   *flight         // of those that arrive together
}

// covers returns the ordinal of the last flight whose rows are all complete by this one's last mark.
func (f *flight) covers() (seq uint64, marked bool) {
	if len(f.marks) == 0 {
		return 0, false
	}
	if f.marks[len(f.marks)-1].End == f.rows {
		return f.seq, true
	}
	return f.seq - 1, true
}

// release drops one reference to the flight. There is one for the tracker and one for each view other
// than the root; the root's own references hold one together.
func (f *flight) release() {
	if f.refs.Add(-1) == 0 {
		f.pool.put(f)
	}
}

// view is what a sink reads: the root batch, a branch's copy of its rows, or a merge of several.
type view struct {
	batch   pipeline.Batch
	flight  *flight
	refs    atomic.Int32
	origin  []int32 // index of each row in the root as emitted; kept where the source has merges
	parents []*view // whose memory a merge reads
}

func (v *view) retain() { v.refs.Add(1) }

// release drops one reference; the last one gives the memory back.
func (v *view) release() {
	if v.refs.Add(-1) != 0 {
		return
	}
	for _, p := range v.parents {
		p.release()
	}
	v.parents = v.parents[:0]
	f := v.flight
	if v != &f.root {
		f.pool.putView(v)
	}
	f.release()
}
