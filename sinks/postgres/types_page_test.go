package postgres

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
)

var update = flag.Bool("update", false, "rewrite TYPES.md")

const typesHead = `# What becomes of a type

From a column of MariaDB or PostgreSQL to a value in pipe, and from there to PostgreSQL, Avro and JSON. This page is
generated from the code (` + "`go test ./sinks/postgres -run TestTypesPage -update`" + `); a test fails where it is stale.

* *value*: the kind of value that rows carry; text forms are exact.
* *PostgreSQL*: the type of a column in a table that the sink makes. A table that exists keeps its own types: a value goes
  into any type that takes its text, and what does not fit is an error, never cut off.
* *Debezium*: Avro and JSON as Debezium's connectors write them (sink "kafka", the default types): the primitive, and the
  semantic name without "io.debezium." and "org.apache.kafka.connect.".
* *Avro*: with Avro's own logical types.
* *JSON*: plain flat rows (sinks "stdout" and "kafka").

`

// typeCase is a line of the page: a column, and what to know of it.
type typeCase struct {
	col  pipeline.Column
	note string
}

// pageColumn is a column as a source describes it; numbers are precision and scale, or the length.
func pageColumn(typ string, k pipeline.Kind, numbers ...int) pipeline.Column {
	c := pipeline.Column{Name: "v", Type: typ, Kind: k, Precision: -1, Length: -1, Nullable: true}
	switch {
	case len(numbers) == 0:
	case k == pipeline.Decimal:
		c.Precision, c.Scale = numbers[0], numbers[1]
	case k >= pipeline.Date && k <= pipeline.TimestampTZ || k == pipeline.Interval:
		c.Precision = numbers[0]
	default:
		c.Length = numbers[0]
	}
	return c
}

func labelledColumn(typ string) pipeline.Column {
	c := pageColumn(typ, pipeline.Text)
	c.Labels = []string{"a", "b"}
	return c
}

func mariaPage() []typeCase {
	return []typeCase{
		{pageColumn("tinyint(4)", pipeline.Int), ""},
		{pageColumn("tinyint(3) unsigned", pipeline.Int), ""},
		{pageColumn("tinyint(1)", pipeline.Bool), `with tinyint1 = "bool"; else as any tinyint`},
		{pageColumn("smallint(6)", pipeline.Int), ""},
		{pageColumn("smallint(5) unsigned", pipeline.Int), ""},
		{pageColumn("mediumint(9)", pipeline.Int), ""},
		{pageColumn("int(11)", pipeline.Int), ""},
		{pageColumn("int(10) unsigned", pipeline.Int), ""},
		{pageColumn("bigint(20)", pipeline.Int), ""},
		{pageColumn("bigint(20) unsigned", pipeline.Uint), "Debezium's long ends at 2^63-1: beyond it is an error, or bigint_unsigned = \"decimal\""},
		{pageColumn("decimal(12,2)", pipeline.Decimal, 12, 2), ""},
		{pageColumn("decimal(65,30)", pipeline.Decimal, 65, 30), "exact"},
		{pageColumn("float", pipeline.Float32), ""},
		{pageColumn("double", pipeline.Float64), ""},
		{pageColumn("bit(1)", pipeline.Bool, 1), ""},
		{pageColumn("bit(12)", pipeline.Bits, 12), "in Debezium's form the lowest byte first"},
		{pageColumn("year(4)", pipeline.Int), "0000 is 0"},
		{pageColumn("date", pipeline.Date), "0000-00-00 and dates in part: zero_dates (fail, null, epoch)"},
		{pageColumn("datetime", pipeline.Timestamp, 0), "as date"},
		{pageColumn("datetime(6)", pipeline.Timestamp, 6), "as date"},
		{pageColumn("timestamp(3)", pipeline.TimestampTZ, 3), "in UTC whatever the server's zone; 0000-00-00 as date"},
		{pageColumn("time(6)", pipeline.Time, 6), "beyond a day or below zero its text, which an interval takes (time = \"time\", the default)"},
		{pageColumn("time(6)", pipeline.Interval, 6), `time = "interval"`},
		{pageColumn("time(6)", pipeline.Text), `time = "text"`},
		{pageColumn("char(3)", pipeline.Text, 3), "in UTF-8 from any character set; bytes that are none: invalid_text (fail, replace)"},
		{pageColumn("varchar(20)", pipeline.Text, 20), "as char. A NUL: the sink's nul (fail, strip, replace)"},
		{pageColumn("longtext", pipeline.Text), "as varchar"},
		{labelledColumn("enum('a','b')"), "the label; \"\" for the error value"},
		{labelledColumn("set('a','b')"), "labels with commas between"},
		{pageColumn("binary(16)", pipeline.Bytes, 16), "zeros at the end kept"},
		{pageColumn("varbinary(16)", pipeline.Bytes, 16), "NUL bytes kept"},
		{pageColumn("longblob", pipeline.Bytes), ""},
		{pageColumn("json", pipeline.JSON), "longtext with the check that JSON stands for. \\u0000 is an error in jsonb"},
		{pageColumn("uuid", pipeline.UUID), ""},
		{pageColumn("inet4", pipeline.Text), ""},
		{pageColumn("inet6", pipeline.Text), ""},
		{pageColumn("geometry", pipeline.Bytes), "well-known binary without the SRID"},
	}
}

