package spec

import (
	"context"
	"errors"

	"github.com/pipe-cdc/pipe/pipeline"
)

// RowSource is implemented by sources' configurations whose rows can be read beside a run, without a
// trace: "pipe verify".
type RowSource interface {
	// OpenRows connects.
	OpenRows(ctx context.Context, env Env) (RowReader, error)
}

// RowReader reads rows as a snapshot would deliver them, in read-only transactions.
type RowReader interface {
	// Read emits the rows that a table (Schema.Name) has at one moment, with Op Read: those with one of
	// the keys, or all where keys is nil. It returns where the stream of changes must be so that all of
	// what was read is behind it.
	Read(ctx context.Context, table string, keys [][]string, out pipeline.Output) (Fence, error)
	// Close ends the session.
	Close() error
}

// Fence is a place in a source's stream of changes.
type Fence struct {
	Stream pipeline.Stream   // its local name
	Pos    pipeline.Position // a position of the stream is behind the fence if it is not less than this
}

// Verifier is implemented by sinks' configurations whose targets can be compared with the rows that
// they should hold: "pipe verify".
type Verifier interface {
	// OpenVerify connects. What the comparer writes ends with its session.
	OpenVerify(ctx context.Context, env Env) (Comparer, error)
}

// ErrNoTarget is what a Comparer fails with where a table's target does not exist.
var ErrNoTarget = errors.New("the target does not exist")

// Comparer compares rows with a sink's targets. Not safe for concurrent use.
type Comparer interface {
	// Target names the table that rows of a schema are compared with.
	Target(s *pipeline.Schema) (string, error)
	// Compare compares rows of one schema with the target's, as the sink would have written them. With
	// note their keys are remembered for Extra. each is called for every row that differs, with all for
	// every row.
	Compare(ctx context.Context, s *pipeline.Schema, rows []*pipeline.Row, note, all bool, each func(Comparison)) error
	// Ignore leaves columns of a schema out of comparisons.
	Ignore(s *pipeline.Schema, columns []string)
	// Extra calls each with the keys of rows of the schema's target that no Compare has noted, up to
	// limit, and forgets the notes. exact is false where the target may have rows of other tables.
	Extra(ctx context.Context, s *pipeline.Schema, limit int, each func(key []string)) (exact bool, err error)
	// Held returns which of the keys (as Comparison.Key has them) the target has.
	Held(ctx context.Context, s *pipeline.Schema, keys [][]string) ([]bool, error)
	// Close ends the session, and what it wrote with it.
	Close() error
}

// Comparison is what became of one row.
type Comparison struct {
	Row     int      // its index
	Key     []string // as the target prints it, in the order of the schema's key
	Missing bool     // the target has no such row
	Columns []string // that differ
}

// Same reports whether the target holds the row as it should.
func (c *Comparison) Same() bool { return !c.Missing && len(c.Columns) == 0 }
