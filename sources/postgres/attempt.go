package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

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

// attempt records that a snapshot begins; where an earlier one was not finished (again), what that one
// delivered is void.
func (r *runner) attempt(ctx context.Context, a snapshot.Attempt, wanted []*table, again bool,
	out pipeline.Output) error {
	var voided []*pipeline.Schema
	if again {
		r.env.Log.Warn("an earlier snapshot was not finished: it starts over", "tables", len(wanted))
		for _, t := range wanted {
			voided = append(voided, t.Schema)
		}
	}
	return snapshot.Begin(ctx, a, voided, out)
}
