package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pipe-cdc/pipe/pipeline/control"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/pipetest/server"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// controlToken holds the canary, so that wherever it shows is found.
const controlToken = canary + "-token"

// controlled makes a scene whose state lies at a path that the configuration names, and its file.
func newControlScene(t *testing.T, pg *pipetest.PG, extra string) (*scene, string) {
	t.Helper()
	s := newScene(t, pg)
	file := s.file(t, "shop.hcl", fmt.Sprintf(`
pipeline "fault" {
  grace = "10s"
  state "file" {
    path = %q
  }
  retry {
    wait     = "100ms"
    max_wait = "500ms"
  }
  %s
}
`, s.state, extra)+fromItems+toCopy)
	return s, file
}

// freeAddress returns a loopback address that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := server.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// fetch returns an answer's code, 0 where nobody answers, and text, which must not hold the canary.
func fetch(t *testing.T, url, token string) (int, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err.Error()
	}
	if strings.Contains(string(text), canary) {
		t.Errorf("%s shows a secret:\n%s", url, text)
	}
	return r.StatusCode, string(text)
}

// TestControlWatch watches a pipeline through a server's crash: status, metrics and readiness.
func TestControlWatch(t *testing.T) {
	pg := pipetest.Postgres(t, "log_min_messages=fatal")
	address := freeAddress(t)
	s, file := newControlScene(t, pg, `control {
    listen        = "`+address+`"
    token         = env("TOKEN")
    lag_objective = "30s"
    stalled_after = "4s"
  }`)
	s.env = append(s.env, "TOKEN="+controlToken)
	s.insert(t, 1, 100)
	p := s.start(t, "run", file)
	ready := func(code int) func() bool {
		return func() bool {
			got, _ := fetch(t, "http://"+address+"/readyz", "")
			return got == code
		}
	}
	p.until(t, "it is ready", ready(http.StatusOK))
	s.holds(t, p, 100)

	socket := s.state + ".sock"
	if info, err := os.Stat(socket); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if code, text := fetch(t, "http://"+address+"/metrics", ""); code != http.StatusUnauthorized {
		t.Errorf("metrics without a token: %d %s", code, text)
	}
	p.until(t, "the metrics tell of 100 rows", func() bool {
		code, text := fetch(t, "http://"+address+"/metrics", controlToken)
		return code == http.StatusOK && strings.Contains(text, `pipe_sink_rows_total{node="sink.copy",pipeline="fault"} 100`) &&
			strings.Contains(text, `pipe_source_lag_bytes{node="source.shop",pipeline="fault"}`)
	})
	bare := *s
	bare.env = nil // the running process knows its connection strings
	if text := bare.runs(t, "status", file).out.String(); !strings.Contains(text, "ready") || !strings.Contains(text, "streaming") {
		t.Error(text)
	}

	release := lockItems(t, s.target)
	s.insert(t, 101, 110)
	p.until(t, "it is not ready while the target is locked", ready(http.StatusServiceUnavailable))
	s.refused(t, exitDiffers, []string{"not ready: stalled: nothing was written for"}, "status", file)
	release()
	p.until(t, "it is ready once it can write", ready(http.StatusOK))
	s.holds(t, p, 110)

	pg.Kill(t)
	p.until(t, "it is not ready", ready(http.StatusServiceUnavailable))
	s.refused(t, exitDiffers, []string{"not ready: ", "begun again", "source.shop"}, "status", file)
	pg.StartAgain(t)
	p.until(t, "it is ready again", ready(http.StatusOK))
	code, text := fetch(t, "http://"+address+"/status", controlToken)
	var status control.Status
	if err := json.Unmarshal([]byte(text), &status); code != http.StatusOK || err != nil || status.Restarts == 0 || status.Failure == nil {
		t.Errorf("%d, %v, %s", code, err, text)
	}

	p.signal(t, syscall.SIGTERM)
	if code := p.ends(t, faultPatience); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket was left behind: %v", err)
	}
	s.refused(t, exitDiffers, []string{"fault does not run", "source.shop/wal"}, "status", file)
}

// lockItems keeps everybody from the target's items until it is released.
func lockItems(t *testing.T, dsn string) (release func()) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "BEGIN; LOCK TABLE public.items IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	return func() { c.Close(t.Context()) }
}

// writer changes items until it is stopped.
type writer struct {
	stop chan struct{}
	done sync.WaitGroup
}

