package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// keysAtOnce is how many keys one statement looks for. Each takes two sessions in turn, and sessions that end
// count for max_connections until the server has noticed.
const keysAtOnce = 1000

// rowReader reads tables beside a run: by snapshots that ordinary sessions export, so it needs no slot
// and writes nothing.
type rowReader struct {
	*runner
	reads int
}

// OpenRows implements spec.RowSource.
func (c *Config) OpenRows(ctx context.Context, env spec.Env) (spec.RowReader, error) {
	r, err := newRunner(&Source{config: c, env: env})
	if err == nil {
		if err = r.prepare(ctx); err == nil {
			return &rowReader{runner: r}, nil
		}
		r.close()
	}
	return nil, (&Source{config: c, env: env}).named(c.classified(err))
}

// Close ends the session.
func (r *rowReader) Close() error {
	r.close()
	return nil
}

// Read implements spec.RowReader.
func (r *rowReader) Read(ctx context.Context, name string, keys [][]string, out pipeline.Output) (spec.Fence, error) {
	fence, err := r.read(ctx, name, keys, out)
	if err != nil {
		err = r.source.named(r.config.classified(err))
	}
	return fence, err
}

func (r *rowReader) read(ctx context.Context, name string, keys [][]string, out pipeline.Output) (spec.Fence, error) {
	var t *table
	for _, known := range r.tables {
		if known.Schema.Name() == name {
			t = known
		}
	}
	if t == nil {
		return spec.Fence{}, failed(pipeline.Input, `See "pipe tables"`, "the source does not read table %s", name)
	}
	conn, err := r.config.connect(ctx)
	if err != nil {
		return spec.Fence{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	reads, err := r.split(t, keys)
	if err != nil {
		return spec.Fence{}, err
	}
	if err := r.export(ctx, conn, reads, out); err != nil {
		return spec.Fence{}, err
	}
	// Asked for after the snapshot was taken: everything that it sees was inserted into the WAL before.
	end, err := queryRow(ctx, r.admin, "read the WAL's end", "SELECT CASE WHEN pg_is_in_recovery() THEN "+
		"pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END")
	if err != nil {
		return spec.Fence{}, err
	}
	lsn, err := parseLSN(end[0])
	return spec.Fence{Stream: walStream, Pos: pipeline.Position(appendHex(nil, lsn, 16))}, err
}

// export gives the readers of the tables one snapshot.
func (r *rowReader) export(ctx context.Context, conn *pgconn.PgConn, reads []snapshotTable, out pipeline.Output) error {
	err := execute(ctx, conn, "begin", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	if err != nil {
		return err
	}
	row, err := queryRow(ctx, conn, "export a snapshot", "SELECT pg_export_snapshot()")
	if err != nil {
		return err
	}
	r.reads++
	now := time.Now()
	for i := range reads {
		s := &snapshotter{Connect: r.config.connect, Exported: row[0], Taken: now, Version: r.catalog.Version,
			Workers: r.config.Workers, Progress: snapshot.NewProgress(now), Tables: reads[i : i+1],
			Attempt: snapshot.Attempt{ID: fmt.Sprintf("verify-%d-%d", r.reads, i), Streams: r.config.Workers * streamsPerWorker}}
		if err := s.run(ctx, out); err != nil {
			return err
		}
	}
	return nil
}

// split says how the rows are read: all at once, or those with the keys some at a time.
func (r *rowReader) split(t *table, keys [][]string) ([]snapshotTable, error) {
	if keys == nil {
		return []snapshotTable{t.toRead()}, nil
	}
	var out []snapshotTable
	for len(keys) > 0 {
		n := min(len(keys), keysAtOnce)
		s := t.toRead()
		where, err := t.withKeys(keys[:n])
		if err != nil {
			return nil, err
		}
		if s.Where != "" {
			where = "(" + s.Where + ") AND " + where
		}
		s.Where, s.ChunkRows, s.ChunkBy, s.Workers = where, maxChunkRows, "", 1
		out, keys = append(out, s), keys[n:]
	}
	return out, nil
}

// withKeys is a condition for the rows with one of the keys, whose texts are in the schema's order.
func (t *table) withKeys(keys [][]string) (string, error) {
	names := make([]string, len(t.Schema.Key))
	for i, k := range t.Schema.Key {
		names[i] = t.Schema.Columns[k].Name
	}
	list := make([]string, len(keys))
	for i, key := range keys {
		literal, err := keyLiteral(t.relation, names, key)
		if err != nil {
			return "", err
		}
		list[i] = literal
	}
	return keyColumns(names) + " IN (" + strings.Join(list, ", ") + ")", nil
}