// pgPage has the columns that pgtext makes of PostgreSQL's types.
func pgPage() []typeCase {
	of := func(oid uint32, format string, mod int32) pipeline.Column {
		c := pgtext.ColumnOf("v", pgtext.Type{OID: oid, Name: format, Format: format, Mod: mod, Class: 'b'})
		c.Nullable = true
		return c
	}
	mood := pgtext.ColumnOf("v", pgtext.Type{OID: 20000, Format: "shop.mood", Mod: -1, Class: 'e', Labels: []string{"a", "b"}})
	array := pgtext.ColumnOf("v", pgtext.Type{OID: 1007, Format: "integer[]", Mod: -1, Class: 'b', Array: true,
		Elem: &pgtext.Type{OID: 23, Format: "integer", Mod: -1, Class: 'b'}})
	return []typeCase{
		{of(16, "boolean", -1), ""}, {of(21, "smallint", -1), ""}, {of(23, "integer", -1), ""}, {of(20, "bigint", -1), ""},
		{of(700, "real", -1), "NaN and infinities too"}, {of(701, "double precision", -1), "as real"},
		{of(1700, "numeric(12,2)", 12<<16|2+4), ""},
		{of(1700, "numeric", -1), "any number of digits, NaN, infinities; a record of scale and bytes for Debezium"},
		{of(1082, "date", -1), "BC and infinities too, where the target has them"},
		{of(1083, "time without time zone", -1), ""}, {of(1266, "time with time zone", -1), ""},
		{of(1114, "timestamp without time zone", -1), "as date"}, {of(1114, "timestamp(3) without time zone", 3), "as date"},
		{of(1184, "timestamp with time zone", -1), "in UTC"},
		{of(1186, "interval", -1), "a month is 30.4375 days in Debezium's form"},
		{of(25, "text", -1), ""}, {of(1043, "character varying(20)", 24), ""}, {of(1042, "character(3)", 7), "padded, as the server prints it"},
		{of(17, "bytea", -1), ""}, {of(2950, "uuid", -1), ""},
		{of(114, "json", -1), "the text as it was written"}, {of(3802, "jsonb", -1), ""},
		{of(1560, "bit(12)", 12), ""}, {of(1560, "bit(1)", 1), ""}, {of(1562, "bit varying", -1), ""},
		{of(869, "inet", -1), ""}, {of(650, "cidr", -1), ""}, {of(829, "macaddr", -1), ""}, {of(790, "money", -1), "the server's text, by its lc_monetary"},
		{of(3904, "int4range", -1), ""}, {of(600, "point", -1), ""}, {of(3614, "tsvector", -1), ""}, {of(142, "xml", -1), ""},
		{mood, "where the target has the type of that name; else text"}, {array, ""},
	}
}

