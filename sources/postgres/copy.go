package postgres

import (
	"context"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// copyAt copies the tables' rows as they were at the slot's consistent point, and gives the stream
// its first position: only once every row is saved, so that a crash before starts the snapshot over.
// again says that an earlier attempt may have delivered rows though from does not tell of it.
func (r *runner) copyAt(ctx context.Context, m made, wanted []*table, from pipeline.Checkpoint,
	again bool, out pipeline.Output) error {
	if len(wanted) == 0 {
		if err := r.begin(ctx, nil, out); err != nil {
			return err
		}
		return r.markStart(ctx, m.At, out)
	}
	r.source.enter("snapshot")
	if err := r.begin(ctx, wanted, out); err != nil {
		return err
	}
	a := newAttempt(m.At, r.identity, r.config.Workers)
	if err := snapshot.Supersede(ctx, a, from, out); err != nil {
		return err
	}
	if err := r.attempt(ctx, a, wanted, again || snapshot.Attempted(from), out); err != nil {
		return err
	}
	used, err := r.snapshot(ctx, m, a, wanted, out)
	if err != nil {
		return err
	}
	if err := r.copied(ctx, wanted, out); err != nil {
		return err
	}
	if err := r.markStart(ctx, m.At, out); err != nil {
		return err
	}
	if err := out.Drain(ctx, walStream); err != nil {
		return err
	}
	return snapshot.ForgetAttempt(ctx, out, append(used, snapshot.KeptStream))
}

// markStart gives the stream its first position.
func (r *runner) markStart(ctx context.Context, at uint64, out pipeline.Output) error {
	return snapshot.EmitMark(ctx, out, walStream, r.identity.position(at))
}
