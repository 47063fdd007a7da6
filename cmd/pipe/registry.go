package main

import (
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/spec"
	"github.com/pipe-cdc/pipe/sinks/discard"
	"github.com/pipe-cdc/pipe/sinks/kafka"
	pgsink "github.com/pipe-cdc/pipe/sinks/postgres"
	"github.com/pipe-cdc/pipe/sinks/stdout"
	"github.com/pipe-cdc/pipe/sources/mariadb"
	pgsource "github.com/pipe-cdc/pipe/sources/postgres"
	"github.com/pipe-cdc/pipe/transforms"
)

// components is the table of component types: the one place that names them.
func components() config.Registry {
	return config.Registry{
		Sources: map[string]func() spec.Source{
			"mariadb":  func() spec.Source { return &mariadb.Config{} },
			"postgres": func() spec.Source { return &pgsource.Config{} },
		},
		Transforms: map[string]func() spec.Transform{
			"cast":   func() spec.Transform { return &transforms.Cast{} },
			"filter": func() spec.Transform { return &transforms.Filter{} },
			"mask":   func() spec.Transform { return &transforms.Mask{} },
			"omit":   func() spec.Transform { return &transforms.Omit{} },
			"rename": func() spec.Transform { return &transforms.Rename{} },
			"route":  func() spec.Transform { return &transforms.Route{} },
			"set":    func() spec.Transform { return &transforms.Set{} },
		},
		Sinks: map[string]func() spec.Sink{
			"discard":  func() spec.Sink { return &discard.Config{} },
			"kafka":    func() spec.Sink { return &kafka.Config{} },
			"postgres": func() spec.Sink { return &pgsink.Config{} },
			"stdout":   func() spec.Sink { return &stdout.Config{} },
		},
		Connections: map[string]func() spec.Definition{
			"kafka":    func() spec.Definition { return &kafka.Connection{} },
			"mariadb":  func() spec.Definition { return &mariadb.Connection{} },
			"postgres": func() spec.Definition { return &pgsource.Connection{} },
		},
	}
}

// sweeps reports whether sinks of a type delete at the end of a snapshot what it did not find
// (snapshot.Request.Replace).
func sweeps(typ string) bool { return typ == "postgres" }
