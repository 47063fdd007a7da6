package postgres

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// TestSilentServer: a server that takes a connection and says nothing is given up, with what to look at.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &Config{}
	spec.Describe("postgres", c)
	c.DSN = spec.Secret("postgres://u:c4nary@" + l.Addr().String() + "/d?connect_timeout=1")
	_, err = c.State(context.Background(), env())
	if err == nil || pipeline.ClassOf(err) != pipeline.Retryable || !strings.Contains(pipeline.HintOf(err), "dsn") ||
		strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "c4nary") {
		t.Errorf("%v", err)
	}
}
