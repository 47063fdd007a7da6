package snapshot

import (
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Course is what a start knows before it looks at single tables.
type Course struct {
	Resumes bool   // a position of the stream is saved
	All     string // why the rows of all tables are read, for people; "": each has a reason of its own
	Beside  bool   // all are read beside a stream that begins anew
}

// Outlook plans what becomes of a table's rows; how many there are is left to the source.
func (l *Ledger) Outlook(table string, policy Policy, c Course) spec.Step {
	s := spec.Step{Verb: spec.Read, What: "rows", Name: table}
	e, known := l.Entry(table)
	keep := func(why string) { s.Verb, s.Why = spec.Keep, why }
	switch {
	case policy == Never:
		keep(`snapshot = "never"`)
	case policy == Only && c.Beside && (known && !e.Status.Open() || l.Empty()):
		keep("its rows were read before")
	case c.All != "":
		s.Why = c.All
	case known && e.Status.Open():
		s.Verb, s.Why = spec.Finish, e.unfinished()
	case policy == Always:
		s.Why = `snapshot = "always"`
	case known && len(e.Queue) > 0:
		s.Why = "somebody asked for it"
	case known:
		keep(e.Settled())
	case l.Empty() && c.Resumes:
		keep("its rows were read before")
	case l.Empty():
		s.Why = "first start"
	default:
		s.Why = "it was added"
	}
	return s
}

// unfinished says how far a snapshot is.
func (e *Entry) unfinished() string {
	if !e.Planned {
		return "its snapshot has not begun"
	}
	return fmt.Sprintf("its snapshot is not finished: %d chunks are done, %d pieces are left", e.ChunksDone, len(e.Left))
}

// Gone plans what becomes of tables that are known and not taken any more.
func (l *Ledger) Gone(taken func(table string) bool) []spec.Step {
	var out []spec.Step
	for _, e := range l.Entries() {
		if !taken(e.Table) {
			out = append(out, spec.Step{Verb: spec.Forget, What: "table", Name: e.Table,
				Why: "the source does not read it any more; what is downstream stays"})
		}
	}
	return out
}
