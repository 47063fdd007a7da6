package snapshot

import "github.com/pipe-cdc/pipe/pipeline"

// The bounds of what a Window remembers of one table. Beyond the first two the transactions that touched
// the oldest keys count like ones that emptied the table: chunks that do not see them are read again.
// Beyond the last the table cannot be read (Full).
const (
	maxTouched      = 1 << 17 // keys
	maxTouchedBytes = 16 << 20
	maxVoids        = 1 << 20 // transactions
)

// Window remembers which keys of the tables being read the stream has touched, and by which
// transaction, so that a chunk can be merged behind changes that its snapshot does not see: its rows
// with such a key are old and are left out (the chunk/stream window of DBLog, Andreakis and Papapanagiotou 2020,
// with visibility in place of watermarks).
//
// A transaction is a number of the source's choice. A Window belongs to the stream's goroutine.
type Window struct {
	tables map[string]*touched
	key    []byte
}

// touched is what the stream did to one table.
type touched struct {
	last  map[string]int // by key: the last of its entries
	log   []touch        // in the stream's order
	first int            // ordinal of log[0]
	size  int            // bytes of the keys in log
	voids []uint64       // transactions that a chunk must see
	full  bool           // voids are no longer all
}

type touch struct {
	key     string
	tx      uint64
	prev    int  // ordinal of the key's entry before; -1: none
	partial bool // an update that did not say all values
}

// Watch begins to remember a table.
func (w *Window) Watch(table string) {
	if w.tables == nil {
		w.tables = map[string]*touched{}
	}
	if w.tables[table] == nil {
		w.tables[table] = &touched{last: map[string]int{}}
	}
}

// Unwatch forgets a table.
func (w *Window) Unwatch(table string) { delete(w.tables, table) }

// Watching reports whether any table is remembered: a cheap question for each row.
func (w *Window) Watching() bool { return len(w.tables) > 0 }

// Watches reports whether the table is remembered.
func (w *Window) Watches(table string) bool { return w.tables[table] != nil }

// Touch records what a streamed row did to its table, if that is remembered: both its keys are
// touched, and a Truncate voids what was read before.
func (w *Window) Touch(table string, row *pipeline.Row, tx uint64) {
	t := w.tables[table]
	if t == nil {
		return
	}
	if row.Op == pipeline.Truncate {
		t.void(tx)
		return
	}
	if row.Values != nil {
		t.add(w.keyOf(row.Schema, row.Values), tx, partial(row))
	}
	if row.Before != nil {
		t.add(w.keyOf(row.Schema, row.Before), tx, false)
	}
}

// partial reports whether an update leaves values out.
func partial(row *pipeline.Row) bool {
	if row.Op != pipeline.Update {
		return false
	}
	for i := range row.Values {
		if row.Values[i].Kind() == pipeline.Absent {
			return true
		}
	}
	return false
}

// Void records that what chunks read before tx does not count: the table was emptied, or is another.
func (w *Window) Void(table string, tx uint64) {
	if t := w.tables[table]; t != nil {
		t.void(tx)
	}
}

// Voided reports whether a chunk must be read again: it does not see a transaction that voided it.
func (w *Window) Voided(table string, sees func(tx uint64) bool) bool {
	t := w.tables[table]
	if t == nil {
		return false
	}
	for _, tx := range t.voids {
		if !sees(tx) {
			return true
		}
	}
	return false
}

// Full reports that too many transactions changed the table for the window to hold: no chunk of it can
// be known to be exact until it is watched anew.
func (w *Window) Full(table string) bool {
	t := w.tables[table]
	return t != nil && t.full
}

// Stale reports whether a row that a chunk read is older than what the stream delivered: its key was
// touched by a transaction that the chunk does not see. owed says that one of those did not say all
// values, so that the row is whole downstream only where it was there before.
func (w *Window) Stale(table string, row *pipeline.Row, sees func(tx uint64) bool) (stale, owed bool) {
	t := w.tables[table]
	if t == nil || len(t.last) == 0 {
		return false, false
	}
	at, ok := t.last[string(w.keyOf(row.Schema, row.Values))]
	for ok && at >= t.first {
		e := &t.log[at-t.first]
		if !sees(e.tx) {
			stale, owed = true, owed || e.partial
		}
		at = e.prev
	}
	return stale, owed
}

// Forget drops the oldest entries as long as seen says that their transaction is visible to every
// chunk that is still to be merged.
func (w *Window) Forget(seen func(tx uint64) bool) {
	for _, t := range w.tables {
		n := 0
		for n < len(t.log) && seen(t.log[n].tx) {
			n++
		}
		t.drop(n)
		kept := t.voids[:0]
		for _, tx := range t.voids {
			if !seen(tx) {
				kept = append(kept, tx)
			}
		}
		t.voids = kept
	}
}

// Size returns the number of entries, over all tables.
func (w *Window) Size() int {
	n := 0
	for _, t := range w.tables {
		n += len(t.log)
	}
	return n
}

func (t *touched) add(key []byte, tx uint64, partial bool) {
	prev := -1
	if at, ok := t.last[string(key)]; ok && at >= t.first {
		if e := &t.log[at-t.first]; e.tx == tx {
			e.partial = e.partial || partial
			return
		}
		prev = at
	}
	for len(t.log) >= maxTouched || len(t.log) > 0 && t.size+len(key) > maxTouchedBytes {
		t.shrink()
	}
	e := touch{key: string(key), tx: tx, prev: prev, partial: partial}
	t.last[e.key] = t.first + len(t.log)
	t.log = append(t.log, e)
	t.size += len(key)
}

// shrink makes room: the older half of the entries becomes voids.
func (t *touched) shrink() {
	half := (len(t.log) + 1) / 2
	for i := range t.log[:half] {
		t.void(t.log[i].tx)
	}
	t.drop(half)
}

// void records tx once: the rows of one transaction come one after another.
func (t *touched) void(tx uint64) {
	if n := len(t.voids); n > 0 && t.voids[n-1] == tx {
		return
	}
	if len(t.voids) >= maxVoids {
		t.full = true
		return
	}
	t.voids = append(t.voids, tx)
}

// drop forgets the n oldest entries.
func (t *touched) drop(n int) {
	if n == 0 {
		return
	}
	for i := range t.log[:n] {
		e := &t.log[i]
		t.size -= len(e.key)
		if t.last[e.key] == t.first+i {
			delete(t.last, e.key)
		}
	}
	rest := copy(t.log, t.log[n:])
	clear(t.log[rest:])
	t.log = t.log[:rest]
	t.first += n
}

// keyOf renders the key of a row so that equal keys are equal texts and no two keys are one text.
func (w *Window) keyOf(s *pipeline.Schema, values []pipeline.Value) []byte {
	w.key = AppendKey(w.key[:0], s, values)
	return w.key
}
