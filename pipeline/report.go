package pipeline

import "time"

// Reporter is implemented by sources that can say how far they are. Report may be called at any
// time from any goroutine and must not block: it returns what the source knows already.
type Reporter interface {
	Report() Report
}

// Report is a source's progress.
type Report struct {
	Phase    string        // "connecting", "snapshot", "streaming", "standby", "caught up", "helping"
	LagBytes int64         // written upstream and not yet emitted; -1 unknown
	LagTime  time.Duration // age of the last emitted commit while behind, 0 when caught up; -1 unknown
	Retained int64         // bytes upstream keeps for us (PostgreSQL: WAL behind the slot); -1 unknown
	Tables   []TableReport // tables being snapshotted or done, sorted by name
}

// TableReport is one table's snapshot progress.
type TableReport struct {
	Name       string
	Rows       int64 // emitted so far
	Estimate   int64 // rows expected; -1 unknown
	Chunks     int
	ChunksDone int
	Done       bool
}
