package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// mariaSchema is loadSchema as MariaDB has it, with the secondary indexes that a load puts off.
const mariaSchema = `
CREATE TABLE accounts (id int PRIMARY KEY, ver bigint NOT NULL, balance decimal(20,4) NOT NULL, email varchar(80) UNIQUE,
	big mediumtext, KEY twice (ver));
CREATE TABLE events (id bigint AUTO_INCREMENT PRIMARY KEY, w int NOT NULL, n int NOT NULL, payload text,
	at datetime(6) NOT NULL DEFAULT NOW(6), KEY twice (w, n), KEY later (at));
CREATE TABLE ` + "`Odd Names` (`the key` int, `select` varchar(40), v json, ver bigint, PRIMARY KEY (`the key`, `select`))" + `;
CREATE TABLE heap (x int, y varchar(60));
CREATE TABLE scratch (id int PRIMARY KEY, v varchar(40));
CREATE TABLE ledger (w int, n int, PRIMARY KEY (w, n));
INSERT INTO accounts SELECT seq, 0, 1000, CONCAT('mail', seq), REPEAT(CHAR(65 + seq % 26), 4000) FROM seq_1_to_40;
INSERT INTO events (w, n, payload) SELECT -1, seq, REPEAT('x', 100) FROM seq_1_to_100000;
INSERT INTO ` + "`Odd Names`" + ` SELECT seq, CONCAT('k', seq), '{"a": 1}', 0 FROM seq_1_to_100;
INSERT INTO heap SELECT seq % 10, CONCAT('row ', seq % 10) FROM seq_1_to_100;
`

// mariaTables are the tables of mariaSchema: how each database prints a row as one text, and the
// indexes of PostgreSQL's table.
var mariaTables = []struct{ name, source, target, indexes string }{
	{"accounts", "SELECT CONCAT_WS('|', id, ver, balance, IFNULL(email, '~'), MD5(big)) FROM accounts",
		"SELECT concat_ws('|', id, ver, balance, coalesce(email, '~'), md5(big)) FROM accounts", "p(id) u(email) (ver)"},
	{"events", "SELECT CONCAT_WS('|', id, w, n, payload, at) FROM events",
		"SELECT concat_ws('|', id, w, n, payload, to_char(at, 'YYYY-MM-DD HH24:MI:SS.US')) FROM events", "p(id) (w, n) (at)"},
	{"Odd Names", "SELECT CONCAT_WS('|', `the key`, `select`, JSON_VALUE(v, '$.n'), ver) FROM `Odd Names`",
		`SELECT concat_ws('|', "the key", "select", v ->> 'n', ver) FROM "Odd Names"`, `p("the key", "select")`},
	{"heap", "SELECT CONCAT_WS('|', x, y) FROM heap", "SELECT concat_ws('|', x, y) FROM heap", ""},
	{"scratch", "SELECT CONCAT_WS('|', id, v) FROM scratch", "SELECT concat_ws('|', id, v) FROM scratch", "p(id)"},
	{"ledger", "SELECT CONCAT_WS('|', w, n) FROM ledger", "SELECT concat_ws('|', w, n) FROM ledger", "p(w, n)"},
}

// mariaLoad runs writers against a database until it is stopped, and notes which GTID each of their
// transactions got: from the session that wrote it, so independently of what is tested.
type mariaLoad struct {
	stop    context.CancelFunc
	writers sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	gtids   map[ledgerRow]uint64
	clashes int
	kinds   map[string]int // transactions of each kind
}

// startMariaLoad starts n writers whose choices follow from seed.
func startMariaLoad(t *testing.T, m *pipetest.Maria, database string, n int, seed int64) *mariaLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &mariaLoad{stop: cancel, gtids: map[ledgerRow]uint64{}, kinds: map[string]int{}}
	for w := range n {
		conn, err := client.Connect(fmt.Sprintf("127.0.0.1:%d", m.Port), "pipe", "pipe", database)
		if err != nil {
			t.Fatal(err)
		}
		writer := &mariaWriter{t: t, load: l, conn: conn, w: w, r: rand.New(rand.NewSource(seed + int64(w)))}
		l.writers.Go(func() {
			defer conn.Close()
			writer.run(ctx)
		})
	}
	t.Cleanup(l.end)
	return l
}

// end stops the writers and waits for them.
func (l *mariaLoad) end() {
	l.stop()
	l.writers.Wait()
}

// mariaWriter is one session that writes.
type mariaWriter struct {
	t    *testing.T
	load *mariaLoad
	conn *client.Conn
	w    int
	r    *rand.Rand
}

func (m *mariaWriter) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		kind, err := m.transaction(n)
		if err != nil && !m.clash(err) {
			m.t.Errorf("writer %d: %v", m.w, err)
			return
		}
		m.load.mu.Lock()
		m.load.kinds[kind]++
		if err != nil {
			m.load.clashes++
		}
		m.load.mu.Unlock()
		time.Sleep(time.Duration(2+m.r.Intn(10)) * time.Millisecond)
	}
}

