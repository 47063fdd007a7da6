package snapshot

import (
	"context"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Attempted reports whether the checkpoint tells of an attempt.
func Attempted(from pipeline.Checkpoint) bool {
	_, ok := from[AttemptStream]
	return ok || len(Left(from)) > 0
}

// Supersede forgets the streams of an attempt that was not finished, before the position of a new one, a,
// takes the place of the one that tells of them. That position stays until then: it is also what says
// that the attempt's rows are void. Only where it sorts after the new one's, on a server that was set
// back, it goes first: a sink would take the rows that say so for known.
func Supersede(ctx context.Context, a Attempt, from pipeline.Checkpoint, out pipeline.Output) error {
	if err := Forget(ctx, out, Left(from)...); err != nil {
		return err
	}
	if from[AttemptStream] < a.Void() {
		return nil
	}
	return Forget(ctx, out, AttemptStream)
}

// Tidy forgets what an attempt that was finished left behind.
func Tidy(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error {
	if !Attempted(from) {
		return nil
	}
	return ForgetAttempt(ctx, out, Left(from))
}

// ForgetAttempt makes everybody forget an attempt: its streams, and only once that is saved the position
// that tells of them.
func ForgetAttempt(ctx context.Context, out pipeline.Output, streams []pipeline.Stream) error {
	if err := Forget(ctx, out, streams...); err != nil {
		return err
	}
	return Forget(ctx, out, AttemptStream)
}

// Forget makes everybody forget streams, and waits until that is saved.
func Forget(ctx context.Context, out pipeline.Output, streams ...pipeline.Stream) error {
	if len(streams) == 0 {
		return nil
	}
	for _, s := range streams {
		if err := EmitMark(ctx, out, s, ""); err != nil {
			return err
		}
	}
	return out.Drain(ctx, streams...)
}
