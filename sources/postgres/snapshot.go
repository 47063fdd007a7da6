package postgres

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// streamsPerWorker is how many streams a worker deals its chunks out to: a sink may be busy with all
// but one of them while the worker reads on.
const streamsPerWorker = 4

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
	Attempt  snapshot.Attempt   // with streamsPerWorker streams for each worker
	Keeper   *initialKeeper     // nil: nobody is told what was read
	Board    snapshot.Board     // nil: nobody helps

	opened atomic.Int64 // workers so far
}

// run reads every row of every table and emits it on the attempt's streams, each chunk with a Mark
// at its end.
func (s *snapshotter) run(ctx context.Context, out pipeline.Output) error {
	lead, err := s.lead(ctx)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	chunks, err := lead.plan(ctx)
	// Its locks must not outlast the planning: a TRUNCATE would wait for them, a worker for the
	// TRUNCATE, and the application for both. Each chunk is checked under its own lock.
	lead.close()
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if a, ok := s.Attempt.Share(len(chunks)); ok && s.Board != nil && s.Keeper != nil && len(chunks) > 1 {
		if err := s.share(ctx, lead, chunks, a, out); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		return nil
	}
	if s.Keeper != nil {
		if err := s.Keeper.plan(ctx, chunks, lead.parts); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		stop := s.Keeper.start(ctx)
		defer stop()
	}
	limits := s.limits()
	pool := snapshot.Pool{
		Workers: s.Workers,
		Limit:   func(table string) int { return limits[table] },
		Open:    func(ctx context.Context) (snapshot.Worker, error) { return s.open(ctx, lead.parts, out) },
		Done:    func(c *snapshot.Chunk) { s.Progress.Finish(c.Table) },
	}
	if err := pool.Run(ctx, chunks); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
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

// tx is the transaction that the rows of a chunk belong to, the n-th on its stream.
func (s *snapshotter) tx(n int) *pipeline.Tx {
	return &pipeline.Tx{Snapshot: true, Pos: snapshot.Reached(n), LSN: s.LSN,
		Time: s.Taken.UnixMicro() - pipeline.EpochMicros}
}
