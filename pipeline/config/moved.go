package config

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// movedSpec describes the moved block.
type movedSpec struct{ from, to spec.Ref }

// Spec describes the block.
func (m *movedSpec) Spec(b *spec.Block) {
	b.Doc("Says that a component has a new name, so that its positions go with it.")
	spec.Attr(b, "from", &m.from).Required().To("source", "transform", "sink").Doc("The address that it had.")
	spec.Attr(b, "to", &m.to).Required().To("source", "transform", "sink").Doc("The address that it has now.")
}

// MovedBlock describes the moved block, for "pipe explain moved".
func MovedBlock() *spec.Block { return spec.Describe("moved", &movedSpec{}) }

// moved decodes the moved blocks and checks that the old address is free and the new one exists.
func (l *loader) moved() {
	seen := make(map[string]hcl.Range)
	for _, b := range l.moves {
		m := &movedSpec{}
		desc := spec.Describe("moved", m)
		diags := desc.Decode(spec.Input{Body: b.Body, Ctx: l.ctx, Header: b.DefRange})
		l.report(diags...)
		if diags.HasErrors() {
			continue
		}
		old := m.from.String()
		if at, twice := seen[old]; twice {
			l.report(failure(m.from.Range, "Moved twice", old+" is moved twice.",
				spec.Note{Range: at, Text: "first moved here"}))
			continue
		}
		seen[old] = m.from.Range
		if m.from.Kind != m.to.Kind {
			l.report(failure(m.to.Range, "Moved to another kind", "A "+m.from.Kind+
				" can only move to a "+m.from.Kind+"."))
			continue
		}
		if c := l.find(m.from.Kind, m.from.Name); c != nil && (m.from.Key == "" || c.has(m.from.Key)) {
			l.report(failure(m.from.Range, "Not moved", old+
				" still exists; its positions cannot go to "+m.to.String()+" too.",
				spec.Note{Range: c.block.DefRange, Text: "defined here"}))
			continue
		}
		if l.instancesOf(m.to) != nil {
			l.out.Moved = append(l.out.Moved, Moved{From: m.from, To: m.to, Range: b.DefRange})
		}
	}
}

func (c *component) has(key string) bool {
	for _, i := range c.instances {
		if i.key == key {
			return true
		}
	}
	return false
}
