package postgres

import (
	"context"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// holesPrefix begins the local names of the streams that say that a table, being filled, had changes whose
// rows may not be whole downstream: a process that ends before they are read again forgets which.
const holesPrefix = "holes/"

// The bounds of what is remembered of them, for each table, and of how many are read at once.
const (
	mostHoles = 1 << 14
	holesRead = 500
)

// holes are the rows of a table being filled that were changed without all of their values. Where such a
// row moved from a place that is not read yet to one that is, no chunk has it.
type holes struct {
	declared bool // durably, so that a crash does not lose that there are any
	whole    bool // too many, or forgotten: the table is read once more
	keys     [][]string
	known    map[string]bool
}

// holed reads from a checkpoint which tables have holes.
func holed(from pipeline.Checkpoint) []string {
	var out []string
	for _, s := range from.Streams() {
		if table, ok := strings.CutPrefix(string(s), holesPrefix); ok {
			out = append(out, table)
		}
	}
	return out
}

// hole remembers a row; declare asks the caller to declare that there are any, before the row is emitted.
func (l *live) hole(table string, row *pipeline.Row) (declare bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.holes[table]
	if h == nil {
		h = &holes{}
		l.holes[table] = h
	}
	declare, h.declared = !h.declared, true
	if h.whole {
		return declare
	}
	if h.known == nil {
		h.known = map[string]bool{}
	}
	key := keyTexts(row.Schema, row.Values)
	name := strings.Join(key, "\x00")
	if h.known[name] {
		return declare
	}
	if len(h.keys) >= mostHoles {
		*h = holes{declared: true, whole: true}
		return declare
	}
	h.known[name] = true
	h.keys = append(h.keys, key)
	return declare
}

// declareHoles makes it durable that a table has holes.
func (l *live) declareHoles(ctx context.Context, table string, at pipeline.Position) error {
	stream := pipeline.Stream(holesPrefix + table)
	b, err := l.Out.New(ctx, stream)
	if err != nil {
		return err
	}
	b.Mark(at)
	if err := l.Out.Emit(b); err != nil {
		return err
	}
	return l.Out.Drain(ctx, stream)
}

// more returns what is to be read again of a table that was being filled: the rows with holes, or all. Only
// when there is nothing left it is forgotten that there were any.
func (l *live) more(ctx context.Context, q *snapshot.Request) ([]snapshot.Segment, error) {
	l.mu.Lock()
	h := l.holes[q.Table]
	var keys [][]string
	whole, declared := false, false
	if h != nil {
		keys, whole, declared = h.keys, h.whole, h.declared
		h.keys, h.known, h.whole = nil, nil, false
	}
	if declared && !whole && len(keys) == 0 {
		delete(l.holes, q.Table)
	}
	l.mu.Unlock()
	switch {
	case whole:
		segments, _, err := l.plan(ctx, q)
		return segments, err
	case len(keys) > 0:
		return keySegments(q.Table, keys), nil
	case declared:
		return nil, forget(ctx, l.Out, pipeline.Stream(holesPrefix+q.Table))
	}
	return nil, nil
}

func keySegments(table string, keys [][]string) []snapshot.Segment {
	var out []snapshot.Segment
	for len(keys) > 0 {
		n := min(holesRead, len(keys))
		out = append(out, snapshot.Segment{Part: table + "@0", Cut: snapshot.ByKey, Keys: keys[:n]})
		keys = keys[n:]
	}
	return out
}
