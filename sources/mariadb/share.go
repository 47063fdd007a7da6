package mariadb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// A first snapshot is shared by putting its chunks on a board, from which the leader claims them as
// everybody does; each has a stream of its own. No process can see what the leader's transactions see, so a
// helper reads a later state and leaves out what was changed since (share_touched.go): of the state at the
// leader's moment it emits a part, and the stream, which begins there, brings the rest.

// Lead implements snapshot.Sharer.
func (s *Source) Lead(b snapshot.Board) { s.board = b }

// shared reports whether a table's chunks may be read by helpers: its rows must be told apart by their keys,
// be those of one moment, and those that are left out must come with the stream.
func (t *table) shared() bool { return t.resumes() && t.Policy != policyNever && t.Engine == "InnoDB" }

// sharedTables are those of a run.
func (r *runner) sharedTables() []*table {
	var out []*table
	for _, t := range r.picked {
		if t.shared() {
			out = append(out, t)
		}
	}
	return out
}

// common puts the chunks that helpers may read before the others, and returns how many these are.
func common(chunks []snapshot.Chunk, byName map[string]*table) int {
	rank := func(c *snapshot.Chunk) int {
		if byName[c.Part].shared() {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(chunks, func(a, b snapshot.Chunk) int { return rank(&a) - rank(&b) })
	n := slices.IndexFunc(chunks, func(c snapshot.Chunk) bool { return rank(&c) == 1 })
	if n < 0 {
		return len(chunks)
	}
	return n
}

// share makes the attempt one whose first n chunks are shared, and makes that durable; n is 0 where there is
// nobody to share with, or nothing.
func (s *snapshotReader) share(ctx context.Context, chunks []snapshot.Chunk) (n int, err error) {
	if s.source.board == nil || !s.server.LogBin || len(chunks) < 2 {
		return 0, nil
	}
	a, ok := s.attempt.Share(len(chunks))
	n = common(chunks, s.byName)
	if !ok || n == 0 {
		return 0, nil
	}
	s.attempt, s.numbers = a, map[*snapshot.Chunk]int{}
	for i := n; i < len(chunks); i++ {
		s.numbers[&chunks[i]] = i
	}
	return n, snapshot.SaveMark(ctx, s.out, snapshot.AttemptStream, a.Position())
}

// lead reads the first n chunks together with whoever helps, after the others, which are its own alone. It
// returns once all are durable, in every sink of whoever read them.
func (s *snapshotReader) lead(ctx context.Context, pool *snapshot.Pool, chunks []snapshot.Chunk, n int, b *book) error {
	exported, err := s.export(ctx)
	if err != nil {
		return err
	}
	board := s.source.board
	share := snapshot.Share{Attempt: s.attempt, Exported: exported, Taken: time.UnixMicro(s.time + pipeline.EpochMicros),
		Shape: shapeOf(s.sharedTables())}
	most := func(name string) int {
		if limit := s.byName[name].Workers; limit < s.config.Workers {
			return limit
		}
		return 0 // no less than all that a process has
	}
	if err := board.Open(ctx, share, chunks[:n], most); err != nil {
		return err
	}
	if err := pool.Run(ctx, chunks[n:]); err != nil {
		return err
	}
	s.moment.rewind()
	sharing := s.sharing()
	sharing.Chunks = n
	sharing.Finished = func(f snapshot.Finished, own bool) {
		c := chunks[f.Number]
		if c.Rows = f.Rows; !own {
			s.progress.Add(c.Table, int(f.Rows))
		}
		s.progress.Finish(c.Table)
		b.add(&c)
	}
	return sharing.Run(ctx)
}

// sharing is this process's part in a share.
func (s *snapshotReader) sharing() *snapshot.Sharing {
	return &snapshot.Sharing{Board: s.source.board, Attempt: s.attempt, Workers: len(s.moment.conns), Out: s.out,
		Open: func(context.Context) (snapshot.SharedReader, error) { return s.opened() }}
}

// closeShare says that nobody may write to the attempt any more, and notes up to where a run that ends has to
// stream: helpers have left out what was changed before that.
func (s *snapshotReader) closeShare(ctx context.Context) (err error) {
	s.attempt.Closed = true
	if err := snapshot.SaveMark(ctx, s.out, snapshot.AttemptStream, s.attempt.Position()); err != nil {
		return err
	}
	s.runner.through, err = logged(ctx, s.admin)
	return err
}

// unshare takes down the board.
func (r *runner) unshare(ctx context.Context) error {
	if r.source.board == nil {
		return nil
	}
	return r.source.board.Close(ctx)
}

// ReadShared implements snapshot.SharedReader.
func (w *snapshotWorker) ReadShared(ctx context.Context, c *snapshot.Chunk, stream pipeline.Stream) (int64, error) {
	one := *c
	err := w.readOn(ctx, &one, stream, 0)
	return one.Rows, err
}

// exported is what helpers must know of the leader's moment.
type exported struct {
	server string // which one it is
	file   string
	end    uint64
	place  place
}

// export renders the moment.
func (s *snapshotReader) export(ctx context.Context) (string, error) {
	server, err := identityOf(ctx, s.admin)
	if err != nil {
		return "", err
	}
	pos, err := s.begin.position()
	return fmt.Sprintf("%s %s %d %s", server, s.moment.File, s.moment.End, pos), err
}

// identityOf tells a server from all others, also from those with the same id, as in a Galera cluster.
func identityOf(ctx context.Context, conn *wire.Conn) (string, error) {
	rows, err := conn.Query(ctx, "SELECT CONCAT(@@server_id, '@', REPLACE(@@hostname, ' ', '_'), ':', @@port)")
	if err != nil {
		return "", err
	}
	return rows[0][0].Text, nil
}

// parseExported is the inverse of export.
func parseExported(text string) (e exported, err error) {
	parts := strings.Split(text, " ")
	if len(parts) != 4 {
		return e, fmt.Errorf("%q is not the moment of a snapshot", text)
	}
	e.server, e.file = parts[0], parts[1]
	if e.end, err = strconv.ParseUint(parts[2], 10, 64); err != nil {
		return e, fmt.Errorf("%q is not the moment of a snapshot", text)
	}
	e.place, err = parsePlace(pipeline.Position(parts[3]))
	return e, err
}

// shapeOf stands for what is read and how: processes that agree on it emit the same rows of a chunk.
func shapeOf(tables []*table) string {
	h := sha256.New() // whose Write never fails
	for _, t := range tables {
		q := selection{table: t, where: []string{pushdown(t.Where, t)}}
		fmt.Fprintf(h, "%q %q %v\n", q.String(), t.ChunkBy, t.Schema.Key)
		for i := range t.Schema.Columns {
			c := &t.Schema.Columns[i]
			fmt.Fprintf(h, "%q %q %d %v\n", c.Name, c.Type, c.Kind, c.Nullable)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

var _ snapshot.Sharer = (*Source)(nil)

var _ snapshot.SharedReader = (*snapshotWorker)(nil)

var _ snapshot.Worker = (*snapshotWorker)(nil)
