package pipetest

import (
	"os"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest/registry"
	"github.com/pipe-cdc/pipe/pipeline/pipetest/server"
)

// FullEnv names the variable that asks for the full suite when it is 1: servers that need Java too.
// `make test` sets it.
const FullEnv = "PIPE_TEST_FULL"

// Full reports whether the full suite was asked for.
func Full() bool { return os.Getenv(FullEnv) == "1" }

// ApacheKafka starts a real Apache Kafka broker for one test. It takes seconds and Java: call it
// only where Full says so, or use EachKafka. Settings are "name=value" as in server.properties.
func ApacheKafka(t testing.TB, settings ...string) *server.Apache {
	t.Helper()
	k, err := server.StartApache(t.Context(), server.ApacheConfig{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Apache Kafka complained:\n%s", complaints(k.Log()))
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// EachKafka runs f as a subtest with the bootstrap addresses of the broker in this process, and, in
// the full suite, of a real Apache Kafka.
func EachKafka(t *testing.T, f func(t *testing.T, addrs []string)) {
	t.Helper()
	t.Run("in_process", func(t *testing.T) { f(t, Kafka(t).Addrs) })
	if Full() {
		t.Run("apache", func(t *testing.T) { f(t, []string{ApacheKafka(t).Addr}) })
	}
}

// Apicurio starts a real Apicurio Registry for one test and returns the URL of its
// Confluent-compatible API. Like ApacheKafka, for where Full says so.
func Apicurio(t testing.TB) string {
	t.Helper()
	a, err := server.StartApicurio(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Apicurio Registry complained:\n%s", complaints(a.Log()))
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a.URL
}

// EachRegistry runs f as a subtest with the URL of the schema registry in this process, and, in the
// full suite, of a real Apicurio Registry.
func EachRegistry(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("in_process", func(t *testing.T) { f(t, Registry(t, registry.Config{}).URL) })
	if Full() {
		t.Run("apicurio", func(t *testing.T) { f(t, Apicurio(t)) })
	}
}
