package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ownerEnv makes TestServersDieWithTheirOwner be the owner.
const ownerEnv = "PIPE_TEST_SERVER_OWNER"

// started is what the owner tells of its servers.
type started struct {
	Pids []int
	Dirs []string
}

func TestServersDieWithTheirOwner(t *testing.T) {
	if os.Getenv(ownerEnv) != "" {
		own(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestServersDieWithTheirOwner$")
	cmd.Env = append(os.Environ(), ownerEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var s started
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil || len(s.Pids) != 2 {
		t.Fatalf("the owner says %q: %v", line, err)
	}
	for _, dir := range s.Dirs {
		defer os.RemoveAll(dir) // nobody is left to do it
	}
	for _, pid := range s.Pids {
		for deadline := time.Now().Add(time.Minute); alive(pid); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				syscall.Kill(pid, syscall.SIGKILL)
				t.Fatalf("process %d outlives its owner", pid)
			}
		}
	}
}

// alive reports whether a process runs; one that waits to be reaped does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// own starts servers, tells of them, and waits to be killed.
func own(t *testing.T) {
	p, err := StartPostgres(t.Context(), PostgresConfig{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := StartMariaDB(t.Context(), MariaDBConfig{})
	if err != nil {
		t.Fatal(err)
	}
	json.NewEncoder(os.Stdout).Encode(started{[]int{p.Pid(), m.Pid()}, []string{p.dir, m.dir}})
	select {}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	os.Chmod(os.TempDir(), 0o755)
	os.Chmod(os.TempDir()+"/..", 0o755)
	_, err := StartPostgres(t.Context(), PostgresConfig{Settings: []string{"shared_buffers=lots"}})
	if err == nil || !strings.Contains(err.Error(), "shared_buffers") {
		t.Errorf("the error does not show the server's log: %v", err)
	}
	if _, err := StartPostgres(t.Context(), PostgresConfig{Settings: []string{"no value"}}); err == nil {
		t.Error("a setting without a value is taken")
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestDirectoryIsKept(t *testing.T) {
	dir, err := os.MkdirTemp("", "pipe-kept-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"CREATE DATABASE kept;", "USE kept;"} {
		m, err := StartMariaDB(t.Context(), MariaDBConfig{Dir: dir + "/m"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Query(t.Context(), "", statement); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var l tail
	for range tailBytes {
		fmt.Fprint(&l, "ab")
	}
	fmt.Fprint(&l, "end")
	if s := l.String(); len(s) != tailBytes || !strings.HasSuffix(s, "abend") {
		t.Errorf("%d bytes, ends %q", len(s), s[len(s)-9:])
	}
}

func TestSweepRemovesWhatHasNoOwner(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var dirs []string
	for range 3 {
		dir, err := os.MkdirTemp("", "pipe-swept-")
		if err != nil {
			t.Fatal(err)
		}
		f, err := claim(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		dirs = append(dirs, dir)
		if len(dirs) != 2 { // the second one's owner lives
			f.Close()
		}
		if len(dirs) != 3 { // the third one is young
			old := time.Now().Add(-2 * sweepAge)
			if err := os.Chtimes(f.Name(), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	sweep("pipe-swept-")
	for i, want := range []bool{false, true, true} {
		if _, err := os.Stat(dirs[i]); (err == nil) != want {
			t.Errorf("directory %d is there: %v, want %v", i, err == nil, want)
		}
	}
}
