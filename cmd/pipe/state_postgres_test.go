package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestPausedProcess stops a process that has the pipeline: another one takes over within the lease, and the
// first, once it goes on, writes and saves nothing more: it stands by, or ends at the sink's fence.
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
	ended := func() bool { // it met the sink's fence first
		select {
		case <-first.done:
			return first.cmd.ProcessState.ExitCode() == exitEnvironment && strings.Contains(first.err.String(), "has taken over")
		default:
			return false
		}
	}
	second.until(t, "the first one gives way", func() bool {
		return ended() || strings.Contains(first.err.String(), "standby: waiting for the pipeline")
	})
	s.insert(t, 2001, 3000)
	s.holds(t, second, 3000)
	if ended() {
		first = s.start(t, "run", file)
		first.logs(t, "standby: waiting for the pipeline")
	}
	second.kill(t)
	s.insert(t, 3001, 4000)
	s.holds(t, first, 4000)
	s.equal(t)
}
