package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

const (
	// maxLocked bounds the tables that are locked for the whole snapshot: each takes a place in the
	// server's shared lock table, which has max_locks_per_transaction * max_connections of them.
	maxLocked = 2000
	// tidRangeScan is the version from which a range of ctid reads only its blocks.
	tidRangeScan = 140000
	// guessedRows is the rows per block of a table that was never analysed.
	guessedRows = 60
	// keylessFirst puts the chunks of tables without a key before all others: what is left of such a table
	// after a crash cannot be read beside the stream.
	keylessFirst = 1 << 40
	// sampledRows is how many rows of a sample there should be for each chunk.
	sampledRows = 200
)

// part is one relation to read: a table, or a leaf of a partitioned one, under its root's schema.
type part struct {
	*snapshotTable
	leaf    *relation
	decoder *pgtext.Decoder
	columns string // the select list
	blocks  int64
	rows    int64
	file    uint32 // pg_relation_filenode
	version int    // server_version_num
}

// leader is the session that plans and holds the locks that keep tables from being rewritten.
type leader struct {
	*snapshotter
	conn  *pgconn.PgConn
	parts map[string]*part
	order []*part
}

func (s *snapshotter) lead(ctx context.Context) (*leader, error) {
	conn, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	l := &leader{snapshotter: s, conn: conn, parts: map[string]*part{}}
	for i := range s.Tables {
		t := &s.Tables[i]
		decoder := pgtext.NewDecoder(t.Schema.Columns)
		decoder.Version = s.Version
		columns, err := selectList(t)
		if err != nil {
			l.close()
			return nil, err
		}
		for _, leaf := range t.Relation.Leaves() {
			if leaf.Kind != kindTable {
				continue // a foreign table as partition: its changes would not come either
			}
			p := &part{snapshotTable: t, leaf: leaf, decoder: decoder, columns: columns, version: s.Version}
			l.parts[leaf.String()], l.order = p, append(l.order, p)
		}
	}
	return l, nil
}

func (l *leader) close() { l.conn.Close(context.Background()) }

// plan locks the tables, looks how large they are, and cuts them.
func (l *leader) plan(ctx context.Context) ([]snapshot.Chunk, error) {
	if err := l.lock(ctx); err != nil {
		return nil, err
	}
	if err := l.measure(ctx); err != nil {
		return nil, err
	}
	byTable := map[*snapshotTable][]snapshot.Chunk{}
	rows := map[*snapshotTable]int64{}
	for _, p := range l.order {
		ranges, err := l.cut(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", p.leaf, err)
		}
		for _, r := range ranges {
			byTable[p.snapshotTable] = append(byTable[p.snapshotTable], snapshot.Chunk{
				Table: p.Schema.Name(), Part: p.leaf.String(), Range: r, Rows: p.rows / int64(len(ranges))})
		}
		rows[p.snapshotTable] += p.rows
	}
	var all []snapshot.Chunk
	for i := range l.Tables {
		t := &l.Tables[i]
		chunks := byTable[t]
		snapshot.Number(chunks)
		l.Progress.Plan(t.Schema.Name(), len(chunks), rows[t])
		if len(t.Schema.Key) == 0 {
			for i := range chunks {
				chunks[i].Rows += keylessFirst
			}
		}
		all = append(all, chunks...)
	}
	return all, nil
}

// lock keeps the tables from being dropped or rewritten while they are read.
func (l *leader) lock(ctx context.Context) error {
	if len(l.order) == 0 || len(l.order) > maxLocked {
		return nil
	}
	names := make([]string, len(l.order))
	for i, p := range l.order {
		names[i] = "ONLY " + p.leaf.Quoted()
	}
	sql := "LOCK TABLE " + strings.Join(names, ", ") + " IN ACCESS SHARE MODE"
	if err := l.conn.Exec(ctx, sql).Close(); err != nil {
		return fmt.Errorf("lock the tables: %w", err)
	}
	return nil
}

