package main

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/pipetest/registry"
)

// TestFaultKafkaRefuses: what a broker or a registry refuses stops the pipeline with the place and
// the fix, and nothing of it is acknowledged.
func TestFaultKafkaRefuses(t *testing.T) {
	pg := pipetest.Postgres(t, "log_min_messages=panic")
	plain := stateInFile + fromItems + toTopics
	t.Run("topic missing", func(t *testing.T) {
		s := newScene(t, pg)
		s.openBus(t)
		s.insert(t, 1, 10)
		text := replaced(t, plain, "  create_topics {\n    partitions = 1\n  }\n", "")
		s.refused(t, exitEnvironment, []string{"sink.events", "public.items", "topic shop.items", "create_topics"}, "run", s.file(t, "run.hcl", text))
		if _, ok := savedPosition(t, s.state); ok {
			t.Error("a position was saved")
		}
	})
	t.Run("record too large", func(t *testing.T) {
		s := newScene(t, pg)
		b := s.openBus(t)
		s.insert(t, 1, 10)
		file := s.file(t, "run.hcl", plain)
		s.runs(t, "run", "--until-caught-up", file)
		before := s.confirmed(t)
		pipetest.Exec(t, s.source, `INSERT INTO items SELECT 11, string_agg(md5(i::text || random()), '') FROM generate_series(1, 100000) i`)
		s.refused(t, exitInput, []string{"sink.events", "public.items", "id=11", "topic shop.items", "MESSAGE_TOO_LARGE", "batch_bytes"}, "run", file)
		s.unmoved(t, before)
		s.delivered(t, b, 10)
	})
	t.Run("incompatible schema", func(t *testing.T) {
		s := newScene(t, pg)
		b := s.openBus(t)
		s.insert(t, 1, 10)
		file := s.file(t, "run.hcl", plain)
		s.runs(t, "run", "--until-caught-up", file)
		before := s.confirmed(t)
		pipetest.Exec(t, s.source, "ALTER TABLE items ALTER v TYPE int USING id", "INSERT INTO items VALUES (11, 11)")
		s.refused(t, exitInput, []string{"sink.events", "public.items", "subject shop.items-value", "compatib"}, "run", file)
		s.unmoved(t, before)
		s.delivered(t, b, 10)
	})
	t.Run("wrong password", func(t *testing.T) {
		s := newScene(t, pg)
		b := s.openBus(t)
		b.broker.ControlKey(36, func(req kmsg.Request) (kmsg.Response, error, bool) {
			b.broker.KeepControl()
			resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
			resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
			return resp, nil, true
		})
		s.refused(t, exitEnvironment, []string{"sink.events", "sasl", "password"}, "run", s.file(t, "run.hcl", plain))
	})
	t.Run("wrong password of the registry", func(t *testing.T) {
		s := newScene(t, pg)
		b := s.openBus(t)
		s.insert(t, 1, 10)
		b.guard(t, "another password")
		s.refused(t, exitEnvironment, []string{"sink.events", "registry", "Unauthorized", "user and password"}, "run", s.file(t, "run.hcl", plain))
	})
	t.Run("not allowed", func(t *testing.T) {
		s := newScene(t, pg)
		b := s.openBus(t)
		b.broker.Close()
		b.dir = t.TempDir() // users are kept there, too
		b.openBroker(t, kfake.EnableACLs(), kfake.User("PLAIN", "guest", canary))
		s.insert(t, 1, 10)
		text := replaced(t, plain, "user      = \"app\"", "user      = \"guest\"")
		s.refused(t, exitEnvironment, []string{"sink.events", "topic shop.items", "Allow the sink's user"}, "run", s.file(t, "run.hcl", text))
	})
}

// guard puts a registry with another password in the place of the one that is open.
func (b *bus) guard(t *testing.T, password string) {
	t.Helper()
	var err error
	if b.registry, err = registry.New(registry.Config{User: "app", Password: password}); err != nil {
		t.Fatal(err)
	}
	b.closeRegistry(t)
	b.openRegistry(t)
}

