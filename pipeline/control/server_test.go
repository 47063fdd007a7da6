package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
)

const token = "c4nary-Zq81-c4nary"

// serve runs a server until the test ends, or stop is called.
func serve(t *testing.T, p Pipeline, o Options) (s *Server, stop func()) {
	t.Helper()
	s, err := Listen(p, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return s, stop
}

// dial returns a client once somebody answers.
func dial(t *testing.T, path string) *Client {
	t.Helper()
	c := Dial(path)
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		_, err := c.Status(t.Context())
		if err == nil {
			return c
		}
		if !errors.Is(err, ErrNotRunning) || time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.sock")
	f := &fake{status: working()}
	_, stop := serve(t, f, Options{Socket: path, StalledAfter: time.Minute})
	c := dial(t, path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != os.ModeSocket {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	got, err := c.Status(t.Context())
	want := working()
	want.Ready = true
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	q := SnapshotRequest{Tables: []string{"public.o*"}, Source: "source.shop", Where: `row.id > 1 && row.note != "<>"`, By: "ana@db1"}
	a, err := c.Snapshot(t.Context(), q)
	if err != nil || len(a.Tables) != 1 || !a.Tables[0].Asked.Equal(time.Unix(100, 0)) {
		t.Errorf("%v, %v", a, err)
	}
	if _, err := c.Cancel(t.Context(), CancelRequest{Tables: []string{"a"}}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]SnapshotRequest{q}, f.asked); diff != "" || len(f.gone) != 1 {
		t.Error(diff, f.gone)
	}
	stop()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket was left behind: %v", err)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, ErrNotRunning) || pipeline.ClassOf(err) != pipeline.Environment {
		t.Error(err)
	}
}

// An error arrives as it was: class, node, hint, and each word of it once.
func TestErrorsArrive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	f := &fake{status: working()}
	serve(t, f, Options{Socket: path})
	c := dial(t, path)
	for _, sent := range []error{
		errNoTable, fmt.Errorf("while asking: %w", errNoTable), &pipeline.Error{Class: pipeline.Retryable, Err: errors.New("the run is over")},
		&pipeline.Error{Node: "source.shop", Class: pipeline.Environment, Table: "public.t", Err: errors.New("refused"), Hint: "Grant it"},
	} {
		f.err = sent
		_, err := c.Snapshot(t.Context(), SnapshotRequest{Tables: []string{"t"}})
		if err == nil {
			t.Fatalf("%v did not arrive", sent)
		}
		if pipeline.ClassOf(err) != pipeline.ClassOf(sent) || pipeline.HintOf(err) != pipeline.HintOf(sent) ||
			strings.Count(err.Error(), pipeline.HintOf(sent)) != strings.Count(sent.Error(), pipeline.HintOf(sent)) {
			t.Errorf("sent %v, got %v", sent, err)
		}
	}
	f.err = errors.New("something else")
	if _, err := c.Snapshot(t.Context(), SnapshotRequest{Tables: []string{"t"}}); err == nil || err.Error() != "something else" {
		t.Error(err)
	}
}

// A path that is too long for a socket is served under a short name, which the file at the path tells.
func TestLongPath(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	path := filepath.Join(t.TempDir(), strings.Repeat("d", 60), strings.Repeat("s", 90))
	_, stop := serve(t, &fake{status: working()}, Options{Socket: path})
	dial(t, path)
	t.Setenv("XDG_RUNTIME_DIR", "") // a client in another session
	dial(t, path)
	placed, err := follow(path)
	if info, err2 := os.Stat(placed); err != nil || err2 != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v", placed, err, err2)
	}
	stop()
	for _, p := range []string{path, placed} {
		if _, err := os.Lstat(p); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was left behind: %v", p, err)
		}
	}
}

func TestRuntimeDirOfOthers(t *testing.T) {
	run := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", run)
	if err := os.Mkdir(filepath.Join(run, "pipe"), 0o755); err != nil {
		t.Fatal(err)
	}
	if dir, err := runtimeDir(); err == nil {
		t.Errorf("%s, which others can enter, was taken", dir)
	}
	os.Remove(filepath.Join(run, "pipe"))
	if err := os.Symlink(t.TempDir(), filepath.Join(run, "pipe")); err != nil {
		t.Fatal(err)
	}
	if dir, err := runtimeDir(); err == nil {
		t.Errorf("%s, a link, was taken", dir)
	}
}

// What a killed process left behind does not matter; what a living one uses is left alone.
func TestSocketLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	_, stop := serve(t, &fake{status: working()}, Options{Socket: path})
	c := dial(t, path)
	if s, err := listen(path); !errors.Is(err, errTaken) {
		t.Fatalf("taken from who listens: %v, %v", s, err)
	}
	other := working()
	other.PID = 8
	serve(t, &fake{status: other}, Options{Socket: path}) // waits
	if got, err := c.Status(t.Context()); err != nil || got.PID != 7 {
		t.Errorf("%v, %v", got.PID, err)
	}
	stop()
	if got, err := dial(t, path).Status(t.Context()); err != nil || got.PID != 8 {
		t.Errorf("after the first ended: %v, %v", got.PID, err)
	}
}

