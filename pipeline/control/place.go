package control

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	// maxPath is the longest path that a socket may have: sun_path without its NUL (unix(7); other
	// systems have four bytes less).
	maxPath    = 103
	socketMode = 0o600
	dirMode    = 0o700
)

// place returns where the socket of that path really lies: there, or under a short name in the runtime
// directory where the path is too long for a socket. Then the file at the path says so.
func place(path string) (string, error) {
	if len(path) <= maxPath {
		return path, nil
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	dir, err := runtimeDir()
	if err != nil {
		return "", err
	}
	short := filepath.Join(dir, fmt.Sprintf("%.16x.sock", sha256.Sum256([]byte(full))))
	if len(short) > maxPath {
		return "", fmt.Errorf("%s is too long for a socket, and so is %s", path, short)
	}
	return short, nil
}

// runtimeDir returns a directory that only this user can write to, for short names.
func runtimeDir() (string, error) {
	dir := filepath.Join(os.TempDir(), "pipe-"+strconv.Itoa(os.Getuid()))
	if run := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) {
		dir = filepath.Join(run, "pipe")
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !ok || int(owner.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is not a directory that only this user can enter", dir)
	}
	return dir, nil
}

// follow returns where the socket of that path lies, as its server left it.
func follow(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return path, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPath+1))
	if err != nil {
		return "", err
	}
	to := strings.TrimSuffix(string(text), "\n")
	if !filepath.IsAbs(to) {
		return "", fmt.Errorf("%s is neither a socket nor says where it is", path)
	}
	return to, nil
}
