package control

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// fake is a Pipeline whose figures a test sets.
type fake struct {
	mu     sync.Mutex // guards the following
	status Status
	asked  []SnapshotRequest
	gone   []CancelRequest
	err    error
	wait   chan struct{} // Snapshot waits for it, unless nil
}

func (f *fake) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *fake) change(change func(*Status)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.status)
}

func (f *fake) Snapshot(ctx context.Context, q SnapshotRequest) (Accepted, error) {
	if f.wait != nil {
		select {
		case <-f.wait:
		case <-ctx.Done():
			return Accepted{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return Accepted{}, f.err
	}
	f.asked = append(f.asked, q)
	return Accepted{Tables: []AcceptedTable{{Source: "source.shop", Table: q.Tables[0], Asked: time.Unix(100, 0).UTC()}}}, nil
}

func (f *fake) Cancel(_ context.Context, q CancelRequest) (Accepted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = append(f.gone, q)
	return Accepted{}, f.err
}

// working returns the figures of a pipeline that has nothing to do.
func working() Status {
	at := time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)
	return Status{
		Pipeline: `shop "eu"`, Version: "v1", PID: 7, Started: at, Phase: Running, Saves: 3, LastSave: at.Add(time.Minute),
		Sources: []Source{{Node: Node{Address: `source.shop["eu"]`, Rows: 10, Bytes: 1000, Batches: 2}, Phase: "streaming",
			LagBytes: 0, LagSeconds: 0, RetainedBytes: 4096, Asks: true,
			Tables: []Table{{Table: "public.orders", Status: snapshot.Done, Rows: 10, Estimate: -1, Started: at, Ended: at.Add(time.Second)},
				{Table: "public.big", Status: snapshot.Running, Rows: 5, Estimate: 20, Started: at, ChunksDone: 1}}}},
		Transforms: []Node{{Address: "transform.types", RowsIn: 10, Rows: 9}},
		Sinks:      []Node{{Address: "sink.copy", RowsIn: 9, Rows: 9, Bytes: 900, Batches: 2, BusySeconds: 0.5}},
	}
}

var errNoTable = &pipeline.Error{Node: "source.shop", Class: pipeline.Input, Err: errors.New("there is no table public.ordres"),
	Hint: "Did you mean public.orders?"}
