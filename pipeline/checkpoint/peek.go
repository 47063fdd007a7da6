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
