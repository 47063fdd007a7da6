package postgres

import (
	"slices"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// table plans what becomes of a table's rows.
func (p *planner) table(t *table) {
	policy, err := snapshot.ParsePolicy(t.Policy)
	if err != nil {
		policy = snapshot.Initial // the configuration has checked the name
	}
	_, resumes := p.saved[walStream]
	s := p.ledger.Outlook(t.Schema.Name(), policy, snapshot.Course{Resumes: resumes, All: p.why, Beside: p.course == courseAnew})
	if why := p.rewritten(t); why != "" {
		s.Verb, s.Why = spec.Read, why
		if e, _ := p.ledger.Entry(s.Name); !e.Status.Open() && !p.mayReadAgain(t.String()) {
			p.refuse("rows", s.Name, stopped(t.String(), why))
			return
		}
	}
	if size, ok := p.sizes[s.Name]; ok && s.Verb.Changes() {
		s.Size = &size
	}
	p.add(s)
}

// rewritten says that a start meets a table that was rewritten and not read since, "" where it does not.
func (p *planner) rewritten(t *table) string {
	at := p.saved[pipeline.Stream(rewritePrefix+t.String())]
	e, _ := p.ledger.Entry(t.Schema.Name())
	if p.course != courseResume || at == "" || t.Policy == policyNever || p.config.Rewrites == rewritesIgnore || readSince(&e, at) {
		return ""
	}
	return "it was rewritten"
}

// readSince reports whether a table was read after it was rewritten.
func readSince(e *snapshot.Entry, rewritten pipeline.Position) bool {
	return e.Status == snapshot.Done && e.Fence >= rewritten
}

// removed plans what becomes of tables that are known and not read any more.
func (p *planner) removed() {
	p.steps = append(p.steps, p.ledger.Gone(func(name string) bool {
		return slices.ContainsFunc(p.tables, func(t *table) bool { return t.Schema.Name() == name })
	})...)
}
