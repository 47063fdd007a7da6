package expr

import (
	"errors"

	"github.com/pipe-cdc/pipe/pipeline"
)

// ErrAbsent says that an expression needed a column that the source did not send (an unchanged
// TOAST value with no old row to take it from). It must never be read as NULL.
var ErrAbsent = errors.New("the column was not sent by the source")

// Vars is what an expression sees of one event.
type Vars struct {
	Row *pipeline.Row    // for op, table and metadata
	New []pipeline.Value // row.NAME; an Absent value falls back to Old
	Old []pipeline.Value // old.NAME; nil: every old.NAME is NULL
}
