package postgres

import (
	"context"
	"maps"
	"slices"
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
// one that was; so the change is held back and the row read when all others are there. From then on only
// changes of such rows are held back, until a chunk that sees the last of them, or a change with all values,
// brings the row: else writers could keep a table from ever being filled.
type holes struct {
	declared bool // durably, so that a crash does not lose that there are any
	whole    bool // too many, or forgotten: the table is read once more
	once     bool // every other row was read
	owed     map[string]debt
}

// debt is a row that was held back.
type debt struct {
	key []string
	tx  uint64 // the last transaction whose change was
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
func (l *live) hole(table string, row *pipeline.Row, tx uint64) (held, declare bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.holes[table]
	if h == nil {
		return false, false
	}
	key := keyTexts(row.Schema, row.Values)
	name := keyName(key)
	old := name
	if row.KeyChanged() {
		old = keyName(keyTexts(row.Schema, row.Before))
	}
	if _, owed := h.owed[old]; h.once && !h.whole && !owed {
		return false, false
	}
	declare, h.declared = !h.declared, true
	delete(h.owed, old)
	if !h.whole && len(h.owed) >= mostHoles {
		h.whole, h.owed = true, nil
	}
	if h.whole {
		return true, declare
	}
	if h.owed == nil {
		h.owed = map[string]debt{}
	}
	h.owed[name] = debt{key, tx}
	return true, declare
}

func keyName(key []string) string { return strings.Join(key, "\x00") }

// whole says that a row was brought with all of its values, or is gone.
func (l *live) whole(table string, row *pipeline.Row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.holes[table]
	if h == nil || len(h.owed) == 0 {
		return
	}
	delete(h.owed, keyName(keyTexts(row.Schema, row.Key())))
	if row.KeyChanged() {
		delete(h.owed, keyName(keyTexts(row.Schema, row.Before)))
	}
}

// paid notes what a chunk brought of the rows that it was to look for: those whose last change it sees are
// whole downstream once it is merged, or not in the table.
func (l *live) paid(p *snapshot.Piece) {
	if len(p.Segment.Keys) == 0 || p.Rest != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.holes[p.Table]
	if h == nil {
		return
	}
	for _, key := range p.Segment.Keys {
		name := keyName(key)
		if d, owed := h.owed[name]; owed && p.Sees(d.tx) {
			delete(h.owed, name)
		}
	}
}

// declareHoles makes it durable that a table has holes.
func (l *live) declareHoles(ctx context.Context, table string, at pipeline.Position) error {
	return snapshot.SaveMark(ctx, l.Out, pipeline.Stream(holesPrefix+table), at)
}

// more returns what is to be read of a table that was being filled: the rows of changes that were held back,
// or all. When there are none the table is filled: from here on nothing is held back.
func (l *live) more(ctx context.Context, q *snapshot.Request) ([]snapshot.Segment, error) {
	l.mu.Lock()
	h := l.holes[q.Table]
	if h == nil || q.Where != "" { // a part of a table does not fill it
		l.mu.Unlock()
		return nil, nil
	}
	whole := h.whole
	keys := make([][]string, 0, len(h.owed))
	for _, name := range slices.Sorted(maps.Keys(h.owed)) {
		keys = append(keys, h.owed[name].key)
	}
	h.whole, h.once = false, !whole
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
		return nil, snapshot.Forget(ctx, l.Out, pipeline.Stream(holesPrefix+q.Table))
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
