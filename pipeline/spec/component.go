package spec

import (
	"context"
	"log/slog"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Definition is implemented by a pointer to a component's configuration struct: Spec describes the
// block and binds its attributes to the struct's fields. It is called on a zero struct for
// documentation and on a fresh one for each block decoded.
type Definition interface {
	Spec(b *Block)
}

// Source is the configuration of a source.
type Source interface {
	Definition
	// Open builds the source. It does not connect: Run does.
	Open(env Env) (pipeline.Source, error)
}

// Transform is the configuration of a transform.
type Transform interface {
	Definition
	// Open builds the transform; it is bound to each schema later.
	Open(env Env) (pipeline.Transform, error)
}

// Sink is the configuration of a sink.
type Sink interface {
	Definition
	// Open connects and returns a sink ready for Checkpoint (a Keeper) or Write.
	Open(ctx context.Context, env Env) (pipeline.Sink, error)
}

// Env is what a component gets from the run that it is part of.
type Env struct {
	Address  string       // its own: source.shop, or source.shop["eu"] under for_each
	Was      string       // its address before a moved block changed it; "" where there is none
	Moves    []Move       // what moved blocks say of all components
	Pipeline string       // name of the pipeline block; the state is kept under it
	Dir      string       // an existing private directory for spill files of this component
	Log      *slog.Logger // tagged with the address
	// Sources are, for a sink, the addresses of the sources whose rows reach it, where they are known.
	Sources []string
	// UntilCaughtUp asks a source to end Run, without error, once it has emitted all that was
	// committed upstream when Run began.
	UntilCaughtUp bool
	// DryRun asks a source to leave no trace upstream: no slot or publication created or moved.
	DryRun bool
}

// Move says that the component at To had the address From. An address without a key, source.shop, stands for
// all instances: source.shop["eu"] too.
type Move struct{ From, To string }

// Checker is implemented by configurations that can check the world outside before a run:
// "pipe validate --connect".
type Checker interface {
	// Check connects, looks and changes nothing. It returns every problem it finds. tables are those
	// that reach the component, with the schemas they have there; nil for a source.
	Check(ctx context.Context, env Env, tables []*pipeline.Schema) []Finding
}

// Lister is implemented by sources' configurations that can list the tables they would read.
type Lister interface {
	Tables(ctx context.Context, env Env) ([]TableInfo, error)
}

// TableInfo describes one table of a source, taken or not: "pipe tables".
type TableInfo struct {
	Schema   *pipeline.Schema
	Taken    bool
	Why      string // "tables pattern public.*", "exclude public.audit", "not matched"
	Snapshot string // policy
	Rows     int64  // the server's estimate; -1 unknown
	Bytes    int64  // size on the server; -1 unknown
	Omitted  []string
	Identity string // replica identity: "default", "full", "index NAME", "nothing"
}

// Severity orders findings.
type Severity uint8

// The severities.
const (
	Info Severity = iota
	Warning
	Error
)

// Finding is one result of a check.
type Finding struct {
	Severity Severity
	Code     string // stable, "PG-012"; "" where there is none
	Summary  string // one line, no full stop
	Detail   string // what is, what should be
	Fix      string // a statement to run or an attribute to set
	Attr     string // the attribute of the block it is about, for its source range; "" for the block
	// Unreachable says that the check could not be made because the server could not be reached or
	// refused: exit code 3 rather than 2.
	Unreachable bool
}