// clash reports whether the error is one between writers; what was begun is then rolled back whole.
func (m *mariaWriter) clash(err error) bool {
	const (
		duplicate, lockWait, deadlock = 1062, 1205, 1213
		xaRolledBack, xaDeadlock      = 1402, 1614
	)
	var e *mysql.MyError
	known := errors.As(err, &e) && slices.Contains([]uint16{duplicate, lockWait, deadlock, xaRolledBack, xaDeadlock}, e.Code)
	return known
}

// exec runs statements until one fails.
func (m *mariaWriter) exec(statements ...string) error {
	for _, sql := range statements {
		if _, err := m.conn.Execute(sql); err != nil {
			return fmt.Errorf("%.200s: %w", sql, err)
		}
	}
	return nil
}

// transaction writes one random transaction and says of what kind it was.
func (m *mariaWriter) transaction(n int) (kind string, err error) {
	image := []string{"FULL", "MINIMAL", "NOBLOB"}[m.r.Intn(3)]
	if err := m.exec("SET binlog_row_image = " + image); err != nil {
		return "image", err
	}
	var body []string
	for range 1 + m.r.Intn(4) {
		body = append(body, m.statement(n)...)
	}
	switch k := m.r.Intn(400); {
	case k == 0: // a snapshot that a TRUNCATE meets starts over
		return "truncate", m.exec("TRUNCATE scratch")
	case k < 40:
		return m.external(n, body, k < 10)
	case k < 140:
		undone := m.statement(n)
		body = append(append(append(body, "SAVEPOINT s"), undone...), "ROLLBACK TO s")
		return "savepoint", m.commit(n, body)
	}
	return "plain", m.commit(n, body)
}

func (m *mariaWriter) commit(n int, body []string) error {
	body = append(append([]string{"BEGIN"}, body...), m.ledger(n), "COMMIT")
	if err := m.exec(body...); err != nil {
		return errors.Join(err, m.exec("ROLLBACK"))
	}
	return m.note(n)
}

func (m *mariaWriter) ledger(n int) string {
	return fmt.Sprintf("INSERT INTO ledger VALUES (%d, %d)", m.w, n)
}

// external writes an XA transaction, which is prepared for a while before its outcome.
func (m *mariaWriter) external(n int, body []string, undo bool) (string, error) {
	xid := fmt.Sprintf("'crash-%d-%d'", m.w, n)
	body = append(append([]string{"XA START " + xid}, body...), m.ledger(n), "XA END "+xid, "XA PREPARE "+xid)
	if err := m.exec(body...); err != nil {
		_ = m.exec("XA END " + xid) // it may have got there
		if back := m.exec("XA ROLLBACK " + xid); back != nil && !m.clash(back) {
			return "xa", errors.Join(err, back)
		}
		return "xa", err
	}
	time.Sleep(time.Duration(m.r.Intn(30)) * time.Millisecond)
	if undo {
		return "xa rollback", m.exec("XA ROLLBACK " + xid)
	}
	if err := m.exec("XA COMMIT " + xid); err != nil {
		return "xa", err
	}
	return "xa", m.note(n)
}

// note keeps the sequence number of the transaction just committed.
func (m *mariaWriter) note(n int) error {
	result, err := m.conn.Execute("SELECT @@last_gtid")
	if err != nil {
		return err
	}
	text, err := result.GetString(0, 0)
	if err != nil {
		return err
	}
	parts := strings.Split(text, "-")
	sequence, err := strconv.ParseUint(parts[len(parts)-1], 10, 64)
	if err != nil {
		return fmt.Errorf("last_gtid %q: %w", text, err)
	}
	m.load.mu.Lock()
	defer m.load.mu.Unlock()
	m.load.gtids[ledgerRow{m.w, n}] = sequence
	return nil
}

