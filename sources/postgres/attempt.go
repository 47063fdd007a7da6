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
