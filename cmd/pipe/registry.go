package main

import (
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// components is the table of component types: the one place that names them.
func components() config.Registry {
	return config.Registry{
		Sources:     map[string]func() spec.Source{},
		Transforms:  map[string]func() spec.Transform{},
		Sinks:       map[string]func() spec.Sink{},
		Connections: map[string]func() spec.Definition{},
	}
}
