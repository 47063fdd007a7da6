package postgres

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// TestWithoutChunks takes all sets of chunks out of a part, merged as the ledger merges them: what is left is
// the others.
func TestWithoutChunks(t *testing.T) {
	ranges := snapshot.Blocks(50, 5)
	leaf := &relation{Namespace: "public", Name: "a"}
	other := snapshot.Segment{Part: "public.b@7", Cut: snapshot.ByBlock}
	for set := range 1 << len(ranges) {
		for told := range 1 << len(ranges) { // what the ledger knew already
			table := keptTable{}
			for i, r := range ranges {
				table.chunks = append(table.chunks, keptChunk{done: told&(1<<i) != 0,
					segment: snapshot.Segment{Part: node(leaf, 7), Cut: snapshot.ByBlock, Low: r.Low, High: r.High}})
			}
			left := append(table.left(), other)
			for i, r := range ranges {
				if set&(1<<i) != 0 {
					left = without(left, &snapshot.Chunk{Part: leaf.String(), Range: r})
				}
			}
			covered := ""
			for block := range 60 {
				covered += strconv.Itoa(covers(left[:len(left)-1], int64(block)))
			}
			want := ""
			for i := range ranges {
				one := "1"
				if (set|told)&(1<<i) != 0 {
					one = "0"
				}
				n := 10
				if i == len(ranges)-1 {
					n = 20
				}
				want += strings.Repeat(one, n)
			}
			if covered != want || fmt.Sprint(left[len(left)-1]) != fmt.Sprint(other) {
				t.Fatalf("done %05b, told %05b: %s, want %s", set, told, covered, want)
			}
		}
	}
}

// covers counts the segments that a block is in.
func covers(segments []snapshot.Segment, block int64) int {
	n := 0
	for _, s := range segments {
		if from, to := blocksOf(s.Low, s.High); from <= block && block < to {
			n++
		}
	}
	return n
}
