package pipetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// MakeRandomTable chooses up to ten columns of those given.
func MakeRandomTable(r *rand.Rand, number int, of []RandomColumn) RandomTable {
	t := RandomTable{Number: number, Columns: make([]RandomColumn, 1+r.IntN(10))}
	for i := range t.Columns {
		t.Columns[i] = of[r.IntN(len(of))]
	}
	return t
}

// RandomSession begins a script that writes random rows: zones and dates as they are given.
const RandomSession = "SET time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES';\n"

// Create writes the table's CREATE TABLE.
func (t RandomTable) Create(b *strings.Builder) {
	fmt.Fprintf(b, "CREATE TABLE t%d (id int PRIMARY KEY", t.Number)
	for i, c := range t.Columns {
		fmt.Fprintf(b, ", c%d %s NULL", i, c.Type)
	}
	b.WriteString(") CHARACTER SET utf8mb4;\n")
}

// Replace writes a REPLACE of one row.
func (t RandomTable) Replace(b *strings.Builder, r *rand.Rand, id int) {
	fmt.Fprintf(b, "REPLACE INTO t%d VALUES (%d", t.Number, id)
	for _, c := range t.Columns {
		b.WriteString(", " + c.random(r))
	}
	b.WriteString(");\n")
}

// random returns a literal, NULL now and then.
func (c RandomColumn) random(r *rand.Rand) string {
	if r.IntN(6) == 0 {
		return "NULL"
	}
	return c.value(r)
}

// Change writes a change of a row, of its key, or its end, under a row image of any kind.
func (t RandomTable) Change(b *strings.Builder, r *rand.Rand) {
	fmt.Fprintf(b, "SET binlog_row_image = %s;\n", []string{"FULL", "MINIMAL", "NOBLOB"}[r.IntN(3)])
	id := r.IntN(12)
	switch r.IntN(4) {
	case 0:
		fmt.Fprintf(b, "DELETE FROM t%d WHERE id = %d;\n", t.Number, id)
	case 1:
		fmt.Fprintf(b, "UPDATE IGNORE t%d SET id = id + 20 WHERE id = %d;\n", t.Number, id)
	case 2:
		i := r.IntN(len(t.Columns))
		fmt.Fprintf(b, "UPDATE IGNORE t%d SET c%d = %s WHERE id = %d;\n", t.Number, i, t.Columns[i].random(r), id)
	default:
		t.Replace(b, r, id)
	}
}

// RandomColumn is a column of a MariaDB table whose values are made at random.
type RandomColumn struct {
	Type  string // as in CREATE TABLE
	value func(r *rand.Rand) string
}

// RandomTable is a table t<Number> with a key id and columns c0, c1, ... that may be NULL.
type RandomTable struct {
	Number  int
	Columns []RandomColumn
}

func whole(low, high int64) func(*rand.Rand) string {
	return func(r *rand.Rand) string {
		switch r.IntN(4) {
		case 0:
			return fmt.Sprint(low)
		case 1:
			return fmt.Sprint(high)
		}
		return fmt.Sprint(low + int64(r.Uint64()%(uint64(high-low)|1)))
	}
}

func digits(whole, scale int) func(*rand.Rand) string {
	return func(r *rand.Rand) string {
		text := []string{"", "-"}[r.IntN(2)] + "0"
		for range r.IntN(whole + 1) {
			text += fmt.Sprint(r.IntN(10))
		}
		text += ".0"
		for range r.IntN(scale + 1) {
			text = text[:len(text)-1] + fmt.Sprint(r.IntN(10)) + "0"
		}
		return text
	}
}

func letters(alphabet string, most int) func(*rand.Rand) string {
	all := []rune(alphabet)
	return func(r *rand.Rand) string {
		var b strings.Builder
		for range r.IntN(most + 1) {
			b.WriteRune(all[r.IntN(len(all))])
		}
		return quoted(b.String())
	}
}

// quoted makes a literal of a text, for any sql_mode but NO_BACKSLASH_ESCAPES.
func quoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(s) + "'"
}

func hexBytes(most int) func(*rand.Rand) string {
	return func(r *rand.Rand) string {
		b := make([]byte, r.IntN(most+1))
		for i := range b {
			b[i] = byte(r.Uint32()) * byte(r.IntN(2))
		}
		return fmt.Sprintf("x'%x'", b)
	}
}

