package main

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// mariaCrashConfig has a load block, whose attributes are the variant.
const mariaCrashConfig = `
pipeline "crash" {
  state "sink" {
    sink = sink.copy
  }
  retry {
    wait     = "50ms"
    max_wait = "200ms"
  }
}
source "mariadb" "load" {
  dsn        = env("SOURCE")
  tables     = ["%s.*"]
  workers    = 2
  chunk_rows = 10000
}
sink "postgres" "copy" {
  from = source.load
  dsn  = env("TARGET")
  into = "public.${table.name}"
  load {
    %s
  }
}
`

// How long a life may wait for the moment that it is to end in, and how often it looks.
const (
	momentPatience = 2 * time.Minute
	momentPoll     = 2 * time.Millisecond
)

// TestCrashMariaDB kills a pipeline from MariaDB to PostgreSQL, in its snapshot, in COPY, before and
// during the making of keys and indexes, and in the stream, under a mixed load. After each kill in the
// stream the target must hold exactly the transactions up to the position it holds, and at the end both
// databases must be equal, row by row, the keys and indexes made and every table LOGGED.
func TestCrashMariaDB(t *testing.T) {
	t.Parallel()
	variants := []struct {
		name, load string
		lives      int
	}{
		{"deferred", "defer_indexes = true", crashLives},
		{"unlogged", "unlogged = true", crashLives / 2},
	}
	m := pipetest.MariaDB(t, "log_warnings=0")
	pg := pipetest.Postgres(t, "log_min_messages=panic")
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			c := &mariaCrash{t: t, pg: pg, maria: m, seed: crashSeed(t), lives: v.lives}
			c.run(v.load)
		})
	}
}

// mariaCrash is one series of lives.
type mariaCrash struct {
	t      *testing.T
	pg     *pipetest.PG
	maria  *pipetest.Maria
	seed   int64
	lives  int
	target string
	r      *rand.Rand
	looks  []mariaLook
	ends   map[string]int // lives that ended in each moment
}

// mariaLook is what the target held at one time.
type mariaLook struct {
	sequence uint64
	ledger   map[ledgerRow]bool
}

func (c *mariaCrash) run(load string) {
	t := c.t
	database := c.maria.Database(t)
	c.target, c.r, c.ends = c.pg.Database(t), rand.New(rand.NewSource(c.seed)), map[string]int{}
	c.maria.Exec(t, database, mariaSchema)
	file := writeConfig(t, fmt.Sprintf(mariaCrashConfig, database, load))
	env := []string{"SOURCE=" + c.maria.DSN(""), "TARGET=" + c.target}
	l := startMariaLoad(t, c.maria, database, 4, c.seed)
	for life := range c.lives {
		if part := c.lives / 5; life >= part && life < 3*part && life%2 == 0 {
			c.wipe()
		}
		c.live(life, file, env)
		if look, ok := c.look(); ok {
			c.looks = append(c.looks, look)
		}
	}
	l.end()
	runUntilCaughtUp(t, file, env)
	t.Logf("seed %d: %d transactions %v, %d clashes, lives ended %v, %d positions looked at",
		c.seed, len(l.gtids), l.kinds, l.clashes, c.ends, len(c.looks))
	for i, k := range c.looks {
		for row, sequence := range l.gtids {
			if held := k.ledger[row]; held != (sequence <= k.sequence) {
				t.Errorf("look %d at %d: transaction %v, which is %d, held: %v", i, k.sequence, row, sequence, held)
				break
			}
		}
	}
	if len(c.looks) < c.lives/3 {
		t.Errorf("only %d of %d lives reached the stream", len(c.looks), c.lives)
	}
	if c.ends["copy"] < 2 || c.ends["step key"]+c.ends["step unique"]+c.ends["step index"]+c.ends["step logged"] < 1 {
		t.Errorf("no life ended in COPY, or none while a load was finished: %v", c.ends)
	}
	compareMariaTables(t, c.maria, database, c.target)
}

