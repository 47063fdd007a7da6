package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// How many pipelines are run, and of how many tables of random columns each.
const (
	randomRounds = 4
	randomTables = 50
)

// printing is how both databases print the values of a type so that equal values are equal texts: the
// type contract, written once more without anything of what is tested.
type printing struct {
	types  string // begins the type's name
	source string // MariaDB's expression of the column %s
	target string // PostgreSQL's
	form   func(string) string
}

// printings are tried in turn; the first one that fits holds.
func printings() []printing {
	return []printing{
		{"bit(1)", "%s + 0", "%s::int", nil},
		{"bit(13)", "LPAD(BIN(%s + 0), 13, '0')", "%s", nil},
		{"bit(64)", "LPAD(BIN(%s + 0), 64, '0')", "%s", nil},
		{"float", "CAST(%s AS DOUBLE)", "%s::float8", number},
		{"double", "%s", "%s", number},
		{"datetime", "IF(DAYOFMONTH(%[1]s) = 0, NULL, DATE_FORMAT(%[1]s, '%%Y-%%m-%%d %%H:%%i:%%s.%%f'))",
			"to_char(%s, 'YYYY-MM-DD HH24:MI:SS.US')", nil},
		{"date", "IF(DAYOFMONTH(%[1]s) = 0, NULL, %[1]s)", "%s", nil},
		{"timestamp", "IF(DAYOFMONTH(%[1]s) = 0, NULL, DATE_FORMAT(%[1]s, '%%Y-%%m-%%d %%H:%%i:%%s.%%f'))",
			"to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')", nil},
		{"time", "CAST(TIME_TO_SEC(%s) AS DECIMAL(20,6))", "round(extract(epoch FROM %s)::numeric, 6)", nil},
		{"inet6", "%s", "host(%s)", address},
		{"json", "HEX(%s)", "upper(encode(convert_to(%s::text, 'UTF8'), 'hex'))", document},
		{"point", "IF(ST_SRID(%[1]s) = 4326, CONCAT('0101000020E6100000', SUBSTR(HEX(ST_AsBinary(%[1]s)), 11)), HEX(ST_AsBinary(%[1]s)))",
			"upper(encode(%s, 'hex'))", nil}, // with its SRID, as PostGIS has it
		{"blob", "HEX(%s)", "upper(encode(%s, 'hex'))", nil},
		{"binary", "HEX(%s)", "upper(encode(%s, 'hex'))", nil},
		{"varbinary", "HEX(%s)", "upper(encode(%s, 'hex'))", nil},
		{"enum", "HEX(CONVERT(%s USING utf8mb4))", "upper(encode(convert_to(%s, 'UTF8'), 'hex'))", nil},
		{"set", "HEX(CONVERT(%s USING utf8mb4))", "upper(encode(convert_to(%s, 'UTF8'), 'hex'))", nil},
		{"char", "HEX(CONVERT(%s USING utf8mb4))", "upper(encode(convert_to(%s, 'UTF8'), 'hex'))", nil},
		{"varchar", "HEX(CONVERT(%s USING utf8mb4))", "upper(encode(convert_to(%s, 'UTF8'), 'hex'))", nil},
		{"mediumtext", "HEX(CONVERT(%s USING utf8mb4))", "upper(encode(convert_to(%s, 'UTF8'), 'hex'))", nil},
		{"text", "HEX(CONVERT(%s USING utf8mb4))", "upper(encode(convert_to(%s, 'UTF8'), 'hex'))", nil},
		{"", "%s", "%s", nil}, // whole numbers, decimals, years, uuids
	}
}

// number, address and document give a text of one form for the forms of both databases.
func number(s string) string {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func address(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return s
	}
	return a.String()
}

func document(s string) string {
	var text []byte
	var v any
	if _, err := fmt.Sscanf(s, "%x", &text); err != nil || json.Unmarshal(text, &v) != nil {
		return s
	}
	return fmt.Sprint(v)
}

// printed is how a table is read: both statements, and what to do to the texts of each column.
type printed struct {
	source, target string
	forms          []func(string) string
}

func printTable(t pipetest.RandomTable, all []printing) printed {
	source, target := []string{"id"}, []string{"id"}
	p := printed{forms: []func(string) string{nil}}
	for i, c := range t.Columns {
		how := all[slices.IndexFunc(all, func(p printing) bool { return strings.HasPrefix(c.Type, p.types) })]
		name := fmt.Sprintf("c%d", i)
		source = append(source, fmt.Sprintf(how.source, name))
		target = append(target, fmt.Sprintf(how.target, name))
		p.forms = append(p.forms, how.form)
	}
	p.source = fmt.Sprintf("SELECT %s FROM t%d ORDER BY id", strings.Join(source, ", "), t.Number)
	p.target = fmt.Sprintf("SELECT %s FROM public.t%d ORDER BY id", strings.Join(target, ", "), t.Number)
	return p
}

