// Package mariadb is the source that reads a MariaDB server (10.6 or later): the rows that are there,
// then every change, from the binary log.
//
// Invariants:
//   - A position is a set of GTIDs, one for each domain, so it holds after a fail-over too. It sorts
//     as text by the sum of its sequence numbers, which rises with every transaction (see position).
//     File and place in it would be needed where a server names no transactions, as MySQL does with
//     gtid_mode OFF. MariaDB names each one whatever its settings are, so there is no such fallback.
//   - Marks are ends of groups in the log: commits, statements outside of transactions, and the
//     outcome of XA transactions. The rows of XA PREPARE are held until their outcome is known, in
//     memory and beyond a bound on file; the position says from where they are read again after a
//     restart. A first start is refused while transactions are prepared that it would miss.
//   - Rows events that later versions cut into fragments (12.3), and events without a place in their
//     file (11.4), are read like others. An event that nobody knows stops the stream.
//   - A table's shape comes from the table map in the log (binlog_row_metadata) and, for what that
//     does not say, from the catalogue. Statements in the log only say when to look again.
//   - All workers of a snapshot see the same state of the database, whose position is where the
//     stream begins; so no row of the stream lies before it, and none is missing. Helpers in other processes
//     see later ones: see below.
//   - On a running pipeline (package snapshot, Live) a chunk is read in a consistent snapshot of its own,
//     whose place in the log is exact: asked for until three answers agree, since two sessions that ask
//     at once may get each other's. Places in this one log (coord), not GTIDs, number transactions and
//     fences there, for finding the GTIDs of a place costs the server a look through the file. What a
//     chunk is held to see ends at the log's end from before it was opened: an XA COMMIT is logged
//     before it is seen. No snapshot is open for longer than a chunk.
//   - Tables are cut and read by their keys in the server's order, never by counting rows off. Bounds
//     are values that the server gave, compared by itself.
//   - While a table is being filled, a change that leaves values out (binlog_row_image MINIMAL, NOBLOB)
//     is held back and its row read once more, since the sinks may not have it.
//   - A change that has no row events (statement format, partitions dropped) is never passed over in
//     silence.
//
// # A first snapshot that is shared
//
// With a board (Lead) the chunks are read by several processes (share.go); each chunk has a stream,
// chunk/<attempt>/shared/<n>. No session can be given what another one sees, so a helper (Help) opens
// transactions of its own at a later time S than the leader's moment M, where the stream begins. Then it reads
// the log from M to its end, E, which lies behind S, and leaves the rows out of its chunks that were changed in
// between (share_touched.go). What it emits was so at M already: a row that is there at S and was not changed
// in (M, E] was the same at M. What it leaves out the stream brings, whole, since each such row's first change
// after M is in it. So no row goes back, none is missing once the stream is at E, and none is there twice; a
// run that ends when it has caught up goes on to where the log was when the snapshot was finished.
//
//   - A process does not help, and says why, where that cannot be: a change without all values is the first
//     one of its row (binlog_row_image MINIMAL, NOBLOB), a table was altered, emptied or changed by a logged
//     statement, more than half a million rows were changed, it is connected to another server, or its tables are
//     not the leader's (shapeOf).
//   - Tables without a key, of other engines than InnoDB, or of policy only are read by the leader alone, and
//     before the others. Where all tables are of policy only, nobody helps.
//   - When all are finished the position of chunk/attempt says that the attempt is closed: a helper that was
//     held up cannot commit any more, though its chunk's position is forgotten afterwards. Who goes on after a
//     leader takes what its ledger did not know yet from the positions, and closes the attempt before it
//     streams (share_recall.go). It starts over where a sink has lost chunks of which the ledger speaks.
//
// MySQL is refused: its names of transactions, compressed transactions and partial JSON updates are
// not read.
//
// Neighbours: wire speaks the protocol, binlog decodes events and values, charset converts text.
package mariadb
