package main

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// shareMariaRows are those of the large table of shareMariaSchema at the start.
const shareMariaRows = 150_000

// shareMariaSchema is one large table, one without a key, in which a row that is written twice is there twice,
// one whose key is a text, and a small one.
const shareMariaSchema = `
CREATE TABLE big (id bigint PRIMARY KEY, ver bigint NOT NULL, at datetime(6), body text, KEY (ver));
INSERT INTO big SELECT seq, 0, '2026-01-01' + INTERVAL seq SECOND, REPEAT('b', 20 + seq %% 300) FROM seq_1_to_%d;
CREATE TABLE lines_ (at int, line varchar(40));
INSERT INTO lines_ SELECT seq %% 100, CONCAT('line ', seq %% 1000) FROM seq_1_to_20000;
CREATE TABLE words (k varchar(40) PRIMARY KEY, ver bigint NOT NULL, v text) COLLATE utf8mb4_general_ci;
INSERT INTO words SELECT CONCAT('word ', MD5(seq)), 0, 'x' FROM seq_1_to_20000;
CREATE TABLE small (id int PRIMARY KEY, v text);
INSERT INTO small VALUES (1, NULL), (2, 'two');
ANALYZE TABLE big, words, lines_, small;
`

// shareMariaTables print a row of each table as one text, in both databases alike.
var shareMariaTables = map[string][2]string{
	"big":    {"CONCAT_WS('|', id, ver, at, body)", "concat_ws('|', id, ver, to_char(at, 'YYYY-MM-DD HH24:MI:SS.US'), body)"},
	"lines_": {"CONCAT_WS('|', at, line)", "concat_ws('|', at, line)"},
	"words":  {"CONCAT_WS('|', k, ver, v)", "concat_ws('|', k, ver, v)"},
	"small":  {"CONCAT_WS('|', id, v)", "concat_ws('|', id, v)"},
}

// shareMariaWatched is the target's large table where a row that goes back is noted.
const shareMariaWatched = oracleTriggers + `
CREATE TABLE big (id bigint PRIMARY KEY, ver bigint NOT NULL, at timestamp, body text);
CREATE TRIGGER watch AFTER INSERT ON big FOR EACH ROW WHEN (NEW.ver > 0) EXECUTE FUNCTION oracle.watch();
CREATE TRIGGER gone AFTER DELETE ON big FOR EACH ROW EXECUTE FUNCTION oracle.watch();
CREATE TRIGGER back AFTER UPDATE ON big FOR EACH ROW WHEN (NEW.ver < OLD.ver OR NEW.id <> OLD.id) EXECUTE FUNCTION oracle.watch();
ALTER TABLE big ENABLE ALWAYS TRIGGER watch, ENABLE ALWAYS TRIGGER gone, ENABLE ALWAYS TRIGGER back;
`

// sharedMaria is a pipeline from MariaDB that several processes run, while somebody writes.
type sharedMaria struct {
	shared
	maria    *pipetest.Maria
	database string
	watched  bool
	stop     context.CancelFunc
	writer   sync.WaitGroup
	written  int
}

// newSharedMaria makes the databases and the configuration, and begins to write. load is the sink's block; with
// none the large table is there already, and watched.
func newSharedMaria(t *testing.T, m *pipetest.Maria, pg *pipetest.PG, load string) *sharedMaria {
	t.Helper()
	s := &sharedMaria{maria: m, database: m.Database(t), watched: load == "",
		shared: shared{target: pg.Database(t), state: pg.Database(t)}}
	m.Exec(t, s.database, fmt.Sprintf(shareMariaSchema, shareMariaRows))
	batches := ""
	if s.watched {
		batches = "batch_rows = 100" // what a batch does to a row is written as one
		pipetest.Exec(t, s.target, shareMariaWatched)
	}
	s.file = writeConfig(t, `
pipeline "shared" {
  `+batches+`
  state "postgres" {
    dsn   = env("STATE")
    lease = "2s"
  }
}
source "mariadb" "shop" {
  dsn        = env("SOURCE")
  tables     = ["`+s.database+`.*"]
  workers    = 1
  chunk_rows = 3000
}
sink "postgres" "copy" {
  from = source.shop
  dsn  = env("TARGET")
  into = "public.${table.name}"
  `+load+`
}
`)
	s.env = []string{"SOURCE=" + m.DSN(""), "TARGET=" + s.target, "STATE=" + s.state}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	conn, err := client.Connect(fmt.Sprintf("127.0.0.1:%d", m.Port), "pipe", "pipe", s.database)
	if err != nil {
		t.Fatal(err)
	}
	s.writer.Go(func() {
		defer conn.Close()
		s.write(ctx, t, conn, rand.New(rand.NewSource(crashSeed(t))))
	})
	t.Cleanup(s.end)
	return s
}

