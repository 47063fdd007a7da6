package snapshot

import (
	"context"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Piece is a chunk that was read and waits to be merged into the stream of changes.
type Piece struct {
	Request Request // what it is read for
	Table   string
	// Segment is what to read from; the Reader sets its High to where it stopped.
	Segment Segment
	Rest    *Segment // what is left of the segment; nil: nothing
	// Rows have Schema and Values, which lie in Arena; the rest is set when they are merged.
	Arena pipeline.Arena
	Rows  []pipeline.Row
	// Fence is the position that the stream must reach before the rows are merged: everything that the
	// chunk's snapshot sees lies before it. Sees tells whether the snapshot sees a transaction, by the
	// numbers that the source gave the Window. It is called after the piece was merged too, and must not
	// refer to the piece's memory; of two snapshots the later one sees all that the earlier one sees.
	Fence pipeline.Position
	Sees  func(tx uint64) bool
	// Flags, where there are any, say that it has no rows: a Truncate with them is emitted in its place.
	Flags pipeline.Flags

	job  *job
	id   uint64 // rises with the beginning of the reading
	rows int64  // merged
	owed bool   // a row was left out that may not be whole downstream
}

// Limit is how much a Reader reads at once, about; at least one row.
type Limit struct {
	Rows  int
	Bytes int
}

// Reader reads chunks in a session of its own, one after another.
type Reader interface {
	// Read reads a chunk from the front of p.Segment in a short transaction of its own and sets Rest,
	// Rows, Fence and Sees.
	Read(ctx context.Context, p *Piece, limit Limit) error
	// Close ends the session.
	Close() error
}

// reset empties a piece for reuse.
func (p *Piece) reset() {
	p.Arena.Reset()
	clear(p.Rows)
	*p = Piece{Arena: p.Arena, Rows: p.Rows[:0]}
}
