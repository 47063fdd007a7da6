// Package pipeline is the vocabulary of pipe: the nouns that sources, transforms, sinks and the
// engine share, and the contracts between them. It imports only the standard library.
//
// A Source cuts what it reads into Batches of Rows and hands them to an Output; the engine passes
// each Batch through Transforms to every Sink, and saves the Marks that a Batch carries once every
// Sink holds the rows before them.
//
// Invariants, cited by number where the code upholds them:
//
//  1. A position is saved only when every sink has every row before it. The acknowledged prefix is
//     contiguous, never a maximum.
//  2. The source is told (Source.Commit) only after the save.
//  3. Rows with equal keys reach a sink in order. An Update that changes the key stays one row
//     (Before holds the old key) and orders both keys. Truncate is a barrier.
//  4. Never more than a fixed number of batches (rows and bytes) is in flight, whatever the size of
//     a row or of a transaction.
//  5. Resume points (Marks) are transaction ends. A transaction that exceeds a batch spans several;
//     those before the last carry no Mark for it.
//  6. Nothing failed is skipped: it is retried (bounded, with back-off) or the pipeline stops with
//     the position unsaved.
//
// Neighbours: pipeline/engine runs a compiled graph of these parts; pipeline/config compiles it.
package pipeline
