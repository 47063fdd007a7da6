package pipeline

import (
	"maps"
	"slices"
	"strings"
)

// Stream names one totally ordered sequence: the WAL, a binlog domain, one snapshot chunk, one
// topic partition. A source names its streams locally ("wal", "table/public.orders",
// "chunk/public.orders/000003"); outside the source the engine qualifies them with the source's
// address: "source.shop/wal".
type Stream string

// In returns the stream's name qualified by the address of its source.
func (s Stream) In(address string) Stream { return Stream(address + "/" + string(s)) }

// Local splits a qualified stream at the address of its source; ok is false where the stream
// belongs to another source.
func (s Stream) Local(address string) (local Stream, ok bool) {
	rest, ok := strings.CutPrefix(string(s), address+"/")
	return Stream(rest), ok
}

// Address returns the address of its source, which a qualified stream's name begins with: source.shop, or
// source.shop["a/b"], where the key is quoted.
func (s Stream) Address() string {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++ // whatever it escapes is part of the key
		case c == '"':
			quoted = !quoted
		case c == '/' && !quoted:
			return string(s[:i])
		}
	}
	return string(s)
}

// Position is a place in a Stream. Only its source reads what it says; everybody may compare two
// positions of one stream as text. "" is before everything.
//
// A position includes all rows before it. A transaction t is included in position p if and only if
// t.Pos < p (see Tx.In).
type Position string

// Checkpoint holds the position reached in each stream.
type Checkpoint map[Stream]Position

// Clone returns an independent copy; never nil.
func (c Checkpoint) Clone() Checkpoint {
	out := make(Checkpoint, len(c))
	maps.Copy(out, c)
	return out
}

// Streams returns the names of the streams, sorted.
func (c Checkpoint) Streams() []Stream { return slices.Sorted(maps.Keys(c)) }

// Of returns what the checkpoint holds for the source at address, with local stream names;
// never nil.
func (c Checkpoint) Of(address string) Checkpoint {
	out := Checkpoint{}
	for s, p := range c {
		if local, ok := s.Local(address); ok {
			out[local] = p
		}
	}
	return out
}

// Apply records that s has reached p. An empty p says that the stream is finished and forgotten.
func (c Checkpoint) Apply(s Stream, p Position) {
	if p == "" {
		delete(c, s)
		return
	}
	c[s] = p
}
