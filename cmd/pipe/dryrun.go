package main

import (
	"fmt"
	"io"

	"github.com/pipe-cdc/pipe/pipeline"
)

func dryRunSink(w io.Writer, address string) (pipeline.Sink, error) {
	return nil, fmt.Errorf("dry run of %s: not built yet", address)
}
