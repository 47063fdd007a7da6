package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// loadSchema is what the crash tests write to: few keys that collide, a value kept out of line, a
// unique column that is swapped, a composite key, a table without a key, a ledger that gets a row
// of every transaction, names that need quoting, and something to snapshot.
const loadSchema = `
CREATE TABLE accounts (id int PRIMARY KEY, ver bigint NOT NULL, balance numeric(20,4) NOT NULL, email text UNIQUE, big text);
ALTER TABLE accounts ALTER big SET STORAGE EXTERNAL;
CREATE TABLE events (id bigserial PRIMARY KEY, w int NOT NULL, n int NOT NULL, payload text, at timestamptz DEFAULT now());
CREATE TABLE "Odd Names" ("the key" int, "select" text, v jsonb, ver bigint, PRIMARY KEY ("the key", "select"));
CREATE TABLE heap (x int, y text);
ALTER TABLE heap REPLICA IDENTITY FULL;
CREATE TABLE scratch (id int PRIMARY KEY, v text);
CREATE TABLE ledger (w int, n int, PRIMARY KEY (w, n));
INSERT INTO accounts SELECT i, 0, 1000, 'mail' || i, repeat(chr(65 + i % 26), 4000) FROM generate_series(1, 40) i;
INSERT INTO events (w, n, payload) SELECT -1, i, repeat('x', 100) FROM generate_series(1, 150000) i;
INSERT INTO "Odd Names" SELECT i, 'k' || i, '{"a": 1}', 0 FROM generate_series(1, 100) i;
INSERT INTO heap SELECT i % 10, 'row ' || i % 10 FROM generate_series(1, 100) i;
`

// loadTables names the tables of loadSchema with the columns to compare.
var loadTables = [][2]string{
	{`accounts`, `id, ver, balance, email, big`},
	{`events`, `id, w, n, payload, at`},
	{`"Odd Names"`, `"the key", "select", v, ver`},
	{`heap`, `x, y`},
	{`scratch`, `id, v`},
	{`ledger`, `w, n`},
}

// load runs writers against a database until it is stopped.
type load struct {
	txs     atomic.Int64
	slow    atomic.Bool // the writers leave a busy machine time to follow
	stop    context.CancelFunc
	writers sync.WaitGroup
}

// startLoad starts n writers whose choices follow from seed.
func startLoad(t *testing.T, dsn string, n int, seed int64) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{stop: cancel}
	for w := range n {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		l.writers.Go(func() {
			defer conn.Close(context.Background())
			l.write(ctx, t, conn, w, rand.New(rand.NewSource(seed+int64(w))))
		})
	}
	t.Cleanup(func() { l.end() })
	return l
}

// end stops the writers and waits for them.
func (l *load) end() {
	l.stop()
	l.writers.Wait()
}

func (l *load) write(ctx context.Context, t *testing.T, conn *pgx.Conn, w int, r *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		sql := transaction(r, w, n)
		_, err := conn.Exec(context.Background(), sql)
		var pe *pgconn.PgError
		if errors.As(err, &pe) && (pe.Code == "40P01" || pe.Code == "23505" || pe.Code == "40001") {
			conn.Exec(context.Background(), "ROLLBACK")
			continue // a clash between writers: rolled back whole
		}
		if err != nil {
			t.Errorf("writer %d: %v", w, err)
			return
		}
		l.txs.Add(1)
		time.Sleep(time.Duration(r.Intn(6)) * time.Millisecond)
		if l.slow.Load() {
			time.Sleep(slowPause)
		}
	}
}

// slowPause is between two transactions of a writer that is slow.
const slowPause = 200 * time.Millisecond

// transaction returns the statements of one random transaction, with its ledger row.
func transaction(r *rand.Rand, w, n int) string {
	var b strings.Builder
	b.WriteString("BEGIN;")
	steps := 1 + r.Intn(4)
	for range steps {
		b.WriteString(statement(r, w, n))
	}
	if r.Intn(4) == 0 {
		fmt.Fprintf(&b, "SAVEPOINT s; %s ROLLBACK TO s;", statement(r, w, n))
	}
	fmt.Fprintf(&b, "INSERT INTO ledger VALUES (%d, %d);", w, n)
	b.WriteString("COMMIT;")
	return b.String()
}