// write begins to insert, update and delete items with ids from 1,000,000 on, and to update all others
// in turn.
func (s *scene) write(t *testing.T, rows int) *writer {
	w := &writer{stop: make(chan struct{})}
	w.done.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-w.stop:
				return
			default:
			}
			id := 1 + n*7919%rows
			pipetest.Exec(t, s.source, fmt.Sprintf("UPDATE items SET v = 'w%d' WHERE id = %d", n, id),
				fmt.Sprintf("INSERT INTO items VALUES (%d, 'new')", 1_000_000+n),
				fmt.Sprintf("DELETE FROM items WHERE id = %d", 1_000_000+n-50))
		}
	})
	return w
}

func (w *writer) end() {
	close(w.stop)
	w.done.Wait()
}

// settles waits until both databases have the same items.
func (s *scene) settles(t *testing.T, p *process) {
	t.Helper()
	query := "SELECT count(*) || md5(string_agg(ROW(id, v)::text, ',' ORDER BY id)) FROM public.items"
	p.until(t, "the target equals the source", func() bool {
		return pipetest.QueryText(t, s.source, query)[0][0] == pipetest.QueryText(t, s.target, query)[0][0]
	})
}

// damage makes the target lack rows and hold wrong ones, as a person with SQL would.
func (s *scene) damage(t *testing.T) {
	t.Helper()
	pipetest.Exec(t, s.target, "DELETE FROM public.items WHERE id % 7 = 0 AND id < 1000000",
		"UPDATE public.items SET v = 'wrong' WHERE id % 11 = 0 AND id < 1000000")
}

// TestControlSnapshot reads a table again in a running pipeline that writers keep busy.
func TestControlSnapshot(t *testing.T) {
	const rows = 20_000
	s, file := newControlScene(t, pipetest.Postgres(t, "log_min_messages=fatal"), "")
	pipetest.Exec(t, s.source, "CREATE TABLE orders (id int PRIMARY KEY, total numeric)", "INSERT INTO orders VALUES (1, 1.5)")
	s.insert(t, 1, rows)
	s.refused(t, exitInput, []string{"has never run", "pipe run"}, "snapshot", "--table", "items", file)
	p := s.start(t, "run", file)
	s.holds(t, p, rows)

	w := s.write(t, rows)
	s.damage(t)
	s.runs(t, "snapshot", "--table", "public.items", "--wait", file)
	w.end()
	s.settles(t, p)

	s.damage(t)
	pipetest.Exec(t, s.target, "INSERT INTO public.items VALUES (-5, 'extra')")
	s.runs(t, "snapshot", "--table", "items", "--replace", "--wait", file)
	s.settles(t, p)

	pipetest.Exec(t, s.target, "DELETE FROM public.items WHERE id IN (10, 5000)")
	s.runs(t, "snapshot", "--table", "items", "--where", "row.id < 1000", "--wait", file)
	if n := queryCount(t, s.target, "SELECT count(*) FROM public.items WHERE id IN (10, 5000)"); n != 1 {
		t.Errorf("%d of the two rows are there after a snapshot of a part that has one of them", n)
	}
	s.runs(t, "snapshot", "--table", "*", "--wait", file)
	s.settles(t, p)

	s.refused(t, exitInput, []string{`did you mean "public.items"?`}, "snapshot", "--table", "public.itesm", file)
	s.refused(t, exitInput, []string{"where", "idd"}, "snapshot", "--table", "items", "--where", "row.idd > 1", file)
	s.refused(t, exitInput, []string{"exclude each other"}, "snapshot", "--table", "items", "--where", "row.id > 1", "--replace", file)
	s.refused(t, exitInput, []string{"which table?"}, "snapshot", file)
	s.refused(t, exitOK, []string{"public.items", "done", "requested by"}, "snapshot", "--status", file)
	s.refused(t, exitOK, []string{"public.orders", "done", "STATUS"}, "tables", "--taken", file)
	s.refused(t, exitOK, []string{"public.items"}, "snapshot", "--table", "items", "--cancel", file)

	if err := os.Remove(s.state + ".sock"); err != nil {
		t.Fatal(err)
	}
	s.refused(t, exitEnvironment, []string{fmt.Sprintf("process %d runs this pipeline", p.cmd.Process.Pid), "another host"},
		"snapshot", "--table", "items", file)
}

