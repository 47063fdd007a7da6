package control

import (
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// Phase is what a pipeline's process is at.
type Phase string

// The phases.
const (
	Starting Phase = "starting" // nothing ran yet
	Standby  Phase = "standby"  // another process has the pipeline: it waits to take over
	Running  Phase = "running"
	Retrying Phase = "retrying" // it failed and pauses, or is being built again
	Stopping Phase = "stopping" // it was told to
)

// Status is what a running pipeline tells of itself. Numbers count from the start of the process,
// over all engines that it built.
type Status struct {
	Pipeline string    `json:"pipeline"`
	Version  string    `json:"version"` // of pipe
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
	Phase    Phase     `json:"phase"`
	Leader   *Leader   `json:"leader,omitempty"` // a standby's, also while it helps; nil: it leads
	Ready    bool      `json:"ready"`
	Reasons  []string  `json:"not_ready_because,omitempty"`
	Restarts int64     `json:"restarts"` // after failures
	Failure  *Failure  `json:"last_failure,omitempty"`

	InFlightBatches int       `json:"in_flight_batches"`
	InFlightBytes   int64     `json:"in_flight_bytes"`
	Saves           int64     `json:"saves"` // of positions
	LastSave        time.Time `json:"last_save,omitzero"`

	Sources    []Source `json:"sources"`
	Transforms []Node   `json:"transforms,omitempty"`
	Sinks      []Node   `json:"sinks"`
}

// Leader is the process that has the pipeline.
type Leader struct {
	Process string    `json:"process"` // "host:pid"
	Since   time.Time `json:"since"`   // by the clock of the server with the state
}

// String says "db1:4711 has the pipeline since 2026-11-21 09:05:00 UTC".
func (l *Leader) String() string {
	return l.Process + " has the pipeline since " + l.Since.UTC().Format("2006-01-02 15:04:05 MST")
}

// Node holds the figures of a source, transform or sink.
type Node struct {
	Address     string  `json:"address"`
	RowsIn      int64   `json:"rows_in"`
	Rows        int64   `json:"rows"` // that left it; a sink's: written
	Bytes       int64   `json:"bytes"`
	Batches     int64   `json:"batches"`
	Errors      int64   `json:"errors"`
	BusySeconds float64 `json:"busy_seconds,omitempty"` // a sink's: spent writing, over all lanes
}

// Source is a Node that reads.
type Source struct {
	Node
	Phase         string  `json:"phase"`          // pipeline.Report's
	LagBytes      int64   `json:"lag_bytes"`      // written upstream and not yet read; -1 unknown
	LagSeconds    float64 `json:"lag_seconds"`    // age of what was read last, 0 when caught up; -1 unknown
	RetainedBytes int64   `json:"retained_bytes"` // kept upstream for us; -1 unknown
	// Asks says that tables can be read again while it runs: POST /snapshot.
	Asks   bool    `json:"takes_snapshots"`
	Tables []Table `json:"tables"`
}

// Table is what is known of a table's snapshot: the last one, or the one that runs.
type Table struct {
	Table      string            `json:"table"`
	Status     snapshot.Status   `json:"status"`
	Reason     snapshot.Reason   `json:"reason,omitempty"`
	By         string            `json:"by,omitempty"`
	Asked      time.Time         `json:"asked,omitzero"`
	Started    time.Time         `json:"started,omitzero"`
	Ended      time.Time         `json:"ended,omitzero"`
	Where      string            `json:"where,omitempty"`
	Replace    bool              `json:"replace,omitempty"`
	Rows       int64             `json:"rows"`
	Estimate   int64             `json:"estimate"` // rows expected; -1 unknown
	Chunks     int               `json:"chunks,omitempty"`
	ChunksDone int               `json:"chunks_done"`
	Fence      pipeline.Position `json:"fence,omitempty"`
	Queue      []time.Time       `json:"queue,omitempty"` // when what waits was asked for
	Error      string            `json:"error,omitempty"`
}

// TableOf returns what an entry of a ledger says.
func TableOf(e *snapshot.Entry) Table {
	t := Table{
		Table: e.Table, Status: e.Status, Reason: e.Request.Reason, By: e.Request.By, Asked: e.Request.Asked,
		Started: e.Started, Ended: e.Ended, Where: e.Request.Where, Replace: e.Request.Replace,
		Rows: e.Rows, Estimate: e.Estimate, ChunksDone: e.ChunksDone, Fence: e.Fence, Error: e.Error,
	}
	for i := range e.Queue {
		t.Queue = append(t.Queue, e.Queue[i].Asked)
	}
	return t
}

// Tables returns what a ledger and a source's report say, sorted by name: a first snapshot that runs
// counts faster than its ledger does.
func Tables(entries []snapshot.Entry, report []pipeline.TableReport) []Table {
	out := make([]Table, 0, max(len(entries), len(report)))
	at := 0
	for i := range entries {
		for ; at < len(report) && report[at].Name < entries[i].Table; at++ {
			out = append(out, reported(&report[at]))
		}
		t := TableOf(&entries[i])
		if at < len(report) && report[at].Name == t.Table {
			t.add(&report[at])
			at++
		}
		out = append(out, t)
	}
	for ; at < len(report); at++ {
		out = append(out, reported(&report[at]))
	}
	return out
}

func (t *Table) add(r *pipeline.TableReport) {
	if !t.Status.Open() {
		return
	}
	t.Rows, t.ChunksDone = max(t.Rows, r.Rows), max(t.ChunksDone, r.ChunksDone)
	t.Chunks = r.Chunks
	if t.Estimate < 0 {
		t.Estimate = r.Estimate
	}
}

func reported(r *pipeline.TableReport) Table {
	t := Table{Table: r.Name, Status: snapshot.Running, Rows: r.Rows, Estimate: r.Estimate, Chunks: r.Chunks,
		ChunksDone: r.ChunksDone}
	if r.Done {
		t.Status = snapshot.Done
	}
	return t
}

// mostShare is what a table that is being read shows at most: estimates may be too low.
const mostShare = 0.99

// Share returns how much of the table was read, from 0 to 1, or -1 where that cannot be told.
func (t *Table) Share() float64 {
	switch {
	case t.Status == snapshot.Done:
		return 1
	case t.Estimate > 0:
		return min(float64(t.Rows)/float64(t.Estimate), mostShare)
	case t.Chunks > 0:
		return min(float64(t.ChunksDone)/float64(t.Chunks), mostShare)
	}
	return -1
}
