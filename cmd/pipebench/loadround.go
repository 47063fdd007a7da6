package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline/pipetest/server"
)

// The indexes as they are made by hand.
const (
	loadKey      = "ALTER TABLE orders ADD PRIMARY KEY (id)"
	loadCustomer = "CREATE INDEX ON orders (customer, id)"
	loadTime     = "CREATE INDEX ON orders (placed_at)"
)

// byHand is a way to load the table with the servers' own clients.
type byHand struct {
	reader string
	before []string // made before the rows
	after  []string // made after them, those of one line side by side
	least  float64  // of its rate, pipe's
}

// The two ways to understand "mariadb -q piped into psql COPY, indexes included". The second is what one
// writes who knows PostgreSQL well.
var byHands = [...]byHand{
	{"mariadb -q | COPY into the indexed table", []string{loadKey, loadCustomer, loadTime}, nil, 1.5},
	{"mariadb -q | COPY, then indexes", nil, []string{loadKey, loadCustomer + " | " + loadTime}, 1.5},
}

// The ways of pipe, by the attributes of the block load.
var loadWays = [...]struct{ reader, attributes string }{
	{"pipe, two workers", ""}, {"pipe, two workers, unlogged", "unlogged = true"},
}

// mariaLoadRound loads the table by hand and by pipe, logged and not.
func (b *bench) mariaLoadRound(ctx context.Context, m *server.MariaDB) error {
	workload := fmt.Sprintf("MariaDB, load of %d rows and 3 indexes", b.rows)
	for i := range byHands {
		if err := b.loadByHand(ctx, m, workload, &byHands[i]); err != nil {
			return err
		}
	}
	for _, way := range loadWays {
		if err := b.loadByPipe(ctx, m, workload, way.reader, way.attributes); err != nil {
			return err
		}
	}
	return nil
}

// loadByHand loads rows and makes indexes in one way.
func (b *bench) loadByHand(ctx context.Context, m *server.MariaDB, workload string, way *byHand) error {
	if err := b.emptyTarget(ctx); err != nil {
		return err
	}
	say("%s: %s", workload, way.reader)
	began := b.usage(m.Pid())
	rows, err := timed(ctx, []string{"PGTZ=UTC"}, "bash", "-c", b.rowsScript(m, way.before))
	if err != nil {
		return err
	}
	loaded := b.usage(m.Pid())
	indexes, err := timed(ctx, nil, "bash", "-c", b.indexScript(way.after))
	if err != nil {
		return err
	}
	ended := b.usage(m.Pid())
	if err := b.checkLoad(ctx, way.reader); err != nil {
		return err
	}
	b.results.addPart(workload, way.reader, "rows", loaded.since(began, rows.cpu))
	b.results.addPart(workload, way.reader, "indexes, ANALYZE", ended.since(loaded, indexes.cpu))
	all := rows.plus(indexes)
	all.wall = rows.wall + indexes.wall
	b.results.add(workload, way.reader, b.rows, all, target{})
	return nil
}

// loadByPipe loads the table by pipe, whose log says when it begins with what is done after the rows.
func (b *bench) loadByPipe(ctx context.Context, m *server.MariaDB, workload, reader, attributes string) error {
	if err := b.emptyTarget(ctx); err != nil {
		return err
	}
	b.runs++
	say("%s: %s", workload, reader)
	began := b.usage(m.Pid())
	loaded := began
	until := &border{word: "finishing a load", at: func(pid int) {
		loaded = b.usage(m.Pid())
		loaded.client = cpuOf(pid)
	}}
	s, err := b.pipeUntil(ctx, until, mariaCopyConfig("only", "load {\n    "+attributes+"\n  }"), "MARIADB="+m.DSN("bench"))
	if err != nil {
		return err
	}
	ended := b.usage(m.Pid())
	if err := b.checkLoad(ctx, reader); err != nil {
		return err
	}
	b.results.addPart(workload, reader, "rows", loaded.since(began, loaded.client))
	b.results.addPart(workload, reader, "indexes, ANALYZE", ended.since(loaded, s.cpu-loaded.client))
	for _, way := range byHands {
		b.results.add(workload, reader, b.rows, s, target{reader: way.reader, rate: way.least, rss: rssMax})
	}
	return nil
}

// emptyTarget leaves nothing of an earlier run in the target.
func (b *bench) emptyTarget(ctx context.Context) error {
	return b.exec(ctx, "target", "DROP TABLE IF EXISTS orders", "DROP SCHEMA IF EXISTS pipe CASCADE", "CHECKPOINT")
}

func (b *bench) psql() string {
	return fmt.Sprintf("'%s' -X -q -v ON_ERROR_STOP=1 -d '%s'", filepath.Join(b.pg.BinDir, "psql"), b.dsn("target"))
}

// rowsScript makes the table and copies the rows.
func (b *bench) rowsScript(m *server.MariaDB, before []string) string {
	script := fmt.Sprintf("set -e -o pipefail\n%s -c 'CREATE TABLE orders (%s)'\n", b.psql(), loadColumns)
	for _, sql := range before {
		script += fmt.Sprintf("%s -c '%s'\n", b.psql(), sql)
	}
	return script + fmt.Sprintf(`mariadb %s -q --skip-column-names -e "%s" | %s -c "COPY orders FROM STDIN (NULL 'NULL')"`,
		strings.Join(mariaArgs(m), " "), loadSelect, b.psql())
}

// indexScript makes indexes, those of one line side by side, and then the statistics.
func (b *bench) indexScript(lines []string) string {
	script := "set -e\n"
	for _, line := range lines {
		for sql := range strings.SplitSeq(line, " | ") {
			script += fmt.Sprintf("%s -c '%s' &\n", b.psql(), sql)
		}
		script += "for job in $(jobs -p); do wait $job; done\n"
	}
	return script + b.psql() + " -c 'ANALYZE orders'"
}

// checkLoad holds that all rows and indexes are there, and that the table is logged.
func (b *bench) checkLoad(ctx context.Context, reader string) error {
	got, err := b.text(ctx, "target", `SELECT (SELECT count(*) FROM orders) || ' rows, ' || count(*) || ' indexes, ' || min(relpersistence::text)
		FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE indrelid = 'orders'::regclass`)
	want := strconv.Itoa(b.rows) + " rows, 3 indexes, p"
	if err == nil && got != want {
		err = fmt.Errorf("%s left %s, want %s", reader, got, want)
	}
	return err
}
