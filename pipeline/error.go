package pipeline

import (
	"errors"
	"strings"
)

// Class says what can be done about an error.
type Class uint8

// The classes of errors.
const (
	Unclassified Class = iota
	Retryable          // transient: connection lost, server restarting, broker away. Build anew and resume
	Environment        // unreachable or refused: needs an operator. Exit code 3
	Input              // configuration or data is wrong. Exit code 2
	Internal           // a bug of ours. Exit code 1
)

// ErrFenced is what a Keeper's Write fails with once another instance has taken over.
var ErrFenced = errors.New("another instance of this pipeline has taken over")

// Error is an error at the boundary of a component: it says where it happened and what to do.
type Error struct {
	Node  string   // address of the component: "sink.warehouse"
	Table string   // qualified name of the table, where one is concerned
	Key   string   // key of the row, where one is concerned
	Pos   Position // where in the stream
	Class Class
	Err   error
	Hint  string // what to do, one sentence or a statement to run
}

// Error renders "sink.warehouse: public.orders (id=7) at 0/1A2B: cause. Hint".
func (e *Error) Error() string {
	var b strings.Builder
	part := func(before, s string) {
		if s == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteString(before)
		}
		b.WriteString(s)
	}
	part("", e.Node)
	part(": ", e.Table)
	if e.Key != "" {
		part(" ", "("+e.Key+")")
	}
	if e.Pos != "" {
		part(" ", "at "+string(e.Pos))
	}
	if e.Err != nil {
		part(": ", e.Err.Error())
	}
	end := ". "
	if strings.HasSuffix(b.String(), "?") || strings.HasSuffix(b.String(), ".") {
		end = " "
	}
	part(end, e.Hint)
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ClassOf returns the class of the outermost Error in err's chain that has one.
func ClassOf(err error) Class {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return Unclassified
		}
		if e.Class != Unclassified {
			return e.Class
		}
		err = e.Err
	}
	return Unclassified
}

// HintOf returns the hint of the outermost Error in err's chain that has one, or "".
func HintOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}
