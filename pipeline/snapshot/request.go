package snapshot

import "time"

// Reason says why a table's rows are read.
type Reason string

// The reasons.
const (
	ForInitial Reason = "initial"   // the pipeline starts for the first time
	ForAdded   Reason = "added"     // the table was added to the configuration, or appeared
	ForRequest Reason = "requested" // somebody asked: a command, the control API
	ForTracker Reason = "tracker"   // somebody asked by SQL
	ForLost    Reason = "lost"      // the position in the stream was lost
	ForAlways  Reason = "always"    // its policy is always
)

// Request asks for the rows of one table.
type Request struct {
	Table  string    `json:"table"` // qualified, as Schema.Name gives it
	Reason Reason    `json:"reason"`
	By     string    `json:"by,omitempty"` // who asked: "ana@db1", for people
	Asked  time.Time `json:"asked"`
	// Where is a row expression: only rows for which it is true are read. "" reads all.
	Where string `json:"where,omitempty"`
	// Replace says that rows which are not there any more are to be deleted downstream.
	Replace bool `json:"replace,omitempty"`
	// Lacks says that earlier snapshots of the table were given up, or none was ever taken. It is set
	// when the request begins.
	Lacks bool `json:"lacks,omitempty"`
}

// Filled reports whether what is downstream may lack rows of the table when the request is served:
// then the change of such a row cannot be completed there, and a value that the stream leaves out is
// lost unless the row is read.
func (q *Request) Filled() bool {
	return !q.Lacks && (q.Reason == ForRequest || q.Reason == ForTracker || q.Reason == ForAlways)
}
