// Package discard is the sink "discard": it counts rows and drops them, to measure what comes before
// it. Every row is durable at once, since nothing is kept.
//
// Neighbours: cmd/pipe names it; pipeline/engine writes to it.
package discard

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// lanes is how many Writes may run at once: there is nothing to wait for.
const lanes = 16

// Config is the block sink "discard".
type Config struct {
	From []spec.Ref
}

// Spec describes the block.
func (c *Config) Spec(b *spec.Block) {
	b.Doc("Counts rows and drops them, to measure what comes before.")
	spec.Attr(b, "from", &c.From).Required().To("source", "transform").Doc("Where the rows come from.")
}

// Open returns the sink.
func (c *Config) Open(_ context.Context, env spec.Env) (pipeline.Sink, error) {
	return &Sink{log: env.Log}, nil
}

// Sink counts what is written to it. The zero Sink is ready for use.
type Sink struct {
	log                  *slog.Logger
	rows, batches, bytes atomic.Int64
}

// Write counts the batch.
func (s *Sink) Write(_ context.Context, b *pipeline.Batch) error {
	s.rows.Add(int64(len(b.Rows)))
	s.batches.Add(1)
	s.bytes.Add(int64(b.Size()))
	return nil
}

// Lanes returns how many Writes may run at once.
func (s *Sink) Lanes() int { return lanes }

// Rows returns the number of rows written so far.
func (s *Sink) Rows() int64 { return s.rows.Load() }

// Batches returns the number of batches written so far, empty ones too.
func (s *Sink) Batches() int64 { return s.batches.Load() }

// Bytes returns the size of the batches' values in memory.
func (s *Sink) Bytes() int64 { return s.bytes.Load() }

// Close logs the counts.
func (s *Sink) Close() error {
	if s.log != nil {
		s.log.Info("discarded", "rows", s.Rows(), "batches", s.Batches(), "bytes", s.Bytes())
	}
	return nil
}
