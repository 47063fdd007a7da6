// Package checkpoint has the Stores: a file for one machine, tables of a PostgreSQL database for several, and
// memory for dry runs and tests.
//
// Invariants: what Save returned for is durable; a crash at any moment leaves the old state or the new
// one; a state that cannot be read is an error with the way to repair it, never an empty state; one
// process at a time holds a store. Of several that share one in PostgreSQL the others wait; one that lost it
// without knowing cannot save any more, and is told before it writes anything else: within the lease after a
// sign of life that arrived the pipeline is its own, after it the server is asked (Held).
//
// Beside the positions in PostgreSQL are the boards (Boards) where the processes of a pipeline share out the
// chunks of an initial snapshot. A share is open while the pipeline has the owner that opened it, by the same
// number that fences Save. A helper saves the positions of its chunks under that number; the owner's own saves
// neither know nor touch them, and it deletes them when it takes the board down.
//
// Neighbours: pipeline/engine saves with it; cmd/pipe opens it.
package checkpoint
