package mariadb

import (
	"context"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// copyTables copies the tables' rows as they are at one moment. Before the first of them the stream gets
// its position, that of the moment, and the ledger what there is to read: a later run goes on from there.
func (r *runner) copyTables(ctx context.Context, wanted []*table, from pipeline.Checkpoint, out pipeline.Output) (place, error) {
	r.source.enter("snapshot")
	m, err := r.moment(ctx, r.config.Workers)
	if err != nil {
		return place{}, errSnapshot(err)
	}
	defer m.close()
	a := newAttempt(m)
	at := r.begun(m.Set)
	if err := snapshot.Supersede(ctx, a, from, out); err != nil {
		return at, err
	}
	if err := r.attempt(ctx, a, wanted, snapshot.Attempted(from), out); err != nil {
		return at, err
	}
	if a, err = r.snapshot(ctx, m, a, at, wanted, out); err != nil {
		return at, errSnapshot(err)
	}
	return at, snapshot.ForgetAttempt(ctx, out, a.All())
}

// snapshotOnly copies tables that have no stream.
func (r *runner) snapshotOnly(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error {
	_, begun := from[binlogStream]
	old := begun && r.ledger.Empty()
	var wanted []*table
	again := false
	for _, t := range r.picked {
		e, known := r.ledger.Entry(t.String())
		again = again || e.Status.Open()
		if old {
			r.record(t)
		} else if !known || !begun {
			wanted = append(wanted, t)
		}
	}
	if again {
		wanted = r.picked
	}
	if len(wanted) == 0 {
		r.env.Log.Info("the snapshot was taken before; nothing is left to do")
		if err := snapshot.Tidy(ctx, from, out); err != nil {
			return err
		}
		return r.saveLedger(ctx, out)
	}
	_, err := r.copyTables(ctx, wanted, from, out)
	return err
}

// newAttempt names an attempt by its moment, and by the time where nothing was written since the
// last one.
func newAttempt(m *moment) snapshot.Attempt {
	n, _ := m.Set.Ordinal()
	id := appendHex(append(appendHex(nil, n, 16), '-'), uint64(time.Now().UnixNano()), 16)
	return snapshot.Attempt{ID: string(id), Streams: len(m.conns) * streamsPerWorker}
}

// attempt records that a snapshot begins; where an earlier one was not finished (again), what that one
// delivered is void.
func (r *runner) attempt(ctx context.Context, a snapshot.Attempt, wanted []*table, again bool, out pipeline.Output) error {
	var voided []*pipeline.Schema
	if again {
		r.env.Log.Warn("an earlier snapshot was not finished: it starts over", "tables", len(wanted))
		for _, t := range wanted {
			voided = append(voided, t.Schema)
		}
	}
	return snapshot.Begin(ctx, a, voided, out)
}
