package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline/pipetest/server"
)

// mariaTable is the workload's table as MariaDB has it.
const mariaTable = `CREATE TABLE orders (
	id         bigint PRIMARY KEY,
	customer   int NOT NULL,
	kind       int NOT NULL,
	quantity   int NOT NULL,
	amount     decimal(12,2) NOT NULL,
	code       varchar(20) NOT NULL,
	note       text,
	placed_at  timestamp(6) NOT NULL,
	express    bit(1) NOT NULL,
	attributes longtext
)`

// mariaRows selects rows from one id to another.
func mariaRows(first, last int) string {
	return fmt.Sprintf(`SELECT seq, seq %% 50000, seq %% 7, seq %% 13, (seq %% 1000000) / 100.0, CONCAT('C', seq),
		CONCAT('a note of about a hundred bytes, so that the row has the size that rows have: ', MD5(seq)),
		TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND, seq %% 3 = 0, CONCAT('{"n": ', seq, ', "x": ', seq %% 10, '}')
		FROM seq_%d_to_%d`, first, last)
}

// mariaSource measures a snapshot of MariaDB to nowhere, beside the client that prints the table, and
// its binary log to nowhere, beside mariadb-binlog.
func mariaSource(ctx context.Context, b *bench) error {
	m, err := server.StartMariaDB(ctx, server.MariaDBConfig{Settings: []string{"innodb_buffer_pool_size=1G", "innodb_flush_log_at_trx_commit=2"}})
	if err != nil {
		return err
	}
	defer m.Close()
	log, err := b.mariaLog(ctx, m)
	if err != nil {
		return err
	}
	for range b.rounds {
		if err := b.mariaRound(ctx, m, log); err != nil {
			return err
		}
	}
	return nil
}

// mariaLog writes the workload into a binary log of its own and returns the log's name. A run before
// it leaves the position that the measured ones begin from.
func (b *bench) mariaLog(ctx context.Context, m *server.MariaDB) (string, error) {
	if _, err := m.Query(ctx, "", "CREATE DATABASE bench; USE bench; "+mariaTable+"; FLUSH BINARY LOGS"); err != nil {
		return "", err
	}
	status, err := m.Query(ctx, "", "SHOW MASTER STATUS")
	if err != nil {
		return "", err
	}
	if _, err := b.mariaPipe(ctx, m, "never", "start"); err != nil {
		return "", err
	}
	say("writing %d rows in transactions of 10000", b.rows)
	for first := 1; first <= b.rows; first += 10_000 {
		if _, err := m.Query(ctx, "bench", "INSERT INTO orders "+mariaRows(first, first+9_999)); err != nil {
			return "", err
		}
	}
	log, _, _ := strings.Cut(strings.TrimSpace(status), "\t")
	return log, nil
}

func (b *bench) mariaRound(ctx context.Context, m *server.MariaDB, log string) error {
	workload := fmt.Sprintf("MariaDB, snapshot of %d rows", b.rows)
	say("%s: mariadb -q", workload)
	client := "mariadb " + strings.Join(mariaArgs(m), " ") + " -q -e 'SELECT * FROM bench.orders' >/dev/null"
	s, err := timed(ctx, nil, "bash", "-c", "exec "+client)
	if err != nil {
		return err
	}
	b.results.add(workload, "mariadb -q", b.rows, s, target{})
	say("%s: pipe", workload)
	if s, err = b.mariaPipe(ctx, m, "only", fmt.Sprintf("snapshot%d", b.runs)); err != nil {
		return err
	}
	b.results.add(workload, "pipe, one worker", b.rows, s, target{reader: "mariadb -q", rate: 1, rss: rssMax})

	workload = fmt.Sprintf("MariaDB, binary log of %d rows", b.rows)
	say("%s: mariadb-binlog --raw", workload)
	args := append(mariaArgs(m), "--read-from-remote-server", "--raw", "--to-last-log", "--result-file="+b.dir+"/raw-", log)
	if s, err = timed(ctx, nil, "mariadb-binlog", args...); err != nil {
		return err
	}
	b.results.add(workload, "mariadb-binlog --raw", b.rows, s, target{})
	say("%s: pipe", workload)
	state, err := os.ReadFile(filepath.Join(b.dir, "maria-start", "state"))
	if err != nil {
		return err
	}
	name := fmt.Sprintf("log%d", b.runs)
	if err := os.MkdirAll(filepath.Join(b.dir, "maria-"+name), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.dir, "maria-"+name, "state"), state, 0o600); err != nil {
		return err
	}
	if s, err = b.mariaPipe(ctx, m, "never", name); err != nil {
		return err
	}
	b.results.add(workload, "pipe", b.rows, s, target{reader: "mariadb-binlog --raw", rate: 0.8, rss: rssMax})
	return nil
}

// mariaPipe runs pipe from MariaDB to nowhere, with a state of that name.
func (b *bench) mariaPipe(ctx context.Context, m *server.MariaDB, snapshot, name string) (sample, error) {
	b.runs++
	dir := filepath.Join(b.dir, "maria-"+name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return sample{}, err
	}
	file := filepath.Join(dir, "bench.hcl")
	if err := os.WriteFile(file, []byte(mariaConfig(snapshot)), 0o600); err != nil {
		return sample{}, err
	}
	return timed(ctx, []string{"MARIADB=" + m.DSN("bench"), "STATE=" + filepath.Join(dir, "state")},
		b.options.pipe, "run", "--until-caught-up", file)
}

// mariaArgs are a client's arguments for the server.
func mariaArgs(m *server.MariaDB) []string {
	return []string{"--protocol=tcp", "-h", "127.0.0.1", "-P", strconv.Itoa(m.Port), "-u", "pipe", "-ppipe"}
}
