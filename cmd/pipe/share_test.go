package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// shareSchema is one large table, one without a key, in which a row that is written twice is there twice,
// and small ones.
const shareSchema = `
CREATE TABLE big (id bigint PRIMARY KEY, name text NOT NULL, at timestamptz, body text);
INSERT INTO big SELECT i, 'name ' || i, now(), repeat('b', 20 + (i %% 300)::int) FROM generate_series(1, %d) i;
CREATE TABLE lines (at int, line text);
ALTER TABLE lines REPLICA IDENTITY FULL;
INSERT INTO lines SELECT i %% 100, 'line ' || i %% 1000 FROM generate_series(1, 60000) i;
CREATE INDEX ON big (name);
CREATE TABLE s1 (id int PRIMARY KEY, v text);
INSERT INTO s1 SELECT i, 's1' FROM generate_series(1, 10) i;
CREATE TABLE s2 (LIKE s1 INCLUDING ALL);
INSERT INTO s2 VALUES (1, NULL);
CREATE TABLE s3 (LIKE s1 INCLUDING ALL);
INSERT INTO s3 SELECT i, 's3' FROM generate_series(1, 3000) i;
ANALYZE;
`

// shared is a pipeline that several processes run.
type shared struct {
	file                  string
	source, target, state string
	env                   []string
}

// newShared makes the three databases and the configuration; load is the sink's block.
func newShared(t *testing.T, pg *pipetest.PG, rows int, load string) *shared {
	t.Helper()
	s := &shared{source: pg.Database(t), target: pg.Database(t), state: pg.Database(t)}
	pipetest.Exec(t, s.source, fmt.Sprintf(shareSchema, rows))
	s.file = writeConfig(t, `
pipeline "shared" {
  state "postgres" {
    dsn   = env("STATE")
    lease = "2s"
  }
}
source "postgres" "shop" {
  dsn         = env("SOURCE")
  slot        = "shared"
  publication = "shared"
  create      = ["slot", "publication"]
  tables      = ["public.*"]
  workers     = 1
  chunk_rows  = 4000
}
sink "postgres" "copy" {
  from = source.shop
  dsn  = env("TARGET")
  `+load+`
}
`)
	s.env = []string{"SOURCE=" + s.source, "TARGET=" + s.target, "STATE=" + s.state}
	return s
}

// sharer is one of a shared pipeline's.
type sharer struct {
	cmd  *exec.Cmd
	log  *lockedLog
	done chan error
}

// start starts a process.
func (s *shared) start(t *testing.T) *sharer {
	t.Helper()
	return s.startWith(t, s.file)
}

// startWith starts a process with a configuration of its own, and so a control socket of its own.
func (s *shared) startWith(t *testing.T, file string) *sharer {
	t.Helper()
	cmd, _ := pipeCommand(t, s.env, "run", "--until-caught-up", file)
	log := &lockedLog{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &sharer{cmd: cmd, log: log, done: make(chan error, 1)}
	go func() { p.done <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return p
}

// together starts a leader and helpers, with configurations of their own where there are any. No chunk is
// left to claim until all of the helpers are there: each has a part, however slow its start is.
func (s *shared) together(t *testing.T, files ...string) []*sharer {
	t.Helper()
	all := []*sharer{s.startWith(t, files[0])}
	s.leads(t, all[0])
	if len(files) == 1 {
		return all
	}
	s.until(t, "chunk", "count(*) > 0")
	conn, err := pgx.Connect(t.Context(), s.state)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "BEGIN; SELECT FROM pipe.chunk WHERE owner = '' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	for _, file := range files[1:] {
		all = append(all, s.startWith(t, file))
	}
	eventually(t, "all help", func() bool {
		return !slices.ContainsFunc(all[1:], func(p *sharer) bool {
			return !strings.Contains(p.log.String(), "helping with the snapshot")
		})
	})
	return all
}

// wait waits for the end, which must be a good one.
func (p *sharer) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.done:
		if err != nil {
			t.Fatalf("%v\n%s", err, p.log)
		}
	case <-time.After(5 * time.Minute):
		_ = p.cmd.Process.Kill()
		<-p.done
		t.Fatalf("it does not end\n%s", p.log)
	}
	if os.Getenv("PIPE_CRASH_LOG") != "" {
		t.Logf("process %d:\n%s", p.cmd.Process.Pid, p.log)
	}
}

// kill kills the process.
func (p *sharer) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.done
	if os.Getenv("PIPE_CRASH_LOG") != "" {
		t.Logf("process %d, killed:\n%s", p.cmd.Process.Pid, p.log)
	}
}

// helped returns how many chunks a process read for another one. It must have ended.
func (p *sharer) helped() int {
	n := 0
	for _, m := range regexp.MustCompile(`helped with the snapshot.*chunks=(\d+)`).FindAllStringSubmatch(p.log.String(), -1) {
		chunks, _ := strconv.Atoi(m[1])
		n += chunks
	}
	return n
}

