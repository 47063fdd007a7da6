package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/pipetest/registry"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// planJSON makes a plan and returns it with its steps in one line each: "verb what name".
func planJSON(t *testing.T, args ...string) (planned, []string, said) {
	t.Helper()
	s := pipe(t, "", append([]string{"plan", "--json"}, args...)...)
	e := struct{ Result planned }{}
	if err := json.Unmarshal([]byte(s.out), &e); err != nil {
		t.Fatalf("%v: %+v", err, s)
	}
	if strings.Contains(s.out+s.err, canary) {
		t.Errorf("plan shows a password:\n%s%s", s.out, s.err)
	}
	var lines []string
	for _, n := range e.Result.Nodes {
		for _, step := range n.Steps {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", n.Address, step.Verb, step.What, step.Name)))
		}
	}
	return e.Result, lines, s
}

// stepOf returns the step of that verb and name.
func stepOf(t *testing.T, p planned, verb spec.Verb, name string) spec.Step {
	t.Helper()
	for _, n := range p.Nodes {
		for _, s := range n.Steps {
			if s.Verb == verb && s.Name == name {
				return s
			}
		}
	}
	t.Fatalf("no step to %s %s in %+v", verb, name, p)
	return spec.Step{}
}

func planScene(t *testing.T, pg *pipetest.PG) *scene {
	t.Helper()
	s := newScene(t, pg)
	pipetest.Exec(t, s.source, "INSERT INTO items SELECT i, 'v' FROM generate_series(1, 2000) i", "ANALYZE items",
		"CREATE TABLE orders (id bigint PRIMARY KEY, amount numeric(12,2) NOT NULL)")
	for _, e := range s.env {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	return s
}

func TestPlan(t *testing.T) {
	pg := pipetest.Postgres(t)
	s := planScene(t, pg)
	file := s.file(t, "plan.hcl", stateInFile+fromItems+toCopy)
	before := dump(t, s.source) + dump(t, s.target)

	p, lines, r := planJSON(t, "--exit-code", file)
	want := []string{
		"source.shop create publication fault", "source.shop create slot fault", "source.shop read rows public.items",
		"source.shop read rows public.orders", "source.shop follow stream wal",
		"sink.copy create schema pipe", "sink.copy create state pipe", "sink.copy create table public.items",
		"sink.copy create table public.orders",
	}
	if diff := cmp.Diff(want, lines); diff != "" || r.code != exitDiffers {
		t.Errorf("first start: exit code %d, -want +got:\n%s", r.code, diff)
	}
	if size := stepOf(t, p, spec.Read, "public.items").Size; size == nil || size.Rows != 2000 || size.Bytes <= 0 {
		t.Errorf("the size of items is %+v", size)
	}
	if sql := stepOf(t, p, spec.Create, "public.orders").SQL; sql !=
		`CREATE TABLE "public"."orders" ("id" bigint NOT NULL, "amount" numeric(12,2) NOT NULL, PRIMARY KEY ("id"))` {
		t.Errorf("orders is made by %s", sql)
	}
	if r := pipe(t, "", "plan", file); r.code != exitOK || !strings.Contains(r.out, "first start") ||
		!strings.Contains(r.out, "CREATE PUBLICATION") {
		t.Errorf("for people: %+v", r)
	}
	if after := dump(t, s.source) + dump(t, s.target); before != after {
		t.Error("plan has changed a server")
	}
	if _, err := os.Stat(s.state); err == nil {
		t.Error("plan has made a state file")
	}

	if r := pipe(t, "", "run", "--until-caught-up", file); r.code != exitOK {
		t.Fatalf("run: %+v", r)
	}
	p, lines, r = planJSON(t, "--exit-code", file)
	if p.Changes != 0 || r.code != exitOK || !slices.Contains(lines, "source.shop keep rows public.items") {
		t.Errorf("nothing to do: exit code %d, %q", r.code, lines)
	}

	pipetest.Exec(t, s.source, "ALTER TABLE items ADD COLUMN note text")
	p, _, _ = planJSON(t, file)
	if sql := stepOf(t, p, spec.Alter, "public.items").SQL; !strings.Contains(sql, `ADD COLUMN IF NOT EXISTS "note" text`) {
		t.Errorf("a new column is added by %s", sql)
	}
}

// TestPlanTables: tables that come and go, by the ledger in the checkpoint.
func TestPlanTables(t *testing.T) {
	s := planScene(t, pipetest.Postgres(t))
	file := s.file(t, "plan.hcl", stateInFile+fromItems+toCopy)
	if r := pipe(t, "", "run", "--until-caught-up", file); r.code != exitOK {
		t.Fatalf("run: %+v", r)
	}
	entry := func(table, text string) {
		pipetest.Exec(t, s.target, fmt.Sprintf(`INSERT INTO pipe.checkpoint (pipeline, sink, stream, position)
			VALUES ('fault', 'sink.copy', 'source.shop/table/%s', '00000000000000FF/%s')
			ON CONFLICT (pipeline, sink, stream) DO UPDATE SET position = excluded.position`, table, text))
	}
	entry("public.items", `{"status":"done","ended":"2026-01-02T03:04:05Z"}`)
	entry("public.orders", `{"status":"running","planned":true,"chunks_done":7,"left":[{"cut":1},{"cut":1}]}`)
	entry("public.gone", `{"status":"done"}`)
	pipetest.Exec(t, s.source, "CREATE TABLE fresh (id int PRIMARY KEY)")
	p, lines, _ := planJSON(t, file)
	for _, want := range []string{
		"source.shop alter publication fault", "source.shop keep slot fault", "source.shop keep rows public.items",
		"source.shop finish rows public.orders", "source.shop read rows public.fresh", "source.shop forget table public.gone",
		"source.shop follow stream wal", "sink.copy create table public.fresh",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("the plan lacks %q: %q", want, lines)
		}
	}
	if why := stepOf(t, p, spec.Read, "public.fresh").Why; why != "it was added" {
		t.Errorf("fresh is read because %q", why)
	}
	if why := stepOf(t, p, spec.Finish, "public.orders").Why; !strings.Contains(why, "7 chunks") || !strings.Contains(why, "2 pieces") {
		t.Errorf("orders is finished because %q", why)
	}
	moved := s.file(t, "moved.hcl", stateInFile+strings.ReplaceAll(fromItems+toCopy, ".shop", ".store")+
		"moved {\n  from = source.shop\n  to   = source.store\n}\n")
	text, err := os.ReadFile(moved)
	if err != nil {
		t.Fatal(err)
	}
	moved = s.file(t, "moved.hcl", strings.Replace(string(text), `"postgres" "shop"`, `"postgres" "store"`, 1))
	p, lines, r := planJSON(t, moved)
	if p.Nodes[0].Was != "source.shop" || !slices.Contains(lines, "source.store keep rows public.items") {
		t.Errorf("a renamed source: %q %+v", lines, r)
	}
	unmoved := s.file(t, "unmoved.hcl", strings.Split(strings.Replace(string(text), `"postgres" "shop"`, `"postgres" "store"`, 1), "moved {")[0])
	p, lines, _ = planJSON(t, unmoved)
	if !slices.Equal(p.Removed, []string{"source.shop"}) || !slices.Contains(lines, "source.store read rows public.items") {
		t.Errorf("another source: removed %q, %q", p.Removed, lines)
	}
}

