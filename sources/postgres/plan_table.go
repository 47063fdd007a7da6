package postgres

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// table plans what becomes of a table's rows.
func (p *planner) table(t *table) {
	name := t.Schema.Name()
	s := spec.Step{Verb: spec.Keep, What: "rows", Name: name}
	if stream := rewrittenStream(t); p.saved[stream] != "" && p.config.Rewrites != rewritesIgnore {
		p.refuse("rows", name, stopped(t.String(), "it was rewritten"))
		return
	}
	_, started := p.saved[walStream]
	e, known := p.ledger.Entry(name)
	policy := policyOf(t)
	switch {
	case policy == snapshot.Never:
		s.Why = `snapshot = "never"`
	case known && e.Status.Open():
		s.Verb, s.Why = spec.Finish, unfinished(&e)
	case p.lost != nil && policy == snapshot.WhenNeeded:
		s.Verb, s.Why = spec.Read, "the saved position is lost: "+reason(p.lost)
	case policy == snapshot.Always:
		s.Verb, s.Why = spec.Read, `snapshot = "always"`
	case known && len(e.Queue) > 0:
		s.Verb, s.Why = spec.Read, "somebody asked for it"
	case known:
		s.Why = settled(&e)
	case !started && (attempted(p.saved) || !p.ledger.Empty()):
		s.Verb, s.Why = spec.Read, "an earlier snapshot was not finished: it starts over"
	case !started:
		s.Verb, s.Why = spec.Read, "first start"
	case p.ledger.Empty():
		s.Why = "its rows were read before"
	default:
		s.Verb, s.Why = spec.Read, "it was added"
	}
	if size, ok := p.sizes[name]; ok && s.Verb.Changes() {
		s.Size = &size
	}
	p.add(s)
}

func rewrittenStream(t *table) pipeline.Stream { return pipeline.Stream(rewritePrefix + t.String()) }

// unfinished says how far a snapshot is.
func unfinished(e *snapshot.Entry) string {
	if !e.Planned {
		return "its snapshot has not begun"
	}
	return fmt.Sprintf("its snapshot is not finished: %d chunks are done, %d pieces are left", e.ChunksDone, len(e.Left))
}

// settled says why a table's rows need not be read.
func settled(e *snapshot.Entry) string {
	switch e.Status {
	case snapshot.Recorded:
		return "its rows were there before"
	case snapshot.Failed:
		return "its snapshot was given up: " + e.Error
	case snapshot.Cancelled:
		return "its snapshot was cancelled"
	}
	if e.Ended.IsZero() {
		return "its rows were read"
	}
	return "its rows were read, " + e.Ended.UTC().Format(time.DateOnly)
}

// reason is an error without its hint, in one line.
func reason(err error) string {
	text, _, _ := strings.Cut(err.Error(), ". ")
	return text
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
