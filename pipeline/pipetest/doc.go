// Package pipetest has what the tests of every component share: launchers of private real servers,
// an in-process Kafka broker and schema registry, a TCP proxy that injects faults, and the
// conformance suites that each Source, Sink and Store must pass.
//
// Invariants: a missing server is a failure that says what to install, never a skipped test; every
// server dies with the test binary; nothing is left on disk.
//
// Neighbours: pipeline/pipetest/server starts the servers, pipeline/pipetest/registry is the schema
// registry.
package pipetest
