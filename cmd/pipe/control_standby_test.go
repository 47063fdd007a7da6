package main

import (
	"fmt"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestControlStandby asks a pipeline whose state is in PostgreSQL, and after a kill the process that
// stood by: it takes over the lease and the socket.
func TestControlStandby(t *testing.T) {
	s := newScene(t, pipetest.Postgres(t, "log_min_messages=fatal"))
	file := s.file(t, "shop.hcl", `
pipeline "fault" {
  state "postgres" {
    dsn   = env("TARGET")
    lease = "2s"
  }
  retry {
    wait     = "100ms"
    max_wait = "500ms"
  }
}
`+fromItems+toCopy)
	s.insert(t, 1, 1000)
	first := s.start(t, "run", file)
	s.holds(t, first, 1000)
	second := s.start(t, "run", file)
	second.logs(t, "another process listens there")
	s.damage(t)
	s.runs(t, "snapshot", "--table", "items", "--wait", file)
	s.settles(t, first)
	first.kill(t)
	second.logs(t, "pipeline runs")
	s.damage(t)
	second.until(t, "the second process answers", func() bool { return s.items(t)().Table != "" })
	s.runs(t, "snapshot", "--table", "items", "--wait", file)
	s.settles(t, second)
	s.refused(t, exitOK, []string{fmt.Sprintf("process %d", second.cmd.Process.Pid)}, "status", file)
}
