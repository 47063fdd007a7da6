package snapshot

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Ledger is what a source knows of its tables' snapshots. It is part of the checkpoint, an entry the
// position of a stream of its own, so it is kept wherever positions are, and no sink can have less of
// it than of the rows that it tells of. Its methods are safe for concurrent use.
type Ledger struct {
	mu      sync.Mutex // guards the following
	entries map[string]*Entry
	dirty   map[string]bool
	gone    map[string]uint64 // versions of entries that were forgotten: another one of the table follows them
	first   uint64            // the version after which those of this run begin

	saving sync.Mutex // held while batches are emitted, so that entries stay in order
}

// A run's versions are above all that earlier runs gave: of several sinks one may hold later entries than the
// checkpoint, and even one that the checkpoint does not have, where another sink was added, which has none. A
// sink keeps those of two that are later. So a run begins at its time in milliseconds, shifted to leave more
// versions than can be saved meanwhile; and where the clock was set back, by runVersions after what it loaded.
const (
	versionBits = 20
	runVersions = 1 << 24
)

// LoadLedger reads the entries of a checkpoint (local stream names).
func LoadLedger(cp pipeline.Checkpoint) (*Ledger, error) {
	l := &Ledger{entries: map[string]*Entry{}, dirty: map[string]bool{}, gone: map[string]uint64{},
		first: uint64(time.Now().UnixMilli()) << versionBits}
	for s, p := range cp {
		table, ok := strings.CutPrefix(string(s), tablePrefix)
		if !ok {
			continue
		}
		e, err := ParseEntry(table, p)
		if err != nil {
			return nil, &pipeline.Error{Class: pipeline.Environment, Table: table, Pos: p, Err: err,
				Hint: "Was it written by a newer version of pipe?"}
		}
		e.Version = max(e.Version+runVersions, l.first)
		l.entries[table] = &e
	}
	return l, nil
}

// Entry returns a copy of a table's entry; ok is false where there is none.
func (l *Ledger) Entry(table string) (e Entry, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.entries[table]; known != nil {
		return known.Clone(), true
	}
	return Entry{Table: table}, false
}

// Entries returns copies of all entries, sorted by table.
func (l *Ledger) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Entry
	for _, table := range slices.Sorted(maps.Keys(l.entries)) {
		out = append(out, l.entries[table].Clone())
	}
	return out
}

// Empty reports whether nothing is known of any table.
func (l *Ledger) Empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries) == 0
}

// Change changes a table's entry, which it makes where there is none. It is saved by the next Save.
func (l *Ledger) Change(table string, f func(*Entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[table]
	if e == nil {
		e = &Entry{Table: table, Estimate: -1, Version: max(l.first, l.gone[table])}
		l.entries[table] = e
	}
	f(e)
	e.Version++
	l.dirty[table] = true
}

// Forget drops a table's entry: it is not read any more.
func (l *Ledger) Forget(table string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[table]; e != nil {
		l.gone[table] = e.Version
		delete(l.entries, table)
		l.dirty[table] = true
	}
}

// Save emits what changed since the last Save and returns the streams used, for a Drain where the
// caller must know that it is saved. What it could not emit the next Save does: a context may end one
// who keeps the books of a run that goes on.
func (l *Ledger) Save(ctx context.Context, out pipeline.Output) ([]pipeline.Stream, error) {
	l.saving.Lock()
	defer l.saving.Unlock()
	changed, err := l.changes()
	if err != nil {
		return nil, err
	}
	streams := slices.Sorted(maps.Keys(changed))
	for i, s := range streams {
		if err := EmitMark(ctx, out, s, changed[s]); err != nil {
			l.unsaved(streams[i:])
			return nil, err
		}
	}
	return streams, nil
}

// unsaved says that the entries behind streams are still to be saved.
func (l *Ledger) unsaved(streams []pipeline.Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range streams {
		l.dirty[strings.TrimPrefix(string(s), tablePrefix)] = true
	}
}

// changes returns the positions of the entries that changed, "" for one that is gone.
func (l *Ledger) changes() (map[pipeline.Stream]pipeline.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[pipeline.Stream]pipeline.Position{}
	for table := range l.dirty {
		p := pipeline.Position("")
		if e := l.entries[table]; e != nil {
			var err error
			if p, err = e.position(); err != nil {
				return nil, err
			}
		}
		out[TableStream(table)] = p
	}
	clear(l.dirty)
	return out, nil
}
