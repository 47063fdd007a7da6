// Package engine runs one compiled graph: sources, a tree of transforms for each source, sinks.
//
//	Source.Run -> Output.New (pool) -> Output.Emit -> queue of the source
//	  -> transforms: one goroutine for each source; in place where one sink follows, else on views
//	  -> queue of each sink: streams in order, side by side up to its lanes -> Sink.Write
//	  -> tracker: contiguous prefix of each stream, low water over its sinks
//	  -> saver: Store.Save, then Source.Commit, then Drain returns
//
// Where the invariants of package pipeline are upheld:
//
//  1. tracker.go: a stream's position moves only past flights that every sink has written, from the
//     oldest on; output.go puts a flight into its stream's queue before anybody can write it.
//     transform.go re-bases Marks to the rows that remain. resume.go takes the minimum.
//  2. saver.go: Commit is called after Save returned, with what was saved.
//  3. transform.go runs one goroutine for each source; queue.go hands a stream's next batch out only
//     when the one before was written.
//  4. pool.go: a fixed number of batches, each bounded in rows and bytes, and a budget of bytes over
//     all of them for rows that are larger than a batch. A batch counts until it is written
//     everywhere and everything before it in its stream is, too.
//  5. output.go refuses marks out of order; marks are only ever passed on, never made.
//  6. queue.go writes nothing more to a sink that failed; run.go stops everything, saves the
//     contiguous prefix and returns the first error. supervise.go begins again where that may help.
//
// A Store that is Leased is asked before each Write (lease.go): a process that was held up for longer than
// its lease writes nothing more, however much is in its queues, claims no fence, and begins again as one
// that waits. What a sink was writing by then is not called back.
//
// A flight is one batch on its way. Its memory is shared by the views that sinks read (references
// are counted) and goes back to the pool when the last sink returned and the tracker has passed it.
//
// Under the build tag pipedebug, or with Graph.Poison, released memory is overwritten and never used
// again, so that a component that keeps a part of a batch is found out by its tests.
//
// Neighbours: pipeline is the vocabulary; cmd/pipe builds the Graph; pipeline/checkpoint has Stores.
package engine
