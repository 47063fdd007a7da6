package main

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestFaultSignals stops pipelines as a service manager does, and runs two of one.
func TestFaultSignals(t *testing.T) {
	pg := pipetest.Postgres(t, "wal_sender_timeout=6s", "log_min_messages=panic")
	t.Run("terminate", func(t *testing.T) { faultTerminate(t, newScene(t, pg)) })
	t.Run("terminate twice", func(t *testing.T) { faultTerminateTwice(t, newScene(t, pg)) })
	t.Run("standby", func(t *testing.T) { faultStandby(t, newScene(t, pg)) })
	t.Run("stopped and continued", func(t *testing.T) { faultStopped(t, newScene(t, pg)) })
	t.Run("fenced", func(t *testing.T) { faultFenced(t, newScene(t, pg)) })
	t.Run("one state file", func(t *testing.T) { faultSameState(t, newScene(t, pg)) })
}

// faultTerminate: what is in flight is delivered and saved, so that the next run reads nothing again.
func faultTerminate(t *testing.T, s *scene) {
	s.insert(t, 1, 100)
	pipetest.Exec(t, s.target, "CREATE TABLE items (id int, v text)")
	file := s.file(t, "run.hcl", stateInFile+fromItems+`
sink "postgres" "copy" {
  from    = source.shop
  dsn     = env("TARGET")
  write   = "append"
  deletes = "ignore"
}
`)
	p := s.start(t, "run", file)
	s.holds(t, p, 100)
	s.insert(t, 101, 200)
	s.holds(t, p, 200)
	p.signal(t, syscall.SIGTERM)
	if code := p.ends(t, faultPatience); code != exitOK {
		t.Fatalf("exit code %d after SIGTERM, want 0", code)
	}
	if _, ok := savedPosition(t, s.state); !ok {
		t.Error("no position was saved")
	}
	s.runs(t, "run", "--until-caught-up", file)
	s.equal(t) // the sink appends: a row that was read twice would be there twice
}

// faultTerminateTwice: a target that hangs holds a graceful stop up; the second signal does not wait.
func faultTerminateTwice(t *testing.T, s *scene) {
	s.insert(t, 1, 10)
	file := s.file(t, "run.hcl", stateInSink+fromItems+toCopy)
	p := s.start(t, "run", file)
	s.holds(t, p, 10)
	unlock := lockTable(t, s.target, "items")
	defer unlock()
	s.insert(t, 11, 20)
	waitsForLock(t, s, p)
	p.signal(t, syscall.SIGTERM)
	p.logs(t, "stopping")
	p.signal(t, syscall.SIGTERM)
	if code := p.ends(t, 8*time.Second); code != 143 { // its grace is 10 s
		t.Errorf("exit code %d after the second SIGTERM, want 143", code)
	}
	unlock()
	s.runs(t, "run", "--until-caught-up", file)
	s.equal(t)
}

// lockTable locks a table until the function it returns is called.
func lockTable(t *testing.T, dsn, table string) func() {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE "+table); err != nil {
		t.Fatal(err)
	}
	return func() { _ = conn.Close(context.Background()) } // closed twice is no harm
}

// faultStandby: a second instance waits for the slot and goes on when the first is gone.
func faultStandby(t *testing.T, s *scene) {
	s.insert(t, 1, 10)
	file := s.file(t, "run.hcl", stateInSink+fromItems+toCopy)
	active := s.start(t, "run", file)
	s.holds(t, active, 10)
	s.streams(t, active)
	standby := s.start(t, "run", file)
	standby.logs(t, "standby")
	s.insert(t, 11, 20)
	s.holds(t, active, 20)
	active.kill(t)
	s.insert(t, 21, 30)
	s.holds(t, standby, 30)
	s.equal(t)
}

// faultStopped: an instance that was stopped in the middle of a write, for long enough that another
// took over, does not commit that write once it is continued: it ends at the fence, or waits as standby.
func faultStopped(t *testing.T, s *scene) {
	s.insert(t, 1, 10)
	file := s.file(t, "run.hcl", stateInSink+fromItems+toCopy)
	first := s.start(t, "run", file)
	s.holds(t, first, 10)
	s.streams(t, first)
	unlock := lockTable(t, s.target, "items")
	s.insert(t, 11, 20)
	waitsForLock(t, s, first)
	first.signal(t, syscall.SIGSTOP)
	second := s.start(t, "run", file)
	second.logs(t, "standby")
	second.logs(t, "pipeline runs") // the server drops the silent one after wal_sender_timeout
	s.streams(t, second)
	unlock()
	first.signal(t, syscall.SIGCONT)
	s.insert(t, 21, 30)
	s.holds(t, second, 30)
	displaced := func() bool {
		select {
		case <-first.done: // it met the fence first
			return first.cmd.ProcessState.ExitCode() == exitEnvironment && strings.Contains(first.err.String(), "has taken over")
		default: // it found its stream gone first
			return strings.Contains(first.err.String(), "standby")
		}
	}
	second.until(t, "the first one gives way", displaced)
	s.insert(t, 31, 40)
	s.holds(t, second, 40)
	s.equal(t)
}

// faultFenced: where no slot keeps two instances apart, since each has its own, the fence does: the
// older one stops, whatever becomes of the newer one.
func faultFenced(t *testing.T, s *scene) {
	s.insert(t, 1, 10)
	first := s.start(t, "run", s.file(t, "run.hcl", stateInSink+fromItems+toCopy))
	s.holds(t, first, 10)
	s.streams(t, first)
	other := strings.ReplaceAll(stateInSink+fromItems+toCopy, `slot            = "fault"`, `slot            = "other"`)
	s.refused(t, exitEnvironment, []string{"replication slot other is gone"}, "run", s.file(t, "other.hcl", other))
	s.insert(t, 11, 20)
	if code := first.ends(t, faultPatience); code != exitEnvironment {
		t.Errorf("the instance that lost its place ended with exit code %d, want %d", code, exitEnvironment)
	}
	for _, want := range []string{"sink.copy", "another instance of this pipeline has taken over", "Run one instance"} {
		if !strings.Contains(first.err.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if n := countIn(t, s.target, "items"); n != 10 {
		t.Errorf("the target holds %d rows, want the 10 from before", n)
	}
}

// streams waits until the slot is in use: before, during its snapshot, an instance holds nothing that
// another could see.
func (s *scene) streams(t *testing.T, p *process) {
	t.Helper()
	p.until(t, "the slot is in use", func() bool {
		return queryCount(t, s.source, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'fault' AND active") == 1
	})
}

// waitsForLock waits until the sink of a running pipe is held up by a lock.
func waitsForLock(t *testing.T, s *scene, p *process) {
	t.Helper()
	p.until(t, "the sink waits for the lock", func() bool {
		return queryCount(t, s.target, "SELECT count(*) FROM pg_locks WHERE NOT granted") > 0
	})
}

// faultSameState: a state file is one process's.
func faultSameState(t *testing.T, s *scene) {
	s.insert(t, 1, 10)
	file := s.file(t, "run.hcl", stateInFile+fromItems+toCopy)
	p := s.start(t, "run", file)
	s.holds(t, p, 10)
	s.refused(t, exitEnvironment, []string{"is using it", "Stop that one first"}, "run", file)
}
