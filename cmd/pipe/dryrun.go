package main

import (
	"io"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sinks/stdout"
)

// dryRunSink prints the rows that a sink would get, tagged with the sink's address.
func dryRunSink(w io.Writer, address string) pipeline.Sink {
	return stdout.New(w, stdout.Options{Node: address})
}
