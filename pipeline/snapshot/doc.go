// Package snapshot is what every snapshot has in common, whatever the database: policies, chunks,
// how a table is cut into them, who reads which, and how far that is. It knows no database: bounds
// are texts that the source writes and reads.
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
//   - The first error ends the run; nothing is skipped.
//
// Neighbours: sources plan and read chunks with it.
package snapshot
