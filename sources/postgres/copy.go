package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// attemptStream is the local name of the stream whose position says that a snapshot was begun. It
// is forgotten once the stream of changes has a position.
const attemptStream pipeline.Stream = chunkPrefix + "attempt"

// copyAt copies the tables' rows as they were at the slot's consistent point, and gives the stream
// its first position: only once every row is saved, so that a crash before starts the snapshot over.
func (r *runner) copyAt(ctx context.Context, m made, wanted []*table, from pipeline.Checkpoint, out pipeline.Output) error {
	if len(wanted) == 0 {
		return r.markStart(ctx, m.At, out)
	}
	r.source.enter("snapshot")
	if err := r.attempt(ctx, wanted, chunkStreams(from), out); err != nil {
		return err
	}
	rest := from.Clone() // without what attempt has forgotten already
	for _, s := range chunkStreams(rest) {
		delete(rest, s)
	}
	if err := r.snapshot(ctx, m.Snapshot, m.At, wanted, rest, out); err != nil {
		return err
	}
	if err := r.markStart(ctx, m.At, out); err != nil {
		return err
	}
	if err := out.Drain(ctx, walStream); err != nil {
		return err
	}
	return forget(ctx, out, []pipeline.Stream{attemptStream})
}

// attempt records that a snapshot begins. What an earlier one, whose exported snapshot is gone, may
// have delivered is void: rows that were deleted since would stay for ever. Its streams' positions
// are forgotten first, or a Keeper would take the new rows for known.
func (r *runner) attempt(ctx context.Context, wanted []*table, earlier []pipeline.Stream, out pipeline.Output) error {
	chunks := slices.DeleteFunc(slices.Clone(earlier), func(s pipeline.Stream) bool { return s == attemptStream })
	if err := forget(ctx, out, chunks); err != nil {
		return err
	}
	b, err := out.New(ctx, attemptStream)
	if err != nil {
		return err
	}
	if len(earlier) > 0 {
		r.env.Log.Warn("an earlier snapshot was not finished: it starts over", "tables", len(wanted))
		r.void(b, wanted)
	}
	b.Mark(attemptPosition(time.Now(), 1))
	if err := out.Emit(b); err != nil {
		return err
	}
	return out.Drain(ctx, attemptStream)
}

// void adds the rows that say so. Their transaction lies after an earlier attempt's position and
// before this one's, so a Keeper does not take them for known.
func (r *runner) void(b *pipeline.Batch, wanted []*table) {
	now := time.Now()
	tx := &pipeline.Tx{Snapshot: true, Pos: attemptPosition(now, 0), Time: now.UnixMicro() - pipeline.EpochMicros}
	for i, t := range wanted {
		row := b.Add()
		row.Schema, row.Op, row.Flags, row.Tx, row.Seq = t.Schema, pipeline.Truncate, pipeline.Again, tx, uint32(i)
	}
}

// attemptPosition is a position that rises with time.
func attemptPosition(now time.Time, step byte) pipeline.Position {
	return pipeline.Position(append(appendHex(nil, uint64(now.UnixNano()), 16), '0'+step))
}

// markStart gives the stream its first position.
func (r *runner) markStart(ctx context.Context, at uint64, out pipeline.Output) error {
	b, err := out.New(ctx, walStream)
	if err != nil {
		return err
	}
	b.Mark(r.identity.position(at))
	return out.Emit(b)
}
