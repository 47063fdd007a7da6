package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// oddKeys are tables whose keys are written in each way that a key can be.
const oddKeys = `CREATE DATABASE odd; USE odd;
CREATE TABLE odd.mixed (k varbinary(8), at datetime(3), n bigint unsigned, name varchar(10) CHARACTER SET latin1, v double,
	PRIMARY KEY (k, at, n, name)) COLLATE utf8mb4_general_ci;
INSERT INTO odd.mixed SELECT UNHEX(LEFT(MD5(seq), 16)), '2024-01-01' + INTERVAL seq * 1500000 MICROSECOND, 18446744073709551615 - seq,
	CONCAT('Müller', seq), seq / 3 FROM seq_1_to_200;
CREATE TABLE odd.stamps (at timestamp(6) PRIMARY KEY, b bit(9), y year, t time, e enum('a','b'), s set('x','y'), j json, g decimal(30,10));
INSERT INTO odd.stamps SELECT '2024-01-01' + INTERVAL seq SECOND, seq, 2000 + seq, SEC_TO_TIME(seq), 'a', 'x,y', '{"a": 1}', seq / 7
	FROM seq_1_to_50;
CREATE TABLE odd.ids (u uuid PRIMARY KEY, v int); INSERT INTO odd.ids SELECT UUID(), seq FROM seq_1_to_50;
CREATE TABLE odd.days (d date, b bit(1), c decimal(10,2), v int, PRIMARY KEY (d, b, c));
INSERT INTO odd.days SELECT '2024-01-01' + INTERVAL seq DAY, seq % 2, seq / 4, seq FROM seq_1_to_50;`

func mariaScene(t *testing.T, tables string) (*pipetest.Maria, *scene, string) {
	t.Helper()
	maria := pipetest.MariaDB(t)
	s := newScene(t, pipetest.Postgres(t))
	s.env = append(s.env, "MARIADB_URL="+maria.DSN(""))
	for _, e := range s.env {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	return maria, s, s.file(t, "verify.hcl", stateInFile+`
source "mariadb" "shop" {
  dsn    = env("MARIADB_URL")
  tables = ["`+tables+`"]
}
`+toCopy)
}

func TestVerifyMariaDBKeys(t *testing.T) {
	maria, s, file := mariaScene(t, "odd.*")
	maria.Exec(t, "", oddKeys)
	if r := pipe(t, "", "run", "--until-caught-up", file); r.code != exitOK {
		t.Fatalf("run: %+v", r)
	}
	if _, r := verifyJSON(t, file); r.code != exitOK {
		t.Fatalf("equal tables: %+v", r)
	}
	pipetest.Exec(t, s.target, "UPDATE odd.mixed SET v = 0 WHERE n = 18446744073709551614", "DELETE FROM odd.mixed WHERE n = 18446744073709551613",
		"INSERT INTO odd.mixed VALUES ('\\x00', '2024-01-01', 18446744073709551615, 'ü', 1)",
		"UPDATE odd.stamps SET b = b'111111111', j = '{}' WHERE y = 2003", "DELETE FROM odd.stamps WHERE y = 2004",
		"UPDATE odd.ids SET v = NULL WHERE v = 9", "DELETE FROM odd.ids WHERE v = 8", "INSERT INTO odd.ids VALUES (gen_random_uuid(), 0)",
		"UPDATE odd.days SET v = NULL WHERE v IN (1, 2)", "DELETE FROM odd.days WHERE v = 3", "UPDATE odd.days SET c = 99.99 WHERE v = 4")
	found, _ := verifyJSON(t, file)
	counts := map[string][3]int{}
	for table, v := range found {
		counts[table] = [3]int{v.Missing, v.Extra, v.Different}
	}
	want := map[string][3]int{"odd.mixed": {1, 1, 1}, "odd.stamps": {1, 0, 1}, "odd.ids": {1, 1, 1}, "odd.days": {2, 1, 2}}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("missing, extra, different: -want +got:\n%s", diff)
	}
	if got := foundIn(found["odd.stamps"]); len(got) != 2 || !strings.HasSuffix(got[0], " b,j") {
		t.Errorf("stamps: %q", got)
	}
}

func TestVerifyMariaDBUnderLoad(t *testing.T) {
	maria, s, file := mariaScene(t, "shop.busy")
	maria.Exec(t, "", "CREATE DATABASE shop; USE shop; CREATE TABLE shop.busy (id int PRIMARY KEY, v int, pad text);"+
		"INSERT INTO shop.busy SELECT seq, 0, REPEAT('x', 50) FROM seq_1_to_2000")
	p := s.start(t, "run", file)
	p.until(t, "the target has the rows", func() bool { return countIn(t, s.target, "shop.busy") == 2000 })
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for w := range 2 {
		rng := rand.New(rand.NewPCG(uint64(w), 11))
		all.Go(func() {
			for ctx.Err() == nil {
				var sql strings.Builder
				for range 50 {
					id := rng.IntN(2000) + 1
					fmt.Fprintf(&sql, "UPDATE shop.busy SET v = v + 1 WHERE id = %d; REPLACE INTO shop.busy VALUES (%d, 1, 'new');"+
						"DELETE FROM shop.busy WHERE id = %d;", id, id+rng.IntN(2000), rng.IntN(4000)+1)
				}
				maria.Exec(t, "", sql.String())
			}
		})
	}
	for n := range 5 {
		found, r := verifyJSON(t, "--live", file)
		if v := found["shop.busy"]; r.code != exitOK || v.differs() != 0 || v.Undecided > 20 {
			t.Errorf("round %d: %+v", n, r)
			break
		}
	}
	cancel()
	all.Wait()
	p.until(t, "everything is delivered", func() bool {
		found, r := verifyJSON(t, "--live", file)
		v := found["shop.busy"]
		return r.code == exitOK && v.Undecided == 0 && v.Rows > 0
	})
}
