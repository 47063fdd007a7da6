// Package charset turns text in MariaDB's character sets into UTF-8.
//
// Invariants:
//   - ASCII and valid UTF-8 are never copied.
//   - Bytes that the character set does not define are reported, never dropped.
//   - A character set without an exact table here is unknown: an error, not a guess.
//
// Neighbours: sources/mariadb/binlog decodes text columns with it, from the binary log and from query
// results alike.
package charset
