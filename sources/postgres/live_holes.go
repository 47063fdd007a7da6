package postgres

import (
	"context"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// holesPrefix begins the local names of the streams that say that a table, being filled, had changes that
// were held back: a process that ends before their rows are read forgets which.
const holesPrefix = "holes/"

// The bounds of what is remembered of them, for each table, and of how many are read at once.
const (
	mostHoles = 1 << 14
	holesRead = 500
)

// holes are the rows of a table being filled that were changed without all of their values. Downstream such
// a row may not be there yet, and no chunk need bring it, where it moved from a place that is not read yet to
// one that was; so the change is held back and the row read when all others are there.
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

// fill says that a table may lack rows downstream from here on, until it was read.
func (l *live) fill(table string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holes[table] == nil {
		l.holes[table] = &holes{}
	}
}

// hole remembers a row where its table is being filled (held); declare asks the caller to make it durable that
// there are any, before anything after it is emitted.
func (l *live) hole(table string, row *pipeline.Row) (held, declare bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.holes[table]
	if h == nil {
		return false, false
	}
	declare, h.declared = !h.declared, true
	if h.whole {
		return true, declare
	}
	if h.known == nil {
		h.known = map[string]bool{}
	}
	key := keyTexts(row.Schema, row.Values)
	name := strings.Join(key, "\x00")
	if h.known[name] {
		return true, declare
	}
	if len(h.keys) >= mostHoles {
		*h = holes{declared: true, whole: true}
		return true, declare
	}
	h.known[name] = true
	h.keys = append(h.keys, key)
	return true, declare
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

// more returns what is to be read of a table that was being filled: the rows of changes that were held back,
// or all. When there are none the table is filled: from here on nothing is held back.
func (l *live) more(ctx context.Context, q *snapshot.Request) ([]snapshot.Segment, error) {
	l.mu.Lock()
	h := l.holes[q.Table]
	if h == nil {
		l.mu.Unlock()
		return nil, nil
	}
	keys, whole := h.keys, h.whole
	h.keys, h.known, h.whole = nil, nil, false
	if len(keys) == 0 && !whole {
		delete(l.holes, q.Table)
	}
	l.mu.Unlock()
	switch {
	case whole:
		segments, _, err := l.plan(ctx, q)
		return segments, err
	case len(keys) > 0:
		return keySegments(q.Table, keys), nil
	case h.declared:
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
