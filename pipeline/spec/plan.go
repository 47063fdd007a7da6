package spec

import (
	"context"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Planner is implemented by configurations of sources and sinks that can say what a start would do:
// "pipe plan".
type Planner interface {
	// Plan connects, looks and changes nothing. The steps come in the order of a start. That a start
	// would be refused is a step as well; an error says that the plan cannot be made.
	Plan(ctx context.Context, env Env, in PlanInput) ([]Step, error)
}

// PlanInput is what a start would know.
type PlanInput struct {
	// Saved are, for a source, the positions that it would begin from (local stream names).
	Saved pipeline.Checkpoint
	// Tables are, for a sink, those that reach it, with the schemas that they have there.
	Tables []*pipeline.Schema
}

// Verb is what a step does.
type Verb string

// The verbs. Those from Keep on change nothing.
const (
	Create Verb = "create"
	Alter  Verb = "alter"
	Drop   Verb = "drop"
	Read   Verb = "read"   // the rows that a table has
	Finish Verb = "finish" // the rest of a table's rows
	Forget Verb = "forget" // what is known of a table
	Keep   Verb = "keep"
	Follow Verb = "follow" // the stream of changes, from a position
	Refuse Verb = "refuse" // the start
)

// Changes reports whether something is different after the step.
func (v Verb) Changes() bool {
	switch v {
	case Keep, Follow, Refuse:
		return false
	}
	return true
}

// Step is one thing that a start would do, or would find as it should be.
type Step struct {
	Verb Verb   `json:"verb"`
	What string `json:"what"` // "table", "slot", "publication", "topic", "subject", "stream", ...
	Name string `json:"name,omitempty"`
	Why  string `json:"why,omitempty"`
	// SQL is the statement, where there is one; for a refusal what mends it.
	SQL string `json:"sql,omitempty"`
	// Size is what the server estimates of the rows to be read; nil where none are.
	Size *Size `json:"size,omitempty"`
	// For is the table of a source (Schema.Name) whose first row makes a sink do this; "" for none. Where a
	// start reads no rows of it, the step is put off: Later.
	For   string `json:"for,omitempty"`
	Later bool   `json:"later,omitempty"`
	// Place is a position in a form for people: it moves on, so it is no decision.
	Place string `json:"place,omitempty"`
}

// Changes reports whether a start makes something different by the step.
func (s *Step) Changes() bool { return s.Verb.Changes() && !s.Later }

// Size is the server's estimate of a table.
type Size struct {
	Rows  int64 `json:"rows"`  // -1: not known
	Bytes int64 `json:"bytes"` // -1: not known
}

// StateReader is implemented by configurations of sinks that keep positions (pipeline.Keeper).
type StateReader interface {
	// State returns the positions that the sink keeps, as Keeper.Checkpoint would, but claims no fence
	// and changes nothing; empty where there are none yet.
	State(ctx context.Context, env Env) (pipeline.Checkpoint, error)
}

// Sweeper is implemented by configurations of sinks that delete, at the end of a snapshot that replaces
// (snapshot.Request.Replace), the rows that it did not find.
type Sweeper interface {
	// Sweeps says why that cannot be done for a table, with the schema that it has at the sink, and what to
	// do about it; nil where it can. It looks at the configuration only.
	Sweeps(env Env, s *pipeline.Schema) error
}
