package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// begin makes the ledger that of an initial snapshot of the tables wanted; all others count as complete.
func (r *runner) begin(ctx context.Context, wanted []*table, out pipeline.Output) error {
	for _, e := range r.ledger.Entries() {
		other := slices.ContainsFunc(r.tables, func(t *table) bool {
			return t.Schema.Name() == e.Table && !slices.Contains(wanted, t)
		})
		if !other || e.Status != snapshot.Done && e.Status != snapshot.Recorded {
			r.ledger.Forget(e.Table)
		}
	}
	if err := r.saveLedger(ctx, out); err != nil { // or they would be taken for newer ones
		return err
	}
	for _, t := range wanted { // first: a sink takes a load for ended where no entry is open
		r.ledger.Change(t.Schema.Name(), pending(snapshot.ForInitial, false))
	}
	if err := r.saveLedger(ctx, out); err != nil {
		return err
	}
	for _, t := range r.tables {
		if _, known := r.ledger.Entry(t.Schema.Name()); !known {
			r.ledger.Change(t.Schema.Name(), recorded)
		}
	}
	return r.saveLedger(ctx, out)
}

// copied says that the tables of an initial snapshot were read, which is durable.
func (r *runner) copied(ctx context.Context, tables []*table, out pipeline.Output) error {
	now := time.Now().UTC()
	reports := map[string]pipeline.TableReport{}
	if p := r.source.snapshots.Load(); p != nil {
		for _, report := range p.tables() {
			reports[report.Name] = report
		}
	}
	for _, t := range tables {
		name := t.Schema.Name()
		r.ledger.Change(name, func(e *snapshot.Entry) {
			e.Status, e.Ended, e.Left, e.Planned = snapshot.Done, now, nil, false
			e.Rows, e.ChunksDone = reports[name].Rows, reports[name].ChunksDone
		})
	}
	return r.saveLedger(ctx, out)
}

// startAttempted goes on with an initial snapshot that was not finished: the stream begins at its
// consistent point, and what is left is read beside it. ok is false where that cannot be.
func (r *runner) startAttempted(ctx context.Context, s *slot, from pipeline.Checkpoint, out pipeline.Output) (at uint64,
	ok bool, err error) {
	if err := r.recallShare(ctx, from, out); err != nil {
		return 0, false, err
	}
	if at, ok = r.goesOn(s, from); !ok {
		return 0, false, nil
	}
	left := 0
	for _, e := range r.ledger.Entries() {
		left += len(e.Left)
	}
	r.env.Log.Info("the snapshot was not finished: what is left is read beside the stream", "lsn", formatLSN(at), "parts",
		left)
	if err := r.adopt(ctx, out); err != nil {
		return 0, false, err
	}
	if err := r.markStart(ctx, at, out); err != nil {
		return 0, false, err
	}
	if err := out.Drain(ctx, walStream); err != nil {
		return 0, false, err
	}
	return at, true, snapshot.ForgetAttempt(ctx, out, snapshot.Left(from))
}

// goesOn returns the consistent point of an initial snapshot that was not finished, if it can be gone on with.
func (r *runner) goesOn(s *slot, from pipeline.Checkpoint) (at uint64, ok bool) {
	a, err := snapshot.ParseAttempt(from[snapshot.AttemptStream])
	if err != nil {
		return 0, false
	}
	at, of, known := attemptPoint(a)
	if !known || of != r.identity || at > r.server.Flushed || s == nil || s.refuse(r.config, r.server.Database) != nil {
		return 0, false
	}
	return at, s.Confirmed != 0 && s.Confirmed <= at && whole(from, a) && r.resumable()
}

// resumable reports whether the ledger knows what is left of every table, and all of it can be read beside
// the stream.
func (r *runner) resumable() bool {
	for _, t := range r.tables {
		e, known := r.ledger.Entry(t.Schema.Name())
		switch {
		case !known && t.Policy == policyNever:
		case !known:
			return false
		case !e.Status.Open():
		case !e.Planned || e.Request.Reason != snapshot.ForInitial:
			return false
		case len(e.Left) > 0 && (len(t.Schema.Key) == 0 || t.Policy == policyOnly):
			return false
		}
	}
	return true
}
