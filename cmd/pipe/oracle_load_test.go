package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestOracleLoadRefused loads a table of which the target refuses one row. The run ends with that row's key
// and says of nothing that it is done. The next one, with the obstacle out of its way, goes on with the
// table that is half there, and with what was changed meanwhile, and at the end no row is missing.
func TestOracleLoadRefused(t *testing.T) {
	const rows, bad = 40_000, 33_333
	maria, pg := pipetest.MariaDB(t, "log_warnings=0"), pipetest.Postgres(t, "log_min_messages=panic")
	database, target := maria.Database(t), pg.Database(t)
	maria.Exec(t, database, "CREATE TABLE items (id int PRIMARY KEY, v varchar(40), KEY twice (v))",
		fmt.Sprintf("INSERT INTO items SELECT seq, CONCAT('v', seq) FROM seq_1_to_%d", rows))
	pipetest.Exec(t, target, fmt.Sprintf("CREATE TABLE items (id int PRIMARY KEY, v varchar(40) CHECK (v <> 'v%d'))", bad))
	s := &scene{pg: pg, target: target, dir: t.TempDir()}
	s.env = []string{"SOURCE=" + maria.DSN(""), "TARGET=" + secretDSN(t, target)}
	file := s.file(t, "load.hcl", fmt.Sprintf(mariaCrashConfig, database, ""))
	s.refused(t, exitInput, []string{"items", fmt.Sprintf("id=%d", bad), "items_v_check"}, "run", "--until-caught-up", file)
	before := countIn(t, target, "public.items")
	if before >= rows {
		t.Errorf("%d rows are there though one was refused", before)
	}
	maria.Exec(t, database, "UPDATE items SET v = 'changed' WHERE id % 1000 = 7", "DELETE FROM items WHERE id % 1000 = 8",
		"INSERT INTO items VALUES (50000, 'new')")
	pipetest.Exec(t, target, "ALTER TABLE items DROP CONSTRAINT items_v_check")
	s.runs(t, "run", "--until-caught-up", file)
	var source []string
	for _, row := range maria.QueryText(t, database, "SELECT CONCAT_WS('|', id, v) FROM items ORDER BY CONCAT_WS('|', id, v) COLLATE utf8mb4_bin") {
		source = append(source, row[0])
	}
	missing, extra := diffSorted(source, lines(t, target, "SELECT concat_ws('|', id, v) FROM items"))
	if len(missing)+len(extra) > 0 {
		t.Errorf("%d rows missing %.100q, %d extra %.100q", len(missing), first(missing, 3), len(extra), first(extra, 3))
	}
	t.Logf("%d of %d rows were there when it was refused", before, rows)
}

// TestOracleOpenTransaction reads a table again while a transaction that began before is open and has
// changed the rows already: the snapshot does not see that, and its commit comes behind it.
func TestOracleOpenTransaction(t *testing.T) {
	const rows = 5000
	s, file := newControlScene(t, pipetest.Postgres(t, "log_min_messages=fatal"), "")
	s.insert(t, 1, rows)
	p := s.start(t, "run", file)
	s.holds(t, p, rows)
	conn, err := pgx.Connect(t.Context(), s.source)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "BEGIN; UPDATE items SET v = 'open' WHERE id % 10 = 0; DELETE FROM items WHERE id % 10 = 1; INSERT INTO items VALUES (-1, 'open')"); err != nil {
		t.Fatal(err)
	}
	s.damage(t)
	began := time.Now()
	s.runs(t, "snapshot", "--table", "items", "--wait", file)
	s.equal(t)
	t.Logf("read beside an open transaction within %v", time.Since(began))
	if _, err := conn.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	s.settles(t, p)
}
