package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestFaultValidate lets pipe validate --connect find what would stop a run: each finding has a code,
// says what is wrong, and how to repair it.
func TestFaultValidate(t *testing.T) {
	pg := pipetest.Postgres(t, "log_min_messages=panic")
	replica := pipetest.Postgres(t, "log_min_messages=panic", "wal_level=replica")
	pipetest.Exec(t, pg.DSN("postgres"), fmt.Sprintf("CREATE ROLE nothing LOGIN PASSWORD '%s'", canary),
		fmt.Sprintf("CREATE ROLE replicator LOGIN REPLICATION PASSWORD '%s'", canary))
	plain := stateInFile + fromItems + toCopy
	bus := stateInFile + fromItems + toTopics
	cases := []struct {
		name   string
		text   string
		breaks func(t *testing.T, s *scene)
		code   int
		found  string // the code of the finding
		says   []string
		fix    string
	}{
		{"wal_level", plain, func(t *testing.T, s *scene) { s.env = append(s.env, "SOURCE="+secretDSN(t, replica.Database(t))) },
			exitInput, "PG-002", []string{"wal_level is replica"}, "ALTER SYSTEM SET wal_level"},
		{"no table", replaced(t, plain, `["public.*"]`, `["public.nothing"]`), nil,
			exitInput, "PG-003", []string{"no table", "matches"}, "pipe tables"},
		{"one pattern without a table", replaced(t, plain, `["public.*"]`, `["public.items", "public.itmes"]`), nil,
			exitOK, "PG-", []string{"public.itmes"}, ""},
		{"no replica identity", plain, func(t *testing.T, s *scene) { pipetest.Exec(t, s.source, "CREATE TABLE keyless (v text)") },
			exitInput, "PG-103", []string{"public.keyless", "no replica identity"}, "REPLICA IDENTITY FULL"},
		{"no REPLICATION", plain, func(t *testing.T, s *scene) { s.env = append(s.env, "SOURCE="+asRole(t, s.source, "nothing")) },
			exitInput, "PG-002", []string{"role nothing", "replication"}, `ALTER ROLE "nothing" REPLICATION`},
		{"no SELECT", plain, func(t *testing.T, s *scene) { s.env = append(s.env, "SOURCE="+asRole(t, s.source, "replicator")) },
			exitInput, "PG-104", []string{"role replicator may not read public.items"}, "GRANT SELECT ON"},
		{"may not create the publication", plain, func(t *testing.T, s *scene) {
			pipetest.Exec(t, s.source, "GRANT SELECT ON items TO replicator")
			s.env = append(s.env, "SOURCE="+asRole(t, s.source, "replicator"))
		}, exitInput, "PG-004", []string{"replicator", "publication"}, "CREATE PUBLICATION"},
		{"no publication", replaced(t, plain, `["slot", "publication"]`, "[]"), nil,
			exitInput, "PG-004", []string{"publication fault does not exist"}, "CREATE PUBLICATION"},
		{"no slot", replaced(t, plain, `["slot", "publication"]`, "[]"), nil,
			exitInput, "PG-005", []string{"slot fault does not exist"}, "pg_create_logical_replication_slot"},
		{"source away", plain, func(t *testing.T, s *scene) { s.env = append(s.env, "SOURCE=postgres://app:"+canary+"@127.0.0.1:1/x") },
			exitEnvironment, "PG-001", []string{"127.0.0.1:1"}, "Check host, port"},
		{"no database", plain, func(t *testing.T, s *scene) { s.env = append(s.env, "SOURCE="+secretDSN(t, pg.DSN("none"))) },
			exitEnvironment, "PG-001", []string{"none", "does not exist"}, "name"},
		{"target away", plain, func(t *testing.T, s *scene) { s.env = append(s.env, "TARGET=postgres://app:"+canary+"@127.0.0.1:1/x") },
			exitEnvironment, "PGS-001", []string{"127.0.0.1:1"}, "Check that the server runs"},
		{"target's type", plain, func(t *testing.T, s *scene) {
			pipetest.Exec(t, s.source, "ALTER TABLE items ADD b bool")
			pipetest.Exec(t, s.target, "CREATE TABLE items (id int PRIMARY KEY, v text, b date)")
		},
			exitInput, "PGS-018", []string{"public.items", "column b"}, "type"},
		{"target missing", replaced(t, plain, "  from = source.shop\n", "  from = source.shop\n  create_tables = false\n"), nil,
			exitInput, "PGS-015", []string{"items", "does not exist"}, "create_tables"},
		{"target role", plain, func(t *testing.T, s *scene) { s.env = append(s.env, "TARGET="+asRole(t, s.target, "nothing")) },
			exitInput, "PGS-005", []string{"schema for positions"}, "CREATE SCHEMA"},
		{"broker away", bus, func(t *testing.T, s *scene) { s.openBus(t).broker.Close() },
			exitEnvironment, "KAFKA-001", []string{"no broker answers"}, "brokers"},
		{"registry away", bus, func(t *testing.T, s *scene) { s.openBus(t).closeRegistry(t) },
			exitEnvironment, "KAFKA-003", []string{"registry"}, "registry"},
		{"registry's password", bus, func(t *testing.T, s *scene) { s.openBus(t).guard(t, "another password") },
			exitEnvironment, "KAFKA-003", []string{"Unauthorized"}, "password"},
		{"no topic", replaced(t, bus, "  create_topics {\n    partitions = 1\n  }\n", ""), func(t *testing.T, s *scene) { s.openBus(t) },
			exitEnvironment, "KAFKA-004", []string{"topic shop.items"}, "create_topics"},
		{"incompatible schema", bus, func(t *testing.T, s *scene) {
			s.openBus(t)
			s.runs(t, "run", "--until-caught-up", s.file(t, "first.hcl", bus))
			s.insert(t, 1, 1)
			s.runs(t, "run", "--until-caught-up", s.file(t, "first.hcl", bus))
			pipetest.Exec(t, s.source, "ALTER TABLE items ALTER v TYPE int USING id")
		}, exitInput, "KAFKA-009", []string{"public.items", "shop.items-value"}, "compatibl"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, pg)
			if c.breaks != nil {
				c.breaks(t, s)
			}
			before := s.traces(t)
			file := s.file(t, "run.hcl", c.text)
			s.refused(t, c.code, c.says, "validate", "--connect", file)
			p := s.refused(t, c.code, nil, "validate", "--connect", "--json", file)
			if f := findingWith(t, p.out.String(), c.found, c.says); f == nil {
				t.Errorf("no finding %s with %q", c.found, c.says)
			} else if !strings.Contains(f.Fix, c.fix) {
				t.Errorf("finding %s: the fix is %q, want one with %q", c.found, f.Fix, c.fix)
			}
			if after := s.traces(t); !slices.Equal(before, after) {
				t.Errorf("validate changed %q to %q", before, after)
			}
		})
	}
}

// findingWith returns the finding whose code begins so and that says all of the texts, nil if none.
func findingWith(t *testing.T, out, code string, says []string) *finding {
	t.Helper()
	var e struct{ Result verdict }
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	for i := range e.Result.Findings {
		f := &e.Result.Findings[i]
		missing := func(text string) bool { return !strings.Contains(f.Summary+f.Detail, text) }
		if strings.HasPrefix(f.Code, code) && f.Summary != "" && !slices.ContainsFunc(says, missing) {
			return f
		}
	}
	return nil
}
