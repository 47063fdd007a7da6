package expr

import (
	"errors"

	"github.com/pipe-cdc/pipe/pipeline"
)

// ErrAbsent says that an expression needed a column that the source did not send (an unchanged
// TOAST value with no old row to take it from). It must never be read as NULL.
var ErrAbsent = errors.New("the column was not sent by the source")

// Vars is what an expression sees of one event. It also holds the scratch memory of evaluations: a
// caller keeps one and changes its exported fields for each row. Not safe for concurrent use.
type Vars struct {
	Row *pipeline.Row    // for op; may be nil where the expression does not use it
	New []pipeline.Value // row.NAME; an Absent value falls back to Old
	Old []pipeline.Value // old.NAME; nil: every old.NAME is NULL

	arena   *pipeline.Arena // memory of results
	scratch pipeline.Arena  // of Match, reset by each
	err     error           // why a value came out Absent or a predicate failed
}

// Program is an expression compiled for one Schema. It is immutable and safe for concurrent use
// with different Vars.
type Program struct {
	root    *node
	pred    predicate // set for a Bool
	eval    valuer
	columns []int
	old     bool
	event   bool // refers to op
	memory  bool // evaluation takes memory from the arena
	schema  *pipeline.Schema
}

// Kind returns the kind of the values that Eval returns (besides Null); Null for a constant null.
func (p *Program) Kind() pipeline.Kind { return p.root.kind }

// Columns returns the indexes of the columns that row.NAME refers to, sorted. The caller must not
// change it.
func (p *Program) Columns() []int { return p.columns }

// UsesOld reports whether the expression refers to old.NAME.
func (p *Program) UsesOld() bool { return p.old }

// UsesOp reports whether the expression refers to op.
func (p *Program) UsesOp() bool { return p.event }

// Type returns a PostgreSQL type for the values that Eval returns: that of the column where the
// expression is one, else the widest of the kind.
func (p *Program) Type() string {
	if p.root.op == opColumn && p.root.column.Type != "" {
		return p.root.column.Type
	}
	return typeName(p.root.kind)
}

// Match reports whether the expression, a Bool, is TRUE: neither FALSE nor unknown. The error wraps
// ErrAbsent where the answer depends on a column that was not sent.
func (p *Program) Match(v *Vars) (bool, error) {
	if p.memory {
		v.scratch.Reset()
		v.arena = &v.scratch
	}
	switch p.pred(v) {
	case triTrue:
		return true, nil
	case triFailed:
		return false, v.err
	}
	return false, nil
}

// Eval returns the expression's value, NULL for unknown. Its bytes are in a, alias the row's, or are
// constants of the program. The error wraps ErrAbsent where a column was not sent.
func (p *Program) Eval(a *pipeline.Arena, v *Vars) (pipeline.Value, error) {
	v.arena = a
	x := p.eval(v)
	if x.Kind() == pipeline.Absent {
		return pipeline.NullValue, v.err
	}
	return x, nil
}

// tri is a truth value of SQL, or the failure to find it.
type tri uint8

// The order matters: and is the larger of two where neither is false, or where neither is true.
const (
	triFalse tri = iota
	triTrue
	triUnknown
	triFailed
)

type (
	predicate func(*Vars) tri
	valuer    func(*Vars) pipeline.Value
)

// fail records why a value cannot be found; the Absent value carries it up.
func (v *Vars) fail(err error) pipeline.Value {
	v.err = err
	return pipeline.AbsentValue
}

// typeName is the widest PostgreSQL type of a kind.
func typeName(k pipeline.Kind) string {
	switch k {
	case pipeline.Bool:
		return "boolean"
	case pipeline.Int:
		return "bigint"
	case pipeline.Uint, pipeline.Decimal:
		return "numeric"
	case pipeline.Float32:
		return "real"
	case pipeline.Float64:
		return "double precision"
	case pipeline.Date:
		return "date"
	case pipeline.Time:
		return "time without time zone"
	case pipeline.Timestamp:
		return "timestamp without time zone"
	case pipeline.TimestampTZ:
		return "timestamp with time zone"
	case pipeline.Bytes:
		return "bytea"
	case pipeline.UUID:
		return "uuid"
	case pipeline.JSON:
		return "jsonb"
	case pipeline.Bits:
		return "bit varying"
	case pipeline.Interval:
		return "interval"
	}
	return "text"
}
