package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// An initial snapshot is shared by putting its chunks on a board. The leader, whose replication session
// holds the exported snapshot, claims them from there as everybody does, and each chunk has a stream of its
// own, so that two processes never share one unless the second takes a chunk over from the first.

// Lead implements snapshot.Sharer.
func (s *Source) Lead(b snapshot.Board) { s.board = b }

// share reads the planned chunks together with whoever helps, and returns once all are durable, in every
// sink of whoever read them, and no helper can write any more.
func (s *snapshotter) share(ctx context.Context, l *leader, chunks []snapshot.Chunk, a snapshot.Attempt,
	out pipeline.Output) error {
	s.Attempt = a
	if err := s.mark(ctx, out); err != nil {
		return err
	}
	k := s.Keeper
	k.attempt, k.reached = a, make([]int, a.Streams)
	if err := k.plan(ctx, chunks, l.parts); err != nil {
		return err
	}
	stop := k.start(ctx)
	defer stop()
	limits := s.limits()
	share := snapshot.Share{Attempt: a, Exported: s.Exported, Taken: s.Taken, Shape: shapeOf(l.order)}
	most := func(table string) int {
		if n := limits[table]; n < s.Workers {
			return n
		}
		return 0 // no less than all that a process has
	}
	if err := s.Board.Open(ctx, share, chunks, most); err != nil {
		return err
	}
	sharing := s.sharing(l.parts, out)
	sharing.Chunks = len(chunks)
	sharing.Finished = func(f snapshot.Finished, own bool) {
		if !own {
			s.Progress.Add(f.Table, int(f.Rows))
		}
		s.Progress.Finish(f.Table)
		c := &chunks[f.Number]
		k.read(c, landed{stream: f.Number, reached: 1, rows: f.Rows})
	}
	if err := sharing.Run(ctx); err != nil {
		return err
	}
	s.Attempt.Closed = true
	return s.mark(ctx, out)
}

// sharing is this process's part, in chunks of the given parts.
func (s *snapshotter) sharing(parts map[string]*part, out pipeline.Output) *snapshot.Sharing {
	return &snapshot.Sharing{Board: s.Board, Attempt: s.Attempt, Workers: s.Workers, Out: out,
		Open: func(ctx context.Context) (snapshot.SharedReader, error) { return s.open(ctx, parts, out) }}
}

// mark makes it durable where the attempt stands.
func (s *snapshotter) mark(ctx context.Context, out pipeline.Output) error {
	return snapshot.SaveMark(ctx, out, snapshot.AttemptStream, s.Attempt.Position())
}

// limits are the most workers on a table, by its name.
func (s *snapshotter) limits() map[string]int {
	out := map[string]int{}
	for i := range s.Tables {
		out[s.Tables[i].Schema.Name()] = s.Tables[i].Workers
	}
	return out
}

// ReadShared implements snapshot.SharedReader.
func (w *snapshotWorker) ReadShared(ctx context.Context, c *snapshot.Chunk, stream pipeline.Stream) (int64, error) {
	p := w.parts[c.Part]
	if p == nil {
		return 0, fmt.Errorf("chunk of an unknown table %s", c.Part)
	}
	r := &chunkRead{snapshotWorker: w, part: p, stream: stream, tx: w.tx(0), end: snapshot.Reached(1), table: c.Table}
	err := r.run(ctx, c.Range)
	return int64(r.seq), err
}

// shapeOf stands for what is read and how: processes that agree on it emit the same rows of a chunk.
func shapeOf(parts []*part) string {
	h := sha256.New() // whose Write never fails
	for _, p := range parts {
		fmt.Fprintf(h, "%q %d %q %q %q %v\n", p.leaf.String(), p.leaf.OID, p.columns, p.Where, p.ChunkBy, p.Schema.Key)
		for i := range p.Schema.Columns {
			c := &p.Schema.Columns[i]
			fmt.Fprintf(h, "%q %q %d %v\n", c.Name, c.Type, c.Kind, c.Nullable)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// unshare takes down the board, once the stream has its first position.
func (r *runner) unshare(ctx context.Context) error {
	if r.source.board == nil {
		return nil
	}
	return r.source.board.Close(ctx)
}

// Help implements snapshot.Sharer.
func (s *Source) Help(b snapshot.Board) pipeline.Source {
	s.board = b
	s.enter("helping")
	return snapshot.Helper{Read: s.help, Status: s.Report}
}

// help reads what this process can claim.
func (s *Source) help(ctx context.Context, out pipeline.Output) error {
	r, err := newRunner(s)
	if err == nil {
		err = r.help(ctx, out)
		r.close()
	}
	if err != nil {
		return s.named(s.config.classified(err))
	}
	return nil
}

// help reads chunks of the share that is open.
func (r *runner) help(ctx context.Context, out pipeline.Output) error {
	board := r.source.board
	share, ok, err := board.Find(ctx)
	if err != nil || !ok {
		return err
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	at, _, ok := attemptPoint(share.Attempt)
	if !ok {
		return failed(pipeline.Internal, "", "attempt %s does not tell its consistent point", share.Attempt.ID)
	}
	s := &snapshotter{Connect: r.config.connect, Exported: share.Exported, LSN: at, Taken: share.Taken,
		Attempt: share.Attempt, Version: r.catalog.Version, Workers: r.config.Workers, Board: board,
		Progress: snapshot.NewProgress(time.Now())}
	for _, t := range withoutPolicy(r.tables, policyNever) {
		s.Tables = append(s.Tables, t.toRead())
	}
	l, err := s.lead(ctx)
	if err != nil {
		return err
	}
	l.close()
	if shapeOf(l.order) != share.Shape {
		r.env.Log.Warn("the tables are not those of the process that leads the snapshot: not helping", "attempt",
			share.Attempt.ID)
		return nil
	}
	sharing := s.sharing(l.parts, out)
	chunks, rows := 0, int64(0)
	sharing.Finished = func(f snapshot.Finished, _ bool) {
		chunks++
		rows += f.Rows
	}
	r.env.Log.Info("helping with the snapshot of another process", "attempt", share.Attempt.ID)
	err = sharing.Run(ctx)
	r.env.Log.Info("helped with the snapshot of another process", "chunks", chunks, "rows", rows)
	return err
}

var _ snapshot.Sharer = (*Source)(nil)