// live runs the pipeline until its moment and kills it. The first lives are short or end in a chosen
// moment of the snapshot, the others are longer.
func (c *mariaCrash) live(life int, file string, env []string) {
	t := c.t
	t.Helper()
	cmd := exec.Command(pipeBinary(t), "run", file)
	log := &lockedLog{}
	cmd.Env, cmd.Dir = append(os.Environ(), env...), t.TempDir()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	moment := "any"
	select {
	case err := <-ended:
		t.Fatalf("life %d: pipe ended by itself: %v\n%s", life, err, log)
	case moment = <-c.moment(life, log):
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	c.ends[strings.TrimSpace(moment+" "+lastStep(moment, log.String()))]++
	if os.Getenv("PIPE_CRASH_LOG") != "" {
		t.Logf("life %d, %s:\n%s", life, moment, log)
	}
}

// lastStep returns what was being done last to finish a load, for lives that ended in doing it.
func lastStep(moment, log string) string {
	if moment != "step" {
		return ""
	}
	_, verb, _ := strings.Cut(log[strings.LastIndex(log, "finishing a load")+1:], "step=")
	verb, _, _ = strings.Cut(verb, " ")
	return verb
}

// moment returns a channel that gets the name of the moment to end a life in, once it has come. Of a
// life in the snapshot it is never later than the first steps that finish the load.
func (c *mariaCrash) moment(life int, log *lockedLog) <-chan string {
	out := make(chan string, 1)
	part := c.lives / 5
	later := time.Duration(c.r.Intn(30)) * time.Millisecond
	finishing := func() bool { return strings.Contains(log.String(), "finishing a load") }
	switch {
	case life < part: // some of them before the first row
		end := time.Now().Add(20*time.Millisecond + 8*later)
		go func() {
			out <- c.await("early", 0, func(*pgx.Conn) bool { return finishing() || time.Now().After(end) })
		}()
	case life < 2*part:
		go func() {
			out <- c.await("copy", later, func(conn *pgx.Conn) bool { return finishing() || copying(conn) })
		}()
	case life < 3*part: // some steps further each time
		steps := 1 + 2*(life-2*part)
		go func() {
			out <- c.await("step", later, func(conn *pgx.Conn) bool {
				return strings.Count(log.String(), "finishing a load") >= steps || copied(conn)
			})
		}()
	default:
		after := time.Duration(200+c.r.Intn(800)) * time.Millisecond
		go func() { out <- c.await("late", after, streaming) }()
	}
	return out
}

// await polls until a moment has come, and a little longer; "missed" where it does not come.
func (c *mariaCrash) await(name string, later time.Duration, come func(*pgx.Conn) bool) string {
	ctx, cancel := context.WithTimeout(context.Background(), momentPatience)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.target)
	if err != nil {
		return "missed"
	}
	defer conn.Close(context.Background())
	for !come(conn) {
		if ctx.Err() != nil {
			return "missed"
		}
		time.Sleep(momentPoll)
	}
	time.Sleep(later)
	return name
}

// copying reports whether rows are on their way in a COPY.
func copying(conn *pgx.Conn) bool {
	var rows int64
	err := conn.QueryRow(context.Background(), "SELECT coalesce(max(tuples_processed), 0) FROM pg_stat_progress_copy").Scan(&rows)
	return err == nil && rows > 0
}

// streaming reports whether the table ledger is copied: a crashed snapshot is gone on with beside the
// stream, so the position alone does not tell.
func streaming(conn *pgx.Conn) bool {
	var done bool
	err := conn.QueryRow(context.Background(), ledgerDone).Scan(&done)
	return err == nil && done
}

// copied reports whether the snapshots of all tables are done.
func copied(conn *pgx.Conn) bool {
	var n int
	err := conn.QueryRow(context.Background(), `SELECT count(*) FROM pipe.checkpoint
		WHERE stream LIKE '%/table/%' AND position LIKE '%"status":"done"%'`).Scan(&n)
	return err == nil && n == len(mariaTables)
}

// ledgerDone asks whether the snapshot of the table ledger is done.
const ledgerDone = `SELECT position LIKE '%"status":"done"%' FROM pipe.checkpoint WHERE stream LIKE '%/table/%.ledger'`

// wipe leaves nothing in the target, so that the next life begins with a first load.
func (c *mariaCrash) wipe() {
	pipetest.Exec(c.t, c.target, "DROP SCHEMA IF EXISTS pipe CASCADE", "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
}

// look reads the position and the ledger as one snapshot sees them; ok is false before the stream.
func (c *mariaCrash) look() (look mariaLook, ok bool) {
	t := c.t
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, c.target)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx)
	var there bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass('pipe.checkpoint') IS NOT NULL").Scan(&there); err != nil || !there {
		return look, false
	}
	var done bool
	if err := tx.QueryRow(ctx, ledgerDone).Scan(&done); err != nil || !done {
		return look, false
	}
	var position string
	if err := tx.QueryRow(ctx, "SELECT position FROM pipe.checkpoint WHERE stream LIKE '%/binlog'").Scan(&position); err != nil {
		return look, false
	}
	look = mariaLook{sequence: sequenceOf(t, position), ledger: map[ledgerRow]bool{}}
	rows, err := tx.Query(ctx, "SELECT w, n FROM ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var row ledgerRow
		if err := rows.Scan(&row.w, &row.n); err != nil {
			t.Fatal(err)
		}
		look.ledger[row] = true
	}
	return look, true
}

// sequenceOf reads the sequence number of a position with one domain: "000000000000002A/0-1-42".
func sequenceOf(t *testing.T, position string) uint64 {
	t.Helper()
	parts := strings.Split(position, "/")
	if len(parts) < 2 {
		t.Fatalf("position %q has no GTID", position)
	}
	fields := strings.Split(parts[1], "-")
	n, err := strconv.ParseUint(fields[len(fields)-1], 10, 64)
	if err != nil {
		t.Fatalf("position %q: %v", position, err)
	}
	return n
}