func moment6(r *rand.Rand) string {
	if r.IntN(8) == 0 {
		return "'0000-00-00'"
	}
	return fmt.Sprintf("'%04d-%02d-%02d %02d:%02d:%02d.%06d'", 1971+r.IntN(60), 1+r.IntN(12), r.IntN(29), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1_000_000))
}

func clock6(r *rand.Rand) string {
	return fmt.Sprintf("'%s%d:%02d:%02d.%06d'", []string{"", "-"}[r.IntN(2)], r.IntN(839), r.IntN(60), r.IntN(60), r.IntN(1_000_000))
}

func uuidText(r *rand.Rand) string {
	version, variant := r.IntN(1<<16), r.IntN(1<<16)
	if r.IntN(2) == 0 {
		version, variant = version&0xfff|(1+r.IntN(8))<<12, variant|0x8000
	}
	return fmt.Sprintf("'%08x-%04x-%04x-%04x-%012x'", r.Uint32(), r.IntN(1<<16), version, variant&^(r.IntN(2)*0xff), r.Uint64N(1<<48))
}

func inet6Text(r *rand.Rand) string {
	parts := make([]string, 8)
	for i := range parts {
		parts[i] = fmt.Sprintf("%x", r.IntN(1<<16)*r.IntN(2))
	}
	return "'" + strings.Join(parts, ":") + "'"
}

// RandomColumns returns a column of every type, with lengths and digits of some kinds.
func RandomColumns() []RandomColumn {
	out := []RandomColumn{
		{"tinyint", whole(-128, 127)}, {"tinyint unsigned", whole(0, 255)}, {"smallint", whole(-32768, 32767)},
		{"mediumint unsigned", whole(0, 1<<24-1)}, {"mediumint", whole(-1<<23, 1<<23-1)}, {"int", whole(-1<<31, 1<<31-1)},
		{"int unsigned", whole(0, 1<<32-1)}, {"bigint", whole(-1<<63, 1<<63-1)},
		{"bigint unsigned", func(r *rand.Rand) string { return fmt.Sprint(r.Uint64()) }},
		{"bit(1)", whole(0, 1)}, {"bit(13)", whole(0, 1<<13-1)}, {"bit(64)", func(r *rand.Rand) string { return fmt.Sprint(r.Uint64()) }},
		{"float", func(r *rand.Rand) string { return fmt.Sprint(float32(r.NormFloat64() * 1e9)) }},
		{"double", func(r *rand.Rand) string { return fmt.Sprint(r.NormFloat64() * 1e200) }},
		{"year", whole(1901, 2155)}, {"date", moment6}, {"uuid", uuidText}, {"inet6", inet6Text},
		{"enum('a','ö','it''s')", func(r *rand.Rand) string { return fmt.Sprint(r.IntN(4)) }},
		{"set('a','ö','c')", whole(0, 7)},
		{"char(7)", letters("ab ä😀", 7)}, {"varchar(300)", letters("aä中😀\\'\n", 250)}, {"mediumtext", letters("xyz€", 400)},
		{"varchar(60) character set latin1", letters("aäß€ÿ", 60)}, {"text character set utf16", letters("aä中😀", 60)},
		{"varchar(40) character set sjis", letters("aカ日", 20)}, {"varchar(40) character set cp1251", letters("aЖя", 30)},
		{"varchar(300) compressed", letters("aä", 300)}, {"blob compressed", hexBytes(500)},
		{"binary(9)", hexBytes(9)}, {"varbinary(300)", hexBytes(300)}, {"blob", hexBytes(400)},
		{"json", func(r *rand.Rand) string { return fmt.Sprintf(`'{"a": [%d, "ü"]}'`, r.IntN(9)) }},
		{"point", func(r *rand.Rand) string {
			return fmt.Sprintf("ST_GeomFromText('POINT(%d %d)', %d)", r.IntN(9), r.IntN(9), r.IntN(2)*4326)
		}},
	}
	for fraction := range 7 {
		for _, t := range []RandomColumn{{"time", clock6}, {"datetime", moment6}, {"timestamp", moment6}} {
			out = append(out, RandomColumn{fmt.Sprintf("%s(%d)", t.Type, fraction), t.value})
		}
	}
	for _, d := range [][2]int{{65, 30}, {10, 0}, {9, 9}, {18, 9}, {20, 1}, {30, 29}} {
		out = append(out, RandomColumn{fmt.Sprintf("decimal(%d,%d)", d[0], d[1]), digits(d[0]-d[1], d[1])})
	}
	return out
}
