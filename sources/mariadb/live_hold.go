package mariadb

import (
	"context"
	"encoding/hex"
	"maps"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// The bounds of what is held back: rows of a table, beyond which the whole table is read once more, and
// rows that are looked for in one chunk.
const (
	maxHeld  = 1 << 16
	heldEach = 256
)

// filling is a table of which rows may be missing downstream until it is read. A change of such a row that
// comes without all values, under binlog_row_image MINIMAL or NOBLOB, could not be completed there. So it
// is held back, and the row counts as owed until a chunk, or another change, brings it whole.
type filling struct {
	owed map[string]debt // by key
	all  bool            // too many are owed: the table is read once more
	// once says that every row was read once: only what is owed is held back.
	once bool
}

// debt is a row that is owed.
type debt struct {
	texts []string // of its key, for withKeys
	tx    uint64   // the last transaction whose change of it was held back
}

// fill says that rows of a table may be missing from here on.
func (l *live) fill(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.filling[name] == nil {
		l.filling[name] = &filling{owed: map[string]debt{}}
		l.fillings.Add(1)
	}
}

// fillAll does so for the tables of which a snapshot is open.
func (l *live) fillAll() {
	for _, e := range l.Ledger.Entries() {
		if e.Status.Open() && !e.Request.Filled() {
			l.fill(e.Table)
		}
	}
}

// hold reports whether a change without all values, by transaction tx, is to be held back.
func (l *live) hold(name string, row *pipeline.Row, tx uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.filling[name]
	if f == nil {
		return false
	}
	key := string(snapshot.AppendKey(nil, row.Schema, row.Values))
	old := key
	if row.KeyChanged() {
		old = string(snapshot.AppendKey(nil, row.Schema, row.Before))
	}
	if _, owed := f.owed[old]; f.once && !f.all && !owed {
		return false
	}
	delete(f.owed, old)
	texts, ok := keyTexts(row.Schema, row.Values)
	if !ok || len(f.owed) >= maxHeld {
		f.all = true
		clear(f.owed)
	}
	if !f.all {
		f.owed[key] = debt{texts, tx}
	}
	return true
}

// whole says that a row was brought with all of its values, or is gone.
func (l *live) whole(name string, s *pipeline.Schema, values []pipeline.Value) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.filling[name]; f != nil && len(f.owed) > 0 {
		delete(f.owed, string(snapshot.AppendKey(nil, s, values)))
	}
}

// owes reports whether rows of a table are owed.
func (l *live) owes(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.filling[name]
	return f != nil && len(f.owed) > 0
}

// looked notes that a chunk looked for rows that are owed. One that sees the last change of a row has either
// brought it or found that it is gone, which the log does not tell of each row: a TRUNCATE, a foreign key that
// cascades.
func (l *live) looked(name string, keys [][]string, sees func(tx uint64) bool) {
	if len(keys) == 0 {
		return
	}
	sought := make(map[string]bool, len(keys))
	for _, texts := range keys {
		sought[strings.Join(texts, "\x00")] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.filling[name]
	if f == nil {
		return
	}
	maps.DeleteFunc(f.owed, func(_ string, d debt) bool { return sought[strings.Join(d.texts, "\x00")] && sees(d.tx) })
}

// more returns what is to be read of a table that was read once. When nothing is, it is filled.
func (l *live) more(ctx context.Context, q *snapshot.Request) ([]snapshot.Segment, error) {
	l.mu.Lock()
	f := l.filling[q.Table]
	if f == nil {
		l.mu.Unlock()
		return nil, nil
	}
	all, keys := f.all, make([][]string, 0, len(f.owed))
	for _, d := range f.owed {
		keys = append(keys, d.texts)
	}
	f.all, f.once = false, !all
	if len(keys) == 0 && !all {
		delete(l.filling, q.Table)
		l.fillings.Add(-1)
	}
	l.mu.Unlock()
	if all {
		l.env.Log.Info("a table is read once more: many changes came without all values", "table", q.Table,
			"fix", "SET GLOBAL binlog_row_image = FULL")
		segments, _, err := l.cut(ctx, q)
		return segments, err
	}
	var out []snapshot.Segment
	for len(keys) > 0 {
		n := min(heldEach, len(keys))
		out, keys = append(out, snapshot.Segment{Part: q.Table, Keys: keys[:n]}), keys[n:]
	}
	return out, nil
}

// keyTexts renders the key of a row for withKeys; ok is false where a value has no text that finds it
// again.
func keyTexts(s *pipeline.Schema, values []pipeline.Value) (texts []string, ok bool) {
	for _, i := range s.Key {
		v := values[i]
		switch v.Kind() {
		case pipeline.Absent, pipeline.Null, pipeline.Interval, pipeline.Other, pipeline.Float32:
			return nil, false
		case pipeline.Bytes:
			texts = append(texts, `\x`+hex.EncodeToString(v.Bytes()))
		default:
			texts = append(texts, v.String())
		}
	}
	return texts, len(texts) > 0
}
