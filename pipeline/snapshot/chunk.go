package snapshot

import (
	"strings"
)

// Cut says by what a chunk is bounded.
type Cut uint8

// The cuts.
const (
	Whole   Cut = iota // not at all: the whole part
	ByBlock            // physical block numbers
	ByKey              // values of a key, one text for each of its columns
)

// Range is a half-open piece of a table: from Low, inclusive, up to High, exclusive. A nil bound is
// none; rows whose key is NULL belong to the range without Low.
type Range struct {
	Cut  Cut
	Low  []string
	High []string
}

// String renders a range for messages: "[10, 20)".
func (r Range) String() string {
	if r.Cut == Whole {
		return "all"
	}
	low, high := "(-", "-)"
	if r.Low != nil {
		low = "[" + strings.Join(r.Low, ",")
	}
	if r.High != nil {
		high = strings.Join(r.High, ",") + ")"
	}
	return low + ", " + high
}

// Chunk is a piece of a table that one worker reads at once.
type Chunk struct {
	Table   string // qualified name of the table whose rows they are: the root of a partition
	Part    string // what is read: the table, or one of its partitions; the source's own notation
	Ordinal int    // from 0, over all parts of the table
	Range   Range
	Rows    int64 // estimate
}

// Number gives the chunks of one table their ordinals.
func Number(chunks []Chunk) {
	for i := range chunks {
		chunks[i].Ordinal = i
	}
}
