package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// errLost marks the reasons for which a position is worth nothing any more.
var errLost = errors.New("the position in the stream is lost")

// recall reads what the checkpoint tells of tables, and notes what runs at the server now.
func (r *runner) recall(ctx context.Context, from pipeline.Checkpoint) (err error) {
	if r.env.DryRun {
		from = nil
	}
	if r.ledger, err = snapshot.LoadLedger(from); err != nil {
		return err
	}
	r.holed = holed(from)
	r.past.began = time.Now()
	r.past.sees, err = r.server.current(ctx, r.admin)
	return err
}

// startAgain goes on from a saved position, or, where that is lost and the policies say so, starts anew.
func (r *runner) startAgain(ctx context.Context, saved pipeline.Position, s *slot, from pipeline.Checkpoint,
	out pipeline.Output) (uint64, error) {
	at, err := r.resume(saved, s)
	if errors.Is(err, errLost) {
		if err := snapshot.Tidy(ctx, from, out); err != nil {
			return 0, err
		}
		if err := r.lose(ctx, err, s, out); err != nil {
			return 0, err
		}
		return r.startAnew(ctx, s, out)
	}
	if err != nil {
		return 0, err
	}
	r.past.resumed = true
	if err := r.adopt(ctx, out); err != nil {
		return 0, err
	}
	return at, snapshot.Tidy(ctx, from, out)
}

// resume checks the saved position against the server and the slot.
func (r *runner) resume(saved pipeline.Position, s *slot) (uint64, error) {
	lsn, id, err := parsePosition(saved)
	if err != nil {
		return 0, &pipeline.Error{Class: pipeline.Environment, Pos: saved, Err: err,
			Hint: "The state belongs to another pipeline"}
	}
	refused := func(hint, format string, args ...any) (uint64, error) {
		e := failed(pipeline.Environment, hint, format, args...)
		e.Pos, e.Err = saved, lostError{e.Err}
		return 0, e
	}
	switch {
	case id.system != r.identity.system:
		return refused("Restore the state that belongs to this server, or remove it and start with a snapshot",
			"the saved position belongs to the server with system identifier %d, this is "+
				"%d", id.system, r.identity.system)
	case s == nil:
		return refused(r.config.lostHint(), "replication slot %s is gone", r.config.Slot)
	}
	if err := s.refuse(r.config, r.server.Database); err != nil {
		var e *pipeline.Error
		if s.WALStatus == slotLost && errors.As(err, &e) {
			e.Err = lostError{e.Err}
		}
		return 0, err
	}
	switch {
	case id.timeline != r.identity.timeline && !s.Failover:
		return refused("After a fail-over or a point-in-time recovery, start again with a snapshot",
			"the saved position is on timeline %d, the server is on %d", id.timeline, r.identity.timeline)
	case lsn > r.server.Flushed:
		return refused("The server was restored to an earlier point, or lost WAL in a crash: compare source and "+
			"sinks, then start again with a snapshot",
			"the saved position %s is ahead of the server, which is at "+
				"%s", formatLSN(lsn), formatLSN(r.server.Flushed))
	case s.Confirmed > lsn:
		return refused(r.config.lostHint(), "the slot %s was moved or made anew, or the saved position is an older one that was restored: the "+
			"slot begins at %s, after the saved position %s",
			r.config.Slot, formatLSN(s.Confirmed), formatLSN(lsn))
	}
	if s.WALStatus == "unreserved" {
		r.env.Log.Warn("the slot is about to be lost: the server keeps less WAL than it needs", "slot",
			r.config.Slot)
	}
	return lsn, nil
}

// lostError is a reason for errLost.
type lostError struct{ error }

func (e lostError) Unwrap() []error { return []error{e.error, errLost} }

// rereads returns the cause for which a position was lost, naming the tables that are in the way, unless every
// table's policy allows to read it again.
func (r *runner) rereads(cause error, s *slot) error {
	streamed := withoutPolicy(r.tables, policyOnly)
	var others, keyless []string
	for _, t := range streamed {
		if t.Policy != policyWhenNeeded && t.Policy != policyAlways {
			others = append(others, t.String())
		} else if len(t.Schema.Key) == 0 {
			keyless = append(keyless, t.String())
		}
	}
	if len(others) == len(streamed) || s != nil && !s.ours(r.server.Database) {
		return cause
	}
	if len(others)+len(keyless) > 0 {
		var e *pipeline.Error
		if errors.As(cause, &e) {
			e.Hint += ". The tables of policy when_needed are not read again by themselves, because these cannot be: " +
				strings.Join(append(others, keyless...), ", ")
		}
		return cause
	}
	if !r.config.creates("slot") && s == nil {
		return cause
	}
	return nil
}

