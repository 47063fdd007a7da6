package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

var server *pipetest.PG

func TestMain(m *testing.M) { os.Exit(pipetest.RunWithPostgres(m, &server)) }

func testServer(dsn string) Server {
	return Server{DSN: dsn, Schema: "pipe", Pipeline: "shop", Lease: 2 * time.Second, Owner: "here:1"}
}

func openPostgres(t *testing.T, s Server) *Postgres {
	t.Helper()
	p, err := OpenPostgres(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestPostgres(t *testing.T) {
	pipetest.TestStore(t, pipetest.StoreHarness{New: func(t testing.TB) func() (pipeline.Store, error) {
		s := testServer(server.Database(t))
		return func() (pipeline.Store, error) {
			p, err := OpenPostgres(t.Context(), s)
			if err != nil {
				return nil, err
			}
			return p, nil
		}
	}})
}

// TestSettings: what a database says of idle sessions does not end those that wait.
func TestSettings(t *testing.T) {
	dsn := server.Database(t)
	pipetest.Exec(t, dsn, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET idle_session_timeout = 500', current_database()); END $$")
	s := testServer(dsn)
	conn, err := s.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(conn)
	rows, err := query(t.Context(), conn, "SELECT current_setting('idle_session_timeout'), current_setting('lock_timeout')")
	if diff := cmp.Diff([][]string{{"0", "2s"}}, rows); diff != "" || err != nil {
		t.Errorf("%v (-want +have):\n%s", err, diff)
	}
}

// TestSaveChangesLittle: a save writes the rows that changed, and only those.
func TestSaveChangesLittle(t *testing.T) {
	dsn := server.Database(t)
	p := openPostgres(t, testServer(dsn))
	cp := pipeline.Checkpoint{"source.a/wal": "1", "source.a/table/x": "5", "source.a/old": "1"}
	for _, change := range []func(){func() {}, func() { cp["source.a/wal"] = "2"; delete(cp, "source.a/old") }} {
		change()
		if err := p.Save(t.Context(), cp); err != nil {
			t.Fatal(err)
		}
	}
	got := pipetest.QueryText(t, dsn, "SELECT stream, position, (SELECT count(DISTINCT xmin::text) FROM pipe.state) FROM pipe.state ORDER BY 1")
	want := [][]string{{"source.a/table/x", "5", "2"}, {"source.a/wal", "2", "2"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPeekPostgres(t *testing.T) {
	dsn := server.Database(t)
	if cp, made, err := PeekPostgres(t.Context(), testServer(dsn)); err != nil || len(cp) != 0 || made {
		t.Fatalf("%v, %v", cp, err)
	}
	if got := pipetest.QueryText(t, dsn, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pipe'"); got[0][0] != "0" {
		t.Error("looking made the schema")
	}
	p := openPostgres(t, testServer(dsn))
	if err := p.Save(t.Context(), pipeline.Checkpoint{"source.a/wal": "1"}); err != nil {
		t.Fatal(err)
	}
	if cp, _, err := PeekPostgres(t.Context(), testServer(dsn)); err != nil || cp["source.a/wal"] != "1" {
		t.Errorf("%v, %v", cp, err)
	}
	if err := p.Save(t.Context(), pipeline.Checkpoint{}); err != nil {
		t.Errorf("looking took the pipeline: %v", err)
	}
}

// TestTwoPipelines: pipelines of one schema have nothing in common.
func TestTwoPipelines(t *testing.T) {
	s := testServer(server.Database(t))
	shop := openPostgres(t, s)
	s.Pipeline = "other"
	other := openPostgres(t, s)
	for p, pos := range map[*Postgres]pipeline.Position{shop: "1", other: "2"} {
		if err := p.Save(t.Context(), pipeline.Checkpoint{"source.a/wal": pos}); err != nil {
			t.Fatal(err)
		}
	}
	if cp, err := shop.Load(t.Context()); err != nil || cp["source.a/wal"] != "1" {
		t.Errorf("%v, %v", cp, err)
	}
}

// TestSessionsLost: neither the session that saves nor the one that holds the lock is missed for long.
func TestSessionsLost(t *testing.T) {
	dsn := server.Database(t)
	s := testServer(dsn)
	p := openPostgres(t, s)
	if err := p.Save(t.Context(), pipeline.Checkpoint{"source.a/wal": "1"}); err != nil {
		t.Fatal(err)
	}
	pipetest.Exec(t, dsn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pipe shop state'")
	deadline := time.Now().Add(90 * time.Second)
	for {
		err := p.Save(t.Context(), pipeline.Checkpoint{"source.a/wal": "2"})
		if err == nil {
			break
		}
		if pipeline.ClassOf(err) != pipeline.Retryable || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	for locks := ""; locks != "1"; locks = pipetest.QueryText(t, dsn, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1")[0][0] {
		if time.Now().After(deadline) {
			t.Fatal("the lock was not taken again")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if _, err := OpenPostgres(t.Context(), s); err == nil || !strings.Contains(err.Error(), "here:1") {
		t.Errorf("another one could take the pipeline: %v", err)
	}
}

// TestStandby waits, and takes over: at once where the owner has ended, within the lease where it hangs.
func TestStandby(t *testing.T) {
	for name, end := range map[string]func(*Postgres){
		"closed": func(p *Postgres) { p.Close() },
		"killed": func(p *Postgres) { // its sessions end, and nobody left
			p.stop()
			p.beats.Wait()
			pipetest.Exec(t, p.server.DSN, "UPDATE pipe.lease SET beat = now() + interval '1 hour'")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := testServer(server.Database(t))
			s.Lease = 3 * time.Second // a busy machine may stand still for a second
			first := openPostgres(t, s)
			if err := first.Save(t.Context(), pipeline.Checkpoint{"source.a/wal": "1"}); err != nil {
				t.Fatal(err)
			}
			s.Wait, s.Owner = true, "there:2"
			short, cancel := context.WithTimeout(t.Context(), s.Lease*4/3)
			defer cancel()
			if _, err := OpenPostgres(short, s); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("the owner lives, and the standby got %v", err)
			}
			time.AfterFunc(300*time.Millisecond, func() { end(first) })
			second := openPostgres(t, s)
			if cp, err := second.Load(t.Context()); err != nil || cp["source.a/wal"] != "1" {
				t.Fatalf("%v, %v", cp, err)
			}
		})
	}
}

// TestPausedOwner: a process that hung while its sessions lived has lost the pipeline, and cannot save.
func TestPausedOwner(t *testing.T) {
	dsn := server.Database(t)
	s := testServer(dsn)
	s.Lease = time.Second
	at, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	proxy := pipetest.NewProxy(t, at.Host)
	paused := s
	paused.DSN = strings.Replace(dsn, at.Host, proxy.Addr(), 1)
	old := openPostgres(t, paused)
	if err := old.Save(t.Context(), pipeline.Checkpoint{"source.a/wal": "1"}); err != nil {
		t.Fatal(err)
	}
	proxy.Blackhole()
	s.Wait, s.Owner = true, "there:2"
	began := time.Now()
	next := openPostgres(t, s)
	if took := time.Since(began); took > 20*s.Lease {
		t.Errorf("taken over after %v, with a lease of %v", took, s.Lease)
	}
	if err := next.Save(t.Context(), pipeline.Checkpoint{"source.a/wal": "2"}); err != nil {
		t.Fatal(err)
	}
	proxy.Resume()
	err = old.Save(t.Context(), pipeline.Checkpoint{"source.a/wal": "1", "source.a/x": "9"})
	if !errors.Is(err, pipeline.ErrFenced) || pipeline.ClassOf(err) != pipeline.Retryable || pipeline.HintOf(err) == "" {
		t.Fatalf("the old owner's save: %v", err)
	}
	old.Close() // lets nobody in
	s.Wait, s.Owner = false, "third:3"
	if _, err := OpenPostgres(t.Context(), s); err == nil || !strings.Contains(err.Error(), "there:2") {
		t.Errorf("a third one: %v", err)
	}
	if cp, err := next.Load(t.Context()); err != nil || !cmp.Equal(cp, pipeline.Checkpoint{"source.a/wal": "2"}) {
		t.Errorf("%v, %v", cp, err)
	}
}

// TestPostgresRefusals: each says what to do, and none says the password.
func TestPostgresRefusals(t *testing.T) {
	dsn := server.Database(t)
	role := "poor_in_state"
	pipetest.Exec(t, dsn, "CREATE ROLE "+role+" LOGIN PASSWORD 'c4nary'", "CREATE SCHEMA taken", "CREATE TABLE taken.state (x int)")
	defer func() { pipetest.Exec(t, dsn, "DROP OWNED BY "+role+" CASCADE", "DROP ROLE "+role) }()
	at, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword(role, "c4nary")
	poor := at.String()
	for name, c := range map[string]struct {
		change func(*Server)
		class  pipeline.Class
		hint   string
	}{
		"no rights":   {func(s *Server) { s.DSN = poor }, pipeline.Environment, `CREATE SCHEMA "pipe" AUTHORIZATION`},
		"not ours":    {func(s *Server) { s.Schema = "taken" }, pipeline.Environment, "another schema"},
		"no database": {func(s *Server) { s.DSN = strings.Replace(dsn, at.Path, "/nosuch", 1) }, pipeline.Environment, "Create the database"},
		"bad dsn":     {func(s *Server) { s.DSN = "postgres://u:c4nary@[::1" }, pipeline.Input, "dsn"},
		"nobody":      {func(s *Server) { s.DSN = "postgres://u:c4nary@127.0.0.1:1/x" }, pipeline.Retryable, "server runs"},
	} {
		t.Run(name, func(t *testing.T) {
			s := testServer(dsn)
			c.change(&s)
			_, err := OpenPostgres(t.Context(), s)
			if err == nil || pipeline.ClassOf(err) != c.class || !strings.Contains(pipeline.HintOf(err), c.hint) {
				t.Errorf("class %v, hint %q: %v", pipeline.ClassOf(err), pipeline.HintOf(err), err)
			}
			if err != nil && strings.Contains(fmt.Sprintf("%+v", err), "c4nary") {
				t.Error("the error shows the password")
			}
		})
	}
	pipetest.Exec(t, dsn, "CREATE SCHEMA pipe AUTHORIZATION "+role)
	s := testServer(poor)
	openPostgres(t, s).Close()
}

func TestEscape(t *testing.T) {
	for _, s := range []string{"", `\x`, `\x00`, "a\x00b", "\xff", `\`, "ä"} {
		if got, err := unescape(escape(s)); err != nil || got != s || strings.ContainsRune(escape(s), 0) {
			t.Errorf("%q is %q, %v", s, got, err)
		}
	}
	if _, err := unescape(`\xzz`); !errors.Is(err, errDamaged) {
		t.Errorf("%v", err)
	}
}
