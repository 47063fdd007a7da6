package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// crashLives is how often each crash test kills the binary.
const crashLives = 30

// recorder reads, after the fact, at which position each transaction of the ledger was committed:
// from a slot of its own, so independently of what is tested.
const recorder = "recorder"

// ledgerRow identifies a transaction of the load.
type ledgerRow struct{ w, n int }

// TestCrashPostgres kills a pipeline from PostgreSQL to PostgreSQL at random moments, in its
// snapshot and in the stream, under a mixed load. After each kill the target must hold exactly the
// transactions up to the position it holds (rows and position are one transaction), and at the end
// both databases must be equal, row by row.
func TestCrashPostgres(t *testing.T) {
	t.Parallel()
	seed := crashSeed(t)
	pg := pipetest.Postgres(t, "fsync=on", "wal_sender_timeout=5s", "log_min_messages=fatal")
	source, target := pg.Database(t), pg.Database(t)
	pipetest.Exec(t, source, loadSchema,
		"CREATE PUBLICATION recorder FOR TABLE ledger",
		"SELECT pg_create_logical_replication_slot('recorder', 'pgoutput')")
	file := writeConfig(t, `
pipeline "crash" {
  state "sink" {
    sink = sink.copy
  }
}
source "postgres" "load" {
  dsn         = env("SOURCE")
  slot        = "crash"
  publication = "crash"
  create      = ["slot", "publication"]
  tables      = ["public.*"]
  workers     = 2
  chunk_rows  = 20000
}
sink "postgres" "copy" {
  from = source.load
  dsn  = env("TARGET")
}
`)
	env := []string{"SOURCE=" + source, "TARGET=" + target}
	l := startLoad(t, source, 4, seed)
	r := rand.New(rand.NewSource(seed))

	type look struct {
		position uint64
		ledger   map[ledgerRow]bool
	}
	var looks []look
	for life := range crashLives {
		killAfter(t, r, life, file, env)
		if life == crashLives/2 { // where the machine is slow, every life so far may have been too short
			l.slow.Store(true)
			killWhen(t, file, env, func() bool {
				_, _, ok := lookAtTarget(t, target)
				return ok
			})
			l.slow.Store(false)
		}
		if pos, ledger, ok := lookAtTarget(t, target); ok {
			looks = append(looks, look{pos, ledger})
		}
	}
	l.end()
	runUntilCaughtUp(t, file, env)

	committed := recordedLedger(t, source)
	t.Logf("seed %d: %d transactions, %d kills, %d positions looked at", seed, len(committed), crashLives, len(looks))
	if len(looks) == 0 {
		t.Error("no life was past the snapshot of the ledger")
	}
	for i, k := range looks {
		for row, end := range committed {
			if held := k.ledger[row]; held != (end <= k.position) {
				t.Errorf("look %d at %X: transaction %v, which ends at %X, held: %v", i, k.position, row, end, held)
				break
			}
		}
	}
	compareTables(t, source, target)
}

// killAfter runs the pipeline and kills it at a random moment: the first lives are short, to hit the
// snapshot, the others longer. PIPE_CRASH_LOG shows what each one logged.
func killAfter(t *testing.T, r *rand.Rand, life int, file string, env []string) {
	t.Helper()
	after := time.Duration(100+r.Intn(500)) * time.Millisecond
	if life >= 8 {
		after = time.Duration(500+r.Intn(3000)) * time.Millisecond
	}
	kill(t, fmt.Sprintf("life %d", life), file, env, func() { time.Sleep(after) })
}

// killWhen runs the pipeline until ok reports true, and kills it.
func killWhen(t *testing.T, file string, env []string, ok func() bool) {
	t.Helper()
	kill(t, "the long life", file, env, func() {
		for until := time.Now().Add(2 * time.Minute); !ok() && time.Now().Before(until); {
			time.Sleep(10 * time.Millisecond)
		}
	})
}