// end stops the writer.
func (s *sharedMaria) end() {
	s.stop()
	s.writer.Wait()
}

// write changes rows of all parts of the tables until ctx ends. Versions only rise.
func (s *sharedMaria) write(ctx context.Context, t *testing.T, conn *client.Conn, r *rand.Rand) {
	fresh := 10 * shareMariaRows
	for ctx.Err() == nil {
		s.written++
		id, n := 1+3000*r.Intn(shareMariaRows/3000)+r.Intn(4), s.written // some are changed again and again
		var sql string
		switch r.Intn(8) {
		case 0:
			sql = fmt.Sprintf("DELETE FROM big WHERE id = %d", id)
		case 1:
			sql = fmt.Sprintf("INSERT IGNORE INTO big VALUES (%d, %d, NOW(6), 'inserted')", id, n)
		case 2:
			fresh++
			sql = fmt.Sprintf("UPDATE big SET id = %d, ver = %d WHERE id = %d", fresh, n, id)
		case 3:
			sql = fmt.Sprintf("UPDATE words SET k = UPPER(k), ver = %d WHERE k = CONCAT('word ', MD5(%d))", n, 1+id%20000)
		case 4:
			sql = fmt.Sprintf("INSERT INTO lines_ VALUES (%d, 'written')", n)
		default:
			sql = fmt.Sprintf("UPDATE big SET ver = %d, body = 'v%d' WHERE id BETWEEN %d AND %d", n, n, id, id+r.Intn(30))
		}
		if _, err := conn.Execute(sql); err != nil {
			t.Errorf("%s: %v", sql, err)
			return
		}
		time.Sleep(time.Duration(r.Intn(4)) * time.Millisecond)
	}
}

// streams waits until the snapshot is over.
func (s *sharedMaria) streams(t *testing.T) {
	t.Helper()
	s.until(t, "state", "bool_or(stream LIKE '%%/binlog') AND NOT bool_or(stream LIKE '%%/chunk/%%')")
}

// equal ends the writer, reads what is left, and compares the databases. Nothing may be left over, written
// twice, or have gone back.
func (s *sharedMaria) equal(t *testing.T, all ...*sharer) {
	t.Helper()
	s.end()
	runUntilCaughtUp(t, s.file, s.env)
	for table, text := range shareMariaTables {
		want := s.maria.QueryText(t, s.database, "SELECT COUNT(*), SUM(CAST(CONV(LEFT(MD5("+text[0]+"), 8), 16, 10) AS UNSIGNED)) FROM "+table)[0]
		have := pipetest.QueryText(t, s.target, "SELECT count(*), sum(('x' || left(md5("+text[1]+"), 8))::bit(32)::bigint) FROM "+table)[0]
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
	kept := pipetest.QueryText(t, s.target, "SELECT count(*) FROM pipe.checkpoint WHERE stream LIKE '%/chunk/%'")[0][0]
	if left[0] != "0" || left[1] != "0" || left[2] != "0" || kept != "0" {
		t.Errorf("left: %v chunks, %v shares, %v positions, %v of the sink", left[0], left[1], left[2], kept)
	}
	if !s.watched {
		return
	}
	if faults := pipetest.QueryText(t, s.target, "SELECT f::text FROM oracle.fault f ORDER BY n LIMIT 5"); len(faults) > 0 {
		t.Errorf("rows went back: %v", faults)
	}
}

// TestShareMariaDB lets several processes read one snapshot of a MariaDB server that is written to.
func TestShareMariaDB(t *testing.T) {
	t.Parallel()
	m := pipetest.MariaDB(t, "log_warnings=0")
	pg := pipetest.Postgres(t, "max_connections=200")
	loads := shareLoads()
	for _, c := range []struct {
		name, load string
		run        func(*sharedMaria, *testing.T)
	}{
		{"two processes, deferred", loads["deferred"], func(s *sharedMaria, t *testing.T) { s.together(t, 2) }},
		{"two processes, two sinks", loads["two sinks"], func(s *sharedMaria, t *testing.T) { s.together(t, 2) }},
		{"three processes, keyed", "", func(s *sharedMaria, t *testing.T) { s.together(t, 3) }},
		{"helper killed, deferred", loads["deferred"], (*sharedMaria).helperKilled},
		{"helper killed, keyed", "", (*sharedMaria).helperKilled},
		{"helper hangs", loads["deferred"], (*sharedMaria).helperHangs},
		{"leader killed, deferred", loads["deferred"], (*sharedMaria).leaderKilled},
		{"leader killed, keyed", "", (*sharedMaria).leaderKilled},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(newSharedMaria(t, m, pg, c.load), t)
		})
	}
}

