package mariadb

import (
	"context"
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// lose decides what becomes of a start whose saved position is of no use: it begins anew if every table
// that is streamed has a policy that says so, else it ends.
func (r *runner) lose(ctx context.Context, lost error, from pipeline.Checkpoint, out pipeline.Output) (place, error) {
	var stubborn []string
	for _, t := range withoutPolicy(r.picked, policyOnly) {
		if t.Policy != policyWhenNeeded && t.Policy != policyAlways {
			stubborn = append(stubborn, t.String())
		}
	}
	if len(stubborn) == 0 {
		r.env.Log.Warn("the saved position is lost: the tables are read again, and changes are streamed from now on", "cause", lost)
		return r.anew(ctx, from, out)
	}
	if len(stubborn) == len(withoutPolicy(r.picked, policyOnly)) {
		return place{}, lost
	}
	more := ""
	if len(stubborn) > maxListed {
		stubborn, more = stubborn[:maxListed], ", ..."
	}
	return place{}, failed(pipeline.Environment, pipeline.HintOf(lost), "%w (not every table has snapshot = \"when_needed\": %s%s)", lost,
		strings.Join(stubborn, ", "), more)
}

// anew begins the stream at the log's end and reads every streamed table beside it. That they are to be
// read is saved before the old position is forgotten, which the new one may sort before.
func (r *runner) anew(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) (place, error) {
	if err := r.refuseXA(ctx); err != nil {
		return place{}, err
	}
	for _, t := range withoutPolicy(r.picked, policyOnly) {
		r.ledger.Change(t.String(), func(e *snapshot.Entry) {
			*e = snapshot.Entry{Table: e.Table, Version: e.Version, Status: snapshot.Cancelled, Estimate: -1}
		})
		r.request(t, snapshot.ForLost, true)
	}
	if err := r.saveLedger(ctx, out); err != nil {
		return place{}, err
	}
	if err := snapshot.Tidy(ctx, from, out); err != nil {
		return place{}, err
	}
	if err := snapshot.Forget(ctx, out, binlogStream); err != nil {
		return place{}, fmt.Errorf("forget the old position: %w", err)
	}
	p := r.begun(r.server.Position)
	if err := r.markStart(ctx, p, out); err != nil {
		return p, err
	}
	r.reconcile()
	return p, r.saveLedger(ctx, out, binlogStream)
}