// kill runs the pipeline and kills it when after returns.
func kill(t *testing.T, life, file string, env []string, after func()) {
	t.Helper()
	cmd, log := pipeCommand(t, env, "run", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	began := time.Now()
	after()
	select {
	case err := <-ended:
		t.Fatalf("%s: pipe ended by itself: %v\n%s", life, err, log)
	default:
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	if os.Getenv("PIPE_CRASH_LOG") != "" {
		t.Logf("%s, %v:\n%s", life, time.Since(began), log)
	}
}

// runUntilCaughtUp runs the pipeline to the end of what was committed.
func runUntilCaughtUp(t *testing.T, file string, env []string) {
	t.Helper()
	cmd, log := pipeCommand(t, env, "run", "--until-caught-up", file)
	timer := time.AfterFunc(5*time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Run(); err != nil {
		t.Fatalf("pipe run --until-caught-up: %v\n%s", err, log)
	}
}

// pipeCommand prepares the binary under test; what it prints is gathered.
func pipeCommand(t *testing.T, env []string, args ...string) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	log := &strings.Builder{}
	cmd := exec.Command(pipeBinary(t), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = t.TempDir()
	cmd.Stdout, cmd.Stderr = log, log
	return cmd, log
}

// lookAtTarget reads the position and the ledger as one snapshot sees them; ok is false before the initial
// snapshot of the ledger is done: a crashed one is gone on with beside the stream.
func lookAtTarget(t *testing.T, target string) (position uint64, ledger map[ledgerRow]bool, ok bool) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, target)
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
		return 0, nil, false
	}
	var text string
	err = tx.QueryRow(ctx, "SELECT position FROM pipe.checkpoint WHERE stream LIKE '%/wal'").Scan(&text)
	if err != nil {
		return 0, nil, false
	}
	var done bool
	err = tx.QueryRow(ctx, `SELECT position LIKE '%"status":"done"%' FROM pipe.checkpoint
		WHERE stream LIKE '%/table/public.ledger'`).Scan(&done)
	if err != nil || !done {
		return 0, nil, false
	}
	ledger = map[ledgerRow]bool{}
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
		ledger[row] = true
	}
	return lsnOf(t, text), ledger, true
}

// lsnOf reads the LSN that a position of the PostgreSQL source begins with.
func lsnOf(t *testing.T, position string) uint64 {
	t.Helper()
	if len(position) < 16 {
		t.Fatalf("position %q is too short", position)
	}
	lsn, err := strconv.ParseUint(position[:16], 16, 64)
	if err != nil {
		t.Fatalf("position %q: %v", position, err)
	}
	return lsn
}

// recordedLedger returns the end LSN of every transaction that wrote to the ledger.
func recordedLedger(t *testing.T, source string) map[ledgerRow]uint64 {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, source)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL,
		'proto_version', '1', 'publication_names', 'recorder')`, recorder)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[ledgerRow]uint64{}
	var open []ledgerRow
	for rows.Next() {
		var m []byte
		if err := rows.Scan(&m); err != nil {
			t.Fatal(err)
		}
		switch m[0] {
		case 'I':
			open = append(open, insertedLedgerRow(t, m))
		case 'C': // flags, LSN of the commit, end LSN of the transaction
			for _, row := range open {
				out[row] = binary.BigEndian.Uint64(m[10:])
			}
			open = open[:0]
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// insertedLedgerRow reads an Insert message of two integers in text form.
func insertedLedgerRow(t *testing.T, m []byte) ledgerRow {
	t.Helper()
	m = m[8:] // 'I', relation, 'N', number of columns
	var n [2]int
	for i := range n {
		size := binary.BigEndian.Uint32(m[1:])
		v, err := strconv.Atoi(string(m[5 : 5+size]))
		if err != nil {
			t.Fatal(err)
		}
		n[i], m = v, m[5+size:]
	}
	return ledgerRow{n[0], n[1]}
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pipeline.hcl")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// crashSeed returns the seed of a run: PIPE_SEED repeats one.
func crashSeed(t *testing.T) int64 {
	t.Helper()
	if s := os.Getenv("PIPE_SEED"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	seed := time.Now().UnixNano() % 1_000_000
	t.Logf("PIPE_SEED=%d", seed)
	return seed
}

// pipeBinary returns the binary under test, which TestMain built.
func pipeBinary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("PIPE_BINARY")
	if path == "" {
		t.Fatal("TestMain did not build the binary")
	}
	return path
}

// TestMain builds the binary that the tests of this package run.
func TestMain(m *testing.M) { os.Exit(runWithBinary(m)) }

func runWithBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pipe-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "pipe")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binary under test: %v\n%s", err, out)
		return 1
	}
	os.Setenv("PIPE_BINARY", path)
	return m.Run()
}
