package engine

import (
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Stats are an engine's figures at one moment, since it began.
type Stats struct {
	Sources    []NodeStats
	Transforms []NodeStats
	Sinks      []NodeStats
	InFlight   int                 // batches, from Output.New to the last sink
	Bytes      int64               // of their memory; a batch being filled counts as full
	Saves      int64               // of positions
	LastSave   time.Time           // zero: none yet
	Saved      pipeline.Checkpoint // positions saved, by qualified stream; must not be changed
}

// NodeStats are the figures of one source, transform or sink.
type NodeStats struct {
	Address string
	RowsIn  int64 // a source's: 0
	RowsOut int64 // a sink's: the rows written; a row written by two sinks counts in both
	Bytes   int64 // of the batches; a transform's: 0
	Batches int64
	Errors  int64
	Busy    time.Duration   // a sink's: time spent in Write, over all lanes
	Report  pipeline.Report // a source's, where it is a Reporter; else LagBytes, LagTime and Retained are -1
}

// Stats returns the figures. It may be called at any time, from any goroutine.
func (e *Engine) Stats() Stats {
	var out Stats
	for _, s := range e.sources {
		n := s.stats.of(s.address)
		n.Report = pipeline.Report{LagBytes: -1, LagTime: -1, Retained: -1}
		if r, ok := s.src.(pipeline.Reporter); ok {
			n.Report = r.Report()
		}
		out.Sources = append(out.Sources, n)
		batches, bytes := s.pool.inUse()
		out.InFlight += batches
		out.Bytes += int64(bytes)
	}
	for _, t := range e.transforms {
		out.Transforms = append(out.Transforms, t.stats.of(t.address))
	}
	for _, k := range e.sinks {
		out.Sinks = append(out.Sinks, k.stats.of(k.address))
	}
	out.Saves = e.saves.Load()
	if at := e.lastSave.Load(); at != 0 {
		out.LastSave = time.Unix(0, at)
	}
	e.tracker.mu.Lock()
	out.Saved = e.tracker.saved
	e.tracker.mu.Unlock()
	return out
}

func (c *counters) of(address string) NodeStats {
	return NodeStats{
		Address: address, RowsIn: c.rowsIn.Load(), RowsOut: c.rowsOut.Load(), Bytes: c.bytes.Load(),
		Batches: c.batches.Load(), Errors: c.errors.Load(), Busy: time.Duration(c.busy.Load()),
	}
}
