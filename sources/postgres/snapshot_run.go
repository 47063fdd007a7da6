package postgres

import (
	"context"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// snapshot copies the rows of the tables as they were at the snapshot that m exported, and returns
// once they are durable in every sink. It returns the streams that were used.
func (r *runner) snapshot(ctx context.Context, m made, a snapshot.Attempt, tables []*table,
	out pipeline.Output) ([]pipeline.Stream, error) {
	now := time.Now()
	s := &snapshotter{Connect: r.config.connect, Exported: m.Snapshot, LSN: m.At, Taken: now, Attempt: a,
		Version: r.catalog.Version, Workers: r.config.Workers, Progress: snapshot.NewProgress(now),
		Board: r.source.board}
	for _, t := range tables {
		s.Tables = append(s.Tables, t.toRead())
	}
	if !r.env.DryRun {
		s.Keeper = newInitialKeeper(r.ledger, out, a, r.env.Log)
	}
	r.source.snapshots.Store(&snapshotProgress{tables: s.Progress.Report})
	if err := s.run(ctx, out); err != nil {
		return nil, err
	}
	used := s.Attempt.All()
	if !s.Attempt.Shared {
		used = used[:s.opened.Load()*streamsPerWorker]
	}
	if err := out.Drain(ctx, used...); err != nil || s.Keeper == nil {
		return used, err
	}
	return used, s.Keeper.keep(ctx)
}

// toRead says how a table is read: its filter as SQL where that means the same, else here.
func (t *table) toRead() snapshotTable {
	s := snapshotTable{Relation: t.relation, Schema: t.Schema, ChunkRows: t.ChunkRows,
		Workers: t.Workers, ChunkBy: t.ChunkBy}
	if t.filter == nil {
		return s
	}
	where, err := t.filter.Program.SQL()
	if err != nil {
		s.Filter = t.filter.Program
		return s
	}
	s.Where = where
	return s
}
