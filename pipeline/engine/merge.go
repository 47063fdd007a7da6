package engine

// merging gathers what one sink gets of a flight by several paths.
type merging struct {
	sink  *sink
	views []*view
}

// mergeAll gives the sinks that are reached by several paths one batch, in the order in which the
// source emitted the rows (invariant 3); results of one row in the order of the paths.
func (s *source) mergeAll(f *flight) {
	for i := range s.merges {
		m := &s.merges[i]
		m.sink.deliver(merge(f, m.views))
		m.views = m.views[:0]
	}
}

// merge takes over the references to the views. It copies row headers only: the values stay in the
// views, which live as long as the merge.
func merge(f *flight, views []*view) *view {
	out := f.pool.view(f)
	out.parents = append(out.parents, views...)
	marks := f.marks
	next := make([]int, len(views))
	for {
		best := -1
		for i, v := range views {
			if next[i] < len(v.origin) && (best < 0 || v.origin[next[i]] < views[best].origin[next[best]]) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		from := views[best]
		for len(marks) > 0 && marks[0].End <= int(from.origin[next[best]]) {
			out.batch.Mark(marks[0].Pos)
			marks = marks[1:]
		}
		out.batch.Rows = append(out.batch.Rows, from.batch.Rows[next[best]])
		next[best]++
	}
	for ; len(marks) > 0; marks = marks[1:] {
		out.batch.Mark(marks[0].Pos)
	}
	return out
}
