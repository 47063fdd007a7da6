package postgres

import (
	"fmt"
	"slices"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// table plans what becomes of a table's rows.
func (p *planner) table(t *table) {
	s := spec.Step{Verb: spec.Read, What: "rows", Name: t.Schema.Name()}
	e, known := p.ledger.Entry(s.Name)
	_, done := p.saved[walStream]
	rewritten := p.saved[pipeline.Stream(rewritePrefix+t.String())]
	switch {
	case t.Policy == policyNever:
		s.Verb, s.Why = spec.Keep, `snapshot = "never"`
	case t.Policy == policyOnly && p.course == courseAnew && (known && !e.Status.Open() || p.ledger.Empty()):
		s.Verb, s.Why = spec.Keep, "its rows were read before"
	case p.why != "":
		s.Why = p.why
	case p.course == courseResume && rewritten != "" && p.config.Rewrites != rewritesIgnore && !readSince(&e, rewritten):
		if !e.Status.Open() && !p.mayReadAgain(t.String()) {
			p.refuse("rows", s.Name, stopped(t.String(), "it was rewritten"))
			return
		}
		s.Why = "it was rewritten"
	case known && e.Status.Open():
		s.Verb, s.Why = spec.Finish, unfinished(&e)
	case t.Policy == policyAlways:
		s.Why = `snapshot = "always"`
	case known && len(e.Queue) > 0:
		s.Why = "somebody asked for it"
	case known:
		s.Verb, s.Why = spec.Keep, e.Settled()
	case p.ledger.Empty() && done:
		s.Verb, s.Why = spec.Keep, "its rows were read before"
	case p.ledger.Empty():
		s.Why = "first start"
	default:
		s.Why = "it was added"
	}
	if size, ok := p.sizes[s.Name]; ok && s.Verb.Changes() {
		s.Size = &size
	}
	p.add(s)
}

// readSince reports whether a table was read after it was rewritten.
func readSince(e *snapshot.Entry, rewritten pipeline.Position) bool {
	return e.Status == snapshot.Done && e.Fence >= rewritten
}

// unfinished says how far a snapshot is.
func unfinished(e *snapshot.Entry) string {
	if !e.Planned {
		return "its snapshot has not begun"
	}
	return fmt.Sprintf("its snapshot is not finished: %d chunks are done, %d pieces are left", e.ChunksDone, len(e.Left))
}

// removed plans what becomes of tables that are known and not read any more.
func (p *planner) removed() {
	for _, e := range p.ledger.Entries() {
		taken := slices.ContainsFunc(p.tables, func(t *table) bool { return t.Schema.Name() == e.Table })
		if !taken {
			p.add(spec.Step{Verb: spec.Forget, What: "table", Name: e.Table,
				Why: "the source does not read it any more; what is downstream stays"})
		}
	}
}