func statement(r *rand.Rand, w, n int) string {
	id := 1 + r.Intn(60)
	switch r.Intn(14) {
	case 0, 1, 2:
		return fmt.Sprintf("UPDATE accounts SET ver = ver + 1, balance = balance + %d.25 WHERE id = %d;", r.Intn(9)-4, id)
	case 3:
		return fmt.Sprintf("UPDATE accounts SET ver = ver + 1, big = repeat('%c', %d) WHERE id = %d;", 'a'+rune(r.Intn(26)), 2500+r.Intn(9000), id)
	case 4:
		return fmt.Sprintf("INSERT INTO accounts VALUES (%d, 0, 5, 'new%d-%d-%d', repeat('n', 3000)) ON CONFLICT DO NOTHING;", id, w, n, r.Intn(1e6))
	case 5:
		return fmt.Sprintf("DELETE FROM accounts WHERE id = %d;", id)
	case 6: // a key that changes while the large value stays where it is
		return fmt.Sprintf("UPDATE accounts SET id = %d, ver = ver + 1 WHERE id = %d AND NOT EXISTS (SELECT FROM accounts WHERE id = %d);", id+60, id, id+60)
	case 7:
		return fmt.Sprintf("UPDATE accounts SET id = id - 60, ver = ver + 1 WHERE id = %d AND NOT EXISTS (SELECT FROM accounts WHERE id = %d);", id+60, id)
	case 8: // two rows swap a unique value
		return fmt.Sprintf(`UPDATE accounts SET email = 'swap%[3]d-%[4]d' WHERE id = %[1]d;
			UPDATE accounts b SET email = 'was%[1]d-%[3]d-%[4]d' WHERE id = %[2]d;`, id, 1+r.Intn(60), w, n)
	case 9:
		return fmt.Sprintf(`INSERT INTO "Odd Names" VALUES (%d, 'k', '{"n": %d}', 0) ON CONFLICT ("the key", "select") DO UPDATE SET v = excluded.v, ver = "Odd Names".ver + 1;`, id, n)
	case 10:
		return fmt.Sprintf(`INSERT INTO heap VALUES (%d, 'w%d'); DELETE FROM heap WHERE ctid = (SELECT ctid FROM heap LIMIT 1); UPDATE heap SET y = y || '.' WHERE x = %d AND length(y) < 20;`, r.Intn(10), w, r.Intn(10))
	case 11:
		if r.Intn(150) == 0 { // a snapshot that a TRUNCATE meets starts over
			return "TRUNCATE scratch;"
		}
		return fmt.Sprintf("INSERT INTO scratch VALUES (%d, 'v%d') ON CONFLICT (id) DO UPDATE SET v = excluded.v;", r.Intn(500), n)
	}
	rows := 1 + r.Intn(20)
	if r.Intn(300) == 0 {
		rows = 20000
	}
	return fmt.Sprintf("INSERT INTO events (w, n, payload) SELECT %d, %d, repeat('p', i %% 90) FROM generate_series(1, %d) i;", w, n, rows)
}

// compareTables reports every table that differs between two databases, with the first rows that do.
func compareTables(t *testing.T, sourceDSN, targetDSN string) {
	t.Helper()
	for _, table := range loadTables {
		query := fmt.Sprintf("SELECT ROW(%s)::text FROM %s", table[1], table[0])
		source, target := lines(t, sourceDSN, query), lines(t, targetDSN, query)
		t.Logf("%s: %d rows in the source, %d in the target", table[0], len(source), len(target))
		missing, extra := diffSorted(source, target)
		if len(missing)+len(extra) > 0 {
			t.Errorf("%s differs: %d rows missing %.300q, %d rows extra %.300q",
				table[0], len(missing), first(missing, 3), len(extra), first(extra, 3))
		}
	}
}

func first(rows []string, n int) []string { return rows[:min(n, len(rows))] }

// diffSorted compares two sorted multisets.
func diffSorted(a, b []string) (onlyA, onlyB []string) {
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			onlyA, a = append(onlyA, a[0]), a[1:]
		case len(a) == 0 || b[0] < a[0]:
			onlyB, b = append(onlyB, b[0]), b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return onlyA, onlyB
}

// lines returns the only column of a query's rows, sorted bytewise.
func lines(t *testing.T, dsn, query string) []string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	slices.Sort(out)
	return out
}
