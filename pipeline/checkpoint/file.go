package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Names beside the state file: the state before the last save, the one being written, the lock.
const (
	previous  = ".previous"
	temporary = ".tmp"
	lockFile  = ".lock"
	suffix    = ".checkpoint"
	fileMode  = 0o600
	dirMode   = 0o700
)

// File is a Store in one readable text file. Save writes a new file beside it, syncs it, keeps the old
// one under ".previous", renames, and syncs the directory.
type File struct {
	path string
	name string // of the pipeline
	lock *os.File

	mu     sync.Mutex // guards the following
	buf    []byte
	closed bool
}

// FilePath returns the path of a pipeline's state file. path is that file, or a directory (existing, or
// ending in a slash) in which the file is named after the pipeline.
func FilePath(path, pipelineName string) string {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() || path != "" && os.IsPathSeparator(path[len(path)-1]) {
		return filepath.Join(path, fileName(pipelineName))
	}
	return path
}

// OpenFile opens the store of a pipeline and locks it against other processes. path is the state file,
// or a directory (existing, or ending in a slash) in which the file is named after the pipeline.
func OpenFile(path, pipelineName string) (*File, error) {
	path = FilePath(path, pipelineName)
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return nil, refused(path, err, "Create the directory, or give the user that runs pipe the right to.")
	}
	lock, err := lockPath(path + lockFile)
	if err != nil {
		return nil, err
	}
	return &File{path: path, name: pipelineName, lock: lock}, nil
}

// Path returns the path of the state file.
func (f *File) Path() string { return f.path }

// Load implements pipeline.Store. Only where neither the file nor the previous one exists is it a
// first start.
func (f *File) Load(context.Context) (pipeline.Checkpoint, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f.first()
	}
	if err != nil {
		return nil, refused(f.path, err, "Give the user that runs pipe the right to read it.")
	}
	name, cp, err := parseState(data)
	if err != nil {
		return nil, refused(f.path, err, f.repair())
	}
	if name != f.name {
		return nil, refused(f.path, fmt.Errorf("it belongs to pipeline %q, not to %q", name, f.name),
			"Set another state path, or rename the pipeline back.")
	}
	return cp, nil
}

// first is called where there is no state file. A crash cannot remove the file and leave the previous
// one: somebody did.
func (f *File) first() (pipeline.Checkpoint, error) {
	_, err := os.Lstat(f.path + previous)
	if errors.Is(err, fs.ErrNotExist) {
		return pipeline.Checkpoint{}, nil
	}
	return nil, refused(f.path, errors.New("the file is gone, but the state before it is there"),
		fmt.Sprintf("Restore it with \"cp %s %s\", which reads a little again; or delete both to begin from nothing.",
			f.path+previous, f.path))
}

func (f *File) repair() string {
	data, err := os.ReadFile(f.path + previous)
	if err == nil {
		if name, _, err := parseState(data); err == nil && name == f.name {
			return fmt.Sprintf("The state before it is intact: \"cp %s %s\" restores it, and a little is read again. "+
				"A source that has let go of what is after it refuses to start, and says what to do.",
				f.path+previous, f.path)
		}
	}
	return "Restore it from a backup, or delete it to begin from nothing (a new snapshot)."
}

// Save implements pipeline.Store.
func (f *File) Save(ctx context.Context, cp pipeline.Checkpoint) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return refused(f.path, os.ErrClosed, "")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f.buf = appendState(f.buf[:0], f.name, cp)
	if err := f.replace(); err != nil {
		return refused(f.path, err, "Free the disk, or give the user that runs pipe the right to write there.")
	}
	return nil
}

// replace makes f.buf the state file, durably. The link to the previous state is made before the
// rename, so that at every moment the state file is whole.
func (f *File) replace() error {
	if err := writeSynced(f.path+temporary, f.buf); err != nil {
		return err
	}
	if err := f.keepPrevious(); err != nil {
		return err
	}
	if err := os.Rename(f.path+temporary, f.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(f.path))
}

func (f *File) keepPrevious() error {
	err := os.Remove(f.path + previous)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = os.Link(f.path, f.path+previous)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		return nil // the first save, or a file system without links, which goes without
	}
	return err
}

// Close implements pipeline.Store. The lock file stays: removing it would race with the next process.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	return f.lock.Close()
}

func writeSynced(path string, data []byte) error {
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	if err == nil {
		err = w.Sync()
	}
	return errors.Join(err, w.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// fileName makes a file name of a pipeline's name, which may hold anything.
func fileName(pipelineName string) string {
	out := make([]byte, 0, len(pipelineName)+len(suffix))
	for i := range len(pipelineName) {
		c := pipelineName[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			out = append(out, c)
			continue
		}
		out = fmt.Appendf(out, "%%%02X", c)
	}
	return string(append(out, suffix...))
}

// refused says why a state cannot be used and what to do. A full disk may pass by itself.
func refused(path string, err error, hint string) error {
	class := pipeline.Environment
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		class = pipeline.Retryable
	}
	return &pipeline.Error{Node: "state", Class: class, Hint: hint, Err: fmt.Errorf("checkpoint %s: %w", path, err)}
}
