package main

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// shopSchema has a table of each kind that a check must tell apart.
const shopSchema = `
CREATE TABLE orders (id bigint PRIMARY KEY, amount numeric(12,2), status text);
CREATE TABLE items (order_id bigint, line int, name text, PRIMARY KEY (order_id, line));
CREATE TABLE audit_log (at timestamptz, what text)`

// connectConfig is a configuration between two databases, with a filter between them.
func connectConfig(t *testing.T, source, target, where string) {
	t.Helper()
	t.Setenv("PIPE_TEST_SOURCE", source)
	t.Setenv("PIPE_TEST_TARGET", target)
	text := `
source "postgres" "shop" {
  dsn         = env("PIPE_TEST_SOURCE")
  slot        = "pipe_shop"
  publication = "pipe_shop"
  create      = ["slot", "publication"]
  tables      = ["public.*"]
  exclude     = ["public.audit_log"]
}

transform "filter" "paid" {
  from   = source.shop
  tables = ["public.orders"]
  where  = ` + where + `
}

sink "postgres" "copy" {
  from = transform.paid
  dsn  = env("PIPE_TEST_TARGET")
  into = "copy.${table.name}"
}
`
	if err := os.WriteFile("shop.hcl", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConnect(t *testing.T) {
	pg := pipetest.Postgres(t)
	source, target := pg.Database(t), pg.Database(t)
	pipetest.Exec(t, source, shopSchema)
	pipetest.Exec(t, target, "CREATE SCHEMA copy")
	t.Chdir(t.TempDir())

	connectConfig(t, source, target, `row.amount > 100 && row.status != "draft"`)
	if s := pipe(t, "", "validate", "--connect", "shop.hcl"); s.code != exitOK {
		t.Errorf("a good configuration is refused: %+v", s)
	}
	if got := pipetest.QueryText(t, source, "SELECT count(*) FROM pg_replication_slots"); got[0][0] != "0" {
		t.Error("a check left a slot")
	}
	s := pipe(t, "", "tables", "shop.hcl")
	for _, want := range []string{"public.orders", "order_id, line", "public.audit_log"} {
		if !strings.Contains(s.out, want) {
			t.Errorf("tables does not show %q:\n%s%s", want, s.out, s.err)
		}
	}
	if s := pipe(t, "", "tables", "--taken", "shop.hcl"); s.code != exitOK || strings.Contains(s.out, "audit_log") {
		t.Errorf("a table that is excluded is shown as taken: %+v", s)
	}

	connectConfig(t, source, target, `row.ammount > 100`)
	s = pipe(t, "", "validate", "--connect", "shop.hcl")
	if s.code != exitInput || !strings.Contains(s.err, "amount") || !strings.Contains(s.err, "public.orders") ||
		!strings.Contains(s.err, "shop.hcl:14:12") {
		t.Errorf("an unknown column is not explained: %+v", s)
	}
}

func TestConnectUnreachable(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dsn := "postgres://app:c4nary@" + free.Addr().String() + "/shop?sslmode=disable"
	free.Close()
	t.Chdir(t.TempDir())
	connectConfig(t, dsn, dsn, "true")
	for _, args := range [][]string{{"validate", "--connect", "shop.hcl"}, {"tables", "shop.hcl"}} {
		s := pipe(t, "", args...)
		if s.code != exitEnvironment {
			t.Errorf("%v: exit %d, want %d\n%s%s", args, s.code, exitEnvironment, s.out, s.err)
		}
		if strings.Contains(s.out+s.err, "c4nary") {
			t.Errorf("%v: the password is shown\n%s%s", args, s.out, s.err)
		}
	}
}