// in returns the rows with every text in its one form.
func (p printed) in(rows [][]string) [][]string {
	for _, row := range rows {
		for i, form := range p.forms {
			if form != nil && row[i] != "NULL" {
				row[i] = form(row[i])
			}
		}
	}
	return rows
}

const mariaRandomConfig = `
pipeline "random" {
  state "sink" {
    sink = sink.copy
  }
}
source "mariadb" "random" {
  dsn        = env("SOURCE")
  tables     = ["%s.*"]
  snapshot   = "%s"
  zero_dates = "null"
  workers    = 2
}
sink "postgres" "copy" {
  from = source.random
  dsn  = env("TARGET")
  into = "public.${table.name}"
  %s
}
`

// TestMariaDBRandomTables writes random rows into random tables over all types before, during and after
// a snapshot. PostgreSQL must have what MariaDB has by the type contract, and so must a second target
// that has nothing but a snapshot of the end: what the log and a snapshot say of a value is the same.
func TestMariaDBRandomTables(t *testing.T) {
	t.Parallel()
	seed := uint64(crashSeed(t))
	m := pipetest.MariaDB(t, "log_warnings=0")
	pg := pipetest.Postgres(t, "log_min_messages=panic")
	for round := range randomRounds {
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			randomRound(t, m, pg, rand.New(rand.NewPCG(seed, uint64(round))), round%2 == 0)
		})
	}
}

func randomRound(t *testing.T, m *pipetest.Maria, pg *pipetest.PG, r *rand.Rand, load bool) {
	database, streamed, copied := m.Database(t), pg.Database(t), pg.Database(t)
	of := pipetest.RandomColumns()
	tables := make([]pipetest.RandomTable, randomTables)
	var before, during, after strings.Builder
	for _, b := range []*strings.Builder{&before, &during, &after} {
		b.WriteString(pipetest.RandomSession)
	}
	for n := range tables {
		tables[n] = pipetest.MakeRandomTable(r, n, of)
		tables[n].Create(&before)
		for id := range 8 {
			tables[n].Replace(&before, r, id)
		}
		for range 12 {
			tables[n].Change(&during, r)
			tables[n].Change(&after, r)
		}
	}
	block := ""
	if load {
		block = "load {}"
	}
	m.Exec(t, database, before.String())
	s := &scene{dir: t.TempDir(), env: []string{"SOURCE=" + m.DSN(""), "TARGET=" + streamed}}
	file := s.file(t, "stream.hcl", fmt.Sprintf(mariaRandomConfig, database, "initial", block))
	p := s.start(t, "run", file)
	m.Exec(t, database, during.String())
	p.until(t, "the stream begins", func() bool {
		return len(lines(t, streamed, "SELECT 'there' WHERE to_regclass('pipe.checkpoint') IS NOT NULL")) > 0 &&
			len(lines(t, streamed, "SELECT stream FROM pipe.checkpoint WHERE stream LIKE '%/binlog'")) > 0
	})
	m.Exec(t, database, after.String())
	p.signal(t, syscall.SIGTERM)
	p.ends(t, faultPatience)
	runUntilCaughtUp(t, file, s.env)
	only := writeConfig(t, fmt.Sprintf(mariaRandomConfig, database, "only", block))
	runUntilCaughtUp(t, only, []string{"SOURCE=" + m.DSN(""), "TARGET=" + copied})
	all := printings()
	for _, table := range tables {
		compareRandomTable(t, m, database, table, all, map[string]string{"stream": streamed, "snapshot": copied})
	}
}

func compareRandomTable(t *testing.T, m *pipetest.Maria, database string, table pipetest.RandomTable, all []printing, targets map[string]string) {
	t.Helper()
	p := printTable(table, all)
	want := p.in(m.QueryText(t, database, pipetest.RandomSession+p.source))
	for name, dsn := range targets {
		if diff := cmp.Diff(want, p.in(pipetest.QueryText(t, dsn, p.target))); diff != "" {
			t.Errorf("t%d after the %s (-want +have): %v\n%s", table.Number, name, table.Columns, diff)
		}
	}
}
