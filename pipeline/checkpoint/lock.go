package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// lockPath takes the lock that keeps a second process out. The kernel drops it with the process, so a
// crash leaves nothing to clean up; the pid in the file is for the other's message.
func lockPath(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, refused(path, err, "Give the user that runs pipe the right to write there.")
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder := holderOf(f)
		f.Close()
		return nil, refused(path, fmt.Errorf("%s is using it", holder),
			"Stop that one first, or give this pipeline another state path.")
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil {
		f.Close()
		return nil, refused(path, err, "The state must lie on a file system with locks.")
	}
	return f, nil
}

// Holder returns who has locked a pipeline's state, as far as can be told: "process 4711", or "" where
// nobody has.
func Holder(path, pipelineName string) (string, error) {
	f, err := os.Open(FilePath(path, pipelineName) + lockFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", refused(path, err, "Give the user that runs pipe the right to read it.")
	}
	defer f.Close() // and with it the lock
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return holderOf(f), nil
	}
	return "", err
}

func holderOf(f *os.File) string {
	data, err := io.ReadAll(io.LimitReader(f, 32))
	pid := strings.TrimSpace(string(data))
	if err != nil || pid == "" {
		return "another process"
	}
	return "process " + pid
}
