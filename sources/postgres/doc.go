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
//   - A table whose rows the server changed without sending them stops the source, for good (rewrite.go).
//
// # An initial snapshot and crashes
//
// An attempt is one slot with its exported snapshot; a crash loses both, so the next attempt reads
// everything again, at a later point. Its steps, each durable in every sink and saved before the next:
//
//  1. forget the streams of the attempt that the checkpoint tells of;
//  2. on the stream chunk/attempt: "what was delivered before is void" and the position that names
//     this attempt, in one batch;
//  3. chunks, on streams chunk/<consistent point>-<chance>/<n>, whose names no other attempt has;
//  4. the first position of the stream "wal";
//  5. forget the attempt's streams, then chunk/attempt; then the stream begins.
//
// A crash before 4 is saved everywhere starts over, after that it resumes. What the engine hands over
// is the least of what store and Keepers have, so a Keeper may have more than the source can see:
//
//   - Between 2 and 4, a Keeper has chunks that the store lacks. They cannot be taken for the next
//     attempt's, whose streams have other names; the position of chunk/attempt, which everybody has
//     before the first chunk, says how many streams to forget, seen or not. So they never pile up.
//   - In 1, some are forgotten and some not: chunk/attempt stays until 2 replaces it, in the batch that
//     says void, so that it is never lost before that is said.
//   - In 2, a Keeper has the new name and the store the old: the earlier attempt had chunks, this one
//     has none yet, so the old name is the one that matters.
//   - In 4, a Keeper has a position of "wal" that the store lacks: nothing was streamed, since step 5
//     and the stream wait for the save; the next attempt's position is later and replaces it.
//   - In 5, the checkpoint has "wal", and while chunk/attempt is there the next start goes on forgetting.
//   - A sink that is added between two attempts has no chunk/attempt, and the least is none: the slot
//     that was left says that there was one, and the rows are declared void. Only positions of that one
//     attempt's few streams stay behind in the older Keeper. Where the slot was made by somebody else
//     (create without "slot") it says nothing: add sinks when no snapshot is unfinished.
//   - A store alone, or a sink that ignores "void", gets rows twice (at least once), and rows that were
//     deleted between two attempts stay, as in a log they must.
//
// Neighbours: pgoutput decodes the stream, pipeline/codec/pgtext the values. DESIGN.md lists the
// faults and what holds each.
package postgres
