package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// errTaken says that another process listens there.
var errTaken = errors.New("another process listens there")

// socket is a listening unix socket. The lock beside it belongs to the process that listens, so that
// what a dead one left behind can be removed, and nothing else.
type socket struct {
	net.Listener
	lock    *os.File
	path    string // as asked for
	placed  string // where it lies
	pointer bool   // path is a file that says where it lies
}

// listen makes the socket of that path, with mode 0600.
func listen(path string) (*socket, error) {
	placed, err := place(path)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(placed)} {
		if err := os.MkdirAll(dir, dirMode); err != nil {
			return nil, err
		}
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	s := &socket{lock: lock, path: path, placed: placed, pointer: path != placed}
	if err := s.bind(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

func (s *socket) bind() error {
	if err := os.Remove(s.placed); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := private().Listen(background(), "unix", s.placed)
	if err != nil {
		return err
	}
	s.Listener = l
	if err := os.Chmod(s.placed, socketMode); err != nil {
		return errors.Join(err, l.Close())
	}
	if !s.pointer {
		return nil
	}
	if err := os.WriteFile(s.path, []byte(s.placed+"\n"), socketMode); err != nil {
		return errors.Join(err, l.Close())
	}
	return nil
}

// Close stops listening and removes the socket; the lock goes last.
func (s *socket) Close() error {
	err := s.Listener.Close() // which removes it
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	if s.pointer {
		err = errors.Join(err, os.Remove(s.path))
	}
	return errors.Join(err, s.lock.Close())
}

// private makes sockets with mode 0600 from the start: on Linux bind(2) gives the file the mode of the
// socket, other systems refuse the fchmod and rely on the Chmod after it.
func private() *net.ListenConfig {
	return &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), socketMode) })
	}}
}

// lockFile takes a lock that the kernel drops with the process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, socketMode)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errTaken
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}
