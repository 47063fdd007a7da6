package snapshot

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Status is where a table's snapshot stands.
type Status string

// The statuses.
const (
	Pending   Status = "pending"   // asked for, not begun
	Running   Status = "running"   // being read
	Done      Status = "done"      // read, durable in every sink
	Recorded  Status = "recorded"  // taken for complete without having been read
	Failed    Status = "failed"    // given up; Error says why
	Cancelled Status = "cancelled" // given up because somebody asked
)

// Open reports whether something is left to be read.
func (s Status) Open() bool { return s == Pending || s == Running }

// maxQueue bounds the requests that wait for a table.
const maxQueue = 16

// tablePrefix begins the local names of the streams whose positions are a ledger's entries.
const tablePrefix = "table/"

// TableStream is the local name of the stream whose position is a table's entry.
func TableStream(table string) pipeline.Stream { return pipeline.Stream(tablePrefix + table) }

// Entry is what is known of one table's snapshots: the last one, or the one that runs.
type Entry struct {
	Table      string            `json:"-"`
	Version    uint64            `json:"-"` // rises with each change
	Status     Status            `json:"status"`
	Request    Request           `json:"request"`
	Started    time.Time         `json:"started,omitzero"`
	Ended      time.Time         `json:"ended,omitzero"`
	Rows       int64             `json:"rows"`     // emitted
	Estimate   int64             `json:"estimate"` // rows expected; -1 unknown
	ChunksDone int               `json:"chunks_done"`
	Fence      pipeline.Position `json:"fence,omitempty"` // where the last chunk was merged into the stream
	Error      string            `json:"error,omitempty"`
	// Left is what is not known to be durable yet; nil before the table was planned.
	Left []Segment `json:"left,omitempty"`
	// Planned says that Left says all; Sifted that the sinks were told of the beginning.
	Planned bool `json:"planned,omitempty"`
	Sifted  bool `json:"sifted,omitempty"`
	// Fragile says that More tells of rows that Left does not cover: after a crash the whole table is
	// read again (Live.Rekeyed).
	Fragile bool `json:"fragile,omitempty"`
	// Queue holds what was asked for since, oldest first.
	Queue []Request `json:"queue,omitempty"`
}

// position renders the entry so that later ones sort after earlier ones.
func (e *Entry) position() (pipeline.Position, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("entry of table %s: %w", e.Table, err)
	}
	return pipeline.Position(fmt.Sprintf("%016X/%s", e.Version, text)), nil
}

// ParseEntry is the inverse of what a ledger saves as the position of TableStream(table).
func ParseEntry(table string, p pipeline.Position) (Entry, error) {
	e := Entry{}
	version, text, ok := strings.Cut(string(p), "/")
	n, err := strconv.ParseUint(version, 16, 64)
	if ok && err == nil && len(version) == 16 {
		err = json.Unmarshal([]byte(text), &e)
	} else {
		err = fmt.Errorf("%.40q is not an entry", p)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("state of table %s: %w", table, err)
	}
	e.Table, e.Version = table, n
	return e, nil
}

// lacks reports whether what is downstream may lack rows that were there before the stream.
func (e *Entry) lacks() bool {
	if e.Status == Recorded || e.Request.Filled() {
		return false
	}
	return e.Status != Done || e.Request.Where != ""
}

// Clone returns a copy that shares nothing that changes.
func (e *Entry) Clone() Entry {
	out := *e
	out.Left = append([]Segment(nil), e.Left...)
	out.Queue = append([]Request(nil), e.Queue...)
	return out
}

// Settled says, for people, why the table's rows need not be read.
func (e *Entry) Settled() string {
	switch e.Status {
	case Recorded:
		return "its rows were there before"
	case Failed:
		return "its snapshot was given up: " + e.Error
	case Cancelled:
		return "its snapshot was cancelled"
	}
	if e.Ended.IsZero() {
		return "its rows were read"
	}
	return "its rows were read, " + e.Ended.UTC().Format(time.DateOnly)
}