// lose records that the tables are read again, and that there is no position in the stream, if every table's
// policy allows it; else it returns the cause.
func (r *runner) lose(ctx context.Context, cause error, s *slot, out pipeline.Output) error {
	if err := r.rereads(cause, s); err != nil {
		return err
	}
	streamed := withoutPolicy(r.tables, policyOnly)
	r.env.Log.Warn("the position in the stream is lost: every table is read again, and the stream starts anew", "cause",
		cause, "tables", len(streamed))
	for _, t := range streamed {
		r.ledger.Change(t.Schema.Name(), pending(snapshot.ForLost, true))
	}
	if err := r.saveLedger(ctx, out); err != nil {
		return err
	}
	return snapshot.Forget(ctx, out, walStream)
}

// lost reports whether a start was begun for which the position was lost, and not finished.
func (r *runner) lost(from pipeline.Checkpoint) bool {
	return !snapshot.Attempted(from) && slices.ContainsFunc(r.ledger.Entries(), func(e snapshot.Entry) bool {
		return e.Status.Open() && e.Request.Reason == snapshot.ForLost
	})
}

// startAnew begins the stream now. The tables are read beside it.
func (r *runner) startAnew(ctx context.Context, s *slot, out pipeline.Output) (uint64, error) {
	if err := r.adopt(ctx, out); err != nil {
		return 0, err
	}
	at := uint64(0)
	switch {
	case r.config.creates("slot"):
		if s != nil {
			if err := r.dropSlot(ctx); err != nil {
				return 0, err
			}
		}
		m, err := r.createSlot(ctx, r.config.Slot, false, false)
		if err != nil {
			return 0, err
		}
		at = m.At
	case s == nil:
		return 0, r.config.missingSlot()
	default:
		if err := s.refuse(r.config, r.server.Database); err != nil {
			return 0, err
		}
		at = s.Confirmed
	}
	if err := r.markStart(ctx, at, out); err != nil {
		return 0, err
	}
	return at, out.Drain(ctx, walStream)
}

// pending makes an entry that of a request that begins.
func pending(why snapshot.Reason, replace bool) func(*snapshot.Entry) {
	return func(e *snapshot.Entry) {
		*e = snapshot.Entry{Table: e.Table, Version: e.Version, Status: snapshot.Pending, Estimate: -1, Queue: e.Queue,
			Request: snapshot.Request{Table: e.Table, Reason: why, Asked: time.Now().UTC(), Replace: replace}}
	}
}

// adopt brings the ledger in line with the tables: those that are new are read beside the stream, those that
// are gone forgotten. A state from before there was a ledger is one of tables that are complete.
func (r *runner) adopt(ctx context.Context, out pipeline.Output) error {
	upgraded := r.ledger.Empty()
	names := map[string]bool{}
	for _, t := range r.tables {
		name := t.Schema.Name()
		names[name] = true
		e, known := r.ledger.Entry(name)
		if !known {
			r.ledger.Change(name, r.entryOf(t, upgraded))
			e, _ = r.ledger.Entry(name)
		}
		if t.Policy == policyAlways && !e.Status.Open() {
			r.ledger.Change(name, pending(snapshot.ForAlways, true))
		}
		if e.Status == snapshot.Failed || e.Status == snapshot.Cancelled {
			r.env.Log.Warn("a table's last snapshot was not finished; ask for another one", "table", name, "status",
				string(e.Status), "error", e.Error)
		}
	}
	for _, e := range r.ledger.Entries() {
		if !names[e.Table] {
			r.env.Log.Info("a table is not read any more", "table", e.Table)
			r.ledger.Forget(e.Table)
		}
	}
	return r.saveLedger(ctx, out)
}

// entryOf returns what makes the first entry of a table that was added.
func (r *runner) entryOf(t *table, upgraded bool) func(*snapshot.Entry) {
	if upgraded || t.Policy == policyNever {
		return recorded
	}
	r.env.Log.Info("a table was added: the rows that it has are read beside the stream", "table", t.String())
	return pending(snapshot.ForAdded, false)
}

// saveLedger returns once the ledger is saved.
func (r *runner) saveLedger(ctx context.Context, out pipeline.Output) error {
	if r.env.DryRun {
		return nil
	}
	streams, err := r.ledger.Save(ctx, out)
	if err != nil || len(streams) == 0 {
		return err
	}
	return out.Drain(ctx, streams...)
}