// until waits until a query of the state says t; a table that is not there yet does not.
func (s *shared) until(t *testing.T, table, condition string, args ...any) {
	t.Helper()
	condition = fmt.Sprintf(condition, args...)
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if pipetest.QueryText(t, s.state, "SELECT to_regclass('pipe."+table+"') IS NOT NULL")[0][0] != "t" {
			continue
		}
		if pipetest.QueryText(t, s.state, "SELECT "+condition+" FROM pipe."+table)[0][0] == "t" {
			return
		}
	}
	t.Fatalf("never: %s of %s", condition, table)
}

// by is a condition of chunks that a process has claimed.
func (p *sharer) by() string { return fmt.Sprintf("owner LIKE '%%%%:%d:%%%%'", p.cmd.Process.Pid) }

// leads waits until a process owns the pipeline.
func (s *shared) leads(t *testing.T, p *sharer) {
	t.Helper()
	s.until(t, "lease", "bool_or(owner LIKE '%%:%d')", p.cmd.Process.Pid)
}

// equal compares the databases, and demands that nothing is left over.
func (s *shared) equal(t *testing.T, all ...*sharer) {
	t.Helper()
	for _, table := range []string{"big", "lines", "s1", "s2", "s3"} {
		query := "SELECT count(*), coalesce(sum(hashtextextended(r::text, 0)), 0) FROM " + table + " r"
		want, have := pipetest.QueryText(t, s.source, query)[0], pipetest.QueryText(t, s.target, query)[0]
		if want[0] != have[0] || want[1] != have[1] {
			t.Errorf("%s: %v in the source, %v in the target", table, want, have)
		}
	}
	for _, p := range all {
		if strings.Contains(p.log.String(), "rows were read twice") {
			t.Errorf("rows were written twice:\n%s", p.log)
		}
	}
	left := pipetest.QueryText(t, s.state, `SELECT (SELECT count(*) FROM pipe.chunk), (SELECT count(*) FROM pipe.share),
		(SELECT count(*) FROM pipe.state WHERE stream LIKE '%/chunk/%')`)[0]
	if left[0] != "0" || left[1] != "0" || left[2] != "0" {
		t.Errorf("left on the board: %v chunks, %v shares, %v positions", left[0], left[1], left[2])
	}
	kept := pipetest.QueryText(t, s.target, "SELECT count(*) FROM pipe.checkpoint WHERE stream LIKE '%/chunk/%'")[0][0]
	if kept != "0" {
		t.Errorf("%s positions of chunks are left in the sink", kept)
	}
}

// shareLoads are ways to write a first load. With a second sink, which keeps no positions, those of chunks
// are what the state has too.
func shareLoads() map[string]string {
	return map[string]string{"deferred": "load {}", "keyed": "", "two sinks": `
  load {
    unlogged = true
  }
}
sink "discard" "none" {
  from = source.shop`}
}

// TestShareSnapshot lets one, two and three processes read one snapshot: each has its part, and every row
// is there once.
func TestShareSnapshot(t *testing.T) {
	t.Parallel()
	pg := pipetest.Postgres(t, "max_connections=200")
	const rows = 300_000
	for name, load := range shareLoads() {
		for _, processes := range []int{1, 2, 3} {
			if name != "deferred" && processes != 2 {
				continue
			}
			s := newShared(t, pg, rows, load)
			began := time.Now()
			all := s.together(t, slices.Repeat([]string{s.file}, processes)...)
			s.until(t, "state", "bool_or(stream LIKE '%%/wal')")
			took := time.Since(began)
			for _, p := range all {
				p.wait(t)
			}
			var parts []int
			for i, p := range all {
				parts = append(parts, p.helped())
				if (p.helped() > 0) != (i > 0) {
					t.Errorf("process %d of %d helped with %d chunks\n%s", i, processes, p.helped(), p.log)
				}
			}
			s.equal(t, all...)
			t.Logf("%s, %d processes: %v to the stream, %.0f rows/s; chunks of helpers %v", name, processes,
				took.Round(time.Millisecond), rows/took.Seconds(), parts)
			pipetest.Exec(t, s.source, "SELECT pg_drop_replication_slot('shared')")
		}
	}
}

