package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// Keys above oracleMoved are those of rows that were moved; it is even, so a key keeps its writer.
const oracleMoved = 1_000_000

// oracleSession is a connection that writes.
type oracleSession interface {
	exec(tx []string) error // one transaction
	close()
}

// oracleDB is a source database.
type oracleDB interface {
	dsn() string
	block(tables []string) string
	open(t *testing.T, writer int) oracleSession
	insert(table int, id int, ver int64) string
	move(table int, id, to int, ver int64) string
	pad(ver int64) string
	// rows returns a table's rows, "id|ver|md5 of pad", sorted bytewise.
	rows(t *testing.T, table int) []string
}

// oraclePostgres is a source in PostgreSQL. The large values of the last two tables lie out of line and are
// left out of changes that do not change them.
type oraclePostgres struct{ url string }

func newOraclePostgres(t *testing.T, pg *pipetest.PG) oracleDB {
	d := oraclePostgres{pg.Database(t)}
	pipetest.Exec(t, d.url, "CREATE TABLE beat (id int PRIMARY KEY, n bigint)", "INSERT INTO beat VALUES (1, 0)")
	for i, n := range oracleRows() {
		pipetest.Exec(t, d.url, fmt.Sprintf("CREATE TABLE t%d (id int PRIMARY KEY, ver bigint NOT NULL, pad text)", i),
			fmt.Sprintf("ALTER TABLE t%d ALTER pad SET STORAGE EXTERNAL", i),
			fmt.Sprintf("INSERT INTO t%d SELECT i, 0, repeat('p', %d) FROM generate_series(1, %d) i", i, padOf(i), n))
	}
	return d
}

// padOf is how long the large values of a table are.
func padOf(table int) int {
	if table < 3 {
		return 40
	}
	return 2400
}

func (d oraclePostgres) dsn() string { return d.url }

func (d oraclePostgres) block(tables []string) string {
	return fmt.Sprintf(`source "postgres" "load" {
  dsn         = env("SOURCE")
  slot        = "oracle"
  publication = "oracle"
  create      = ["slot", "publication"]
  tables      = ["public.%s"]
  workers     = 2
}`, strings.Join(tables, `", "public.`))
}

func (d oraclePostgres) open(t *testing.T, _ int) oracleSession {
	conn, err := pgconn.Connect(context.Background(), d.url)
	if err != nil {
		t.Fatal(err)
	}
	return postgresSession{conn}
}

type postgresSession struct{ conn *pgconn.PgConn }

func (s postgresSession) exec(tx []string) error {
	return s.conn.Exec(context.Background(), "BEGIN;"+strings.Join(tx, ";")+";COMMIT").Close()
}

func (s postgresSession) close() { s.conn.Close(context.Background()) }

func (d oraclePostgres) insert(table, id int, ver int64) string {
	return fmt.Sprintf("INSERT INTO t%d VALUES (%d, %d, repeat('n', %d)) ON CONFLICT (id) DO UPDATE SET ver = excluded.ver",
		table, id, ver, padOf(table))
}

func (d oraclePostgres) move(table, id, to int, ver int64) string {
	return fmt.Sprintf("UPDATE t%[1]d SET id = %[3]d, ver = %[4]d WHERE id = %[2]d AND NOT EXISTS (SELECT FROM t%[1]d WHERE id = %[3]d)",
		table, id, to, ver)
}

func (d oraclePostgres) pad(ver int64) string { return fmt.Sprintf("repeat(md5('%d'), 75)", ver) }

const oracleRowText = "SELECT concat_ws('|', id, ver, md5(pad)) FROM t%d"

func (d oraclePostgres) rows(t *testing.T, table int) []string {
	return lines(t, d.url, fmt.Sprintf(oracleRowText, table))
}

// oracleMariaDB is a source in MariaDB, some of whose writers log only what they change.
type oracleMariaDB struct {
	m        *pipetest.Maria
	database string
}

func newOracleMariaDB(t *testing.T) oracleDB {
	m := pipetest.MariaDB(t, "log_warnings=0")
	d := oracleMariaDB{m, m.Database(t)}
	m.Exec(t, d.database, "CREATE TABLE beat (id int PRIMARY KEY, n bigint)", "INSERT INTO beat VALUES (1, 0)")
	for i, n := range oracleRows() {
		m.Exec(t, d.database, fmt.Sprintf("CREATE TABLE t%d (id int PRIMARY KEY, ver bigint NOT NULL, pad text)", i),
			fmt.Sprintf("INSERT INTO t%d SELECT seq, 0, REPEAT('p', %d) FROM seq_1_to_%d", i, padOf(i), n))
	}
	return d
}

func (d oracleMariaDB) dsn() string { return d.m.DSN("") }

func (d oracleMariaDB) block(tables []string) string {
	return fmt.Sprintf(`source "mariadb" "load" {
  dsn     = env("SOURCE")
  tables  = ["%[1]s.%[2]s"]
  workers = 2
}`, d.database, strings.Join(tables, `", "`+d.database+"."))
}

func (d oracleMariaDB) open(t *testing.T, writer int) oracleSession {
	conn, err := client.Connect(fmt.Sprintf("127.0.0.1:%d", d.m.Port), "pipe", "pipe", d.database)
	if err != nil {
		t.Fatal(err)
	}
	if writer >= 2 { // of the tables with large values
		if _, err := conn.Execute("SET binlog_row_image = " + []string{"NOBLOB", "MINIMAL"}[writer%2]); err != nil {
			t.Fatal(err)
		}
	}
	return mariaSession{conn}
}

