package snapshot

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Progress is how far a snapshot is, by table. Its methods are safe for concurrent use. A nil
// Progress takes and says nothing.
type Progress struct {
	mu      sync.Mutex // guards the following
	started time.Time
	tables  map[string]*pipeline.TableReport
}

// NewProgress begins to count now.
func NewProgress(now time.Time) *Progress {
	return &Progress{started: now, tables: map[string]*pipeline.TableReport{}}
}

// Plan says what is going to be read of a table; estimate is -1 where unknown.
func (p *Progress) Plan(table string, chunks int, estimate int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tables[table] = &pipeline.TableReport{Name: table, Estimate: estimate, Chunks: chunks, Done: chunks == 0}
}

// Add counts rows that were emitted: call it for each batch, not for each row.
func (p *Progress) Add(table string, rows int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.tables[table]; t != nil {
		t.Rows += int64(rows)
	}
}

// Finish counts a chunk that was read.
func (p *Progress) Finish(table string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.tables[table]; t != nil {
		t.ChunksDone++
		t.Done = t.ChunksDone >= t.Chunks
	}
}

// Report returns a copy, sorted by name.
func (p *Progress) Report() []pipeline.TableReport {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]pipeline.TableReport, 0, len(p.tables))
	for _, name := range slices.Sorted(maps.Keys(p.tables)) {
		out = append(out, *p.tables[name])
	}
	return out
}

// Left estimates the time until everything is read, from the rows and the time so far; -1 while it
// cannot be known.
func (p *Progress) Left(now time.Time) time.Duration {
	if p == nil {
		return -1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var done, left int64
	for _, t := range p.tables {
		done += t.Rows
		if t.Done {
			continue
		}
		if t.Estimate < 0 {
			return -1
		}
		left += max(t.Estimate-t.Rows, 0)
	}
	if left == 0 {
		return 0
	}
	if done == 0 {
		return -1
	}
	return time.Duration(float64(now.Sub(p.started)) * float64(left) / float64(done))
}
