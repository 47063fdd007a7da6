package checkpoint

import (
	"context"
	"sync"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Memory is a Store that forgets with the process.
type Memory struct {
	mu sync.Mutex // guards cp
	cp pipeline.Checkpoint
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{cp: pipeline.Checkpoint{}} }

// Load implements pipeline.Store.
func (m *Memory) Load(context.Context) (pipeline.Checkpoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cp.Clone(), nil
}

// Save implements pipeline.Store.
func (m *Memory) Save(ctx context.Context, cp pipeline.Checkpoint) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cp = cp.Clone()
	return nil
}

// Close implements pipeline.Store; what was saved stays.
func (m *Memory) Close() error { return nil }
