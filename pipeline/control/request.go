package control

import (
	"context"
	"time"
)

// Pipeline is what a Server serves. Its methods are safe for concurrent use.
type Pipeline interface {
	// Status returns the figures, without Ready and Reasons, and does not wait.
	Status() Status
	// Snapshot asks for tables to be read again and returns once the requests are saved.
	Snapshot(ctx context.Context, q SnapshotRequest) (Accepted, error)
	// Cancel gives up the snapshots of tables, those that run and those that wait.
	Cancel(ctx context.Context, q CancelRequest) (Accepted, error)
}

// SnapshotRequest asks for tables to be read again.
type SnapshotRequest struct {
	Tables  []string `json:"tables"`            // patterns of package match
	Source  string   `json:"source,omitempty"`  // address, where several sources have the table
	Where   string   `json:"where,omitempty"`   // row expression: only these rows
	Replace bool     `json:"replace,omitempty"` // delete downstream what is not there any more
	By      string   `json:"by,omitempty"`      // who asks, for people
}

// CancelRequest gives up the snapshots of tables.
type CancelRequest struct {
	Tables []string `json:"tables"` // patterns of package match
	Source string   `json:"source,omitempty"`
}

// Accepted is what was asked for.
type Accepted struct {
	Tables []AcceptedTable `json:"tables"`
	Left   []LeftTable     `json:"left_out,omitempty"` // that a pattern names, and that cannot be read
}

// LeftTable is a table of which nothing is read.
type LeftTable struct {
	Source string `json:"source"`
	Table  string `json:"table"`
	Why    string `json:"why"`
}

// AcceptedTable is one table of an Accepted.
type AcceptedTable struct {
	Source string    `json:"source"`
	Table  string    `json:"table"`
	Asked  time.Time `json:"asked,omitzero"` // identifies the request among the table's
}
