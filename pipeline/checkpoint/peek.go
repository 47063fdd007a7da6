package checkpoint

import (
	"context"
	"os"
	"path/filepath"

	"github.com/pipe-cdc/pipe/pipeline"
)

// PeekFile returns what OpenFile's store would load, without locking it or writing anything: the state
// of a pipeline that may be running.
func PeekFile(ctx context.Context, path, pipelineName string) (pipeline.Checkpoint, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() || os.IsPathSeparator(path[max(len(path)-1, 0)]) {
		path = filepath.Join(path, fileName(pipelineName))
	}
	f := &File{path: path, name: pipelineName}
	return f.Load(ctx)
}

// PeekPostgres returns what OpenPostgres's store would load, without taking the pipeline, waiting or
// making anything; made is false where its tables are not there yet.
func PeekPostgres(ctx context.Context, s Server) (cp pipeline.Checkpoint, made bool, err error) {
	p := &Postgres{server: s}
	if p.conn, err = s.connect(ctx); err != nil {
		return nil, false, s.explain(ctx, err)
	}
	defer hangUp(p.conn)
	rows, err := query(ctx, p.conn, "SELECT to_regclass($1) IS NOT NULL", text(ident(s.Schema)+".state"))
	if err != nil {
		return nil, false, s.explain(ctx, err)
	}
	if rows[0][0] != "t" {
		return pipeline.Checkpoint{}, false, nil
	}
	if cp, err = p.load(ctx); err != nil {
		return nil, true, s.explain(ctx, err)
	}
	return cp, true, nil
}

const holderSQL = `SELECT owner, (extract(epoch FROM taken_at) * 1000000)::bigint FROM STATE.lease l WHERE pipeline = $1
	AND beat >= clock_timestamp() - $2::bigint * interval '1 ms' AND EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory'
	AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND classid = $3::bigint::oid AND objid = (l.epoch & 4294967295)::oid AND objsubid = 2)`

// PeekHolder returns who has a pipeline, as OpenPostgres would find it; ok is false where nobody does.
func PeekHolder(ctx context.Context, s Server) (h Holding, ok bool, err error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return h, false, s.explain(ctx, err)
	}
	defer hangUp(conn)
	rows, err := query(ctx, conn, "SELECT to_regclass($1) IS NOT NULL", text(ident(s.Schema)+".lease"))
	if err == nil && rows[0][0] == "t" {
		rows, err = query(ctx, conn, s.sql(holderSQL), text(s.Pipeline), number(max(s.Lease, MinLease).Milliseconds()),
			number(int64(s.lockClass())))
		if err == nil && len(rows) == 1 {
			return holdingOf(rows[0][0], rows[0][1]), true, nil
		}
	}
	if err != nil {
		err = s.explain(ctx, err)
	}
	return h, false, err
}
