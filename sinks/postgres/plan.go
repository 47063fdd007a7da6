package postgres

import (
	"fmt"
	"strings"
	"sync"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
)

// column is one column of a source's rows that has a place in the target.
type column struct {
	index int // in the schema and its rows
	attr  attribute
	key   bool
	stage wire
	param wire
}

// plan is how rows of one schema go into one target. It is immutable but for its statements.
type plan struct {
	schema  *pipeline.Schema
	target  *target
	version int // of the target
	table   string
	sifted  string // the table of keys while the target is sifted
	cols    []column
	key     []int // columns of the schema that identify a row; empty: none
	soft    string
	exact   bool // the target has no columns but these: a row may be deleted and inserted again
	direct  bool // every column has a binary form: COPY straight into the target

	deferred bool // as the target's
	unlogged bool // as the target's table was
	copySQL  string
	copyEnc  *pgtext.Encoder
	nul      pgtext.Nul

	mu         sync.Mutex // guards statements
	statements map[string]*statement
}

func newPlan(c *Config, t *target, s *pipeline.Schema) (*plan, error) {
	p := &plan{schema: s, target: t, version: t.version, table: t.name.sql(), nul: c.nul(),
		exact: true, direct: true, deferred: t.deferred, unlogged: t.table.unlogged,
		statements: map[string]*statement{}}
	if c.Deletes == deletesSoft {
		p.soft, p.exact = c.DeletedColumn, false
	}
	for i := range s.Columns {
		a := t.table.attr(s.Columns[i].Name)
		if a == nil || a.generated {
			continue
		}
		col, err := newColumn(t, s, i, a)
		if err != nil {
			return nil, err
		}
		p.direct = p.direct && pgtext.Wire(s.Columns[i].Kind, a.oid, a.elem, a.enum)
		p.cols = append(p.cols, col)
	}
	for i := range t.table.cols {
		a := &t.table.cols[i]
		p.exact = p.exact && (a.generated || s.Index(a.name) >= 0)
	}
	if len(p.cols) == 0 {
		return nil, &pipeline.Error{Class: pipeline.Input, Table: s.Name(),
			Err:  fmt.Errorf("none of its columns is a column of %s", t.name),
			Hint: "Set schema_changes = \"add_columns\", or rename the columns in a transform"}
	}
	p.copy()
	if c.Write == writeAppend {
		return p, nil
	}
	return p, p.identify()
}

func newColumn(t *target, s *pipeline.Schema, i int, a *attribute) (column, error) {
	k := s.Columns[i].Kind
	if k == pipeline.Bytes && a.oid != oidBytea || k == pipeline.Bool && a.oid != oidBool &&
		!textual(a.oid) {
		return column{}, &pipeline.Error{Class: pipeline.Input, Table: s.Name(),
			Err:  fmt.Errorf("column %s holds %s, the column of %s is %s", a.name, k, t.name, a.full),
			Hint: "Change the column's type in the target, or convert it with a transform \"cast\""}
	}
	return column{index: i, attr: *a, key: s.IsKey(i), stage: wireOf(k, a), param: paramOf(k, a)}, nil
}

const (
	oidBool    = 16
	oidBytea   = 17
	oidVarchar = 1043
)

func textual(oid uint32) bool {
	return oid == pgtext.TextOID || oid == oidVarchar || oid == oidBpchar
}

// identify checks that the target can tell rows apart as the source does.
func (p *plan) identify() error {
	p.key = p.schema.Key
	if len(p.key) == 0 {
		return nil
	}
	names := make([]string, len(p.key))
	quoted := make([]string, len(p.key))
	for n, k := range p.key {
		names[n] = p.schema.Columns[k].Name
		quoted[n] = ident(names[n])
		if a := p.target.table.attr(names[n]); a == nil || a.generated {
			return &pipeline.Error{Class: pipeline.Input, Table: p.schema.Name(),
				Err: fmt.Errorf("the key column %s has no place in %s", names[n], p.target.name)}
		}
	}
	if !p.deferred && !p.target.table.keyed(names) {
		return &pipeline.Error{Class: pipeline.Input, Table: p.schema.Name(),
			Err: fmt.Errorf("the target %s has no unique index on (%s)", p.target.name, strings.Join(names,
				", ")),
			Hint: "Run CREATE UNIQUE INDEX CONCURRENTLY ON " + p.table + " (" + strings.Join(quoted, ", ") +
				"), or set write = \"append\""}
	}
	return nil
}

func (p *plan) copy() {
	if !p.direct {
		return
	}
	names := make([]string, len(p.cols))
	enc := make([]pgtext.EncodeColumn, len(p.cols))
	for i, c := range p.cols {
		names[i] = ident(c.attr.name)
		enc[i] = pgtext.EncodeColumn{Name: c.attr.name, Index: c.index, OID: c.attr.oid, Elem: c.attr.elem,
			Nul: p.nul}
	}
	p.copySQL = "COPY " + p.table + " (" + strings.Join(names, ", ") + ") FROM STDIN (FORMAT binary)"
	p.copyEnc = pgtext.NewEncoder(enc)
}

// others reports whether the target has unique constraints beside the key's.
func (p *plan) others() bool { return p.target.table.others || len(p.target.table.unique) > 1 }
