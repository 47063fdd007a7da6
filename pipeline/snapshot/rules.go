package snapshot

import (
	"cmp"
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// TableBlock is what a block table "pattern" says of the tables that it names. What is zero it does not say.
type TableBlock struct {
	Pattern   string
	Where     spec.Expr // unset: every row
	Omit      []string  // columns to leave out
	Key       []string  // columns that identify a row, in place of the table's own key
	Snapshot  string    // the name of a policy
	ChunkRows int
	Workers   int
	ChunkBy   string // column to cut by
}

// Settings are what a configuration says of one table.
type Settings struct {
	Policy    string // its name
	Where     spec.Expr
	Omit      []string
	Key       []string
	ChunkRows int
	Workers   int
	ChunkBy   string
}

// Rules say which tables a source reads, and how each.
type Rules struct {
	Tables  *match.Set
	Exclude *match.Set

	own    Settings
	named  *match.Set
	blocks []*TableBlock
}

// NewRules compiles the patterns of a configuration. own is what the source says of all tables.
func NewRules(include, exclude []string, own Settings, blocks []*TableBlock) (*Rules, error) {
	r := &Rules{own: own, blocks: blocks}
	patterns := make([]string, len(blocks))
	for i, b := range blocks {
		patterns[i] = b.Pattern
	}
	var err error
	if r.Tables, err = match.New(include); err != nil {
		return nil, fmt.Errorf("tables: %w", err)
	}
	if r.Exclude, err = match.New(exclude); err != nil {
		return nil, fmt.Errorf("exclude: %w", err)
	}
	if r.named, err = match.New(patterns); err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	return r, nil
}

// Of returns what is said of a table: by the block that names it, and where that is silent by the source.
func (r *Rules) Of(database, namespace, table string) Settings {
	i := r.named.Index(database, namespace, table)
	if i < 0 {
		return r.own
	}
	b := r.blocks[i]
	return Settings{
		Policy: cmp.Or(b.Snapshot, r.own.Policy), Where: b.Where, Omit: b.Omit, Key: b.Key,
		ChunkRows: cmp.Or(b.ChunkRows, r.own.ChunkRows), Workers: cmp.Or(b.Workers, r.own.Workers), ChunkBy: b.ChunkBy,
	}
}
