package postgres

import (
	"strings"
	"sync"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// entryPrefix begins the local names of the streams whose positions tell of snapshots
// (snapshot.TableStream). They have no rows, and say nothing about changes.
const entryPrefix = "table/"

func isEntry(stream pipeline.Stream) bool {
	local, ok := stream.Local(stream.Address())
	return ok && strings.HasPrefix(string(local), entryPrefix)
}

// entries are the snapshots that are not done yet, by the source's address, as far as this sink was told.
type entries struct {
	mu   sync.Mutex // guards open
	open map[string]map[pipeline.Stream]bool
}

// take reads what a batch of an entry's stream says, and returns whether it is the last one of its source
// that is done.
func (e *entries) take(b *pipeline.Batch) (last bool) {
	pos, ok := b.Last()
	if !ok {
		return false
	}
	return e.note(b.Stream, pos)
}

// note is take for a position, "" where the stream is forgotten.
func (e *entries) note(stream pipeline.Stream, pos pipeline.Position) (last bool) {
	entry, err := snapshot.ParseEntry("", pos)
	if pos != "" && err != nil { // not ours to read
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	source := stream.Address()
	if e.open == nil {
		e.open = map[string]map[pipeline.Stream]bool{}
	}
	if entry.Status.Open() {
		if e.open[source] == nil {
			e.open[source] = map[pipeline.Stream]bool{}
		}
		e.open[source][stream] = true
		return false
	}
	delete(e.open[source], stream)
	return len(e.open[source]) == 0
}

// loading reports whether a snapshot of the stream's source is open.
func (e *entries) loading(stream pipeline.Stream) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.open[stream.Address()]) > 0
}
