package snapshot

import (
	"context"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// EmitMark emits a position of a stream without rows.
func EmitMark(ctx context.Context, out pipeline.Output, s pipeline.Stream, p pipeline.Position) error {
	b, err := out.New(ctx, s)
	if err != nil {
		return err
	}
	b.Mark(p)
	return out.Emit(b)
}

// SaveMark is EmitMark, and returns once the position is saved.
func SaveMark(ctx context.Context, out pipeline.Output, s pipeline.Stream, p pipeline.Position) error {
	if err := EmitMark(ctx, out, s, p); err != nil {
		return err
	}
	return out.Drain(ctx, s)
}

// Begin records that an attempt begins, before any of its rows. With it goes, in one transaction where the
// sink has such, that what an earlier one may have delivered of the voided tables does not count: rows that
// were deleted since would stay for ever.
func Begin(ctx context.Context, a Attempt, voided []*pipeline.Schema, out pipeline.Output) error {
	b, err := out.New(ctx, AttemptStream)
	if err != nil {
		return err
	}
	tx := &pipeline.Tx{Snapshot: true, Pos: a.Void(), Time: time.Now().UnixMicro() - pipeline.EpochMicros}
	for i, s := range voided {
		row := b.Add()
		row.Schema, row.Op, row.Flags, row.Tx, row.Seq = s, pipeline.Truncate, pipeline.Again, tx, uint32(i)
	}
	b.Mark(a.Position())
	if err := out.Emit(b); err != nil {
		return err
	}
	return out.Drain(ctx, AttemptStream)
}