type mariaSession struct{ conn *client.Conn }

// exec runs a transaction. Writers of other keys may meet in the gaps between them: what the server rolls back
// for that was not written.
func (s mariaSession) exec(tx []string) error {
	const lockWait, deadlock = 1205, 1213
	if len(tx) > 1 {
		tx = append(append([]string{"BEGIN"}, tx...), "COMMIT")
	}
	for _, sql := range tx {
		_, err := s.conn.Execute(sql)
		var e *mysql.MyError
		if errors.As(err, &e) && (e.Code == lockWait || e.Code == deadlock) {
			_, err = s.conn.Execute("ROLLBACK")
			return err
		}
		if err != nil {
			return fmt.Errorf("%.100s: %w", sql, err)
		}
	}
	return nil
}

func (s mariaSession) close() { s.conn.Close() }

func (d oracleMariaDB) insert(table, id int, ver int64) string {
	return fmt.Sprintf("INSERT INTO t%d VALUES (%d, %d, REPEAT('n', %d)) ON DUPLICATE KEY UPDATE ver = VALUES(ver)",
		table, id, ver, padOf(table))
}

func (d oracleMariaDB) move(table, id, to int, ver int64) string {
	return fmt.Sprintf("UPDATE IGNORE t%d SET id = %d, ver = %d WHERE id = %d", table, to, ver, id)
}

func (d oracleMariaDB) pad(ver int64) string { return fmt.Sprintf("REPEAT(MD5('%d'), 75)", ver) }

func (d oracleMariaDB) rows(t *testing.T, table int) []string {
	var out []string
	for _, row := range d.m.QueryText(t, d.database, fmt.Sprintf(oracleRowText, table)+" ORDER BY CONCAT(id, '|') COLLATE utf8mb4_bin") {
		out = append(out, row[0])
	}
	return out
}

// oracleWriters write until they are ended.
type oracleWriters struct {
	busy atomic.Int64 // transactions of the busy table
	stop context.CancelFunc
	all  sync.WaitGroup
}

// startOracleWriters starts two writers of the busy table, at 500 transactions a second each, and two of the
// others. A key belongs to one writer, whose versions only rise: so do those of the key.
func startOracleWriters(t *testing.T, db oracleDB, seed int64) *oracleWriters {
	ctx, cancel := context.WithCancel(context.Background())
	o := &oracleWriters{stop: cancel}
	for n := range 4 {
		w := &oracleWriter{db: db, parity: n % 2, r: rand.New(rand.NewSource(seed + int64(n))), session: db.open(t, n)}
		each, of := 10*time.Millisecond, w.other
		if n < 2 {
			each, of = 2*time.Millisecond, w.busyTable
		}
		o.all.Go(func() {
			defer w.session.close()
			next := time.Now()
			for ctx.Err() == nil {
				if err := w.session.exec(of()); err != nil {
					t.Errorf("writer %d: %v", n, err)
					return
				}
				if n < 2 {
					o.busy.Add(1)
				}
				next = next.Add(each)
				time.Sleep(time.Until(next))
			}
		})
	}
	t.Cleanup(o.end)
	return o
}

func (o *oracleWriters) end() {
	o.stop()
	o.all.Wait()
}

// oracleWriter makes transactions.
type oracleWriter struct {
	db      oracleDB
	session oracleSession
	parity  int
	r       *rand.Rand
	ver     int64
}

// key returns a key of the writer, which it has not used in this transaction.
func (w *oracleWriter) key(table int, used map[[2]int]bool) int {
	for {
		id := 1 + w.r.Intn(oracleRows()[table])
		if w.r.Intn(3) > 0 { // some rows are written to often
			id = 1 + id%200
		}
		id += (id + w.parity) % 2
		if k := [2]int{table, id}; !used[k] {
			used[k] = true
			return id
		}
	}
}

func (w *oracleWriter) busyTable() []string {
	return []string{w.change(0, map[[2]int]bool{})}
}

// other changes a few rows of the other tables in one transaction.
func (w *oracleWriter) other() []string {
	var tx []string
	used := map[[2]int]bool{}
	for range 1 + w.r.Intn(4) {
		tx = append(tx, w.change(1+w.r.Intn(comesAndGoes), used))
	}
	return tx
}

// change returns one change of a row, whose version it raises.
func (w *oracleWriter) change(table int, used map[[2]int]bool) string {
	w.ver++
	id, kind := w.key(table, used), w.r.Intn(20)
	switch {
	case kind < 12:
		return fmt.Sprintf("UPDATE t%d SET ver = %d WHERE id = %d", table, w.ver, id)
	case kind < 14 && table >= 3:
		return fmt.Sprintf("UPDATE t%d SET ver = %d, pad = %s WHERE id = %d", table, w.ver, w.db.pad(w.ver), id)
	case kind < 17 || table == comesAndGoes:
		return w.db.insert(table, id, w.ver)
	case kind == 17:
		return w.db.move(table, id, id+oracleMoved, w.ver)
	case kind == 18:
		return w.db.move(table, id+oracleMoved, id, w.ver)
	}
	return fmt.Sprintf("DELETE FROM t%d WHERE id = %d", table, id)
}
