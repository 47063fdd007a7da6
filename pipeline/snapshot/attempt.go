package snapshot

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// chunkPrefix begins the local names of all streams of snapshots.
const chunkPrefix = "chunk/"

// AttemptStream is the local name of the stream whose position is that of the attempt that runs. It
// is forgotten once the stream of changes has a position.
const AttemptStream pipeline.Stream = chunkPrefix + "attempt"

// KeptStream is the local name of the stream whose position tells how far each stream of the attempt was
// when the ledger was saved last. A sink may lose chunks that it had (an UNLOGGED table after a crash of its
// server), and with them the positions of their streams: then the ledger says too much.
const KeptStream pipeline.Stream = chunkPrefix + "kept"

// maxStreams bounds what a saved position may claim.
const maxStreams = 1 << 16

// What follows the number of streams in the position of an attempt that several processes share, and of
// one whose chunks are all finished: its end sorts after its beginning.
const (
	sharedMode = "shared"
	closedMode = sharedMode + "-closed"
)

// Attempt is one try at an initial snapshot. No two attempts share the name of a stream: a sink that
// keeps positions would take the rows of the second for those that it has of the first.
type Attempt struct {
	ID      string // of hexadecimal digits and dashes; sorts after those of earlier attempts
	Streams int    // how many streams its chunks share
	Shared  bool   // several processes read it; each chunk has a stream of its own, with one mark at its end
	Closed  bool   // shared, and nothing is written any more
}

// Share returns the attempt as one that several processes read, with that many chunks; ok is false where
// there are too many of them.
func (a Attempt) Share(chunks int) (_ Attempt, ok bool) {
	a.Streams, a.Shared = max(chunks, a.Streams), true
	return a, chunks <= maxStreams
}

// Stream names the attempt's n-th stream, n from 0.
func (a Attempt) Stream(n int) pipeline.Stream {
	if a.Shared {
		return pipeline.Stream(fmt.Sprintf("%s%s/%s/%06d", chunkPrefix, a.ID, sharedMode, n))
	}
	return pipeline.Stream(fmt.Sprintf("%s%s/%04d", chunkPrefix, a.ID, n))
}

// SharedStream reports whether a stream's local name is one of a shared attempt, and of which: then two
// processes may write the same rows on it, and a sink that keeps positions takes those that are first.
func SharedStream(local pipeline.Stream) (id string, ok bool) {
	rest, ok := strings.CutPrefix(string(local), chunkPrefix)
	if !ok {
		return "", false
	}
	id, rest, _ = strings.Cut(rest, "/")
	return id, strings.HasPrefix(rest, sharedMode+"/")
}

// All names the attempt's streams.
func (a Attempt) All() []pipeline.Stream {
	out := make([]pipeline.Stream, a.Streams)
	for n := range out {
		out[n] = a.Stream(n)
	}
	return out
}

// Position is where AttemptStream stands while the attempt runs: it tells the next one what to forget.
func (a Attempt) Position() pipeline.Position {
	p := fmt.Sprintf("%s/%04d", a.ID, a.Streams)
	switch {
	case a.Closed:
		p += "/" + closedMode
	case a.Shared:
		p += "/" + sharedMode
	}
	return pipeline.Position(p)
}

// Void is the position of the rows that declare earlier attempts void: it lies after the Position of
// those and before this one's, so that no sink takes them for known.
func (a Attempt) Void() pipeline.Position { return pipeline.Position(a.ID) }

// ParseAttempt is the inverse of Attempt.Position.
func ParseAttempt(p pipeline.Position) (Attempt, error) {
	id, count, ok := strings.Cut(string(p), "/")
	count, mode, _ := strings.Cut(count, "/")
	n, err := strconv.Atoi(count)
	known := mode == "" || mode == sharedMode || mode == closedMode
	if !ok || err != nil || !known || id == "" || n < 0 || n > maxStreams {
		return Attempt{}, fmt.Errorf("%q is not the position of an attempt at a snapshot", p)
	}
	return Attempt{ID: id, Streams: n, Shared: mode != "", Closed: mode == closedMode}, nil
}

// Left names the streams of chunks that an attempt left in a checkpoint, and those that it may have
// left in a sink that has more than the checkpoint: all that its position tells of.
func Left(cp pipeline.Checkpoint) []pipeline.Stream {
	left := map[pipeline.Stream]bool{}
	var out []pipeline.Stream
	add := func(s pipeline.Stream) {
		if !left[s] {
			left[s], out = true, append(out, s)
		}
	}
	if a, err := ParseAttempt(cp[AttemptStream]); err == nil {
		for _, s := range a.All() {
			add(s)
		}
		add(KeptStream)
	}
	for _, s := range cp.Streams() {
		if s != AttemptStream && strings.HasPrefix(string(s), chunkPrefix) {
			add(s)
		}
	}
	return out
}

// Reached is the position of a stream that n chunks were emitted on: that of the mark after the n-th,
// and of the transaction that the rows of the next one belong to.
func Reached(n int) pipeline.Position { return pipeline.Position(fmt.Sprintf("%016X", n)) }
