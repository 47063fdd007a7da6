package main

import (
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

func TestWas(t *testing.T) {
	ref := func(name, key string) spec.Ref { return spec.Ref{Kind: "sink", Name: name, Key: key} }
	moves := []config.Moved{
		{From: ref("old", ""), To: ref("new", "")},
		{From: ref("single", ""), To: ref("many", "eu")},
	}
	for address, want := range map[string]string{
		"sink.new": "sink.old", `sink.new["eu"]`: `sink.old["eu"]`, "sink.newer": "",
		`sink.many["eu"]`: "sink.single", `sink.many["us"]`: "", "sink.many": "", "source.new": "",
	} {
		if have := was(moves, address); have != want {
			t.Errorf("%s was %q, want %q", address, have, want)
		}
	}
}
