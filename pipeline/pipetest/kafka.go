package pipetest

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/pipe-cdc/pipe/pipeline/pipetest/registry"
	"github.com/pipe-cdc/pipe/pipeline/pipetest/server"
)

// Kafka starts a Kafka-compatible broker in this process for one test: its Addrs are the bootstrap
// addresses, its Cluster injects faults. Options as kfake has them, such as kfake.SeedTopics.
func Kafka(t testing.TB, opts ...kfake.Opt) *server.Kafka {
	t.Helper()
	k, err := server.StartKafka(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

// SchemaRegistry is a schema registry on the loopback, for one test.
type SchemaRegistry struct {
	*registry.Registry
	URL string
}

// Registry starts a schema registry that enforces compatibility, BACKWARD unless c says otherwise.
func Registry(t testing.TB, c registry.Config) *SchemaRegistry {
	t.Helper()
	r, err := registry.New(c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.StartHTTP(0, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &SchemaRegistry{Registry: r, URL: s.URL}
}
