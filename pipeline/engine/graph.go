package engine

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Graph is what an Engine runs.
type Graph struct {
	Name       string
	Sources    []SourceNode
	Transforms []TransformNode
	Sinks      []SinkNode
	Store      pipeline.Store // nil only if every sink is a Keeper
	Moves      []Move         // sources whose address changed
	Limits     Limits
	Log        *slog.Logger // nil: slog.Default
	Poison     bool         // overwrite released memory, for tests
}

// SourceNode is a source at its address.
type SourceNode struct {
	Address string
	Source  pipeline.Source
}

// TransformNode is a transform and the addresses of the sources and transforms that feed it.
type TransformNode struct {
	Address   string
	From      []string
	Transform pipeline.Transform
}

// SinkNode is a sink and the addresses of the sources and transforms that feed it.
type SinkNode struct {
	Address string
	From    []string
	Sink    pipeline.Sink
}

// Limits bound what an engine holds and how long it waits. Zero fields mean DefaultLimits'.
type Limits struct {
	Batches   int           // in flight, divided among the sources; each gets at least minBatches
	Rows      int           // of one batch
	Bytes     int64         // of one batch; a single row may exceed it
	Linger    time.Duration // Output.Idle is true when a source has emitted nothing for so long
	Grace     time.Duration // for batches in flight after a stop
	SaveEvery time.Duration // between saves while batches are in flight
}

// DefaultLimits keep a process below 128 MB: 5 batches of 6 MiB are 30 MiB of live memory, and
// sinks encode a batch once more.
func DefaultLimits() Limits {
	return Limits{
		Batches: 5, Rows: 16_384, Bytes: 6 << 20,
		Linger: 20 * time.Millisecond, Grace: 20 * time.Second, SaveEvery: time.Second,
	}
}

// Bounds of a graph.
const (
	minBatches = 3       // of each source: one being filled, one being transformed, one being written
	maxLanes   = 64      // concurrent Writes of one sink
	maxPaths   = 1 << 10 // from one source to its sinks
)

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	fill(&l.Batches, d.Batches)
	fill(&l.Rows, d.Rows)
	fill(&l.Bytes, d.Bytes)
	fill(&l.Linger, d.Linger)
	fill(&l.Grace, d.Grace)
	fill(&l.SaveEvery, d.SaveEvery)
	return l
}

func fill[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// checkGraph returns the first thing that is wrong with a graph.
func checkGraph(g *Graph) error {
	if len(g.Sources) == 0 {
		return fmt.Errorf("pipeline %q has no source", g.Name)
	}
	if len(g.Sinks) == 0 {
		return fmt.Errorf("pipeline %q has no sink", g.Name)
	}
	if err := checkAddresses(g); err != nil {
		return err
	}
	for _, k := range g.Sinks {
		if _, ok := k.Sink.(pipeline.Keeper); !ok && g.Store == nil {
			return fmt.Errorf("%s does not keep positions itself and there is no store for them", k.Address)
		}
	}
	return checkCycle(g)
}

func checkAddresses(g *Graph) error {
	seen, feeds := map[string]bool{}, map[string]bool{}
	add := func(address string) error {
		if address == "" || seen[address] {
			return fmt.Errorf("address %q is empty or used twice", address)
		}
		seen[address] = true
		return nil
	}
	for _, s := range g.Sources {
		for _, o := range g.Sources {
			if strings.HasPrefix(o.Address, s.Address+"/") {
				return fmt.Errorf("address %q lies below %q: their streams could not be told apart",
					o.Address, s.Address)
			}
		}
		if err := add(s.Address); err != nil {
			return err
		}
		feeds[s.Address] = true
	}
	for _, t := range g.Transforms {
		if err := add(t.Address); err != nil {
			return err
		}
		feeds[t.Address] = true
	}
	for _, k := range g.Sinks {
		if err := add(k.Address); err != nil {
			return err
		}
	}
	return checkFrom(g, feeds)
}

func checkFrom(g *Graph, feeds map[string]bool) error {
	check := func(address string, from []string) error {
		if len(from) == 0 {
			return fmt.Errorf("%s has no source", address)
		}
		seen := map[string]bool{}
		for _, f := range from {
			if !feeds[f] {
				return fmt.Errorf("%s comes from %q, which is no source or transform", address, f)
			}
			if seen[f] {
				return fmt.Errorf("%s names %q twice", address, f)
			}
			seen[f] = true
		}
		return nil
	}
	for _, t := range g.Transforms {
		if err := check(t.Address, t.From); err != nil {
			return err
		}
	}
	for _, k := range g.Sinks {
		if err := check(k.Address, k.From); err != nil {
			return err
		}
	}
	return nil
}

// checkCycle walks from each transform to what feeds it.
func checkCycle(g *Graph) error {
	from := map[string][]string{}
	for _, t := range g.Transforms {
		from[t.Address] = t.From
	}
	done := map[string]bool{}
	var walk func(address string, path []string) error
	walk = func(address string, path []string) error {
		for i, p := range path {
			if p == address {
				return fmt.Errorf("cycle: %s", strings.Join(append(path[i:], address), " <- "))
			}
		}
		if done[address] {
			return nil
		}
		for _, f := range from[address] {
			if err := walk(f, append(path, address)); err != nil {
				return err
			}
		}
		done[address] = true
		return nil
	}
	for _, t := range g.Transforms {
		if err := walk(t.Address, nil); err != nil {
			return err
		}
	}
	return nil
}
