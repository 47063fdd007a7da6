package config

import (
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Registry is the table of component types that a configuration may name.
type Registry struct {
	Sources     map[string]func() spec.Source
	Transforms  map[string]func() spec.Transform
	Sinks       map[string]func() spec.Sink
	Connections map[string]func() spec.Definition
}

// Options say how to load a configuration.
type Options struct {
	Registry Registry
	Vars     []string // NAME=VALUE, as given by --var; later ones win
	VarFiles []string // files with NAME = VALUE; later ones win, --var wins over all
	// NoEnv lets env("X") of an unset variable pass as unknown instead of failing: to check a
	// configuration on another machine than the one that runs it.
	NoEnv bool
	// Stdin is the text of the configuration where the path is "-".
	Stdin []byte
}

// Config is a checked configuration. Where there were errors it holds what could be made of the rest.
type Config struct {
	Settings Settings
	Nodes    []*Node // sources, then transforms from upstream to downstream, then sinks; each in file order
	Moved    []Moved
	Dir      string            // the directory that relative paths start from
	Files    map[string][]byte // text of every file read, by the name used in ranges
}

// Node is one component: one instance of a block.
type Node struct {
	Address string // source.shop, or source.shop["eu"]: the key of its positions
	Kind    string // "source", "transform" or "sink"
	Type    string // "postgres"
	Name    string
	Key     string          // of its instance under for_each; "" for the only one
	Def     spec.Definition // decoded: a spec.Source, spec.Transform or spec.Sink
	Block   *spec.Block     // the description that Def was decoded through: ranges, what is set
	From    []string        // addresses it reads from, in the order given
	Range   hcl.Range       // of the block's header
	Body    hcl.Range       // of the whole block, to tell whether its text changed
}

// Node returns the node of that address, nil where there is none.
func (c *Config) Node(address string) *Node {
	i := slices.IndexFunc(c.Nodes, func(n *Node) bool { return n.Address == address })
	if i < 0 {
		return nil
	}
	return c.Nodes[i]
}

// Kind returns the nodes of one kind, in order.
func (c *Config) Kind(kind string) []*Node {
	var out []*Node
	for _, n := range c.Nodes {
		if n.Kind == kind {
			out = append(out, n)
		}
	}
	return out
}

// Consumers returns the nodes that read from the address, in order.
func (c *Config) Consumers(address string) []*Node {
	var out []*Node
	for _, n := range c.Nodes {
		if slices.Contains(n.From, address) {
			out = append(out, n)
		}
	}
	return out
}

// Settings are those of the pipeline block, with defaults for what it does not say.
type Settings struct {
	Name       string
	State      State
	BatchRows  int           // rows in one batch at most
	BatchBytes spec.Bytes    // bytes in one batch, roughly at most
	Batches    int           // batches in flight at most
	Linger     time.Duration // how long a part-filled batch may wait for company
	Grace      time.Duration // how long batches in flight may take to finish on shutdown
	Retry      Retry
	Control    Control
	Range      hcl.Range // of the block's header; zero without a block
}

// Retry says how often and how fast a failed pipeline is built anew.
type Retry struct {
	Attempts int           // in a row without progress; 0: without end
	Wait     time.Duration // before the first attempt; doubles
	MaxWait  time.Duration
}

// State says where positions are kept.
type State struct {
	Kind   string        // "file", "sink" or "postgres"
	Path   string        // file: absolute or relative to the process
	Sink   string        // sink: its address
	DSN    spec.Secret   // postgres
	Schema string        // postgres: where its tables are
	Lease  time.Duration // postgres: after which an owner that gives no sign of life is succeeded
}

// Moved is a component whose address changed: its positions go with it.
type Moved struct {
	From, To spec.Ref
	Range    hcl.Range
}
