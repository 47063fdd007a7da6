package pipetest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest/server"
)

// Maria is a private MariaDB server with a row-based binary log and full row metadata.
type Maria struct {
	*server.MariaDB
	databases atomic.Int64
}

// RunWithMariaDB starts a server, stores it in srv, runs the tests of a package and stops the
// server. For TestMain. Settings are "name=value" as in my.cnf.
func RunWithMariaDB(m *testing.M, srv **Maria, settings ...string) int {
	s, err := server.StartMariaDB(context.Background(), server.MariaDBConfig{Settings: settings})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*srv = &Maria{MariaDB: s}
	code := m.Run()
	if code != 0 {
		fmt.Fprintf(os.Stderr, "MariaDB complained:\n%s\n", complaints(s.Log()))
	}
	if err := s.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// MariaDB starts a server for one test; it is stopped when the test ends, and what it complained of
// is shown if the test failed.
func MariaDB(t testing.TB, settings ...string) *Maria {
	t.Helper()
	s, err := server.StartMariaDB(t.Context(), server.MariaDBConfig{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("MariaDB complained:\n%s", complaints(s.Log()))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Maria{MariaDB: s}
}

// Restart stops the server, "fast" or "immediate" (crash), and starts it again.
func (m *Maria) Restart(t testing.TB, mode string) {
	t.Helper()
	switch mode {
	case "fast":
		if err := m.Stop(); err != nil {
			t.Fatal(err)
		}
	case "immediate":
		m.MariaDB.Kill()
	default:
		t.Fatalf("restart mode %q: want fast or immediate", mode)
	}
	m.StartAgain(t)
}

// Kill ends the server by SIGKILL; StartAgain brings it back.
func (m *Maria) Kill(t testing.TB) {
	t.Helper()
	m.MariaDB.Kill()
}

// StartAgain starts a server that was stopped or killed.
func (m *Maria) StartAgain(t testing.TB) {
	t.Helper()
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Database creates a database with a fresh name and returns its name; DSN makes a URL of it. It is
// dropped when the test ends.
func (m *Maria) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", m.databases.Add(1))
	m.Exec(t, "", "CREATE DATABASE "+name)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupWithin)
		defer cancel()
		if _, err := m.Query(ctx, "", "DROP DATABASE IF EXISTS "+name); err != nil {
			t.Errorf("drop database %s: %v", name, err)
		}
	})
	return name
}

// Exec runs statements as root in a database ("": none).
func (m *Maria) Exec(t testing.TB, database string, sql ...string) {
	t.Helper()
	if _, err := m.Query(t.Context(), database, strings.Join(sql, ";\n")+";"); err != nil {
		t.Fatalf("%v in\n%s", err, strings.Join(sql, ";\n"))
	}
}

// QueryText returns the rows of a query, every value as the client prints it, NULL as "NULL".
func (m *Maria) QueryText(t testing.TB, database, sql string) [][]string {
	t.Helper()
	out, err := m.Query(t.Context(), database, sql+";")
	if err != nil {
		t.Fatalf("%v in\n%s", err, sql)
	}
	var rows [][]string
	for line := range strings.Lines(out) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows
}
