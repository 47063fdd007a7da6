package pipeline

import "context"

// Output is where a source delivers. Its methods are safe for concurrent use by the goroutines of
// the source; the batches of one stream must be emitted one after another, in order.
type Output interface {
	// New returns an empty batch for a stream of the source (its local name). It waits while too
	// many batches are in flight: the only back-pressure (invariant 4).
	New(ctx context.Context, s Stream) (*Batch, error)
	// Emit hands the batch over; it must not be used afterwards. An empty batch is taken back.
	Emit(b *Batch) error
	// Idle reports whether nothing is in flight, so that a part-filled batch should be emitted now
	// rather than held for company. Sources also emit when Batch.Full, or when their linger passed.
	Idle() bool
	// Drain waits until everything emitted on the streams so far is durable in every sink and its
	// positions are saved: the barrier between a snapshot and the stream after it.
	Drain(ctx context.Context, s ...Stream) error
}

// Source reads one place that changes come from.
type Source interface {
	// Run reads from the given positions (local stream names; empty: from nothing) and emits until
	// ctx ends or everything was read, and cleans up before it returns. It is called once. When ctx
	// ends it returns promptly, with ctx's error or nil, without emitting half-filled work.
	Run(ctx context.Context, from Checkpoint, out Output) error
	// Commit tells that cp (local stream names) is saved: upstream may forget what is before it
	// (invariant 2). It is called while Run runs, from another goroutine, one call at a time, and
	// must not block for long: it records what Run's own sender then sends.
	Commit(ctx context.Context, cp Checkpoint) error
}

// Exclusive is implemented by sources that one process at a time can read. Await is called once,
// before Run and before any Keeper claims its fence, and returns when no other process reads: so a
// standby takes nothing from an instance that works. It keeps nothing: another may be faster.
type Exclusive interface {
	Await(ctx context.Context) error
}

// Successor is implemented by sources and sinks that can end what a process that hangs still holds at their
// server. Succeed is called at most once, before Await and Checkpoint, where the processes of a pipeline take turns: term is the number of this
// process's turn, and what has a lower one is not to read or write any more.
type Successor interface {
	Succeed(term int64)
}

// Func changes one row in place and reports whether to keep it. New memory for values comes from a,
// which belongs to the row's batch. Before the call the engine has set r.Schema to the schema that
// Bind returned; f may set another one with the same columns (a row-wise route). A row that comes
// with Op Truncate or Message is passed too. An error stops the pipeline, so it must say which
// column and key.
type Func func(a *Arena, r *Row) (keep bool, err error)

// Transform changes rows. It is bound once for each schema; the bound function runs once per row,
// from one goroutine at a time, and must not allocate in the steady state.
type Transform interface {
	// Bind returns the schema of the rows that leave, and the function. A nil function keeps rows
	// as they are under the schema out. A nil out drops every row of the table.
	Bind(in *Schema) (out *Schema, f Func, err error)
}

// Sink is a place that changes go to.
type Sink interface {
	// Write delivers the rows in order. Nil means that every row up to the batch's last Mark is
	// durable and that the rows after it are accepted: the sink may hold them in an open
	// transaction until a later batch of the stream brings their Mark, or in an own buffer that a
	// crash may lose since nothing was acknowledged. A batch without rows may carry Marks.
	//
	// The sink must neither keep nor change b after it returned: it may be shared with other sinks.
	// Batches of one stream come one after another; batches of different streams come concurrently
	// if and only if the sink implements Parallel.
	//
	// After an error the sink is not written to again: the engine stops and, where the error is
	// Retryable, the pipeline is built anew and resumes from what was saved (invariant 6).
	Write(ctx context.Context, b *Batch) error
	// Close releases what the sink holds; rows after the last Mark may be lost. Called once, when
	// no Write runs.
	Close() error
}

// Parallel is implemented by sinks that take batches of different streams concurrently.
type Parallel interface {
	// Lanes returns how many Writes may run at once.
	Lanes() int
}

// Sifter is implemented by sinks that find out what they hold while a snapshot that replaces runs (Sift), so
// that its end (Sweep) need not wait for that. An Output has such sinks where it is a Sifting.
type Sifter interface {
	// Sifted waits until a Sweep of a source's table (Schema.Name at the source) would be quick, or fail. It
	// is called while Writes run. An error that is not Retryable ends the table's snapshot.
	Sifted(ctx context.Context, source, table string) error
}

// Sifting is implemented by Outputs that know the sinks behind them.
type Sifting interface {
	// Sifted waits for every Sifter that the source's rows reach; see there.
	Sifted(ctx context.Context, table string) error
}

// Keeper is a Sink that stores the Marks of the batches it writes in the same transaction as the
// rows, together with a fence against a second instance. It must trim: rows whose Tx is In the
// position that it holds for the batch's stream are not written again. A Mark of such a replay does
// not move that position back: it would trim too little after the next crash.
type Keeper interface {
	Sink
	// Checkpoint returns the positions stored (qualified stream names), claiming the fence: from
	// here on an older instance fails its next Write with ErrFenced. Called once, before any Write.
	Checkpoint(ctx context.Context) (Checkpoint, error)
}

// Assistant is a Keeper that can write to its place beside the instance that has the fence: chunks of an
// initial snapshot that several processes read (snapshot.Share).
type Assistant interface {
	Keeper
	// Assist makes it one that helps: Checkpoint borrows the fence that is there, rather than claiming it,
	// and returns no positions; Write is called with shared chunks only, and fails with ErrFenced once the
	// fence has another owner. It is called at most once, before Checkpoint.
	Assist()
}

// Store keeps a checkpoint outside the sinks.
type Store interface {
	// Load returns what was saved last; an empty checkpoint if nothing ever was. Anything
	// unreadable is an error: never "no state".
	Load(ctx context.Context) (Checkpoint, error)
	// Save replaces the whole checkpoint, durably and atomically.
	Save(ctx context.Context, cp Checkpoint) error
	// Close releases the lock that keeps a second process out.
	Close() error
}

// Leased is a Store whose pipeline another process takes over when this one gives no sign of life for too
// long: a process that was held up must write nothing more.
type Leased interface {
	Store
	// Held returns nil where the pipeline is this process's, and ErrFenced once another one has it. It is
	// called before each Write and asks nobody, unless signs of life are overdue: then it gives one first.
	Held(ctx context.Context) error
	// Lost is closed once another process is known to have the pipeline.
	Lost() <-chan struct{}
}
