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
//   - A table whose rows the server changed without sending them stops the source, for good, unless its
//     policy lets it be read again (rewrite.go).
//
// # Reading beside the stream
//
// A chunk is read in a short transaction: lock, snapshot S, then the insert position L, then the rows, in
// physical order, up to a bound of rows and bytes (live_read.go). It is merged at the first transaction's
// end P >= L without the rows that a transaction touched which was emitted and which S does not see
// (snapshot.Window); transactions are told apart by their full xid, since neither LSN nor commit time says
// what a snapshot sees. What makes it exact:
//
//   - A transaction that was emitted before the table was watched is visible before the first chunk is read
//     (settle): those since the start are remembered, those of a process before are the ones that ran at the
//     start and wait for a synchronous standby. COMMIT PREPARED counts as one of these.
//   - A row that moves from a place that is not read yet to one that was is brought by the change that moved
//     it. Where the target may lack the row (a table being filled: added, lost, or a first snapshot gone on
//     with) and the change leaves values out, it is held back, and the row read by its key at the end
//     (live_holes.go). A crash forgets which these were, not that there were any: the table is read once more.
//   - A segment names the file that its places are of: a table that was rewritten, truncated or clustered is
//     read anew. A TRUNCATE, or another description of the table, voids chunks that do not see it.
//   - What was done to a table before it was published, in a transaction that commits later, is not sent: a
//     table that was added is read once everything that ran then has ended.
//
// A table without a key cannot be told apart row by row and is refused. One of policy only has no stream to
// be merged into.
//
// # An initial snapshot and crashes
//
// An attempt is one slot with its exported snapshot. A crash loses the snapshot, not the slot: the stream
// begins where the snapshot was taken, and what the ledger says is left is read beside it. Where that cannot
// be (the slot is gone, a table without a key is not finished, a sink lost chunks that it had, nothing was
// planned yet) the next attempt reads everything again, at a later point. An attempt's steps, each durable in
// every sink and saved before the next:
//
//  1. every table's entry: pending, nothing planned, so that nothing of before is gone on with;
//  2. forget the streams of the attempt that the checkpoint tells of;
//  3. on the stream chunk/attempt: "what was delivered before is void" and the position that names
//     this attempt, its consistent point and whose that is, in one batch;
//  4. the entries: what is left, which is everything;
//  5. chunks, on streams chunk/<attempt>/<n>, whose names no other attempt has; behind them chunk/kept, how
//     far each of these streams was, and only then the entries that rely on it;
//  6. the entries: done; then the first position of the stream "wal";
//  7. forget the attempt's streams, then chunk/attempt; then the stream begins.
//
// To go on with it is 6 without "done", then 7. A crash before 6 is saved everywhere starts over or goes on,
// after that it resumes. What the engine hands over is the least of what store and Keepers have, so a Keeper
// may have more than the source can see:
//
//   - Between 3 and 6, a Keeper has chunks that the store lacks. They cannot be taken for the next
//     attempt's, whose streams have other names; the position of chunk/attempt, which everybody has
//     before the first chunk, says how many streams to forget, seen or not. So they never pile up.
//   - A sink may lose chunks with their positions (an UNLOGGED table, a crash of its server): a stream of
//     chunks that is behind what chunk/kept says starts everything over.
//   - In 2, some are forgotten and some not: chunk/attempt stays until 3 replaces it, in the batch that
//     says void, so that it is never lost before that is said.
//   - In 3, a Keeper has the new name and the store the old: the earlier attempt had chunks, this one
//     has none yet, so the old name is the one that matters.
//   - In 6, a Keeper has a position of "wal" that the store lacks: nothing was streamed, since step 7
//     and the stream wait for the save; the next attempt's position is later and replaces it.
//   - In 7, the checkpoint has "wal", and while chunk/attempt is there the next start goes on forgetting.
//   - A sink that is added between two attempts has no chunk/attempt, and the least is none: the slot
//     that was left says that there was one, and the rows are declared void. Only positions of that one
//     attempt's few streams stay behind in the older Keeper. Where the slot was made by somebody else
//     (create without "slot") it says nothing: add sinks when no snapshot is unfinished.
//   - A store alone, or a sink that ignores "void", gets rows twice (at least once), and rows that were
//     deleted between two attempts stay, as in a log they must.
//
// # An initial snapshot that is shared
//
// With a board (Lead) step 5 is done by several processes (share.go): after the plan the position of
// chunk/attempt says that the attempt is shared, and each chunk has a stream, chunk/<attempt>/shared/<n>. A
// helper (Help) imports the exported snapshot, compares what it is to read with the leader's (shapeOf), and
// has neither slot nor stream. chunk/kept and the entries are the leader's alone. When all are finished, and
// before 6, the position of chunk/attempt says that the attempt is closed: a helper that was held up cannot
// commit any more, though in 7 its chunk's position is forgotten. Who goes on after a leader takes what its
// ledger did not know yet from the positions (share_recall.go).
//
// # A position that is lost
//
// Where every table may be read again (when_needed, always): the entries, pending with the reason "lost";
// forget the position of "wal", since the new one may be smaller; a new slot; its position; then the stream,
// and the tables beside it. A start without a position but with such entries goes on from the third step.
//
// Neighbours: pgoutput decodes the stream, pipeline/codec/pgtext the values. DESIGN.md lists the
// faults and what holds each.
package postgres
