package snapshot

// Segment is a part of a table that is read front to back, chunk after chunk, on a running pipeline.
type Segment struct {
	Part string   `json:"part,omitempty"` // the table, or one of its partitions; the source's own notation
	Cut  Cut      `json:"cut,omitempty"`
	Low  []string `json:"low,omitempty"`  // nil: from the beginning
	High []string `json:"high,omitempty"` // exclusive; nil: to the end
	// After says that Low itself was read: the segment begins behind it.
	After bool `json:"after,omitempty"`
	// Keys, where there are any, are all that is read: rows with exactly these keys.
	Keys [][]string `json:"keys,omitempty"`
}

// Range renders the segment's bounds for messages.
func (s *Segment) Range() Range { return Range{Cut: s.Cut, Low: s.Low, High: s.High} }

// Segments are ranges of a part as segments.
func Segments(part string, ranges []Range) []Segment {
	out := make([]Segment, len(ranges))
	for i, r := range ranges {
		out[i] = Segment{Part: part, Cut: r.Cut, Low: r.Low, High: r.High}
	}
	return out
}
