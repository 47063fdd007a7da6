// Package snapshot is what every snapshot has in common, whatever the database: policies, chunks,
// how a table is cut into them, who reads which, and how far that is. It knows no database: bounds
// are texts that the source writes and reads.
//
// Invariants:
//
//   - Every row of a table falls in exactly one chunk of a plan, also one that was inserted after
//     the plan was made or lies beyond what was sampled: the first chunk has no lower bound, the last
//     no upper one, and where one chunk ends the next begins.
//   - A chunk is one stream; its last batch carries its only Mark, so a chunk counts as done only
//     when every sink has all of it (pipeline invariant 1).
//   - The first error ends the run; nothing is skipped.
//
// Neighbours: sources plan and read chunks with it.
package snapshot