func TestPlanRefused(t *testing.T) {
	s := planScene(t, pipetest.Postgres(t))
	file := s.file(t, "plan.hcl", stateInFile+fromItems+toCopy)
	if r := pipe(t, "", "run", "--until-caught-up", file); r.code != exitOK {
		t.Fatalf("run: %+v", r)
	}
	pipetest.Exec(t, s.source, dropSlot)
	p, lines, r := planJSON(t, file)
	if r.code != exitEnvironment || p.Refused == 0 || !slices.Contains(lines, "source.shop refuse stream") {
		t.Errorf("the slot is lost: exit code %d, %q", r.code, lines)
	}
	if why := stepOf(t, p, spec.Refuse, "").Why; !strings.Contains(why, "gone") {
		t.Errorf("the start is refused because %q", why)
	}
	needed := s.file(t, "needed.hcl", stateInFile+strings.Replace(fromItems, "tables ", "snapshot = \"when_needed\"\n  tables ", 1)+toCopy)
	p, lines, r = planJSON(t, "--exit-code", needed)
	if r.code != exitDiffers || !slices.Contains(lines, "source.shop create slot fault") ||
		!strings.Contains(stepOf(t, p, spec.Read, "public.items").Why, "lost") {
		t.Errorf("the slot is lost, and needed again: exit code %d, %q", r.code, lines)
	}
	strict := s.file(t, "strict.hcl", stateInFile+strings.Replace(fromItems, `["slot", "publication"]`, "[]", 1)+
		strings.Replace(toCopy, "dsn ", "into = \"x.${table.name}\"\n  create_tables = false\n  dsn ", 1))
	_, lines, r = planJSON(t, strict)
	if r.code != exitEnvironment || !slices.Contains(lines, "sink.copy refuse table x.items") {
		t.Errorf("nothing may be made: exit code %d, %q", r.code, lines)
	}
}

