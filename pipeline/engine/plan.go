package engine

import (
	"fmt"
	"sync"

	"github.com/pipe-cdc/pipe/pipeline"
)

// transform is one TransformNode. Its mutex is held for the length of a batch, for the case that it
// serves several sources: Transform is used from one goroutine at a time.
type transform struct {
	address string
	t       pipeline.Transform
	stats   counters

	mu sync.Mutex
}

// step is a place in the tree of a source: the rows as they are after its transform.
type step struct {
	transform *transform // nil at the root
	bound     map[*pipeline.Schema]*binding
	last      *binding // of the row before
	children  []*step
	inPlace   bool // the last child may change this step's rows: nobody else reads them
	sinks     []exit
}

// exit is a sink fed by a step. Where a source reaches a sink by several paths, their rows are merged.
type exit struct {
	sink  *sink
	merge int // index into the source's merges, or -1
}

// planner compiles the tree of one source.
type planner struct {
	g          *Graph
	transforms map[string]*transform
	sinks      map[string]*sink
	paths      map[*sink]int
	total      int
}

// plan makes the tree of src: each path from it to a sink once, common prefixes shared.
func (p *planner) plan(src *source) error {
	p.paths, p.total = map[*sink]int{}, 0
	root, err := p.step(src.address, nil)
	if err != nil {
		return err
	}
	if root == nil {
		return fmt.Errorf("%s leads to no sink", src.address)
	}
	src.root = root
	merges := map[*sink]int{}
	for _, k := range p.g.Sinks {
		s := p.sinks[k.Address]
		switch n := p.paths[s]; {
		case n == 0:
			continue
		case n > 1:
			merges[s] = len(merges)
			src.merges = append(src.merges, merging{sink: s})
		}
		src.sinks = append(src.sinks, s)
	}
	assign(root, merges)
	return nil
}

// step returns the tree below address, nil where it leads to no sink.
func (p *planner) step(address string, t *transform) (*step, error) {
	s := &step{transform: t, bound: map[*pipeline.Schema]*binding{}}
	for _, k := range p.g.Sinks {
		if !contains(k.From, address) {
			continue
		}
		p.paths[p.sinks[k.Address]]++
		if p.total++; p.total > maxPaths {
			return nil, fmt.Errorf("more than %d paths lead from one source to its sinks", maxPaths)
		}
		s.sinks = append(s.sinks, exit{sink: p.sinks[k.Address]})
	}
	for _, n := range p.g.Transforms {
		if !contains(n.From, address) {
			continue
		}
		child, err := p.step(n.Address, p.transforms[n.Address])
		if err != nil {
			return nil, err
		}
		if child != nil {
			s.children = append(s.children, child)
		}
	}
	if len(s.sinks)+len(s.children) == 0 {
		return nil, nil
	}
	s.inPlace = len(s.sinks) == 0
	return s, nil
}

func assign(s *step, merges map[*sink]int) {
	for i := range s.sinks {
		s.sinks[i].merge = -1
		if m, ok := merges[s.sinks[i].sink]; ok {
			s.sinks[i].merge = m
		}
	}
	for _, c := range s.children {
		assign(c, merges)
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