// TestShareHelperKilled kills a helper in the middle: others read what it had claimed, once.
func TestShareHelperKilled(t *testing.T) {
	t.Parallel()
	pg := pipetest.Postgres(t, "max_connections=200")
	for name, load := range shareLoads() {
		s := newShared(t, pg, 300_000, load)
		all := s.together(t, s.file, s.file, s.file)
		lead, first, second := all[0], all[1], all[2]
		s.until(t, "chunk", "count(*) FILTER (WHERE done AND "+first.by()+") > 0 AND count(*) FILTER (WHERE NOT done AND "+
			first.by()+") > 0")
		first.kill(t)
		claimed := pipetest.QueryText(t, s.state, "SELECT count(*) FROM pipe.chunk WHERE NOT done AND "+
			strings.ReplaceAll(first.by(), "%%", "%"))[0][0]
		lead.wait(t)
		second.wait(t)
		s.equal(t, lead, second)
		t.Logf("%s: killed with %s chunks claimed; the other helper read %d", name, claimed, second.helped())
		pipetest.Exec(t, s.source, "SELECT pg_drop_replication_slot('shared')")
	}
}

// TestShareLeaderKilled kills the leader in the middle: a helper takes the pipeline over, goes on from what
// is known to be done, and ends equal.
func TestShareLeaderKilled(t *testing.T) {
	t.Parallel()
	pg := pipetest.Postgres(t, "max_connections=200")
	for name, load := range shareLoads() {
		s := newShared(t, pg, 500_000, load)
		all := s.together(t, s.file, s.file, s.file)
		lead, first, second := all[0], all[1], all[2]
		s.until(t, "chunk", "count(*) FILTER (WHERE done AND NOT "+lead.by()+") > 2")
		lead.kill(t)
		done := pipetest.QueryText(t, s.state, "SELECT sum(rows) FILTER (WHERE done), 563011 FROM pipe.chunk")[0]
		began := time.Now()
		s.until(t, "lease", "bool_or(owner LIKE '%%:%d' OR owner LIKE '%%:%d')", first.cmd.Process.Pid, second.cmd.Process.Pid)
		took := time.Since(began)
		first.wait(t)
		second.wait(t)
		s.equal(t, first, second)
		t.Logf("%s: taken over after %v; %s of %s rows were done", name, took.Round(time.Millisecond), done[0], done[1])
		again(t, done, first, second)
		pipetest.Exec(t, s.source, "SELECT pg_drop_replication_slot('shared')")
	}
}

// again demands that nothing was read again that was done: rows and all of them, as numbers.
func again(t *testing.T, done []string, all ...*sharer) {
	t.Helper()
	read := 0
	for _, p := range all {
		if strings.Contains(p.log.String(), "starts over") {
			t.Log("the table without a key was not finished: all was read again")
			return
		}
		for _, m := range regexp.MustCompile(`pipeline stopped.* read=(\d+)`).FindAllStringSubmatch(p.log.String(), -1) {
			n, _ := strconv.Atoi(m[1])
			read += n
		}
	}
	rows, _ := strconv.Atoi(done[0])
	total, _ := strconv.Atoi(done[1])
	if read > total-rows {
		t.Errorf("%d rows were read after %d of %d were done", read, rows, total)
	}
}

// TestShareHelperHangs stops a helper in the middle, lets the others finish without it, and continues it: it
// must not write what it still has.
func TestShareHelperHangs(t *testing.T) {
	t.Parallel()
	pg := pipetest.Postgres(t, "max_connections=200")
	s := newShared(t, pg, 300_000, "load {}")
	all := s.together(t, s.file, s.file)
	lead, help := all[0], all[1]
	s.until(t, "chunk", "count(*) FILTER (WHERE done AND "+help.by()+") > 2 AND count(*) FILTER (WHERE NOT done AND "+help.by()+") > 1")
	if err := help.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.until(t, "chunk", "bool_and(done)")
	t.Logf("finished without it after %v", time.Since(began).Round(time.Millisecond))
	s.until(t, "state", "bool_or(stream LIKE '%%/wal')")
	if err := help.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	lead.wait(t)
	help.wait(t)
	s.equal(t, lead, help)
}

// TestShareHelperStops ends a helper with a signal: what it had claimed is another one's at once.
func TestShareHelperStops(t *testing.T) {
	t.Parallel()
	pg := pipetest.Postgres(t, "max_connections=200")
	s := newShared(t, pg, 300_000, "load {}")
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	file := writeConfig(t, string(text))
	all := s.together(t, s.file, file)
	lead, help := all[0], all[1]
	s.until(t, "chunk", "count(*) FILTER (WHERE done AND "+help.by()+") > 2")
	eventually(t, "the status of a helper says so", func() bool {
		status, out := pipeCommand(t, s.env, "status", file)
		_ = status.Run() // a standby is not ready
		return strings.Contains(out.String(), "helping")
	})
	if err := help.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	help.wait(t)
	began := time.Now()
	s.until(t, "state", "bool_or(stream LIKE '%%/wal')")
	t.Logf("the leader finished %v later", time.Since(began).Round(time.Millisecond))
	lead.wait(t)
	s.equal(t, lead, help)
}
