package server

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// stopGrace is how long a server may take to stop before it is killed.
const stopGrace = 20 * time.Second

// errExited is why waiting for a server ends when it has gone.
var errExited = errors.New("the server exited")

// process is a child that dies with us. The goroutine that starts it stays on its thread until the
// child has ended: the kernel sends the parent-death signal when that thread ends.
type process struct {
	cmd  *exec.Cmd
	log  *tail
	done chan struct{} // closed when the child has ended
	err  error         // how it ended; read after done
}

// launch starts cmd in a process group of its own, as the given account, with its output in log.
// The kernel sends it the signal death if this process ends first.
func launch(cmd *exec.Cmd, as *account, death syscall.Signal, log *tail) (*process, error) {
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: death, Setpgid: true, Credential: as.credential()}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// exited reports whether the child has ended.
func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop asks the child to end by sig, and kills it when it does not within the grace.
func (p *process) stop(sig syscall.Signal) error {
	if p.exited() {
		return nil
	}
	if err := p.cmd.Process.Signal(sig); err != nil && !p.exited() {
		return fmt.Errorf("signal %s: %w", p.cmd.Path, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopGrace):
	}
	p.kill()
	return fmt.Errorf("%s did not stop within %s and was killed", p.cmd.Path, stopGrace)
}

// kill ends the child at once and waits for it.
func (p *process) kill() {
	if p.exited() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // fails only when it has gone
	<-p.done
}
