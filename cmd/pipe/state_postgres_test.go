package main

import (
	"syscall"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestPausedProcess stops a process that has the pipeline: another one takes over within the lease, and the
// first, once it goes on, saves nothing more and stands by.
func TestPausedProcess(t *testing.T) {
	s := newScene(t, pipetest.Postgres(t, "log_min_messages=fatal", "wal_sender_timeout=2s"))
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
	s.streams(t, first)
	second := s.start(t, "run", file)
	second.logs(t, "standby: waiting for the pipeline")
	first.signal(t, syscall.SIGSTOP)
	s.insert(t, 1001, 2000)
	s.holds(t, second, 2000)
	first.signal(t, syscall.SIGCONT)
	first.logs(t, "standby: waiting for the pipeline")
	s.insert(t, 2001, 3000)
	s.holds(t, second, 3000)
	second.kill(t)
	s.insert(t, 3001, 4000)
	s.holds(t, first, 4000)
	s.equal(t)
}
