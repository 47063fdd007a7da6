package mariadb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// The bounds of waiting until a new snapshot sees what was streamed: between two looks, until that is
// logged, and until it is given up. A server that waits for a replica to acknowledge shows a commit
// late.
const (
	settleFirst = time.Millisecond
	settleMost  = 200 * time.Millisecond
	settleLog   = 2 * time.Second
	settleGive  = 2 * time.Minute
	maxListed   = 12
)

// live reads tables while the stream goes on: see package snapshot. A transaction's number is its
// coord, and so are fences: a chunk is read in a consistent snapshot whose place in the log is exact.
type live struct {
	snapshot.Live
	*runner
	tip  coord         // where the stream is when it begins; 0: it will tell
	done atomic.Uint64 // coord before which the stream has delivered everything

	fillings atomic.Int64 // how many there are of filling

	mu      sync.Mutex          // guards the following
	tables  map[string]*table   // by name, as the stream knows them
	filling map[string]*filling // by name: tables of which rows may be missing downstream
}

// newLive prepares the reading of tables beside a stream.
func (r *runner) newLive(out pipeline.Output) *live {
	l := &live{runner: r, tables: map[string]*table{}, filling: map[string]*filling{}}
	for _, t := range r.picked {
		l.tables[t.String()] = t
	}
	l.Live = snapshot.Live{Desk: r.source.desk, Ledger: r.ledger, Out: out, Stream: binlogStream, Workers: r.config.Workers,
		Log: r.env.Log, Resolve: l.resolve, Settle: l.settle, Plan: l.cut, More: l.more, End: l.end,
		Open: func(context.Context) (snapshot.Reader, error) {
			return &liveReader{live: l, shapes: map[string]*shape{}}, nil
		}}
	return l
}

// know records a table as the stream knows it now.
func (l *live) know(t *table) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tables[t.String()] = t
}

// known returns a table as the stream knows it.
func (l *live) known(name string) *table {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tables[name]
}

// resolve finds the table that somebody named: database.table, or the name alone where one database is
// read.
func (l *live) resolve(name string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tables[name] != nil {
		return name, nil
	}
	names := slices.Sorted(maps.Keys(l.tables))
	var like []string
	for _, known := range names {
		if strings.EqualFold(known, name) || strings.EqualFold(l.tables[known].Name, name) {
			like = append(like, known)
		}
	}
	if len(like) == 1 {
		return like[0], nil
	}
	if len(names) > maxListed {
		names = append(names[:maxListed], "...")
	}
	return "", &pipeline.Error{Class: pipeline.Input, Table: name, Err: fmt.Errorf("table %s is not read by this source", name),
		Hint: "It reads " + strings.Join(names, ", ")}
}

// session opens a connection for short snapshots. It must be to the server that the stream comes from.
func (l *live) session(ctx context.Context) (*wire.Conn, error) {
	conn, err := l.config.connect(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, "SELECT @@server_id")
	switch {
	case err != nil:
	case len(rows) != 1 || rows[0][0].Text != l.server.ID:
		err = failed(pipeline.Retryable, "", "the connection leads to another server than that of the stream")
	default:
		err = conn.Exec(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
	}
	if err == nil {
		err = conn.Exec(ctx, "SET SESSION max_sort_length = 8388608") // where a key is sorted and not read in order
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// settle waits until a new snapshot sees what the stream has delivered: the log is sent before a commit
// is seen, long before where the server waits for a replica.
func (l *live) settle(ctx context.Context, table string) error {
	streamed := coord(l.done.Load())
	conn, err := l.session(ctx)
	if err != nil {
		return classified(err)
	}
	defer conn.Close()
	begin, logged, wait := time.Now(), false, settleFirst
	for {
		seen, err := seenBy(ctx, conn)
		if err != nil || seen >= streamed {
			return classified(err)
		}
		switch waited := time.Since(begin); {
		case waited > settleGive:
			return failed(pipeline.Retryable, "Look whether commits wait for a replica's acknowledgement",
				"table %s: what was streamed is not to be seen on the server after %v", table, settleGive)
		case waited > settleLog && !logged:
			logged = true
			l.env.Log.Info("a snapshot waits until commits that were streamed can be seen on the server", "table", table)
		}
		if err := nap(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, settleMost)
	}
}

// end returns where the log ends: no sink knows of a position behind it.
func (l *live) end(ctx context.Context) (pipeline.Position, error) {
	conn, err := l.session(ctx)
	if err != nil {
		return "", classified(err)
	}
	defer conn.Close()
	seen, err := seenBy(ctx, conn)
	return seen.fence(), classified(err)
}

// seenBy opens a snapshot and returns up to where it sees the log.
func seenBy(ctx context.Context, conn *wire.Conn) (coord, error) {
	if err := conn.Exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		return 0, err
	}
	file, at, err := snapshotPosition(ctx, conn)
	if err != nil {
		return 0, err
	}
	if err := conn.Exec(ctx, "COMMIT"); err != nil {
		return 0, err
	}
	return coordOf(file, at)
}

// nap sleeps for d or until ctx ends.
func nap(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cut plans the reading of a table.
func (l *live) cut(ctx context.Context, q *snapshot.Request) ([]snapshot.Segment, int64, error) {
	if !q.Filled() {
		l.fill(q.Table)
	}
	conn, err := l.session(ctx)
	if err != nil {
		return nil, 0, classified(err)
	}
	defer conn.Close()
	t, err := l.load(ctx, conn, q.Table)
	if err != nil {
		return nil, 0, classified(err)
	}
	k := t.keyset()
	if !t.keyed() {
		return nil, 0, failed(pipeline.Input, "ALTER TABLE "+t.Quoted()+" ADD PRIMARY KEY (...), or set key in a table block to columns "+
			"that are unique and NOT NULL", "table %s has no key: its rows cannot be read while the stream goes on", t)
	}
	where, err := requested(q)
	if err != nil {
		return nil, 0, err
	}
	if _, err := compileWheres(t, t.Schema, where); err != nil {
		return nil, 0, err
	}
	// The bounds are hints: no snapshot is held while they are looked for.
	if err := conn.Exec(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED"); err != nil {
		return nil, 0, classified(err)
	}
	each := max(t.ChunkRows, int(t.Rows/maxLeft))
	ranges, err := cut(ctx, conn, &table{relation: t.relation, tableSettings: tableSettings{ChunkRows: each}}, k)
	if err != nil {
		return nil, 0, classified(fmt.Errorf("table %s: %w", t, err))
	}
	return snapshot.Segments(k.part(t), ranges), t.Rows, nil
}

// load reads what the catalogue says of a table now.
func (l *live) load(ctx context.Context, conn *wire.Conn, name string) (*table, error) {
	known := l.known(name)
	if known == nil {
		return nil, failed(pipeline.Input, "", "table %s is not read by this source", name)
	}
	c, err := loadCatalog(ctx, conn, known.relation, "", nil)
	if err != nil {
		return nil, err
	}
	r := c.relation(known.Database, known.relation.Name)
	if r == nil {
		return nil, failed(pipeline.Input, "", "table %s is not there any more", name)
	}
	t, err := l.settings.table(r, &l.server, known.Schema.Version)
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.Input, Table: name, Err: err}
	}
	return t, nil
}
