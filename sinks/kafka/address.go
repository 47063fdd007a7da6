package kafka

import (
	"strings"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Target says where rows go; see spec.Targeter.
func (c *Config) Target() spec.Target {
	out := spec.Target{What: "topic", Attr: "topic", Name: c.Topic.Text}
	for _, b := range c.Brokers {
		if rest, ok := strings.CutPrefix(strings.ToLower(b), "localhost:"); ok {
			b = "127.0.0.1:" + rest
		}
		out.Servers = append(out.Servers, strings.ToLower(b))
	}
	return out
}