// TestPlanReadOnly: a role that may only look is enough.
func TestPlanReadOnly(t *testing.T) {
	pg := pipetest.Postgres(t)
	s := planScene(t, pg)
	pipetest.Exec(t, s.source, "CREATE ROLE looker LOGIN REPLICATION PASSWORD '"+canary+"'", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker")
	file := s.file(t, "plan.hcl", stateInFile+fromItems+toCopy)
	if r := pipe(t, "", "run", "--until-caught-up", file); r.code != exitOK {
		t.Fatalf("run: %+v", r)
	}
	pipetest.Exec(t, s.target, "GRANT USAGE ON SCHEMA pipe TO looker", "GRANT SELECT ON ALL TABLES IN SCHEMA pipe, public TO looker")
	owner := strings.Split(strings.TrimPrefix(s.env[0], "SOURCE=postgres://"), ":")[0]
	for _, e := range s.env[:2] {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, strings.Replace(value, "//"+owner+":", "//looker:", 1))
	}
	p, lines, r := planJSON(t, "--exit-code", file)
	if r.code != exitOK || p.Changes != 0 {
		t.Errorf("as a role that may only look: exit code %d, %q\n%s%s", r.code, lines, r.out, r.err)
	}
}

func TestRunPlan(t *testing.T) {
	s := planScene(t, pipetest.Postgres(t))
	file := s.file(t, "plan.hcl", stateInFile+fromItems+toCopy)
	plan := s.dir + "/plan.json"
	if r := pipe(t, "", "plan", "--out", plan, file); r.code != exitOK {
		t.Fatalf("plan --out: %+v", r)
	}
	pipetest.Exec(t, s.source, "INSERT INTO items VALUES (5000, 'later')", "CREATE TABLE sneaked (id int PRIMARY KEY)")
	r := pipe(t, "", "run", "--until-caught-up", "--plan", plan, file)
	if r.code != exitDiffers || !strings.Contains(r.err, "+ source.shop: read rows public.sneaked") {
		t.Errorf("another plan: %+v", r)
	}
	pipetest.Exec(t, s.source, "DROP TABLE sneaked")
	if r := pipe(t, "", "run", "--until-caught-up", "--plan", plan, file); r.code != exitOK {
		t.Errorf("the same plan: %+v", r)
	}
	if r := pipe(t, "", "run", "--until-caught-up", "--plan", plan, file); r.code != exitDiffers {
		t.Errorf("a plan that was carried out: %+v", r)
	}
	text, err := os.ReadFile(plan)
	if err != nil {
		t.Fatal(err)
	}
	s.file(t, "plan.json", strings.Replace(string(text), "public.orders", "public.others", 1))
	if r := pipe(t, "", "run", "--until-caught-up", "--plan", plan, file); r.code != exitInput || !strings.Contains(r.err, "changed after") {
		t.Errorf("a plan that was changed: %+v", r)
	}
}

