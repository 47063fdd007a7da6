// Package postgres is the source that reads a PostgreSQL database: the rows that are there, then
// every change, through a logical replication slot.
//
// Invariants:
//   - The slot is never told more than Commit was told: flush is the LSN of a saved position, or of
//     an idle mark that went through the pipeline (pipeline invariants 1 and 2).
//   - Before each start the saved position is compared with the server, its timeline and the slot;
//     START_REPLICATION itself accepts any LSN without a word.
//   - A publication is created before the slot, for named tables only: one FOR ALL TABLES would break
//     updates of tables without a replica identity in the user's application.
//   - Server, database and role settings that change how values are printed are pinned on every
//     connection.
//   - A value that was not sent is Absent, never NULL.
//
// Neighbours: pgoutput decodes the stream, pipeline/codec/pgtext the values.
package postgres
