package postgres

import (
	"context"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// snapshot copies the rows of the tables as they were at the snapshot exported under that name,
// whose consistent point is at, and returns once they are durable in every sink. What an earlier
// attempt left in the checkpoint is forgotten first: its snapshot is gone, and so is what it showed.
func (r *runner) snapshot(ctx context.Context, exported string, at uint64, tables []*table,
	from pipeline.Checkpoint, out pipeline.Output) error {
	if err := forget(ctx, out, chunkStreams(from)); err != nil {
		return err
	}
	now := time.Now()
	s := &snapshotter{Connect: r.config.connect, Exported: exported, LSN: at, Taken: now,
		Version: r.catalog.Version, Workers: r.config.Workers, Progress: snapshot.NewProgress(now)}
	for _, t := range tables {
		s.Tables = append(s.Tables, t.toRead())
	}
	r.source.snapshots.Store(&snapshotProgress{tables: s.Progress.Report})
	streams, err := s.run(ctx, out)
	if err != nil {
		return err
	}
	if len(streams) == 0 {
		return nil
	}
	if err := out.Drain(ctx, streams...); err != nil {
		return err
	}
	return forget(ctx, out, streams)
}

// toRead says how a table is read: its filter as SQL where that means the same, else here.
func (t *table) toRead() snapshotTable {
	s := snapshotTable{Relation: t.relation, Schema: t.Schema, ChunkRows: t.ChunkRows,
		Workers: t.Workers, ChunkBy: t.ChunkBy}
	if t.filter == nil {
		return s
	}
	where, err := t.filter.program.SQL()
	if err != nil {
		s.Filter = t.filter.program
		return s
	}
	s.Where = where
	return s
}
