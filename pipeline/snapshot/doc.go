// Package snapshot is what every snapshot has in common, whatever the database: policies, chunks,
// how a table is cut into them, who reads which, and how far that is; and what sources decide alike before
// it: what a configuration says of a table (Rules), what a start does with its rows (Outlook). It knows no
// database: bounds are texts that the source writes and reads.
//
// Invariants:
//
//   - Every row of a table falls in exactly one chunk of a plan, also one that was inserted after
//     the plan was made or lies beyond what was sampled: the first chunk has no lower bound, the last
//     no upper one, and where one chunk ends the next begins.
//   - Each worker emits its chunks in turn on a few streams of its own, so that a sink may write one
//     while the next is read, and the number of streams does not grow with the table. A chunk ends
//     with a Mark, so it counts as done only when every sink has all of it (pipeline invariant 1).
//   - The streams of two attempts at a snapshot never have the same name (Attempt).
//   - The first error ends an initial snapshot; nothing is skipped.
//
// Several processes may read an initial snapshot together (Share): the leader puts the chunks on a Board, all
// claim them from there, the leader included (Sharing), and the leader goes on when all are finished.
//
//   - All chunks are of one state of the database, that from which the leader streams. Where a helper cannot
//     see that, it leaves out what was changed since: the stream brings it.
//   - A chunk is a stream of its own with one mark at its end. A claim is no lock: after the lease a chunk is
//     another's, and both may write it. Sinks that keep positions let one of the two pass, and none once the
//     position of the attempt says that it is closed; others get rows twice, as from any process that was
//     held up.
//   - A chunk counts as finished only when it is durable in every sink of whoever read it, and saved.
//   - Who helps emits no other stream, and ends as soon as the share is not open: its leader is gone or done.
//
// On a running pipeline (Live) it is different: each chunk is read in a short transaction and merged
// into the stream of changes.
//
//   - A row of a chunk is emitted only behind everything that the chunk's snapshot sees (its fence),
//     and not if its key was touched by an emitted transaction that the snapshot does not see
//     (Window): so no row goes back in time.
//   - The Window watches a table before the first of its chunks is read.
//   - What the stream delivered before it watched a table is visible to every chunk of it (Live.Settle),
//     and so is what sinks do not remember of a snapshot that replaces (Sift).
//   - An update that leaves values out completes only a row that is downstream. While a table is being
//     filled, rows that are left out for one are read once more (Live.More), and the ledger forgets
//     neither them nor their chunks before that.
//   - A snapshot of a table begins only after the end of the one before it is saved.
//   - The Ledger, what is known of each table, lies in the checkpoint: no sink has less of it than of
//     the rows that it tells of. It says that a chunk is there only after the chunk is durable.
//
// Neighbours: sources plan and read chunks with it.
package snapshot
