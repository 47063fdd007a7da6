package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// canary is the password of every connection that the fault tests make: wherever it shows, a real
// one would have leaked.
const canary = "c4nary-Zq81"

// How long a fault test waits for what must happen, and how often it looks.
const (
	faultPatience = 2 * time.Minute // a machine that does much else is no failure
	faultPoll     = 20 * time.Millisecond
)

// scene is a pipeline under fault: two databases, a directory with its configuration and state, and
// the environment that its processes run in.
type scene struct {
	pg             *pipetest.PG
	source, target string
	dir, state     string
	env            []string
}

// newScene makes two databases on pg and connection strings for them with the canary in them.
func newScene(t *testing.T, pg *pipetest.PG) *scene {
	t.Helper()
	s := &scene{pg: pg, source: pg.Database(t), target: pg.Database(t), dir: t.TempDir()}
	s.state = filepath.Join(s.dir, "state")
	s.env = []string{"SOURCE=" + secretDSN(t, s.source), "TARGET=" + secretDSN(t, s.target), "STATE=" + s.state}
	t.Cleanup(func() { s.checkFiles(t) })
	pipetest.Exec(t, s.source, "CREATE TABLE items (id int PRIMARY KEY, v text)")
	return s
}

// secretDSN puts the canary into a connection string, as the password.
func secretDSN(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), canary)
	return u.String()
}

// checkFiles looks for the canary in everything that was left in the scene's directory, apart from
// the configuration, which may name it.
func (s *scene) checkFiles(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(path) == ".hcl" {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(canary)) {
			t.Errorf("%s holds a password:\n%.300q", path, data)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// file writes a configuration and returns its path.
func (s *scene) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The parts that configurations of the fault tests are made of.
const (
	stateInFile = `
pipeline "fault" {
  grace = "10s"
  state "file" {
    path = env("STATE")
  }
  retry {
    wait     = "100ms"
    max_wait = "500ms"
  }
}
`
	stateInSink = `
pipeline "fault" {
  grace = "10s"
  state "sink" {
    sink = sink.copy
  }
  retry {
    wait     = "100ms"
    max_wait = "500ms"
  }
}
`
	fromItems = `
source "postgres" "shop" {
  dsn             = env("SOURCE")
  slot            = "fault"
  publication     = "fault"
  create          = ["slot", "publication"]
  tables          = ["public.*"]
  status_interval = "200ms"
}
`
	toCopy = `
sink "postgres" "copy" {
  from = source.shop
  dsn  = env("TARGET")
}
`
)

// lockedLog gathers what a process prints while a test reads it.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// process is a running pipe.
type process struct {
	cmd      *exec.Cmd
	out, err *lockedLog
	done     chan struct{}
}

// start starts pipe in the scene's directory. At the end of the test it is killed, and neither
// stream may have shown the canary.
func (s *scene) start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(pipeBinary(t), args...), out: &lockedLog{}, err: &lockedLog{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), s.env...)
	p.cmd.Dir = s.dir
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the state tells the exit code
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.done
		if t.Failed() && !slices.Contains(args, "--json") {
			t.Logf("pipe %v:\n%s%s", args, p.out, p.err)
		}
		if strings.Contains(p.out.String()+p.err.String(), canary) {
			t.Errorf("pipe %v shows a password:\n%s%s", args, p.out, p.err)
		}
	})
	return p
}

// ends waits for the process and returns its exit code.
func (p *process) ends(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		t.Fatalf("pipe did not end within %v", within)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// kill ends the process at once.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.done
}

// logs waits until the process has logged text; it must not end before.
func (p *process) logs(t *testing.T, text string) {
	t.Helper()
	p.until(t, "the log says "+text, func() bool { return strings.Contains(p.err.String(), text) })
}

// until waits for a condition while the process runs.
func (p *process) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(faultPatience); !ok(); {
		select {
		case <-p.done:
			if ok() {
				return
			}
			t.Fatalf("pipe ended by itself with exit code %d before %s", p.cmd.ProcessState.ExitCode(), what)
		case <-time.After(faultPoll):
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", faultPatience, what)
		}
	}
}

// holds waits until the target has as many items as wanted.
func (s *scene) holds(t *testing.T, p *process, rows int) {
	t.Helper()
	p.until(t, fmt.Sprintf("the target holds %d rows", rows), func() bool {
		return countIn(t, s.target, "public.items") == rows
	})
}

// countIn counts a table's rows; -1 where there is no such table.
func countIn(t *testing.T, dsn, table string) int {
	t.Helper()
	if pipetest.QueryText(t, dsn, "SELECT to_regclass($1) IS NULL", table)[0][0] == "t" {
		return -1
	}
	return queryCount(t, dsn, "SELECT count(*) FROM "+table)
}

func queryCount(t *testing.T, dsn, query string) int {
	t.Helper()
	n, err := strconv.Atoi(pipetest.QueryText(t, dsn, query)[0][0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// insert commits items with ids from first to last.
func (s *scene) insert(t *testing.T, first, last int) {
	t.Helper()
	pipetest.Exec(t, s.source, fmt.Sprintf("INSERT INTO items SELECT i, 'v' || i FROM generate_series(%d, %d) i", first, last))
}

// equal compares the items of both databases.
func (s *scene) equal(t *testing.T) {
	t.Helper()
	query := "SELECT ROW(id, v)::text FROM public.items"
	missing, extra := diffSorted(lines(t, s.source, query), lines(t, s.target, query))
	if len(missing)+len(extra) > 0 {
		t.Errorf("the target lacks %d rows %.100q and has %d too many %.100q", len(missing), first(missing, 3), len(extra), first(extra, 3))
	}
}

// refused runs pipe to its end, which must be this exit code with all of these texts.
func (s *scene) refused(t *testing.T, code int, texts []string, args ...string) *process {
	t.Helper()
	p := s.start(t, args...)
	if got := p.ends(t, faultPatience); got != code {
		t.Errorf("pipe %v: exit code %d, want %d", args, got, code)
	}
	said := p.out.String() + p.err.String()
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("pipe %v does not say %q", args, text)
		}
	}
	return p
}

// runs runs pipe to its end, which must be a good one.
func (s *scene) runs(t *testing.T, args ...string) *process {
	t.Helper()
	return s.refused(t, exitOK, nil, args...)
}

// confirmed returns the position that the slot would begin again at.
func (s *scene) confirmed(t *testing.T) string {
	t.Helper()
	rows := pipetest.QueryText(t, s.source, "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'fault'")
	if len(rows) == 0 {
		return "no slot"
	}
	return rows[0][0]
}

// dropSlot drops the slot of a fault test, whose walsender may outlive its pipe for a moment.
const dropSlot = `DO $$
BEGIN
	FOR i IN 1..1200 LOOP
		BEGIN
			PERFORM pg_drop_replication_slot('fault');
			RETURN;
		EXCEPTION WHEN object_in_use THEN
			PERFORM pg_sleep(0.05);
		END;
	END LOOP;
	RAISE 'the slot stays in use';
END $$`
