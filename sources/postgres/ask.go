package postgres

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// asked remembers the tables that somebody asked for before the run, which may be why it stopped.
type asked struct {
	mu     sync.Mutex // guards the following
	tables []string
}

func (a *asked) add(requests []snapshot.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range requests {
		a.tables = append(a.tables, requests[i].Table)
	}
}

// has reports whether a table was asked for, by its qualified name or its own.
func (a *asked) has(table string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, own, _ := strings.Cut(table, ".")
	return slices.Contains(a.tables, table) || slices.Contains(a.tables, own)
}

// Ask implements snapshot.Asker.
func (s *Source) Ask(ctx context.Context, requests ...snapshot.Request) error {
	s.asked.add(requests)
	return s.desk.Ask(ctx, requests...)
}

// Cancel implements snapshot.Asker.
func (s *Source) Cancel(ctx context.Context, tables ...string) error {
	return s.desk.Cancel(ctx, tables...)
}

// Entries implements snapshot.Asker.
func (s *Source) Entries() []snapshot.Entry { return s.desk.Entries() }

// tables reports the tables' snapshots: those of the ledger, and how far the initial one is.
func (s *Source) tables() []pipeline.TableReport {
	if p := s.snapshots.Load(); p != nil && s.live.Load() == nil {
		return p.tables()
	}
	var out []pipeline.TableReport
	for _, e := range s.desk.Entries() {
		if e.Status == snapshot.Recorded {
			continue
		}
		out = append(out, pipeline.TableReport{Name: e.Table, Rows: e.Rows, Estimate: e.Estimate,
			Chunks: e.ChunksDone + len(e.Left), ChunksDone: e.ChunksDone, Done: e.Status == snapshot.Done})
	}
	return out
}
