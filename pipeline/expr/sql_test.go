package expr

import (
	"math/rand"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

var server *pipetest.PG

func TestMain(m *testing.M) { os.Exit(pipetest.RunWithPostgres(m, &server)) }

// createRandom creates and fills the random table.
func createRandom(t *testing.T, dsn string, rows [][]*string) {
	t.Helper()
	var columns, values []string
	for _, f := range fields() {
		columns = append(columns, QuoteIdentifier(f.name)+" "+f.typ)
	}
	for _, row := range rows {
		var one []string
		for _, v := range row {
			if v == nil {
				one = append(one, "NULL")
			} else {
				one = append(one, QuoteLiteral(*v))
			}
		}
		values = append(values, "("+strings.Join(one, ", ")+")")
	}
	pipetest.Exec(t, dsn, "CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad')",
		"CREATE TABLE t ("+strings.Join(columns, ", ")+", PRIMARY KEY (id))",
		"ALTER TABLE t REPLICA IDENTITY FULL", "CREATE PUBLICATION p FOR TABLE t",
		"INSERT INTO t VALUES "+strings.Join(values, ", "))
}

// TestSQLAgainstServer compares Match with the server's WHERE over random expressions and rows, and
// lets the server judge what PublicationSQL accepts.
func TestSQLAgainstServer(t *testing.T) {
	g := &generator{Rand: rand.New(rand.NewSource(7)), special: true}
	rows := randomRows(g.Rand, 60)
	dsn := server.Database(t)
	createRandom(t, dsn, rows)
	schema, published := randomSchema(), 0
	for range 300 {
		src := g.condition(g.Intn(3)).src
		p, diags := Compile(parse(t, src), schema, nil)
		if diags.HasErrors() {
			t.Fatalf("%s: %v", src, diags)
		}
		sql, err := p.SQL()
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		want, got := []string{}, []string{}
		for _, row := range rows {
			ok, err := p.Match(&Vars{New: rowValues(row)})
			if err != nil {
				t.Fatalf("%s: %v", src, err)
			}
			if ok {
				want = append(want, *row[0])
			}
		}
		for _, row := range pipetest.QueryText(t, dsn, "SELECT id FROM t WHERE "+sql+" ORDER BY id") {
			got = append(got, row[0])
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Fatalf("%s\n%s\nserver, Match: %s", src, sql, diff)
		}
		if filter, err := p.PublicationSQL(); err == nil {
			published++
			pipetest.Exec(t, dsn, "ALTER PUBLICATION p SET TABLE t WHERE ("+filter+")")
		}
	}
	if published < 100 {
		t.Errorf("only %d of 300 expressions can be published", published)
	}
}

// TestSQLValues compares what expressions compute with what the server does.
func TestSQLValues(t *testing.T) {
	g := &generator{Rand: rand.New(rand.NewSource(3))}
	rows := randomRows(g.Rand, 20)
	dsn := server.Database(t)
	createRandom(t, dsn, rows)
	for n := range 150 {
		src := g.num(3).src
		if n%2 == 0 {
			src = g.text(3).src
		}
		p, diags := Compile(parse(t, src), randomSchema(), nil)
		if diags.HasErrors() {
			t.Fatalf("%s: %v", src, diags)
		}
		sql, err := p.SQL()
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		answer := pipetest.QueryText(t, dsn, "SELECT ("+sql+")::text FROM t ORDER BY t.id")
		for i, row := range rows {
			got, err := p.Eval(new(pipeline.Arena), &Vars{New: rowValues(row)})
			text := "NULL"
			if !got.IsNull() {
				text = string(AppendText(nil, got))
			}
			if err != nil || text != answer[i][0] {
				t.Fatalf("%s\n%s: %q, %v; the server says %q\nrow %v", src, sql, text, err, answer[i][0], rowValues(row))
			}
		}
	}
}

func TestSQLText(t *testing.T) {
	tests := []struct{ src, sql, publication string }{
		{`row.amount > 100 && row.status != "draft"`,
			`(("amount"::numeric > (100)::numeric) AND ("status" <> 'draft'::text))`, "same"},
		{`row["odd name"] == "it's \\"`, `("odd name" = E'it''s \\'::text)`, "same"},
		{`row.status < "b"`, `("status" COLLATE "C" < 'b'::text COLLATE "C")`, "same"},
		{`row.day >= "2024-01-01"`, `("day" >= '2024-01-01'::date)`, "same"},
		{`row.state == "new"`, `("state"::text = 'new'::text)`, ""},
		{`row.code == "ab"`, `("code"::text = 'ab'::text)`, "same"},
		{`lower(row.status) == "a"`, "", ""},
		{`regex_match("a", row.status)`, "", ""},
		{`old.qty > 1`, "", ""},
		{`op == "insert"`, "", ""},
		{`row.amount / 3 > 1`, "", ""},
		{`row.f + 1 > 1`, "", ""},
	}
	for _, tt := range tests {
		p := compile(t, tt.src)
		sql, _ := p.SQL()
		publication, _ := p.PublicationSQL()
		if tt.publication == "same" {
			tt.publication = tt.sql
		}
		if sql != tt.sql || publication != tt.publication {
			t.Errorf("%s:\n%s\n%s", tt.src, sql, publication)
		}
	}
	mariadb := testSchema()
	mariadb.System = pipeline.MariaDB
	p, _ := Compile(parse(t, "row.qty > 1"), mariadb, nil)
	if sql, err := p.SQL(); err == nil {
		t.Error("SQL for MariaDB:", sql)
	}
}
