package snapshot

import (
	"context"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Share is an initial snapshot that several processes read: the leader, which said what all of them
// read and will follow the changes, and those that stand by.
type Share struct {
	Attempt  Attempt
	Exported string    // what the leader's session exported for others to import, or where it is, in the source's notation
	Taken    time.Time // when
	// Shape stands for the tables and how they are read: who finds another one must not help.
	Shape string
}

// Claim is a chunk that this process is to read. Number is that of the attempt's stream.
type Claim struct {
	Number int
	Chunk  Chunk
}

// Finished is a chunk that is durable in every sink.
type Finished struct {
	Number int
	Table  string
	Rows   int64 // emitted
}

// Board is where the processes of a pipeline share out the chunks of one source's initial snapshot. A
// chunk that was claimed is its owner's as long as that one gives signs of life; then another one may
// claim it, so two may read it: the sinks must know what they have. Its methods are safe for concurrent
// use and fail with errors of class Retryable, pipeline.ErrFenced among them, where it may help to begin
// again.
type Board interface {
	// Open is the leader's: it puts up the chunks, in place of whatever was there. Of a table for which
	// most returns more than 0, no more chunks than about so many are read at once.
	Open(ctx context.Context, s Share, chunks []Chunk, most func(table string) int) error
	// Find returns the share that is open; ok is false where there is none, or where its leader is not.
	Find(ctx context.Context) (s Share, ok bool, err error)
	// Claim claims a chunk, the largest first; ok is false where there is none now. over says that there
	// will be none: all are finished, or the share is not open.
	Claim(ctx context.Context, a Attempt) (c Claim, ok, over bool, err error)
	// Beat gives a sign of life for what was claimed and reports whether the share is open. It is to be
	// called once in Every; without it for longer than Lease what was claimed is anybody's.
	Beat(ctx context.Context, a Attempt) (open bool, err error)
	// Every returns how often Beat is to be called at the least.
	Every() time.Duration
	// Lease returns after how long without a Beat what was claimed is anybody's.
	Lease() time.Duration
	// Finish records chunks that are durable and returns those that nobody recorded before.
	Finish(ctx context.Context, a Attempt, chunks []Finished) ([]Finished, error)
	// News is the leader's: it returns what others finished since the last call.
	News(ctx context.Context, a Attempt) ([]Finished, error)
	// Recall returns all chunks of an attempt, whoever led it; none where they are not known any more.
	Recall(ctx context.Context, a Attempt) ([]Claim, error)
	// Release gives back what was claimed and is not finished, so that others need not wait.
	Release(ctx context.Context, a Attempt) error
	// Close is the leader's: it takes everything down, with the positions that helpers saved.
	Close(ctx context.Context) error
}

// Sharer is implemented by sources whose initial snapshot several processes can read.
type Sharer interface {
	// Lead gives the source a board for its own initial snapshot; before Run.
	Lead(b Board)
	// Help returns a source that reads what it can claim of the share that is open, and ends when there
	// is nothing left to claim. The Sharer itself must not Run beside it.
	Help(b Board) pipeline.Source
}

// SharedReader reads chunks in a session of its own, one after another.
type SharedReader interface {
	// ReadShared emits the chunk's rows on a stream of its own, with the mark Reached(1) at their end.
	ReadShared(ctx context.Context, c *Chunk, stream pipeline.Stream) (rows int64, err error)
	// Close ends the session.
	Close() error
}
