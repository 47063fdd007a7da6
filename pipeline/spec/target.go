package spec

import "github.com/pipe-cdc/pipe/pipeline"

// Targeter is implemented by configurations of sinks that write named places of a server: no two sinks of a
// pipeline may write the same one.
type Targeter interface {
	// Target says where rows go, as far as that is known without connecting.
	Target() Target
}

// Target is where a sink's rows go.
type Target struct {
	// Servers are the addresses under which the server is known, with the database where it has several, and
	// without secrets; two sinks that share one write to the same server. None: it is not known.
	Servers []string
	What    string // what rows go to: "table", "topic"
	Attr    string // the attribute that chooses it
	Merge   bool   // it is said that others may write there too
	// Merges is the attribute that says so, "" where there is none.
	Merges string
	// Name names the place for a table; an error where that cannot be told.
	Name func(s *pipeline.Schema) (string, error)
}

// Namer is implemented by configurations of sources that know what they take without connecting.
type Namer interface {
	// Names are the tables that are taken, as patterns: "*" stands for any part of a name.
	Names() []*pipeline.Schema
}

// Renamer is implemented by configurations of transforms that give tables other names or targets.
type Renamer interface {
	// Renames reports whether this one does.
	Renames() bool
}
