package mariadb

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// leftOver finds out what an earlier run has left of a first snapshot, as unfinished does. Where several
// processes read it, and the rest of it is going to be read beside the stream, none of those may write any
// more.
func (r *runner) leftOver(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) (why error, open bool, err error) {
	if _, open = r.unfinished(from); !open {
		return nil, false, nil
	}
	a, err := snapshot.ParseAttempt(from[snapshot.AttemptStream])
	shared := err == nil && a.Shared && !a.Closed && r.source.board != nil
	var lost error
	if shared {
		if lost, err = r.recallShare(ctx, a, from); err != nil {
			return nil, false, err
		}
	}
	if why, open = r.unfinished(from); why == nil {
		why = lost
	}
	if !shared || why != nil {
		return why, open, nil
	}
	if err := r.saveLedger(ctx, out); err != nil {
		return nil, false, err
	}
	a.Closed = true
	return nil, open, snapshot.SaveMark(ctx, out, snapshot.AttemptStream, a.Position())
}

// recallShare brings the ledger up to what every sink has of a shared snapshot whose leader is gone: that
// one's ledger lags behind what helpers, and itself, had just finished. Which rows a chunk had the board
// tells, that they are there the positions. why says that a sink has lost chunks of which the ledger speaks.
func (r *runner) recallShare(ctx context.Context, a snapshot.Attempt, from pipeline.Checkpoint) (why, err error) {
	claims, err := r.source.board.Recall(ctx, a)
	if err != nil {
		return nil, err
	}
	tables := map[string][]snapshot.Claim{}
	for _, c := range claims {
		tables[c.Chunk.Table] = append(tables[c.Chunk.Table], c)
	}
	for name, list := range tables {
		e, known := r.ledger.Entry(name)
		if !known || e.Request.Reason != snapshot.ForInitial {
			continue
		}
		slices.SortFunc(list, func(x, y snapshot.Claim) int { return cmp.Compare(x.Chunk.Ordinal, y.Chunk.Ordinal) })
		open := e.Status.Open()
		if open && !e.Planned {
			continue // all of it is read again
		}
		missing, done := settled(&e, open, list, func(n int) bool { return from[a.Stream(n)] >= snapshot.Reached(1) })
		if missing {
			return errors.New("a sink has lost rows of table " + name), nil
		}
		if done > 0 {
			r.ledger.Change(name, func(to *snapshot.Entry) { to.Left, to.ChunksDone = e.Left, e.ChunksDone+done })
		}
	}
	return nil, nil
}

// settled takes the chunks that are there off what an entry says is left; list has all of the table's, in
// their order. It returns how many these are, and whether one is missing that the entry says is there.
func settled(e *snapshot.Entry, open bool, list []snapshot.Claim, there func(number int) bool) (missing bool, done int) {
	var left []snapshot.Segment
	rest := e.Left
	if !open {
		rest = nil
	}
	for _, s := range rest {
		from, to := chunksOf(&s, list)
		if from < 0 {
			left = append(left, s) // of something else
			continue
		}
		for i := from; i <= to; i++ {
			c := &list[i]
			if there(c.Number) {
				done++
				continue
			}
			r := &c.Chunk.Range
			if n := len(left); n > 0 && i > from && !there(list[i-1].Number) {
				left[n-1].High = r.High
				continue
			}
			left = append(left, snapshot.Segment{Part: s.Part, Cut: r.Cut, Low: r.Low, High: r.High})
		}
	}
	for i := range list {
		if !there(list[i].Number) && !slices.ContainsFunc(rest, func(s snapshot.Segment) bool {
			from, to := chunksOf(&s, list)
			return from >= 0 && from <= i && i <= to
		}) {
			missing = true
		}
	}
	e.Left = left
	return missing, done
}

// chunksOf returns which chunks a segment consists of; from is -1 where it is not of these.
func chunksOf(s *snapshot.Segment, list []snapshot.Claim) (from, to int) {
	if len(s.Keys) > 0 || s.After {
		return -1, -1
	}
	from = slices.IndexFunc(list, func(c snapshot.Claim) bool { return sameBound(c.Chunk.Range.Low, s.Low) })
	to = slices.IndexFunc(list, func(c snapshot.Claim) bool { return sameBound(c.Chunk.Range.High, s.High) })
	if from < 0 || to < from {
		return -1, -1
	}
	return from, to
}

// sameBound compares bounds; nil, which is none, is only like itself.
func sameBound(a, b []string) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }
