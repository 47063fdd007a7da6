package postgres

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

const catalogTables = `
CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('sad', 'ok');
ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok';
CREATE DOMAIN price AS numeric(10,3) NOT NULL;
CREATE TABLE facts (
	b int, a text, id bigint GENERATED ALWAYS AS IDENTITY, p price, m mood DEFAULT 'ok', ms mood[], n numeric(8,2)[],
	v varchar(20) NOT NULL, gone int, gen int GENERATED ALWAYS AS (b + 1) STORED, t timestamptz(3), c citext, tags price[],
	PRIMARY KEY (id, b));
ALTER TABLE facts DROP COLUMN gone;
CREATE TABLE byindex (a int NOT NULL, b int NOT NULL, c text, PRIMARY KEY (a));
CREATE UNIQUE INDEX "By B" ON byindex (b) INCLUDE (c); ALTER TABLE byindex REPLICA IDENTITY USING INDEX "By B";
CREATE TABLE full_nokey (a int, blob bytea); ALTER TABLE full_nokey REPLICA IDENTITY FULL;
CREATE TABLE nokey (a int);
CREATE TABLE nothing (a int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE UNLOGGED TABLE fast (a int PRIMARY KEY);
CREATE VIEW looking AS SELECT 1 AS one;
CREATE TABLE root (id int, r int, PRIMARY KEY (id, r)) PARTITION BY RANGE (r);
CREATE TABLE leaf1 PARTITION OF root FOR VALUES FROM (0) TO (10);
CREATE TABLE leaf2 PARTITION OF root FOR VALUES FROM (10) TO (20) PARTITION BY LIST (id);
CREATE TABLE leaf2a PARTITION OF leaf2 FOR VALUES IN (1);
INSERT INTO root VALUES (1, 5), (2, 6), (1, 15);
CREATE SCHEMA other; CREATE TABLE other.excluded (a int PRIMARY KEY);
CREATE TABLE secured (id int PRIMARY KEY); ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE TABLE generatedkey (a int, k int GENERATED ALWAYS AS (a + 1) STORED PRIMARY KEY);
ANALYZE`

func columnText(c *pipeline.Column) string {
	s := fmt.Sprintf("%s %s %s", c.Name, c.Kind, c.Type)
	if c.Nullable {
		s += " null"
	}
	if c.Precision >= 0 || c.Scale != 0 {
		s += fmt.Sprintf(" (%d,%d)", c.Precision, c.Scale)
	}
	if c.Length >= 0 {
		s += fmt.Sprintf(" len %d", c.Length)
	}
	if c.Labels != nil {
		s += " " + strings.Join(c.Labels, "/")
	}
	if c.Default != "" {
		s += " = " + c.Default
	}
	if c.Elem != nil {
		s += " of" + columnText(c.Elem)
	}
	return s
}

func TestCatalogSchema(t *testing.T) {
	l := newLab(t, pg, catalogTables)
	s, err := l.catalog.schema(l.catalog.Named("public", "facts"), tableSettings{Omit: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range s.Columns {
		got = append(got, columnText(&s.Columns[i]))
	}
	want := []string{
		"b int integer",
		"id int bigint",
		"p decimal numeric(10,3) null (10,3)",
		"m text public.mood null sad/meh/ok = 'ok'::public.mood",
		"ms array public.mood[] null of text public.mood sad/meh/ok",
		"n array numeric(8,2)[] null of decimal numeric(8,2) (8,2)",
		"v text character varying(20) len 20",
		"t timestamptz timestamp(3) with time zone null (3,0)",
		"c text public.citext null",
		"tags array public.price[] null of decimal numeric(10,3) (10,3)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{1, 0}, s.Key); diff != "" {
		t.Errorf("key: %s", diff)
	}
	if s.Database == "" || s.Namespace != "public" || s.Table != "facts" || s.System != pipeline.PostgreSQL {
		t.Errorf("%+v", s)
	}
}

func TestCatalogKeys(t *testing.T) {
	l := newLab(t, pg, catalogTables)
	for _, c := range []struct {
		table, key, identity string
		full                 bool
	}{
		{"byindex", "b", "index By B", false},
		{"full_nokey", "", "full", true},
		{"nokey", "", "default", false},
		{"nothing", "a", "nothing", false},
		{"root", "id,r", "default", false},
		{"generatedkey", "", "default", false},
	} {
		r := l.catalog.Named("public", c.table)
		s, err := l.catalog.schema(r, tableSettings{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, k := range s.Key {
			names = append(names, s.Columns[k].Name)
		}
		if got := strings.Join(names, ","); got != c.key || r.IdentityText() != c.identity || s.KeyFull != c.full {
			t.Errorf("%s: key %q, identity %q, full %t", c.table, got, r.IdentityText(), s.KeyFull)
		}
	}
	r := l.catalog.Named("public", "byindex")
	if s, err := l.catalog.schema(r, tableSettings{Key: []string{"c", "a"}}); err != nil || fmt.Sprint(s.Key) != "[2 0]" {
		t.Errorf("own key: %v, %v", s, err)
	}
	for _, bad := range []tableSettings{{Key: []string{"nope"}}, {Omit: []string{"nope"}}, {Omit: []string{"c"}, Key: []string{"c"}}} {
		if _, err := l.catalog.schema(r, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestCatalogPartitions(t *testing.T) {
	l := newLab(t, pg, catalogTables)
	root := l.catalog.Named("public", "root")
	var names []string
	for _, leaf := range root.Leaves() {
		names = append(names, leaf.Name)
		if leaf.Root() != root {
			t.Errorf("the root of %s is %s", leaf, leaf.Root())
		}
	}
	if diff := cmp.Diff([]string{"leaf1", "leaf2a"}, names); diff != "" {
		t.Error(diff)
	}
	if root.Rows != 3 || root.Bytes <= 0 {
		t.Errorf("%d rows, %d bytes", root.Rows, root.Bytes)
	}
}

func setOf(t *testing.T, patterns ...string) *match.Set {
	t.Helper()
	s, err := match.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPick(t *testing.T) {
	l := newLab(t, pg, catalogTables)
	p := picker{Tables: setOf(t, "public.*", "other.excluded"), Exclude: setOf(t, "other.*", "public.secured")}
	got := map[string]string{}
	for _, one := range p.pick(l.catalog) {
		got[one.String()] = fmt.Sprintf("%t %s", one.Taken, one.Why)
	}
	for table, want := range map[string]string{
		"public.facts":   `true tables pattern "public.*"`,
		"public.root":    `true tables pattern "public.*"`,
		"public.leaf1":   "false a partition of public.root",
		"public.leaf2":   "false a partition of public.root",
		"public.leaf2a":  "false a partition of public.leaf2",
		"public.fast":    "false unlogged: its changes are not in the WAL",
		"public.looking": "false a view: it has no changes of its own",
		"other.excluded": `false exclude "other.*"`,
		"public.secured": `false exclude "public.secured"`,
	} {
		if got[table] != want {
			t.Errorf("%s: %s, want %s", table, got[table], want)
		}
	}
	alone := picker{Tables: setOf(t, "public.leaf1")}
	for _, one := range alone.pick(l.catalog) {
		if one.Taken != (one.Name == "leaf1") {
			t.Errorf("%s: %t %s", one, one.Taken, one.Why)
		}
	}
}

func TestFindings(t *testing.T) {
	l := newLab(t, pg, catalogTables, "DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN; GRANT SELECT ON facts, secured, root TO reader")
	l.source.User = "reader"
	var err error
	if l.catalog, err = loadCatalog(t.Context(), l.connect(), picker{Tables: setOf(t, "public.*")}.wants("x")); err != nil {
		t.Fatal(err)
	}
	p := picker{Tables: setOf(t, "public.*")}
	got := map[string]bool{}
	for _, f := range l.catalog.check(p.pick(l.catalog), func(r *relation) tableSettings { return tableSettings{} }) {
		got[f.Code+" "+f.Summary] = true
		if f.Severity == spec.Error && f.Fix == "" && f.Code != codeNoColumns {
			t.Errorf("no fix: %+v", f)
		}
	}
	for _, want := range []string{
		"PG-101 public.secured has row level security and role reader does not bypass it",
		"PG-102 public.fast is not read",
		"PG-102 public.looking is not read",
		"PG-103 public.nokey has no replica identity",
		"PG-103 public.nothing has no replica identity",
		"PG-104 role reader may not read public.byindex",
		"PG-104 role reader may not read public.leaf1",
		"PG-108 generated column public.facts.gen is left out",
	} {
		if !got[want] {
			t.Errorf("missing: %s", want)
		}
		delete(got, want)
	}
	for _, no := range []string{"PG-104 role reader may not read public.facts", "PG-103 public.full_nokey has no replica identity"} {
		if got[no] {
			t.Errorf("wrong: %s", no)
		}
	}
}

// TestManyTables holds that the catalogue is read by a fixed number of queries.
func TestManyTables(t *testing.T) {
	const many = 3000
	l := newLab(t, pipetest.Postgres(t, "max_locks_per_transaction=2000"), fmt.Sprintf(`DO $$ BEGIN FOR i IN 1..%d LOOP
		EXECUTE format('CREATE TABLE many_%%s (id int, v numeric(8,2), t text)', i); END LOOP; END $$`, many))
	start := time.Now()
	c, err := loadCatalog(t.Context(), l.connect(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > most || len(c.Relations) != many || len(c.Relations[17].Columns) != 3 {
		t.Errorf("%d relations in %v", len(c.Relations), took)
	}
}
