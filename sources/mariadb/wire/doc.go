// Package wire speaks the client side of MariaDB's protocol: connect, log in, text queries whose
// rows are read one by one, and the dump of the binary log.
//
// Invariants:
//   - A packet is read into one buffer that is reused: reading rows or events allocates nothing.
//   - Every packet's length and sequence number is checked; a connection that failed once is not used
//     again.
//   - The password is only sent as the answer of a challenge, over TLS, over a socket of this machine,
//     or under the server's public key.
//
// Sources: MariaDB Knowledge Base, "Clients & Utilities: Client/Server Protocol"; MySQL Internals
// Manual, "Client/Server Protocol".
//
// Neighbours: sources/mariadb; sources/mariadb/binlog decodes the events.
package wire
