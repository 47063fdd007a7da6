package server

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// instance is what every server here has: a directory, the account it runs as, its process.
type instance struct {
	dir  string
	lock *os.File // held while a temporary dir is in use; nil: the caller named dir
	as   *account
	log  tail
	proc *process // nil before the first start
}

// newInstance makes the directory (dir, or a temporary one where dir is "") for a server that runs
// as an account; nil: as we do.
func newInstance(dir, prefix string, as *account) (*instance, error) {
	i := &instance{as: as, dir: dir}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		return i, as.own(dir)
	}
	sweep(prefix)
	var err error
	if i.dir, err = os.MkdirTemp("", prefix); err != nil {
		return nil, err
	}
	if i.lock, err = claim(i.dir); err == nil {
		err = as.own(i.dir)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(i.dir))
	}
	return i, nil
}

// Kill ends the server by SIGKILL. It may be started again.
func (i *instance) Kill() {
	if i.proc != nil {
		i.proc.kill()
	}
}

// Pid returns the process id of the server's main process.
func (i *instance) Pid() int { return i.proc.cmd.Process.Pid }

// Log returns the end of what the server wrote to its log.
func (i *instance) Log() string { return i.log.String() }

// Exited is closed when the server's process has ended.
func (i *instance) Exited() <-chan struct{} { return i.proc.done }

// stop ends the server by sig; no server is fine.
func (i *instance) stop(sig syscall.Signal) error {
	if i.proc == nil {
		return nil
	}
	return i.proc.stop(sig)
}

// remove, called once, deletes the directory unless the caller named it.
func (i *instance) remove() error {
	if i.lock == nil {
		return nil
	}
	return errors.Join(os.RemoveAll(i.dir), i.lock.Close())
}

// failed ends what was started of a server that could not be, and returns err with its log.
func (i *instance) failed(what string, err error) error {
	i.Kill()
	err = fmt.Errorf("%s: %w", what, err)
	if log := i.Log(); log != "" {
		err = fmt.Errorf("%w\n%s", err, log)
	}
	return errors.Join(err, i.remove())
}