// unmoved checks that nothing more was acknowledged to the source.
func (s *scene) unmoved(t *testing.T, before string) {
	t.Helper()
	if after := s.confirmed(t); after != before {
		t.Errorf("the slot moved from %s to %s although nothing was delivered", before, after)
	}
}

// TestFaultTargetRefuses: what a PostgreSQL target refuses stops the pipeline with table, key and
// position; once it is repaired the same row arrives.
func TestFaultTargetRefuses(t *testing.T) {
	pg := pipetest.Postgres(t, "log_min_messages=panic")
	strict := replaced(t, toCopy, "  from = source.shop\n", "  from = source.shop\n  create_tables = false\n  schema_changes = \"fail\"\n")
	cases := []struct {
		name, target string
		code         int
		says         []string
		repair       string
	}{
		{"no table", "", exitInput, []string{"items", "does not exist", "create_tables"}, "CREATE TABLE items (id int PRIMARY KEY, v text)"},
		{"no column", "CREATE TABLE items (id int PRIMARY KEY)", exitInput, []string{"public.items", "no column v", "ADD COLUMN"}, "ALTER TABLE items ADD v text"},
		{"another type", "CREATE TABLE items (id int PRIMARY KEY, v inet)", exitInput, []string{"public.items", "id=7", " at ", "v", "inet", "type"},
			"ALTER TABLE items ALTER v TYPE text"},
		{"no key", "CREATE TABLE items (id int, v text)", exitInput, []string{"public.items", "no unique index", "CREATE UNIQUE INDEX"}, "ALTER TABLE items ADD PRIMARY KEY (id)"},
		{"check", "CREATE TABLE items (id int PRIMARY KEY, v text CONSTRAINT seven CHECK (v <> 'v7'))", exitInput,
			[]string{"public.items", "id=7", " at ", "seven", "23514", "drop it there"}, "ALTER TABLE items DROP CONSTRAINT seven"},
		{"not null", "CREATE TABLE items (id int PRIMARY KEY, v text, w int NOT NULL)", exitInput,
			[]string{"public.items", "id=7", "w", "23502", "DROP NOT NULL"}, "ALTER TABLE items ALTER w DROP NOT NULL"},
		{"unique", "CREATE TABLE items (id int PRIMARY KEY, v text UNIQUE); INSERT INTO items VALUES (70, 'v7')", exitInput,
			[]string{"public.items", "id=7", "23505", "items_v_key"}, "DELETE FROM items"},
		{"too long", "CREATE TABLE items (id int PRIMARY KEY, v varchar(1))", exitInput, []string{"public.items", "id=7", "22001", "type"},
			"ALTER TABLE items ALTER v TYPE text"},
		{"no grant", "CREATE TABLE items (id int PRIMARY KEY, v text); REVOKE ALL ON items FROM app", exitEnvironment, []string{"items", "42501", "Grant"},
			"GRANT ALL ON items TO app"},
	}
	pipetest.Exec(t, pg.DSN("postgres"), fmt.Sprintf("CREATE ROLE app LOGIN PASSWORD '%s'", canary))
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, pg)
			if c.name == "no grant" {
				pipetest.Exec(t, s.target, "CREATE SCHEMA pipe AUTHORIZATION app")
				s.env = append(s.env, "TARGET="+asRole(t, s.target, "app"))
			}
			if c.target != "" {
				pipetest.Exec(t, s.target, c.target)
			}
			file := s.file(t, "run.hcl", stateInSink+replaced(t, fromItems, `create          = ["slot", "publication"]`, `snapshot = "never"`)+strict)
			pipetest.Exec(t, s.source, "CREATE PUBLICATION fault FOR TABLE items", "SELECT pg_create_logical_replication_slot('fault', 'pgoutput')")
			s.insert(t, 7, 7)
			s.refused(t, c.code, c.says, "run", "--until-caught-up", file)
			pipetest.Exec(t, s.target, c.repair)
			s.runs(t, "run", "--until-caught-up", file)
			s.equal(t)
		})
	}
}

// asRole returns a connection string with another role and the canary.
func asRole(t *testing.T, dsn, role string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, canary)
	return u.String()
}