// together: each process has its part, and every row is there once.
func (s *sharedMaria) together(t *testing.T, processes int) {
	began := time.Now()
	all := s.shared.together(t, slices.Repeat([]string{s.file}, processes)...)
	s.streams(t)
	took := time.Since(began)
	var parts []int
	for i, p := range all {
		p.wait(t)
		if parts = append(parts, p.helped()); (p.helped() > 0) != (i > 0) {
			t.Errorf("process %d of %d helped with %d chunks\n%s", i, processes, p.helped(), p.log)
		}
	}
	s.equal(t, all...)
	t.Logf("%v to the stream; chunks of helpers %v; %d statements", took.Round(time.Millisecond), parts, s.written)
}

// helperKilled: others read what it had claimed, once.
func (s *sharedMaria) helperKilled(t *testing.T) {
	all := s.shared.together(t, s.file, s.file, s.file)
	lead, first, second := all[0], all[1], all[2]
	s.until(t, "chunk", "count(*) FILTER (WHERE done AND "+first.by()+") > 0 AND count(*) FILTER (WHERE NOT done AND "+first.by()+") > 0")
	first.kill(t)
	lead.wait(t)
	second.wait(t)
	s.equal(t, lead, second)
}

// helperHangs: the others finish without it, and it must not write what it still has once it goes on.
func (s *sharedMaria) helperHangs(t *testing.T) {
	all := s.shared.together(t, s.file, s.file)
	lead, help := all[0], all[1]
	s.until(t, "chunk", "count(*) FILTER (WHERE done AND "+help.by()+") > 1 AND count(*) FILTER (WHERE NOT done AND "+help.by()+") > 0")
	if err := help.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.streams(t)
	if err := help.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	lead.wait(t)
	help.wait(t)
	s.equal(t, lead, help)
}

// leaderKilled: a helper takes the pipeline over, goes on from what is known to be done, and ends equal.
func (s *sharedMaria) leaderKilled(t *testing.T) {
	all := s.shared.together(t, s.file, s.file, s.file)
	lead, first, second := all[0], all[1], all[2]
	s.until(t, "chunk", "count(*) FILTER (WHERE done AND NOT "+lead.by()+") > 2 AND count(*) FILTER (WHERE done AND "+lead.by()+") > 0")
	s.until(t, "state", `bool_or(stream LIKE '%%.lines_' AND position LIKE '%%"status":"done"%%')`) // else all of it starts over
	lead.kill(t)
	began := time.Now()
	s.until(t, "lease", "bool_or(owner LIKE '%%:%d' OR owner LIKE '%%:%d')", first.cmd.Process.Pid, second.cmd.Process.Pid)
	took := time.Since(began)
	first.wait(t)
	second.wait(t)
	s.equal(t, first, second)
	goes := strings.Count(first.log.String()+second.log.String(), "the snapshot of an earlier run goes on")
	t.Logf("taken over after %v; gone on with: %v", took.Round(time.Millisecond), goes > 0)
}