const queryBlocks = `
SELECT c.oid, pg_relation_size(c.oid) / current_setting('block_size')::bigint,
       c.relpages, c.reltuples::numeric::bigint, coalesce(pg_relation_filenode(c.oid), 0)
FROM pg_class c WHERE c.oid = ANY ($1::oid[])`

// measure estimates the rows as the planner does: density as last analysed, times blocks now.
func (l *leader) measure(ctx context.Context) error {
	byOID := map[uint32]*part{}
	oids := []uint32{}
	for _, p := range l.order {
		byOID[p.leaf.OID], oids = p, append(oids, p.leaf.OID)
	}
	return eachRow(ctx, l.conn, queryBlocks, oids, func(f *fields) {
		p := byOID[f.oid()]
		blocks, pages, rows, file := f.int64(), f.int64(), f.int64(), f.oid()
		if p == nil {
			return
		}
		p.blocks, p.file = blocks, file
		if p.rows = blocks * guessedRows; pages > 0 && rows >= 0 {
			p.rows = int64(float64(rows) / float64(pages) * float64(blocks))
		}
	})
}

// cut decides by what a part is cut: blocks where the server can read a range of them, else the key.
func (l *leader) cut(ctx context.Context, p *part) ([]snapshot.Range, error) {
	n := snapshot.Count(p.rows, int64(p.ChunkRows))
	blocks := p.leaf.Access == "heap" && l.Version >= tidRangeScan
	if p.ChunkBy == "" && (blocks || n == 1) {
		return snapshot.Blocks(p.blocks, n), nil
	}
	names := []string{p.ChunkBy}
	if p.ChunkBy == "" {
		names = p.Relation.keyNames()
	}
	if len(names) == 0 {
		return snapshot.Blocks(0, 1), nil
	}
	bounds, err := l.sample(ctx, p, names, n)
	return snapshot.Keys(bounds), err
}

// sample returns at most n-1 keys that cut the part into pieces of about equal size.
func (l *leader) sample(ctx context.Context, p *part, names []string, n int) ([][]string, error) {
	if n <= 1 {
		return nil, nil
	}
	sql, err := sampleSQL(p, names, n)
	if err != nil {
		return nil, err
	}
	var bounds [][]string
	err = eachRow(ctx, l.conn, sql, nil, func(f *fields) {
		key := make([]string, len(names))
		for i := range key {
			key[i] = f.text()
		}
		bounds = append(bounds, key)
	})
	return bounds, err
}

// sampleSQL reads a sample of the part's blocks and picks the keys at equal distances in it.
func sampleSQL(p *part, names []string, n int) (string, error) {
	var quoted, texts []string
	for _, name := range names {
		a := p.leaf.Attribute(name)
		if a == nil {
			return "", failed(pipeline.Input, "chunk_by names a column of the table",
				"there is no column %s to cut by", name)
		}
		quoted, texts = append(quoted, quoteName(name)), append(texts, a.Output)
	}
	from := "ONLY " + p.leaf.Quoted()
	if want := float64(n) * sampledRows; p.leaf.Access == "heap" && float64(p.rows) > want {
		percent := strconv.FormatFloat(max(100*want/float64(p.rows), 0.0001), 'f', -1, 64)
		from += " TABLESAMPLE SYSTEM (" + percent + ")"
	}
	columns := strings.Join(quoted, ", ")
	return fmt.Sprintf("SELECT %s FROM (SELECT %s, row_number() OVER (ORDER BY %s) AS pipe_n, "+
		"count(*) OVER () AS pipe_total FROM %s WHERE %s IS NOT NULL) s "+
		"WHERE pipe_n > 1 AND pipe_n * %d / pipe_total <> (pipe_n - 1) * %d / pipe_total ORDER BY pipe_n",
		strings.Join(texts, ", "), columns, columns, from, quoted[0], n, n), nil
}
