package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestVerifyPaths: a table that reaches a sink on two paths, or is sent to several tables, has rows of one key
// in each; what differs in one of them is told, whatever the others have.
func TestVerifyPaths(t *testing.T) {
	s := verifyScene(t, pipetest.Postgres(t))
	pipetest.Exec(t, s.source, "CREATE TABLE orders (id int PRIMARY KEY, region text)",
		"INSERT INTO orders SELECT i, CASE i % 2 WHEN 0 THEN 'eu' ELSE 'us' END FROM generate_series(1, 100) i")
	file := s.file(t, "verify.hcl", stateInFile+strings.Replace(fromItems, `["public.*"]`, `["public.orders"]`, 1)+`
transform "route" "region" {
  from    = source.shop
  target  = "public.orders_us"
  on_move = "follow"
  case {
    where  = row.region == "eu"
    target = "public.orders_eu"
  }
}
sink "postgres" "copy" {
  from = [source.shop, transform.region]
  dsn  = env("TARGET")
}
`)
	if r := pipe(t, "", "run", "--until-caught-up", file); r.code != exitOK {
		t.Fatalf("run: %+v", r)
	}
	if found, r := verifyJSON(t, file); r.code != exitOK || found["public.orders"].Rows != 200 {
		t.Fatalf("equal tables: %+v", r)
	}
	pipetest.Exec(t, s.target, "UPDATE orders SET region = 'x' WHERE id IN (1, 2)", "UPDATE orders_us SET region = 'y' WHERE id IN (1, 3)",
		"DELETE FROM orders_eu WHERE id IN (2, 4)", "INSERT INTO orders_eu VALUES (5, 'eu')", "DELETE FROM orders_us WHERE id = 5")
	found, r := verifyJSON(t, file)
	want := []string{"different id=1 region", "different id=1 region", "different id=2 region", "different id=3 region", "extra id=5",
		"missing id=2", "missing id=4", "missing id=5"}
	if diff := cmp.Diff(want, foundIn(found["public.orders"])); diff != "" || r.code != exitDiffers {
		t.Errorf("exit code %d, -want +got:\n%s", r.code, diff)
	}
}
