package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestControlMariaDB reads a MariaDB table again, in a running pipeline and alone; the positions lie in
// the sink, so the socket lies beside the configuration.
func TestControlMariaDB(t *testing.T) {
	const rows = 20_000
	maria, pg := pipetest.MariaDB(t), pipetest.Postgres(t, "log_min_messages=fatal")
	maria.Exec(t, "", "CREATE DATABASE shop", "USE shop", "CREATE TABLE shop.items (id INT PRIMARY KEY, v VARCHAR(100))",
		fmt.Sprintf("INSERT INTO shop.items SELECT seq, CONCAT('v', seq) FROM seq_1_to_%d", rows))
	target := pg.Database(t)
	s := &scene{pg: pg, target: target, dir: t.TempDir()}
	s.env = []string{"SOURCE=" + maria.DSN(""), "TARGET=" + secretDSN(t, target)}
	t.Cleanup(func() { s.checkFiles(t) })
	file := s.file(t, "shop.hcl", stateInSink+`
source "mariadb" "shop" {
  dsn    = env("SOURCE")
  tables = ["shop.*"]
}
sink "postgres" "copy" {
  from = source.shop
  dsn  = env("TARGET")
  into = "public.${table.name}"
}
`)
	holds := func(p *process, n int) {
		t.Helper()
		p.until(t, fmt.Sprintf("the target holds %d rows", n), func() bool {
			return countIn(t, target, "public.items") == n &&
				queryCount(t, target, "SELECT count(*) FROM public.items WHERE v <> 'v' || id") == 0
		})
	}
	p := s.start(t, "run", file)
	holds(p, rows)
	if info, err := os.Stat(filepath.Join(s.dir, ".pipe", "fault.sock")); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("%v, %v", info, err)
	}
	s.damage(t)
	s.runs(t, "snapshot", "--table", "shop.items", "--wait", file)
	holds(p, rows)
	pipetest.Exec(t, target, "INSERT INTO public.items VALUES (-5, 'extra')")
	s.runs(t, "snapshot", "--table", "items", "--replace", "--wait", file)
	holds(p, rows)
	p.signal(t, syscall.SIGTERM)
	p.ends(t, faultPatience)

	s.damage(t)
	s.refused(t, exitOK, []string{"shop.items", "done", "another host"}, "snapshot", "--table", "items", file)
	s.refused(t, exitDiffers, []string{"does not run", "shop.items", "requested by"}, "status", file)
	maria.Exec(t, "", "INSERT INTO shop.items VALUES (20001, 'v20001')")
	holds(s.start(t, "run", file), rows+1)
}
