package postgres

import (
	"context"
	"math"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// recallShare brings the ledger up to what every sink has of a shared snapshot whose leader is gone: that
// one's ledger lags behind what helpers, and itself, had just finished. Which rows a chunk had the board
// tells, that they are there the positions. What is relied on is told on snapshot.KeptStream, as the leader does.
func (r *runner) recallShare(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error {
	a, err := snapshot.ParseAttempt(from[snapshot.AttemptStream])
	if err != nil || !a.Shared || r.source.board == nil {
		return nil
	}
	chunks, err := r.source.board.Recall(ctx, a)
	if err != nil || len(chunks) == 0 || !whole(from, a) {
		return err
	}
	there := map[string][]snapshot.Chunk{}
	for _, c := range chunks {
		if from[a.Stream(c.Number)] >= snapshot.Reached(1) {
			there[c.Chunk.Table] = append(there[c.Chunk.Table], c.Chunk)
		}
	}
	if len(there) == 0 {
		return nil
	}
	if err := tellShare(ctx, a, from, out); err != nil {
		return err
	}
	for table, done := range there {
		e, known := r.ledger.Entry(table)
		if !known || !e.Planned || !e.Status.Open() {
			continue
		}
		left := e.Left
		for i := range done {
			left = without(left, &done[i])
		}
		r.ledger.Change(table, func(e *snapshot.Entry) { e.Left = left })
	}
	return nil
}

// tellShare saves that the ledger may speak of every chunk that is there.
func tellShare(ctx context.Context, a snapshot.Attempt, from pipeline.Checkpoint, out pipeline.Output) error {
	k := initialKeeper{out: out, attempt: a, reached: make([]int, a.Streams)}
	for n := range k.reached {
		if from[a.Stream(n)] >= snapshot.Reached(1) {
			k.reached[n] = 1
		}
	}
	if parts := strings.Split(string(from[snapshot.KeptStream]), "/"); len(parts) == 3 {
		version, err := strconv.ParseUint(parts[1], 16, 64)
		if err != nil {
			return failed(pipeline.Environment, "Was it written by a newer version of pipe?", "position %q of %s: %w",
				from[snapshot.KeptStream], snapshot.KeptStream, err)
		}
		k.version = version
	}
	return k.tell(ctx)
}

// without takes a chunk's blocks out of segments. A chunk of something else stays.
func without(left []snapshot.Segment, c *snapshot.Chunk) []snapshot.Segment {
	var out []snapshot.Segment
	for _, s := range left {
		leaf, _, err := splitNode(s.Part)
		if err != nil || leaf != c.Part || s.Cut != snapshot.ByBlock || c.Range.Cut == snapshot.ByKey || len(s.Keys) > 0 || s.After {
			out = append(out, s)
			continue
		}
		low, high := blocksOf(s.Low, s.High)
		from, to := blocksOf(c.Range.Low, c.Range.High)
		if to <= low || from >= high {
			out = append(out, s)
			continue
		}
		if low < from {
			before := s
			before.High = c.Range.Low
			out = append(out, before)
		}
		if to < high {
			after := s
			after.Low = c.Range.High
			out = append(out, after)
		}
	}
	return out
}

// blocksOf reads the bounds of a range of blocks; none is as far as there can be any.
func blocksOf(low, high []string) (from, to int64) {
	to = math.MaxInt64
	if low != nil {
		from = boundOf(low)
	}
	if high != nil {
		to = boundOf(high)
	}
	return from, to
}

// boundOf reads a bound; 0 where it is none of blocks.
func boundOf(bound []string) int64 {
	if len(bound) != 1 {
		return 0
	}
	n, err := strconv.ParseInt(bound[0], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
