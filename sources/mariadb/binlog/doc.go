// Package binlog decodes the events of MariaDB's binary log, and rows into pipeline.Values. It opens
// no connection.
//
// Invariants:
//   - Every read is bounds-checked: malformed input is an error, never a panic and never a guess.
//   - Decoding a row allocates nothing but room in the batch's arena.
//   - A column that the row image does not hold is Absent, never NULL.
//   - A value read from the text of a query result (Field.Text) is the one read from the binary log.
//
// Sources: MariaDB Knowledge Base, "Replication Protocol"; MariaDB Server, sql/log_event.h. Events of
// MySQL differ where that is said.
//
// Neighbours: sources/mariadb reads events and builds the fields; sources/mariadb/charset converts
// text.
package binlog