// formText says how a form is written, beside its primitive.
func formText(t *envelope.Type) string {
	base := map[envelope.Base]string{envelope.Boolean: "boolean", envelope.Int: "int", envelope.Long: "long", envelope.Float: "float",
		envelope.Double: "double", envelope.Str: "string", envelope.Blob: "bytes", envelope.Record: "record", envelope.List: "array"}[t.Form.Base()]
	how := map[envelope.Form]string{envelope.Int16: "int16", envelope.Date: "days", envelope.TimeMillis: "ms", envelope.TimeMicros: "us",
		envelope.Millis: "ms", envelope.Micros: "us", envelope.ISO: "ISO 8601", envelope.Bits: "low byte first", envelope.Duration: "us",
		envelope.ISODuration: "ISO 8601", envelope.ZonedTime: "ISO 8601, UTC"}[t.Form]
	name := t.Logical
	if t.Name != "" {
		name = strings.TrimPrefix(strings.TrimPrefix(t.Name, "io.debezium."), "org.apache.kafka.connect.")
	}
	if t.Form == envelope.Array {
		base += " of " + formText(t.Elem)
	}
	if t.Form == envelope.Decimal {
		how = fmt.Sprintf("scale %d", t.Scale)
	}
	if how != "" {
		base += " (" + how + ")"
	}
	return strings.TrimSpace(base + " " + name)
}

// jsonText says how a form looks in plain JSON.
func jsonText(t *envelope.Type) string {
	switch t.Form {
	case envelope.Bytes:
		return "string, base64"
	case envelope.Bool:
		return "true, false"
	case envelope.Int64, envelope.Unsigned, envelope.DecimalNumber, envelope.Float32, envelope.Float64, envelope.Int16, envelope.Int32:
		return "number"
	case envelope.ISO:
		return "string, ISO 8601"
	case envelope.Document:
		return "the document"
	case envelope.Array:
		return "array of " + jsonText(t.Elem)
	}
	return "string"
}

func pageTable(system pipeline.System, cases []typeCase) string {
	var b strings.Builder
	b.WriteString("| type | value | PostgreSQL | Debezium | Avro | JSON | |\n|---|---|---|---|---|---|---|\n")
	for _, c := range cases {
		s := &pipeline.Schema{System: system, Columns: []pipeline.Column{c.col}}
		form := func(types envelope.Types) *envelope.Type {
			plan, err := envelope.Options{Mapping: envelope.Mapping{Types: types}}.Plan(s)
			if err != nil {
				return &envelope.Type{Form: envelope.String}
			}
			return plan.Fields[0].Type
		}
		made, note := ruleFor(system, &c.col), c.note
		target := made.expand(&c.col)
		if system == pipeline.PostgreSQL {
			target = "the same"
			if own := made.expand(&c.col); own != c.col.Type {
				target += ", else " + own
			}
		} else if note == "" {
			note = made.Note
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", c.col.Type, c.col.Kind, target, formText(form(envelope.Connect)),
			formText(form(envelope.Logical)), jsonText(form(envelope.Plain)), note)
	}
	return b.String()
}

func rulesTable(rules []TypeRule) string {
	var b strings.Builder
	b.WriteString("| value | types | PostgreSQL | |\n|---|---|---|---|\n")
	for _, r := range rules {
		types := strings.Join(r.Types, ", ")
		if r.Unsigned {
			types += " unsigned"
		}
		if types == "" {
			types = "all others"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.Kind, types, r.Target, r.Note)
	}
	return b.String()
}

// TestTypesPage holds that the page says what the code does.
func TestTypesPage(t *testing.T) {
	page := typesHead + "## MariaDB\n\n" + pageTable(pipeline.MariaDB, mariaPage()) +
		"\n## PostgreSQL\n\nA type that the target does not know goes as its text. Generated columns are left out.\n\n" +
		pageTable(pipeline.PostgreSQL, pgPage()) +
		"\n## The rules for tables that the sink makes\n\nThe first that fits a column holds: for MariaDB those above the" +
		" line of bool, for all systems those from it on.\n\n" + rulesTable(TypeRules(pipeline.MariaDB))
	if *update {
		if err := os.WriteFile("TYPES.md", []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile("TYPES.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(page, string(have)); diff != "" {
		t.Errorf("TYPES.md is stale: go test ./sinks/postgres -run TestTypesPage -update\n%s", diff)
	}
	for _, r := range mariaRules() {
		hit := r.Unsigned && r.Target == "numeric(20,0)" // for a source that has it as a signed number
		for _, c := range mariaPage() {
			hit = hit || r.fits(&c.col)
		}
		if !hit {
			t.Errorf("the page has no column for the rule %+v", r)
		}
	}
}
