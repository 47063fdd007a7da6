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

// attempt records that a snapshot begins, before any of its rows. With it goes, in one transaction
// where the sink has such, that what an earlier one may have delivered is void: rows that were
// deleted since would stay for ever.
func (r *runner) attempt(ctx context.Context, a snapshot.Attempt, wanted []*table, again bool, out pipeline.Output) error {
	if !again {
		return markAttempt(ctx, a, out)
	}
	b, err := out.New(ctx, snapshot.AttemptStream)
	if err != nil {
		return err
	}
	r.env.Log.Warn("an earlier snapshot was not finished: it starts over", "tables", len(wanted))
	void(b, a, wanted)
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
