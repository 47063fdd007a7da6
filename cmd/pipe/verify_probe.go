package main

import (
	"slices"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// maxProbes is how many rows of a schema are probed.
const maxProbes = 64

// probed are the columns of a schema that tell of a change rather than of the row: the operation, when it
// was committed. What a snapshot says there now is not what the target got then.
type probed struct {
	rows    int
	columns []string
}

// probe sends a row through the path a second time, as if another transaction had inserted it: the columns
// that come out otherwise are not compared.
func (k *verifySink) probe(path *verifyPath, a *pipeline.Arena, in, out *pipeline.Row) {
	p := k.probed[out.Schema]
	if p == nil {
		p = &probed{}
		k.probed[out.Schema] = p
	}
	if p.rows >= maxProbes || len(path.stages) == 0 {
		return
	}
	p.rows++
	other := *in
	other.Op, other.Seq, other.At = pipeline.Insert, in.Seq+1, in.At+1
	other.Tx = &pipeline.Tx{ID: 1 << 40, Pos: "other", LSN: 1 << 40, Time: 1 << 40, GTID: "other", File: "other", Server: 1 << 20,
		Origin: "other"}
	again, err := path.pass(a, &other)
	if err != nil || again == nil || again.Schema != out.Schema {
		return
	}
	known := len(p.columns)
	for i := range out.Values {
		name := out.Schema.Columns[i].Name
		if !out.Values[i].Equal(again.Values[i]) && !slices.Contains(p.columns, name) {
			p.columns = append(p.columns, name)
		}
	}
	if len(p.columns) > known {
		k.comparer.Ignore(out.Schema, p.columns)
	}
}

// ignored says which columns were not compared.
func (k *verifySink) ignored() {
	var names []string
	for _, p := range k.probed {
		for _, name := range p.columns {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		k.note("not compared, since they tell of the change and not of the row: " + strings.Join(names, ", "))
	}
}
