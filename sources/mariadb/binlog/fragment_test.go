package binlog

import (
	"encoding/binary"
	"testing"
)

// fragment builds the body of a fragment; size is that of the whole event, 0 in all but the first.
func fragment(one, other uint32, size uint64, content []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, one)
	b = binary.LittleEndian.AppendUint32(b, other)
	if size == 0 {
		return append(append(b, 0), content...)
	}
	return append(binary.LittleEndian.AppendUint64(append(b, 1), size), content...)
}

// FuzzFragments: no fragments crash the joining, and what comes out is what went in.
func FuzzFragments(f *testing.F) {
	event := append(make([]byte, HeaderSize), "rows"...)
	event[4] = byte(WriteRowsV1)
	binary.LittleEndian.PutUint32(event[9:], uint32(len(event)))
	f.Add(fragment(1, 2, uint64(len(event)), event[:7]), fragment(2, 2, 0, event[7:]))
	f.Add(fragment(2, 1, uint64(len(event)), event[:7]), fragment(2, 2, 0, event[7:]))
	f.Add(fragment(1, 1, uint64(len(event)), event), []byte{})
	f.Add(fragment(1, 2, 1<<40, event), []byte{1})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var z Fragments
		for range 2 {
			for _, body := range [][]byte{a, b} {
				h, rows, done, err := z.Add(body, true)
				if err != nil && (done || z.Pending()) {
					t.Fatal("an error, and an event")
				}
				if done && (len(rows)+HeaderSize > 2*(len(a)+len(b)) || h.Type == TableMapEvent) {
					t.Fatalf("an event of type %d with %d bytes out of %d and %d", h.Type, len(rows), len(a), len(b))
				}
			}
		}
	})
}
