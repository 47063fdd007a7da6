package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// live reads tables while the stream goes on: what snapshot.Live leaves to the database. What the stream's
// goroutine alone uses is in liveStream.
type live struct {
	snapshot.Live
	*runner
	emitted  emitted
	past     past
	walBlock uint64 // wal_block_size

	mu        sync.Mutex // guards the following
	tables    map[string]*table
	restarted map[restart]uint32 // by what was read anew: the file
	holes     map[string]*holes  // of the tables that may lack rows downstream
}

// restart names a leaf that a request reads.
type restart struct {
	snapshot.Request
	leaf string
}

// newLive prepares the reading of tables beside the stream.
func (r *runner) newLive(ctx context.Context, out pipeline.Output) (*live, error) {
	row, err := queryRow(ctx, r.admin, "read a setting", "SELECT setting FROM pg_catalog.pg_settings "+
		"WHERE name = 'wal_block_size'")
	if err != nil {
		return nil, err
	}
	l := &live{runner: r, past: r.past, tables: map[string]*table{}, restarted: map[restart]uint32{},
		holes: map[string]*holes{}}
	if len(row) > 0 {
		l.walBlock, _ = strconv.ParseUint(row[0], 10, 32) // 0: as it comes
	}
	l.Desk, l.Ledger, l.Out, l.Stream = r.source.desk, r.ledger, out, walStream
	l.Workers, l.Log = r.config.Workers, r.env.Log
	l.Resolve, l.Settle, l.Plan, l.More, l.End = l.resolve, l.settle, l.plan, l.more, l.end
	l.Open = func(context.Context) (snapshot.Reader, error) {
		return &liveReader{live: l, parts: map[string]*livePart{}}, nil
	}
	for _, t := range r.tables {
		l.set(t)
	}
	for _, e := range r.ledger.Entries() {
		unfinished := e.Status.Open() || e.Status == snapshot.Failed || e.Status == snapshot.Cancelled
		if unfinished && !e.Request.Filled() {
			l.holes[e.Table] = &holes{}
		}
	}
	for _, name := range r.holed {
		l.holes[name] = &holes{declared: true, whole: true}
	}
	l.Prepare()
	return l, nil
}

// set makes a copy of a table what it is from here on.
func (l *live) set(t *table) {
	c := *t
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tables[c.Schema.Name()] = &c
}

// drop forgets a table.
func (l *live) drop(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tables, name)
}

// table returns the table of that qualified name, nil where there is none. It is immutable.
func (l *live) table(name string) *table {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tables[name]
}

