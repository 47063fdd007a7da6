// Package server starts private servers for tests, demos and measurements: PostgreSQL and MariaDB
// from installed binaries, Apache Kafka and Apicurio Registry from jars.
//
// Invariants:
//
//   - A server belongs to the process that started it and dies with it, even when that process is
//     killed: each is a direct child with a parent-death signal.
//   - A server listens on the loopback only and keeps everything in a directory of its own.
//   - A database server never runs as root.
//   - Servers are ended by the process id that was started here, never by name.
//
// Neighbours: pipeline/pipetest wraps it for tests, cmd/devstack for demos. It does not import testing.
package server