// statement returns the statements of one random change.
func (m *mariaWriter) statement(n int) []string {
	r, id := m.r, 1+m.r.Intn(60)
	other := 1 + r.Intn(60)
	one := func(format string, args ...any) []string { return []string{fmt.Sprintf(format, args...)} }
	switch r.Intn(15) {
	case 0, 1, 2:
		return one("UPDATE accounts SET ver = ver + 1, balance = balance + %d.25 WHERE id = %d", r.Intn(9)-4, id)
	case 3:
		return one("UPDATE accounts SET ver = ver + 1, big = REPEAT('%c', %d) WHERE id = %d", 'a'+rune(r.Intn(26)), 2500+r.Intn(9000), id)
	case 4:
		return one("INSERT IGNORE INTO accounts VALUES (%d, 0, 5, 'new%d-%d-%d', REPEAT('n', 3000))", id, m.w, n, r.Intn(1e6))
	case 5:
		return one("DELETE FROM accounts WHERE id = %d", id)
	case 6: // a key that changes while the large value stays where it is
		return one("UPDATE IGNORE accounts SET id = id + 60, ver = ver + 1 WHERE id = %d", id)
	case 7:
		return one("UPDATE IGNORE accounts SET id = id - 60, ver = ver + 1 WHERE id = %d", id+60)
	case 8: // two rows swap a unique value
		return []string{
			"SET @a = NULL, @b = NULL",
			fmt.Sprintf("SELECT email INTO @a FROM accounts WHERE id = %d FOR UPDATE", id),
			fmt.Sprintf("SELECT email INTO @b FROM accounts WHERE id = %d FOR UPDATE", other),
			fmt.Sprintf("UPDATE accounts SET email = 'between-%d-%d' WHERE id = %d", m.w, n, id),
			fmt.Sprintf("UPDATE accounts SET email = @a WHERE id = %d", other),
			fmt.Sprintf("UPDATE accounts SET email = @b WHERE id = %d", id),
		}
	case 9:
		return one("INSERT INTO `Odd Names` VALUES (%d, 'k', '{\"n\": %d}', 0) ON DUPLICATE KEY UPDATE v = VALUES(v), ver = ver + 1", id, n)
	case 10:
		return []string{fmt.Sprintf("INSERT INTO heap VALUES (%d, 'w%d')", r.Intn(10), m.w), "DELETE FROM heap LIMIT 1",
			fmt.Sprintf("UPDATE heap SET y = CONCAT(y, '.') WHERE x = %d AND LENGTH(y) < 20", r.Intn(10))}
	case 11: // keys that move up one after the other, each into the place that the one before has left
		return one("UPDATE IGNORE accounts SET id = id + 1, ver = ver + 1 WHERE id BETWEEN %d AND %d ORDER BY id DESC", id, id+r.Intn(4))
	case 12:
		return one("INSERT INTO scratch VALUES (%d, 'v%d') ON DUPLICATE KEY UPDATE v = VALUES(v)", r.Intn(500), n)
	case 13:
		return one("REPLACE INTO accounts VALUES (%d, 0, 7, 'mail%d', 'replaced')", id, other) // it may remove two rows
	}
	rows := 1 + r.Intn(20)
	if r.Intn(250) == 0 {
		rows = 20000
	}
	return one("INSERT INTO events (w, n, payload) SELECT %d, %d, REPEAT('p', seq %% 90) FROM seq_1_to_%d", m.w, n, rows)
}

// compareMariaTables reports every table whose rows, key, indexes or persistence are not what they
// should be.
func compareMariaTables(t *testing.T, m *pipetest.Maria, database, target string) {
	t.Helper()
	for _, table := range mariaTables {
		var source []string
		for _, row := range m.QueryText(t, database, table.source) {
			source = append(source, row[0])
		}
		slices.Sort(source)
		copied := lines(t, target, table.target)
		t.Logf("%s: %d rows in the source, %d in the target", table.name, len(source), len(copied))
		missing, extra := diffSorted(source, copied)
		if len(missing)+len(extra) > 0 {
			t.Errorf("%s differs: %d rows missing %.300q, %d rows extra %.300q", table.name,
				len(missing), first(missing, 3), len(extra), first(extra, 3))
		}
		if got := targetIndexes(t, target, table.name); got != table.indexes {
			t.Errorf("%s has the indexes %q, want %q", table.name, got, table.indexes)
		}
	}
	if rows := lines(t, target, "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relpersistence <> 'p' AND relnamespace = 'public'::regnamespace"); len(rows) > 0 {
		t.Errorf("not LOGGED: %q", rows)
	}
	if rows := lines(t, target, "SELECT s::text FROM pipe.load_step s"); len(rows) > 0 {
		t.Errorf("steps of loads are left: %q", rows)
	}
}

// targetIndexes prints a table's indexes: p(..) the primary key, u(..) unique ones, (..) others.
func targetIndexes(t *testing.T, target, table string) string {
	t.Helper()
	const sql = `SELECT coalesce(string_agg(text, ' ' ORDER BY rank, text COLLATE "C" DESC), '') FROM (
		SELECT CASE WHEN indisprimary THEN 1 WHEN indisunique THEN 2 ELSE 3 END AS rank,
			CASE WHEN indisprimary THEN 'p' WHEN indisunique THEN 'u' ELSE '' END ||
			substring(pg_get_indexdef(indexrelid) from 'USING btree (.*)$') AS text
		FROM pg_index WHERE indrelid = ('public.' || quote_ident($1))::regclass AND indisvalid) i`
	return pipetest.QueryText(t, target, sql, table)[0][0]
}