// resolve finds the table that somebody named: by its qualified name, or by its own where only one has it.
func (l *live) resolve(name string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tables[name] != nil {
		return name, nil
	}
	var found []string
	for full := range l.tables {
		if _, own, ok := strings.Cut(full, "."); ok && own == name {
			found = append(found, full)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	const most = 20
	all := slices.Sorted(maps.Keys(l.tables))
	if len(all) > most {
		all = append(all[:most:most], "...")
	}
	e := failed(pipeline.Input, "The tables are "+strings.Join(all, ", "), "the source reads no table %s", name)
	if len(found) > 1 {
		slices.Sort(found)
		e = failed(pipeline.Input, "Name one of "+strings.Join(found, ", "), "several tables are called %s", name)
	}
	e.Table = name
	return "", e
}

// plan cuts a table into segments, as many as there are workers to read them.
func (l *live) plan(ctx context.Context, q *snapshot.Request) ([]snapshot.Segment, int64, error) {
	segments, rows, err := l.planTable(ctx, q)
	return segments, rows, l.config.classified(err)
}

func (l *live) planTable(ctx context.Context, q *snapshot.Request) ([]snapshot.Segment, int64, error) {
	t := l.table(q.Table)
	if err := t.readable(); err != nil {
		return nil, 0, err
	}
	t, err := l.reload(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	if _, err := newLivePart(t, t.relation, q, l.server.Version); err != nil {
		return nil, 0, err
	}
	conn, err := l.config.connect(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if q.Reason == snapshot.ForAdded && t.Policy != policyOnly {
		if err := l.awaitOlder(ctx, conn, q.Table); err != nil {
			return nil, 0, err
		}
	}
	return l.cutTable(ctx, conn, t)
}

// readable refuses tables whose rows cannot be merged into the stream.
func (t *table) readable() error {
	switch {
	case t == nil:
		return failed(pipeline.Input, "", "the table is not read any more")
	case len(t.Schema.Key) == 0:
		e := failed(pipeline.Input, fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (...); or set key = [...] in its table block; "+
			"or start the pipeline over with an initial snapshot, which needs no key", t.Quoted()),
			"rows of a table without a key cannot be told apart in the stream")
		e.Table = t.String()
		return e
	}
	return nil
}

// The blocks that are worth a segment of their own, and the segments for each worker.
const (
	segmentBlocks  = 1024
	segmentsWorker = 2
)

const queryLive = `
SELECT c.oid, pg_relation_size(c.oid) / current_setting('block_size')::bigint, coalesce(pg_relation_filenode(c.oid), 0),
       c.relpages, c.reltuples::numeric::bigint
FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::oid[])`

func (l *live) cutTable(ctx context.Context, conn *pgconn.PgConn, t *table) ([]snapshot.Segment, int64, error) {
	leaves := map[uint32]*relation{}
	oids := []uint32{}
	for _, leaf := range t.Leaves() {
		if leaf.Kind == kindTable {
			leaves[leaf.OID], oids = leaf, append(oids, leaf.OID)
		}
	}
	var out []snapshot.Segment
	var rows int64
	err := eachRow(ctx, conn, queryLive, oids, func(f *fields) {
		leaf := leaves[f.oid()]
		blocks, file, pages, tuples := f.int64(), f.oid(), f.int64(), f.int64()
		if leaf == nil {
			return
		}
		out = append(out, l.cutLeaf(t, leaf, blocks, file)...)
		if pages > 0 && tuples >= 0 {
			rows += int64(float64(tuples) / float64(pages) * float64(blocks))
		} else {
			rows += blocks * guessedRows
		}
	})
	return out, rows, errQuery("measure the table", err)
}

// cutLeaf cuts a leaf by blocks where the server can read a range of them; else it is read in the order of
// its key. So is a table whose changes are not streamed: an update moves a row to another block, which may
// have been read before, and no change would bring it.
func (l *live) cutLeaf(t *table, leaf *relation, blocks int64, file uint32) []snapshot.Segment {
	if leaf.Access != "heap" || l.server.Version < tidRangeScan || l.config.liveByKey || t.Policy == policyOnly {
		return []snapshot.Segment{{Part: node(leaf, 0), Cut: snapshot.ByKey}}
	}
	n := min(int64(segmentsWorker*max(1, l.config.Workers)), 1+blocks/segmentBlocks)
	out := snapshot.Segments(node(leaf, file), snapshot.Blocks(blocks, int(n)))
	for i := range out {
		out[i].Cut = snapshot.ByBlock
	}
	return out
}

// restart returns the segment that takes the place of those of a leaf that was rewritten since it was cut;
// nil where another took it already.
func (l *live) restart(q *snapshot.Request, leaf *relation, file uint32) *snapshot.Segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := restart{*q, leaf.String()}
	if l.restarted[at] == file {
		return nil
	}
	l.restarted[at] = file
	l.Log.Warn("a table was rewritten while it is read: it is read anew", "table", leaf.String())
	return &snapshot.Segment{Part: node(leaf, file), Cut: snapshot.ByBlock}
}

// The times of waiting for transactions of others.
const (
	settlePoll  = 100 * time.Millisecond
	settleGrace = time.Second
	settleTell  = 2 * time.Second
)

// awaitOlder waits for the transactions that run now: what they did to a table before it was published is
// not sent, though they commit after.
func (l *live) awaitOlder(ctx context.Context, conn *pgconn.PgConn, table string) error {
	first, err := l.server.current(ctx, conn)
	if err != nil {
		return err
	}
	return l.await(ctx, conn, table, "of before the table was published", func(v *visibility) (bool, error) {
		return v.xmin >= first.xmax, nil
	})
}

// await polls the server until done reports true, and tells when that takes long.
func (l *live) await(ctx context.Context, conn *pgconn.PgConn, table, what string,
	done func(*visibility) (bool, error)) error {
	began, told := time.Now(), false
	for {
		v, err := l.server.current(ctx, conn)
		if err != nil {
			return err
		}
		l.emitted.prune(&v)
		ok, err := done(&v)
		if ok || err != nil {
			return err
		}
		if !told && time.Since(began) > settleTell {
			told = true
			l.Log.Warn("a table's snapshot waits for transactions; the stream goes on", "table", table, "which", what,
				"oldest", v.xmin)
		}
		if err := pause(ctx, settlePoll); err != nil {
			return err
		}
	}
}
