package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// chunkPrefix begins the local names of the streams of chunks.
const chunkPrefix = "chunk/"

// snapshotTable is one table to read.
type snapshotTable struct {
	Relation *relation // with columns; a partitioned table is read partition by partition
	Schema   *pipeline.Schema
	// Where is the row filter as SQL over the table's columns, "" for none; Filter is one that SQL
	// cannot say and that is applied here, nil for none.
	Where     string
	Filter    *expr.Program
	ChunkRows int
	Workers   int    // most at once on this table; 0: no limit
	ChunkBy   string // column to cut by; "": blocks, or the key where there are no blocks
}

// snapshotter reads tables as they were at one exported snapshot. The session that exported it must
// stay idle in its transaction until run has returned.
type snapshotter struct {
	Connect  func(context.Context) (*pgconn.PgConn, error)
	Exported string // pg_export_snapshot's, or CREATE_REPLICATION_SLOT's snapshot_name
	LSN      uint64 // the consistent point
	Taken    time.Time
	Version  int // server_version_num
	Workers  int
	Tables   []snapshotTable
	Progress *snapshot.Progress // may be nil
}

// run reads every row of every table and emits it, each chunk as a stream of its own that ends with
// the Mark snapshot.Done. It returns the chunks' streams: when they were drained and the position of
// the stream of changes is saved, forget them. A chunk that an earlier attempt finished is read
// again, since it showed another state of the database: forget those before.
func (s *snapshotter) run(ctx context.Context, out pipeline.Output) ([]pipeline.Stream, error) {
	lead, err := s.lead(ctx)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	defer lead.close()
	chunks, err := lead.plan(ctx)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	limits := map[string]int{}
	for i := range s.Tables {
		limits[s.Tables[i].Schema.Name()] = s.Tables[i].Workers
	}
	pool := snapshot.Pool{
		Workers: s.Workers,
		Limit:   func(table string) int { return limits[table] },
		Open:    func(ctx context.Context) (snapshot.Worker, error) { return s.open(ctx, lead.parts, out) },
		Done:    func(c *snapshot.Chunk) { s.Progress.Finish(c.Table) },
	}
	if err := pool.Run(ctx, chunks); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	streams := make([]pipeline.Stream, len(chunks))
	for i := range chunks {
		streams[i] = chunks[i].Stream()
	}
	return streams, nil
}

// begin opens a connection with a transaction that sees the exported snapshot.
func (s *snapshotter) begin(ctx context.Context) (*pgconn.PgConn, error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := conn.Exec(ctx, s.beginSQL()).Close(); err != nil {
		conn.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("import snapshot %s: %w", s.Exported, err)
	}
	return conn, nil
}

// beginSQL also turns off what would end a long read, or silently hide rows: with row_security off
// a query that a policy would filter fails.
func (s *snapshotter) beginSQL() string {
	sql := "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT " +
		quoteLiteral(s.Exported) + "; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; " +
		"SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL row_security = off; " +
		"SET LOCAL search_path = pg_catalog"
	const hasJIT, hasTransactionTimeout = 110000, 170000
	if s.Version >= hasJIT {
		sql += "; SET LOCAL jit = off"
	}
	if s.Version >= hasTransactionTimeout {
		sql += "; SET LOCAL transaction_timeout = 0"
	}
	return sql
}

// tx is the transaction that rows of the snapshot belong to.
func (s *snapshotter) tx() *pipeline.Tx {
	return &pipeline.Tx{Snapshot: true, LSN: s.LSN, Time: s.Taken.UnixMicro() - pipeline.EpochMicros}
}

// chunkStreams returns the streams of chunks that a checkpoint has.
func chunkStreams(cp pipeline.Checkpoint) []pipeline.Stream {
	var out []pipeline.Stream
	for _, s := range cp.Streams() {
		if strings.HasPrefix(string(s), chunkPrefix) {
			out = append(out, s)
		}
	}
	return out
}

// forget makes everybody forget the streams, so that their names may be used anew: a position that
// is kept would make a Keeper take the rows of the next attempt for known.
func forget(ctx context.Context, out pipeline.Output, streams []pipeline.Stream) error {
	for _, s := range streams {
		b, err := out.New(ctx, s)
		if err != nil {
			return err
		}
		b.Mark("")
		if err := out.Emit(b); err != nil {
			return err
		}
	}
	if len(streams) == 0 {
		return nil
	}
	return out.Drain(ctx, streams...)
}
