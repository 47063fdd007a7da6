package snapshot

import (
	"slices"
	"strconv"
)

// MaxChunks bounds the chunks of one part, whatever estimates say.
const MaxChunks = 100_000

// Count returns into how many chunks of about chunkRows rows a part is cut; at least 1.
func Count(rows, chunkRows int64) int {
	if rows <= 0 || chunkRows <= 0 {
		return 1
	}
	n := rows / chunkRows
	if rows%chunkRows != 0 {
		n++
	}
	return int(min(n, MaxChunks))
}

// Blocks cuts a part of that many blocks into at most n ranges of whole blocks. Blocks that are
// added later belong to the last.
func Blocks(blocks int64, n int) []Range {
	if n <= 1 || blocks <= 1 {
		return []Range{{Cut: Whole}}
	}
	each := blocks / int64(n)
	if blocks%int64(n) != 0 {
		each++
	}
	var bounds [][]string
	for at := each; at < blocks; at += each {
		bounds = append(bounds, []string{strconv.FormatInt(at, 10)})
	}
	return between(ByBlock, bounds)
}

// Keys cuts a part at the given keys, which must be in the key's order; neighbours that are equal
// count once. Without any the part is whole.
func Keys(bounds [][]string) []Range {
	bounds = slices.CompactFunc(slices.Clone(bounds), slices.Equal[[]string])
	return between(ByKey, bounds)
}

// between returns the ranges before, between and after the bounds.
func between(cut Cut, bounds [][]string) []Range {
	if len(bounds) == 0 {
		return []Range{{Cut: Whole}}
	}
	out := make([]Range, 0, len(bounds)+1)
	var low []string
	for _, high := range bounds {
		out = append(out, Range{Cut: cut, Low: low, High: high})
		low = high
	}
	return append(out, Range{Cut: cut, Low: low})
}