// TestControlSnapshotAlone reads a table again while the pipeline does not run.
func TestControlSnapshotAlone(t *testing.T) {
	s, file := newControlScene(t, pipetest.Postgres(t, "log_min_messages=fatal"), "")
	s.insert(t, 1, 5000)
	s.runs(t, "run", "--until-caught-up", file)
	s.damage(t)
	s.insert(t, 5001, 5100)
	p := s.runs(t, "snapshot", "--json", "--table", "items", file)
	s.equal(t)
	var out struct {
		OK     bool
		Result []listedSnapshot
	}
	if err := json.Unmarshal([]byte(p.out.String()), &out); err != nil || !out.OK || len(out.Result) != 1 || out.Result[0].Status != snapshot.Done {
		t.Errorf("%v: %s", err, p.out)
	}
	s.refused(t, exitInput, []string{"itmes"}, "snapshot", "--table", "itmes", file)
	s.refused(t, exitOK, []string{"does not run", "public.items", "done"}, "snapshot", "--status", file)
	s.runs(t, "snapshot", "--table", "items", "--cancel", file)
}

// TestControlSnapshotKilled kills the pipeline in the midst of a snapshot that was asked for: the next
// one goes on with it, and who waits for it does not mind.
func TestControlSnapshotKilled(t *testing.T) {
	const rows = 300_000
	s, file := newControlScene(t, pipetest.Postgres(t, "log_min_messages=fatal"), "")
	s.insert(t, 1, rows)
	p := s.start(t, "run", file)
	s.holds(t, p, rows)
	s.damage(t)
	waiting := s.start(t, "snapshot", "--table", "items", "--wait", file)
	state := s.items(t)
	p.until(t, "a chunk was read", func() bool { i := state(); return i.Reason == snapshot.ForRequest && i.ChunksDone > 0 })
	before := state()
	p.kill(t)
	began := time.Now()
	p = s.start(t, "run", file)
	p.until(t, "the snapshot is done", func() bool {
		i := state()
		return i.Reason == snapshot.ForRequest && i.Status == snapshot.Done
	})
	if code := waiting.ends(t, faultPatience); code != exitOK || !strings.Contains(waiting.out.String(), "done") {
		t.Errorf("who waited ends with exit code %d: %s", code, waiting.out)
	}
	after := state()
	t.Logf("killed after %d rows; done %v after the second start, having read %d rows in all, %d of them twice", before.Rows,
		time.Since(began), after.Rows, after.Rows-rows)
	if after.Reason != snapshot.ForRequest || !after.Asked.Equal(before.Asked) || after.Rows > rows*6/5 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	s.settles(t, p)
}

// socket is where the scene's pipeline listens: beside its state file, or its configuration.
func (s *scene) socket() string {
	if path := filepath.Join(s.dir, ".pipe", "fault.sock"); exists(path) {
		return path
	}
	return s.state + ".sock"
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// items returns what tells of the snapshot of the items: nothing where nobody answers.
func (s *scene) items(t *testing.T) func() control.Table {
	c := control.Dial(s.socket())
	return func() control.Table {
		status, err := c.Status(t.Context())
		if err != nil {
			return control.Table{}
		}
		items, _ := tableIn(status.Sources, control.AcceptedTable{Source: "source.shop", Table: "public.items"})
		return items
	}
}

// TestControlSnapshotCancelled gives up a snapshot that runs and one that waits behind it; who waits for
// them is told.
func TestControlSnapshotCancelled(t *testing.T) {
	const rows = 300_000
	s, file := newControlScene(t, pipetest.Postgres(t, "log_min_messages=fatal"), "")
	s.insert(t, 1, rows)
	p := s.start(t, "run", file)
	s.holds(t, p, rows)
	first := s.start(t, "snapshot", "--table", "items", "--wait", file)
	state := s.items(t)
	p.until(t, "a chunk was read", func() bool { i := state(); return i.Reason == snapshot.ForRequest && i.ChunksDone > 0 })
	second := s.start(t, "snapshot", "--table", "items", "--wait", "--json", file)
	p.until(t, "a request waits", func() bool { return len(state().Queue) == 1 })
	s.runs(t, "snapshot", "--table", "items", "--cancel", file)
	s.refused(t, exitOK, []string{"cancelled"}, "snapshot", "--status", "--table", "items", file)
	for _, w := range []*process{first, second} {
		if code := w.ends(t, faultPatience); code != exitRuntime || !strings.Contains(w.out.String(), "cancelled") {
			t.Errorf("exit code %d: %s%s", code, w.out, w.err)
		}
	}
	s.insert(t, rows+1, rows+10)
	s.holds(t, p, rows+10)
}
