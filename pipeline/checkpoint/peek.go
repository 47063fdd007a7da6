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
