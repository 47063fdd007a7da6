package control

import (
	"errors"
	"strings"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Failure is an error as JSON.
type Failure struct {
	Message string    `json:"message"`
	Hint    string    `json:"hint,omitempty"`
	Node    string    `json:"node,omitempty"`
	Class   string    `json:"class,omitempty"`
	At      time.Time `json:"at,omitzero"`
}

// classNames are those of pipeline's classes.
var classNames = [...]string{pipeline.Retryable: "retryable", pipeline.Environment: "environment",
	pipeline.Input: "input", pipeline.Internal: "internal"}

// FailureOf describes an error.
func FailureOf(err error) Failure {
	f := Failure{Message: err.Error(), Hint: pipeline.HintOf(err), Class: classNames[pipeline.ClassOf(err)]}
	for e := err; e != nil && f.Node == ""; e = errors.Unwrap(e) {
		if p, ok := e.(*pipeline.Error); ok {
			f.Node = p.Node
		}
	}
	if f.Hint != "" {
		f.Message = strings.TrimSuffix(strings.TrimSuffix(f.Message, ". "+f.Hint), " "+f.Hint)
	}
	if f.Node != "" {
		f.Message = strings.TrimPrefix(f.Message, f.Node+": ")
	}
	return f
}

// Err is the inverse of FailureOf.
func (f *Failure) Err() error {
	e := &pipeline.Error{Node: f.Node, Err: errors.New(f.Message), Hint: f.Hint}
	for class, name := range classNames {
		if name != "" && name == f.Class {
			e.Class = pipeline.Class(class)
		}
	}
	return e
}
