// Package checkpoint has the Stores: a file for one machine, and memory for dry runs and tests.
//
// Invariants: what Save returned for is durable; a crash at any moment leaves the old state or the new
// one; a state that cannot be read is an error with the way to repair it, never an empty state; one
// process at a time holds a store.
//
// Neighbours: pipeline/engine saves with it; cmd/pipe opens it.
package checkpoint
