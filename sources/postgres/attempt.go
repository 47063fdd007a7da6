package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// newAttempt names an attempt by its consistent point, which rises from one slot to the next, the history
// that this is a point of, and chance, for a server that was set back to an earlier time.
func newAttempt(at uint64, of identity, workers int) snapshot.Attempt {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	id := appendHex(nil, at, 16)
	id = appendHex(append(id, '-'), uint64(of.timeline), 8)
	id = appendHex(append(id, '-'), of.system, 16)
	return snapshot.Attempt{ID: string(id) + "-" + hex.EncodeToString(b[:]), Streams: workers * streamsPerWorker}
}

// attemptPoint returns the consistent point of an attempt; ok is false for one that does not tell.
func attemptPoint(a snapshot.Attempt) (at uint64, of identity, ok bool) {
	parts := strings.Split(a.ID, "-")
	if len(parts) != 4 {
		return 0, of, false
	}
	at, err1 := strconv.ParseUint(parts[0], 16, 64)
	timeline, err2 := strconv.ParseUint(parts[1], 16, 32)
	system, err3 := strconv.ParseUint(parts[2], 16, 64)
	return at, identity{system: system, timeline: uint32(timeline)}, errors.Join(err1, err2, err3) == nil
}

// attempted reports whether the checkpoint tells of an attempt.
func attempted(from pipeline.Checkpoint) bool {
	_, ok := from[snapshot.AttemptStream]
	return ok || len(snapshot.Left(from)) > 0
}

// attempt records that a snapshot begins, before any of its rows. With it goes, in one transaction
// where the sink has such, that what an earlier one may have delivered is void: rows that were
// deleted since would stay for ever.
func (r *runner) attempt(ctx context.Context, a snapshot.Attempt, wanted []*table, again bool,
	out pipeline.Output) error {
	b, err := out.New(ctx, snapshot.AttemptStream)
	if err != nil {
		return err
	}
	if again {
		r.env.Log.Warn("an earlier snapshot was not finished: it starts over", "tables", len(wanted))
		void(b, a, wanted)
	}
	b.Mark(a.Position())
	if err := out.Emit(b); err != nil {
		return err
	}
	return out.Drain(ctx, snapshot.AttemptStream)
}

// void adds the rows that declare earlier attempts void.
func void(b *pipeline.Batch, a snapshot.Attempt, wanted []*table) {
	tx := &pipeline.Tx{Snapshot: true, Pos: a.Void(), Time: time.Now().UnixMicro() - pipeline.EpochMicros}
	for i, t := range wanted {
		row := b.Add()
		row.Schema, row.Op, row.Flags, row.Tx, row.Seq = t.Schema, pipeline.Truncate, pipeline.Again, tx, uint32(i)
	}
}

// supersede forgets the streams of an attempt that was not finished, before the new one's position
// takes the place of the one that tells of them. That position stays until then: it is also what says
// that the attempt's rows are void. Only where it sorts after the new one's, on a server that was set
// back, it goes first: a sink would take the rows that say so for known.
func (r *runner) supersede(ctx context.Context, a snapshot.Attempt, from pipeline.Checkpoint,
	out pipeline.Output) error {
	if err := forget(ctx, out, snapshot.Left(from)...); err != nil {
		return err
	}
	if from[snapshot.AttemptStream] < a.Void() {
		return nil
	}
	return forget(ctx, out, snapshot.AttemptStream)
}

// tidy forgets what an attempt that was finished left behind.
func tidy(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error {
	if !attempted(from) {
		return nil
	}
	return forgetAttempt(ctx, out, snapshot.Left(from))
}

// forgetAttempt makes everybody forget an attempt: its streams, and only once that is saved the
// position that tells of them.
func forgetAttempt(ctx context.Context, out pipeline.Output, streams []pipeline.Stream) error {
	if err := forget(ctx, out, streams...); err != nil {
		return err
	}
	return forget(ctx, out, snapshot.AttemptStream)
}

// forget emits the marks of all streams, then waits once.
func forget(ctx context.Context, out pipeline.Output, streams ...pipeline.Stream) error {
	if len(streams) == 0 {
		return nil
	}
	for _, s := range streams {
		b, err := out.New(ctx, s)
		if err != nil {
			return err
		}
		b.Mark("")
		if err := out.Emit(b); err != nil {
			return err
		}
	}
	return out.Drain(ctx, streams...)
}
