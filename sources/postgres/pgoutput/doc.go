// Package pgoutput decodes the messages of PostgreSQL's logical replication plugin pgoutput,
// protocol versions 1 to 4 (PostgreSQL documentation, "Logical Streaming Replication Protocol" and
// "Logical Replication Message Formats").
//
// Invariants: no input makes it panic or read outside the input; it allocates nothing once its
// slices have grown to the widest table; everything it returns aliases the input and is overwritten
// by the next Decode.
//
// Neighbours: sources/postgres feeds it what follows the header of an XLogData message.
package pgoutput