// exchange sends a request over TCP and returns the answer's code and body.
func exchange(t *testing.T, s *Server, method, path, body string, header ...string) (int, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr().String()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			q.Host = header[i+1]
		}
		q.Header.Set(header[i], header[i+1])
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

func TestTCPWithToken(t *testing.T) {
	f := &fake{status: working()}
	s, _ := serve(t, f, Options{Listen: "127.0.0.1:0", Token: token})
	all := []string{"GET /status", "GET /metrics", "GET /snapshots", "POST /snapshot", "POST /cancel", "GET /nothing"}
	for _, what := range all {
		method, path, _ := strings.Cut(what, " ")
		for _, header := range []string{"", "Bearer", "Bearer ", "Bearer " + token + "x", "Basic " + token, token} {
			code, body := exchange(t, s, method, path, `{"tables":["t"]}`, "Authorization", header)
			if code != http.StatusUnauthorized || strings.Contains(body, "shop") || strings.Contains(body, token) {
				t.Errorf("%s with %q: %d %s", what, header, code, body)
			}
		}
		code, _ := exchange(t, s, method, path, `{"tables":["t"]}`, "Authorization", "bearer "+token)
		if want := map[bool]int{true: 404, false: 200}[what == "GET /nothing"]; code != want {
			t.Errorf("%s with the token: %d, want %d", what, code, want)
		}
	}
	if len(f.asked) != 1 || len(f.gone) != 1 {
		t.Errorf("asked %d times, cancelled %d times", len(f.asked), len(f.gone))
	}
	f.change(func(s *Status) { s.Phase = Retrying; s.Failure = &Failure{Message: "refused by db1"} })
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "not ready\n"} {
		if _, body := exchange(t, s, "GET", path, ""); body != want {
			t.Errorf("%s says %q, want %q", path, body, want)
		}
	}
}

func TestTCPWithoutToken(t *testing.T) {
	f := &fake{status: working()}
	s, _ := serve(t, f, Options{Listen: "127.0.0.1:0"})
	for _, path := range []string{"/status", "/metrics", "/snapshots", "/healthz", "/readyz"} {
		if code, body := exchange(t, s, "GET", path, ""); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, body)
		}
		if code, body := exchange(t, s, "GET", path, "", "Host", "pipe.example"); code != http.StatusForbidden {
			t.Errorf("%s under a name that is not this machine's: %d %s", path, code, body)
		}
	}
	for _, path := range []string{"/snapshot", "/cancel"} {
		if code, _ := exchange(t, s, "POST", path, `{"tables":["t"]}`); code != http.StatusNotFound {
			t.Errorf("%s: %d", path, code)
		}
	}
	if len(f.asked)+len(f.gone) > 0 {
		t.Error("something was asked for without a token")
	}
}

func TestBodies(t *testing.T) {
	f := &fake{status: working()}
	s, _ := serve(t, f, Options{Listen: "127.0.0.1:0", Token: token})
	huge := `{"tables":["` + strings.Repeat("t", maxBody) + `"]}`
	for _, body := range []string{"", "{", `{"tabels":["t"]}`, `{"tables":["t"]} {}`, `{"tables":"t"}`, "[]", huge} {
		code, text := exchange(t, s, "POST", "/snapshot", body, "Authorization", "Bearer "+token)
		if code != http.StatusBadRequest || !strings.Contains(text, `"class": "input"`) {
			t.Errorf("%.40q: %d %.100s", body, code, text)
		}
	}
	code, text := exchange(t, s, "POST", "/snapshot", `{"tables":["t"]}`, "Authorization", "Bearer "+token, "Content-Type", "text/plain")
	if code != http.StatusBadRequest {
		t.Errorf("as text: %d %s", code, text)
	}
	if len(f.asked) > 0 {
		t.Errorf("asked for %v", f.asked)
	}
	if code, _ := exchange(t, s, "DELETE", "/snapshot", "", "Authorization", "Bearer "+token); code != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: %d", code)
	}
}

// More requests than the bound are refused at once, and the others are not disturbed.
func TestTooManyAtOnce(t *testing.T) {
	f := &fake{status: working(), wait: make(chan struct{})}
	path := filepath.Join(t.TempDir(), "s")
	serve(t, f, Options{Socket: path})
	c := dial(t, path)
	var all sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for range maxAtOnce + 5 {
		all.Go(func() {
			_, err := c.Snapshot(t.Context(), SnapshotRequest{Tables: []string{"t"}})
			if pipeline.ClassOf(err) != pipeline.Retryable {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if refused++; refused == 5 {
				close(f.wait)
			}
		})
	}
	all.Wait()
	if refused != 5 || len(f.asked) != maxAtOnce {
		t.Errorf("%d refused, %d taken", refused, len(f.asked))
	}
}

func TestAddressTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Listen(&fake{}, Options{Listen: l.Addr().String()})
	if pipeline.ClassOf(err) != pipeline.Environment || pipeline.HintOf(err) == "" {
		t.Error(err)
	}
}
