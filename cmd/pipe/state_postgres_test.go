package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/control"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// stateInTarget is a pipeline that several processes may run.
const stateInTarget = `
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
`

// TestPausedProcess stops a process that has the pipeline: another one takes over within the lease, and the
// first, once it goes on, writes and saves nothing more: it stands by, and leaves the socket to the other one.
func TestPausedProcess(t *testing.T) {
	s := newScene(t, pipetest.Postgres(t, "log_min_messages=fatal"))
	file := s.file(t, "shop.hcl", stateInTarget+fromItems+toCopy)
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
	socket := control.Dial(filepath.Join(s.dir, ".pipe", "fault.sock"))
	second.until(t, "the socket is that of the process that leads", func() bool {
		status, err := socket.Status(t.Context())
		return err == nil && status.PID == second.cmd.Process.Pid && status.Leader == nil
	})
	second.kill(t)
	s.insert(t, 3001, 4000)
	s.holds(t, first, 4000)
	s.equal(t)
}

// TestFencedProcess takes the sink's fence from a process that has the pipeline, as one would that does not
// know of the state: it begins again rather than end, and says so.
func TestFencedProcess(t *testing.T) {
	s := newScene(t, pipetest.Postgres(t, "log_min_messages=fatal"))
	file := s.file(t, "shop.hcl", stateInTarget+fromItems+toCopy)
	s.insert(t, 1, 100)
	p := s.start(t, "run", file)
	s.holds(t, p, 100)
	s.streams(t, p)
	pipetest.Exec(t, s.target, "UPDATE pipe.fence SET epoch = epoch + 1")
	s.insert(t, 101, 200)
	p.logs(t, "another process has taken the pipeline over: this one stands by")
	s.holds(t, p, 200)
	if n := strings.Count(p.err.String(), "stands by"); n != 1 {
		t.Errorf("it says %d times that it stands by", n)
	}
	s.equal(t)
}

// TestHungSnapshot stops a process in its first snapshot, where it holds the source's lock: another one ends its
// sessions and goes on with the snapshot.
func TestHungSnapshot(t *testing.T) {
	s := newScene(t, pipetest.Postgres(t, "log_min_messages=fatal"))
	file := s.file(t, "shop.hcl", stateInTarget+fromItems+toCopy)
	s.insert(t, 1, 1000)
	pipetest.Exec(t, s.target, "CREATE TABLE items (id int PRIMARY KEY, v text)")
	unlock := lockItems(t, s.target)
	first := s.start(t, "run", file)
	waitsForLock(t, s, first)
	second := s.start(t, "run", file)
	second.logs(t, "standby: waiting for the pipeline")
	first.signal(t, syscall.SIGSTOP)
	second.logs(t, "ended the sessions of the process that had the pipeline before and hangs")
	unlock()
	s.holds(t, second, 1000)
	first.signal(t, syscall.SIGCONT)
	first.logs(t, "standby: waiting for the pipeline")
	s.insert(t, 1001, 2000)
	s.holds(t, second, 2000)
	s.equal(t)
}

// TestHungTransaction stops a process whose transaction has rows of the target locked: another one ends that
// session, and is not kept from the rows.
func TestHungTransaction(t *testing.T) {
	s := newScene(t, pipetest.Postgres(t, "log_min_messages=fatal"))
	file := s.file(t, "shop.hcl", stateInTarget+fromItems+toCopy)
	s.insert(t, 1, 100)
	first := s.start(t, "run", file)
	s.holds(t, first, 100)
	s.streams(t, first)
	second := s.start(t, "run", file)
	second.logs(t, "standby: waiting for the pipeline")
	unlock := lockItems(t, s.target)
	pipetest.Exec(t, s.source, "UPDATE items SET v = 'changed' WHERE id < 50")
	waitsForLock(t, s, first)
	first.signal(t, syscall.SIGSTOP)
	unlock() // its statement ends, and its transaction stays open
	pipetest.Exec(t, s.source, "UPDATE items SET v = 'changed again' WHERE id < 50")
	s.settles(t, second)
	first.signal(t, syscall.SIGCONT)
	first.logs(t, "standby: waiting for the pipeline")
	s.insert(t, 101, 200)
	s.holds(t, second, 200)
	s.equal(t)
}
