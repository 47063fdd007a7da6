package spec

import (
	"slices"
	"strconv"
	"strings"
)

// maxSuggest bounds the length of a name for which a suggestion is sought.
const maxSuggest = 128

// Nearest returns the candidate nearest to name by edit distance, or "" where none is near enough:
// at most min(3, 1+len/3) edits. The first of equally near candidates wins.
func Nearest(name string, candidates []string) string {
	if len(name) > maxSuggest {
		return ""
	}
	best, limit := "", min(3, 1+len(name)/3)
	for _, c := range candidates {
		if c == name || len(c) > maxSuggest {
			continue
		}
		if d := distance(name, c); d <= limit && d < len(c) {
			best, limit = c, d-1
		}
	}
	return best
}

// DidYouMean renders a suggestion as a sentence to append, " Did you mean X?", with X as show
// renders it; "" where no candidate is near.
func DidYouMean(name string, candidates []string, show func(string) string) string {
	best := Nearest(name, candidates)
	if best == "" {
		return ""
	}
	return " Did you mean " + show(best) + "?"
}

// Quoted renders names as a list of quoted words.
func Quoted(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strconv.Quote(n)
	}
	return strings.Join(quoted, ", ")
}

// distance is the Levenshtein distance over runes, without regard to case, where two neighbours
// that changed places count as one edit: "form" is nearer to "from" than to "port".
func distance(a, b string) int {
	x, y := []rune(strings.ToLower(a)), []rune(strings.ToLower(b))
	var before []int
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		next := make([]int, len(y)+1)
		next[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, next[j]+1, row[j+1]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(y)]
}

// sorted returns the names in order, for messages that list what is allowed.
func sorted(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return out
}
