package server

import (
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockName is the file of a temporary directory that its owner holds a lock on. The kernel releases
// it when the owner ends, in whatever way.
const lockName = "owner"

// sweepAge is how old a directory without an owner has to be: its servers get time to end.
const sweepAge = time.Minute

// claim makes this process the owner of a temporary directory until the file is closed.
func claim(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sweep removes what killed processes left: the directories of a prefix whose owner has gone. What
// cannot be removed stays for the next time.
func sweep(prefix string) {
	locks, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*", lockName)) // the pattern is well-formed
	for _, name := range locks {
		info, err := os.Stat(name)
		if err != nil || time.Since(info.ModTime()) < sweepAge {
			continue
		}
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(filepath.Dir(name))
		}
		f.Close()
	}
}
