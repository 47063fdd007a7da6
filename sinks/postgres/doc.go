// Package postgres is the sink that writes rows into PostgreSQL tables, set-based, exactly once.
//
// A batch becomes a few statements: the rows of a table are compacted to the last state of each key,
// sorted by key and written by an array-bound statement (small) or a binary COPY into a typed
// temporary table and one merge (large), or, where a table is known to hold none of them, by COPY.
//
// Invariants:
//
//   - Positions are written in the transaction that writes their rows, and with it the fence is
//     checked: an instance that was replaced cannot commit (pipeline.Keeper).
//   - A source transaction is never split: rows after the last Mark stay in the stream's open
//     transaction, whatever its size; nothing of it is kept in memory.
//   - A value that was not sent (Absent) is never written: such rows update the columns they have.
//   - Compaction never decides an outcome: where a set-based statement fails, the rows are applied
//     in the order of the source, and only what fails then is an error, naming table, key, position.
//   - A table that is made for its load has its key before the first position of changes is stored, and
//     the positions of its chunks are never more durable than their rows.
//   - What is not known to have a binary form goes as the source's text and is cast by the server.
//
// Neighbours: pipeline/codec/pgtext encodes, pipeline/engine calls. DESIGN.md says how it works, errors.go
// what faults mean, plan_report.go what a start would do, verify.go how rows are compared with targets, contract.go
// which types are made (TYPES.md is its page), state.go what is kept on disk.
package postgres
