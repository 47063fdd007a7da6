package snapshot

import (
	"context"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Helper is a source that reads chunks of a snapshot that another process leads: it has no stream, and
// nothing is confirmed to it.
type Helper struct {
	Read   func(ctx context.Context, out pipeline.Output) error // what it can claim; returns when nothing is left
	Status func() pipeline.Report
}

// Run implements pipeline.Source. The error of one that is stopped is that of ctx.
func (h Helper) Run(ctx context.Context, _ pipeline.Checkpoint, out pipeline.Output) error {
	err := h.Read(ctx, out)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Commit implements pipeline.Source.
func (h Helper) Commit(context.Context, pipeline.Checkpoint) error { return nil }

// Report implements pipeline.Reporter.
func (h Helper) Report() pipeline.Report { return h.Status() }