// TestPlanState: state "postgres" is read without being taken.
func TestPlanState(t *testing.T) {
	s := planScene(t, pipetest.Postgres(t))
	state := "pipeline \"fault\" {\n  state \"postgres\" {\n    dsn    = env(\"TARGET\")\n    schema = \"kept\"\n  }\n}\n"
	file := s.file(t, "plan.hcl", state+fromItems+"sink \"discard\" \"none\" {\n  from = source.shop\n}\n")
	_, lines, _ := planJSON(t, file)
	if !slices.Contains(lines, "state create state kept") {
		t.Errorf("first start: %q", lines)
	}
	if r := pipe(t, "", "run", "--until-caught-up", file); r.code != exitOK {
		t.Fatalf("run: %+v", r)
	}
	p, lines, r := planJSON(t, "--exit-code", file)
	if r.code != exitOK || p.Changes != 0 || !slices.Contains(lines, "source.shop keep rows public.items") {
		t.Errorf("nothing to do: exit code %d, %q", r.code, lines)
	}
}

// TestPlanText is a plan as people see it.
func TestPlanText(t *testing.T) {
	p := planned{Nodes: []plannedNode{
		{Address: "source.shop", Type: "postgres", Was: "source.store", Steps: []spec.Step{
			{Verb: spec.Create, What: "slot", Name: "s", Why: "it does not exist", SQL: "CREATE_REPLICATION_SLOT s"},
			{Verb: spec.Read, What: "rows", Name: "public.items", Why: "it was added", Size: &spec.Size{Rows: 12345, Bytes: 3 << 20}},
			{Verb: spec.Forget, What: "table", Name: "public.gone"},
			{Verb: spec.Follow, What: "stream", Name: "wal", Place: "0/1A2B", Why: "from the saved position"},
		}},
		{Address: "sink.copy", Type: "postgres", Steps: []spec.Step{
			{Verb: spec.Create, What: "table", Name: "public.items", For: "public.items", SQL: "CREATE TABLE x ()"},
			{Verb: spec.Create, What: "table", Name: "public.quiet", For: "public.quiet"},
			{Verb: spec.Alter, What: "table", Name: "public.old\x1b", Why: "to hold public.old"},
		}},
		{Address: "sink.none", Type: "discard"},
	}, Removed: []string{"source.other"}}
	p.count()
	var b strings.Builder
	p.print(&b)
	want := `source.shop (postgres)
  = moved from source.store: its positions go with it
  + create slot s: it does not exist
      CREATE_REPLICATION_SLOT s
  > read rows public.items (~12,345 rows, 3.0 MiB): it was added
  - forget table public.gone
  = follow stream wal at 0/1A2B: from the saved position

sink.copy (postgres)
  + create table public.items
      CREATE TABLE x ()
  = create, when a first row comes, table public.quiet
  ~ alter table public.old�: to hold public.old

source.other
  = removed from the configuration: its saved positions stay, and so does what it has at its server; a replication slot that nobody reads keeps the log: drop it

2 to create, 1 to alter, 1 to forget, 1 table to read (~12,345 rows)
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	p.Nodes[0].Steps[0].Verb = spec.Refuse
	p.Changes, p.Refused = 0, 0
	if p.count(); p.summary() != "the start would be refused: 1 reason" {
		t.Errorf("summary %q", p.summary())
	}
}

func TestPlanKafka(t *testing.T) {
	s := planScene(t, pipetest.Postgres(t))
	kafka, reg := pipetest.Kafka(t), pipetest.Registry(t, registry.Config{})
	file := s.file(t, "plan.hcl", stateInFile+fromItems+fmt.Sprintf(`
sink "kafka" "events" {
  from    = source.shop
  brokers = [%q]
  topic   = "t.${table.name}"
  format "avro" {
    registry      = %q
    auto_register = true
  }
  create_topics {
    partitions = 3
  }
}
`, kafka.Addrs[0], reg.URL))
	_, lines, r := planJSON(t, "--exit-code", file)
	for _, want := range []string{"create topic t.items", "create topic t.orders", "create subject t.items-key", "create subject t.items-value"} {
		if !slices.Contains(lines, "sink.events "+want) {
			t.Errorf("the plan lacks %q: %q", want, lines)
		}
	}
	if _, again, _ := planJSON(t, file); r.code != exitDiffers || !slices.Equal(lines, again) {
		t.Errorf("a plan has made something: exit code %d\n%q\n%q", r.code, lines, again)
	}
	if r := pipe(t, "", "run", "--until-caught-up", file); r.code != exitOK {
		t.Fatalf("run: %+v", r)
	}
	p, lines, _ := planJSON(t, file)
	if !slices.Contains(lines, "sink.events keep topic t.items") || !slices.Contains(lines, "sink.events keep subject t.items-value") ||
		stepOf(t, p, spec.Create, "t.orders").What != "topic" {
		t.Errorf("after a run: %q", lines)
	}
}

func TestPlanMariaDB(t *testing.T) {
	maria, pg := pipetest.MariaDB(t), pipetest.Postgres(t)
	t.Setenv("TARGET", pg.Database(t))
	t.Setenv("MARIADB_URL", maria.DSN(""))
	t.Setenv("STATE", t.TempDir()+"/state")
	maria.Exec(t, "", "CREATE DATABASE shop; CREATE TABLE shop.items (id int PRIMARY KEY, v text); INSERT INTO shop.items VALUES (1, 'a')")
	file := t.TempDir() + "/plan.hcl"
	text := stateInFile + `
source "mariadb" "shop" {
  dsn    = env("MARIADB_URL")
  tables = ["shop.*"]
}
` + toCopy
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, lines, _ := planJSON(t, file)
	want := []string{"source.shop read rows shop.items", "source.shop follow stream binlog", "sink.copy create schema pipe",
		"sink.copy create state pipe", "sink.copy create schema shop", "sink.copy create table shop.items"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("first start: -want +got:\n%s", diff)
	}
	if r := pipe(t, "", "run", "--until-caught-up", file); r.code != exitOK {
		t.Fatalf("run: %+v", r)
	}
	if p, lines, r := planJSON(t, "--exit-code", file); p.Changes != 0 || r.code != exitOK {
		t.Errorf("nothing to do: exit code %d, %q", r.code, lines)
	}
	maria.Exec(t, "", "INSERT INTO shop.items VALUES (2, 'b'); FLUSH BINARY LOGS; INSERT INTO shop.items VALUES (3, 'c'); FLUSH BINARY LOGS")
	for len(maria.QueryText(t, "", "SHOW BINARY LOGS")) > 1 { // the server keeps a file until its engines have written what it holds
		logs := maria.QueryText(t, "", "SHOW BINARY LOGS")
		maria.Exec(t, "", "FLUSH ENGINE LOGS; PURGE BINARY LOGS TO '"+logs[len(logs)-1][0]+"'")
	}
	if p, lines, r := planJSON(t, file); p.Refused != 1 || r.code != exitEnvironment {
		t.Errorf("the log is purged: exit code %d, %q", r.code, lines)
	}
}

// TestPlanUnreachable: a server that is away ends plan and verify with the exit code for it.
func TestPlanUnreachable(t *testing.T) {
	t.Chdir(t.TempDir())
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dsn := "postgres://app:" + canary + "@" + free.Addr().String() + "/shop?sslmode=disable"
	free.Close()
	connectConfig(t, dsn, dsn, "true")
	for _, command := range []string{"plan", "verify"} {
		s := pipe(t, "", command, "shop.hcl")
		if s.code != exitEnvironment || strings.Contains(s.out+s.err, canary) {
			t.Errorf("%s: %+v", command, s)
		}
	}
}
