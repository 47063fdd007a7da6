package mariadb

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// randomTables is how many tables of random columns are made, and randomSeed what they come from.
const (
	randomTables = 200
	randomSeed   = 7
)

// generator makes random values of a type.
type generator struct {
	typ   string
	value func(r *rand.Rand) string
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

func text(alphabet string, most int) func(*rand.Rand) string {
	letters := []rune(alphabet)
	return func(r *rand.Rand) string {
		var b strings.Builder
		for range r.IntN(most + 1) {
			b.WriteRune(letters[r.IntN(len(letters))])
		}
		return quoteText(b.String())
	}
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

func generators() []generator {
	out := []generator{
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
		{"char(7)", text("ab ä😀", 7)}, {"varchar(300)", text("aä中😀\\'\n", 250)}, {"mediumtext", text("xyz€", 400)},
		{"varchar(60) character set latin1", text("aäß€ÿ", 60)}, {"text character set utf16", text("aä中😀", 60)},
		{"varchar(40) character set sjis", text("aカ日", 20)}, {"varchar(40) character set cp1251", text("aЖя", 30)},
		{"varchar(300) compressed", text("aä", 300)}, {"blob compressed", hexBytes(500)},
		{"binary(9)", hexBytes(9)}, {"varbinary(300)", hexBytes(300)}, {"blob", hexBytes(400)},
		{"json", func(r *rand.Rand) string { return fmt.Sprintf(`'{"a": [%d, "ü"]}'`, r.IntN(9)) }},
		{"point", func(r *rand.Rand) string {
			return fmt.Sprintf("ST_GeomFromText('POINT(%d %d)', %d)", r.IntN(9), r.IntN(9), r.IntN(2)*4326)
		}},
	}
	for fraction := range 7 {
		for _, t := range []generator{{"time", clock6}, {"datetime", moment6}, {"timestamp", moment6}} {
			out = append(out, generator{fmt.Sprintf("%s(%d)", t.typ, fraction), t.value})
		}
	}
	for _, d := range [][2]int{{65, 30}, {10, 0}, {9, 9}, {18, 9}, {20, 1}, {30, 29}} {
		out = append(out, generator{fmt.Sprintf("decimal(%d,%d)", d[0], d[1]), digits(d[0]-d[1], d[1])})
	}
	return out
}

// TestRandomTables holds that a snapshot with the changes before, during and after it gives, row for
// row and value for value, what a snapshot at the end reads: tables of random columns, with random
// rows, under row images of all kinds.
func TestRandomTables(t *testing.T) {
	r := rand.New(rand.NewPCG(randomSeed, 0))
	db := maria.Database(t)
	all := generators()
	var before, during, after strings.Builder
	for _, b := range []*strings.Builder{&before, &during, &after} {
		b.WriteString("SET time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES';\n")
	}
	for n := range randomTables {
		columns := make([]generator, 1+r.IntN(10))
		ddl := fmt.Sprintf("CREATE TABLE t%d (id int PRIMARY KEY", n)
		for i := range columns {
			columns[i] = all[r.IntN(len(all))]
			ddl += fmt.Sprintf(", c%d %s NULL", i, columns[i].typ)
		}
		fmt.Fprintf(&before, "%s) CHARACTER SET utf8mb4;\n", ddl)
		for id := range 8 {
			replaceRow(&before, r, n, id, columns)
		}
		for range 12 {
			randomChange(&during, r, n, columns)
			randomChange(&after, r, n, columns)
		}
	}
	maria.Exec(t, db, before.String())
	c := configFor(t, maria, db)
	c.ZeroDates, c.Workers = onNull, 3
	run := pipetest.Run(t, open(t, c), nil, nil)
	maria.Exec(t, db, during.String())
	run.Out.Wait(t, "streaming", func(b []*pipeline.Batch) bool {
		return slices.ContainsFunc(b, func(b *pipeline.Batch) bool { return b.Stream == binlogStream })
	})
	maria.Exec(t, db, after.String(), "CREATE TABLE fence (id int PRIMARY KEY)", "INSERT INTO fence VALUES (1)")
	run.Out.Wait(t, "the fence", func(b []*pipeline.Batch) bool {
		last := b[len(b)-1].Rows
		return len(last) > 0 && last[len(last)-1].Schema.Table == "fence"
	})
	run.Stop()
	c.Snapshot = policyOnly
	again := &pipetest.Collect{}
	if err := open(t, c).Run(t.Context(), nil, again); err != nil {
		t.Fatal(err)
	}
	streamed := 0
	for _, b := range run.Out.Batches() {
		if b.Stream == binlogStream {
			streamed += len(b.Rows)
		}
	}
	if streamed < randomTables {
		t.Errorf("only %d rows were streamed", streamed)
	}
	have, want := state(t, run.Out), state(t, again)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if diff := cmp.Diff(want[key], have[key]); diff != "" {
			t.Errorf("%s (-want +have):\n%s", key, diff)
		}
	}
	if len(have) != len(want) {
		t.Errorf("%d rows, want %d", len(have), len(want))
	}
}

func replaceRow(b *strings.Builder, r *rand.Rand, n, id int, columns []generator) {
	fmt.Fprintf(b, "REPLACE INTO t%d VALUES (%d", n, id)
	for _, c := range columns {
		b.WriteString(", " + randomValue(r, c))
	}
	b.WriteString(");\n")
}

func randomValue(r *rand.Rand, c generator) string {
	if r.IntN(6) == 0 {
		return "NULL"
	}
	return c.value(r)
}

func randomChange(b *strings.Builder, r *rand.Rand, n int, columns []generator) {
	fmt.Fprintf(b, "SET binlog_row_image = %s;\n", []string{"FULL", "MINIMAL", "NOBLOB"}[r.IntN(3)])
	id := r.IntN(12)
	switch r.IntN(4) {
	case 0:
		fmt.Fprintf(b, "DELETE FROM t%d WHERE id = %d;\n", n, id)
	case 1:
		fmt.Fprintf(b, "UPDATE IGNORE t%d SET id = id + 20 WHERE id = %d;\n", n, id)
	case 2:
		i := r.IntN(len(columns))
		fmt.Fprintf(b, "UPDATE IGNORE t%d SET c%d = %s WHERE id = %d;\n", n, i, randomValue(r, columns[i]), id)
	default:
		replaceRow(b, r, n, id, columns)
	}
}

// state applies the rows; a value that was not sent keeps what it was.
func state(t *testing.T, out *pipetest.Collect) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for _, b := range out.Batches() {
		for i := range b.Rows {
			row := &b.Rows[i]
			key := func(v []pipeline.Value) string { return row.Schema.Table + "/" + v[0].String() }
			var old []string
			if row.Before != nil {
				old = rows[key(row.Before)]
				if old == nil {
					t.Fatalf("%s: there is no such row", pipetest.RowText(row))
				}
				delete(rows, key(row.Before))
			}
			if row.Values == nil {
				continue
			}
			values := make([]string, len(row.Values))
			for j, v := range row.Values {
				if values[j] = v.Kind().String() + " " + v.String(); v.IsAbsent() {
					values[j] = old[j]
				}
			}
			rows[key(row.Values)] = values
		}
	}
	delete(rows, "fence/1")
	return rows
}
