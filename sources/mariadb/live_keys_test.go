package mariadb

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// keyType is a type that a key may have, with random values of it as SQL.
type keyType struct {
	Type  string
	Value func(r *rand.Rand) string
}

func keyTypes() []keyType {
	number := func(low, span int64) func(*rand.Rand) string {
		return func(r *rand.Rand) string { return fmt.Sprint(low + r.Int64N(span)) }
	}
	word := func(letters string) func(*rand.Rand) string {
		all := []rune(letters)
		return func(r *rand.Rand) string {
			var b strings.Builder
			for range r.IntN(7) {
				b.WriteRune(all[r.IntN(len(all))])
			}
			return quoteText(b.String())
		}
	}
	raw := func(r *rand.Rand) string {
		b := make([]byte, r.IntN(9))
		for i := range b {
			b[i] = byte(r.Uint32()) * byte(r.IntN(2))
		}
		return fmt.Sprintf("x'%x'", b)
	}
	day := func(r *rand.Rand) string {
		return fmt.Sprintf("%04d-%02d-%02d", 1971+r.IntN(60), 1+r.IntN(12), 1+r.IntN(28))
	}
	moment := func(r *rand.Rand) string {
		return fmt.Sprintf("'%s %02d:%02d:%02d.%06d'", day(r), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1_000_000))
	}
	unsigned := func(r *rand.Rand) string { return fmt.Sprint(r.Uint64()) }
	return []keyType{
		{"tinyint", number(-128, 256)}, {"smallint unsigned", number(0, 1<<16)}, {"mediumint", number(-1<<23, 1<<24)},
		{"int", number(-1<<31, 1<<32)}, {"bigint", func(r *rand.Rand) string { return fmt.Sprint(int64(r.Uint64())) }}, {"bigint unsigned", unsigned},
		{"bigint", func(r *rand.Rand) string { return fmt.Sprint(int64(r.ExpFloat64()*r.ExpFloat64()*1e12) - 1<<40) }}, // skewed
		{"bit(13)", number(0, 1<<13)}, {"bit(64)", unsigned}, {"year", number(1901, 255)},
		{"decimal(65,30)", func(r *rand.Rand) string { return fmt.Sprintf("%d.%d", int64(r.Uint64()), r.Uint64()) }},
		{"decimal(9,9)", func(r *rand.Rand) string { return fmt.Sprintf("-0.%09d", r.IntN(1e9)) }},
		{"float", func(r *rand.Rand) string { return fmt.Sprint(float32(r.NormFloat64() * 1e9)) }},
		{"double", func(r *rand.Rand) string { return fmt.Sprint(r.NormFloat64() * 1e200) }},
		{"date", func(r *rand.Rand) string { return "'" + day(r) + "'" }}, {"datetime(6)", moment}, {"timestamp(3)", moment},
		{"time(6)", func(r *rand.Rand) string {
			return fmt.Sprintf("'%s%d:%02d:%02d.%06d'", []string{"", "-"}[r.IntN(2)], r.IntN(839), r.IntN(60), r.IntN(60), r.IntN(1_000_000))
		}},
		{"uuid", func(r *rand.Rand) string {
			return fmt.Sprintf("'%08x-%04x-%04x-%04x-%012x'", r.Uint32(), r.IntN(1<<16), r.IntN(1<<16), r.IntN(1<<16), r.Uint64N(1<<48))
		}},
		{"inet6", func(r *rand.Rand) string { return fmt.Sprintf("'%x::%x:%x'", r.IntN(1<<16), r.IntN(3), r.IntN(1<<16)) }},
		{"enum('z','a','ö','it''s')", number(1, 4)}, {"set('b','ö','a','c')", number(0, 16)},
		{"binary(5)", raw}, {"varbinary(100)", raw}, {"char(7)", word("ab ä😀")}, {"varchar(30)", word("aAbBä中😀\\'\n")},
		{"varchar(30) COLLATE utf8mb4_bin", word("aAbBäÄ é")}, {"varchar(30) COLLATE utf8mb4_unicode_ci", word("aAbBzßäÄ é'\\")},
		{"varchar(30) COLLATE utf8mb4_nopad_bin", word("ab ")}, {"varchar(60) character set latin1", word("aäß€ÿ")},
		{"varchar(40) character set sjis", word("aカ日")}, {"varchar(40) character set cp1251", word("aЖя")},
		{"varchar(40) character set utf16", word("aä中😀")}, {"varchar(40) character set utf8mb3", word("aä中")},
	}
}

// TestKeysOfAnyType holds that tables with keys of all types, alone and composite, are cut into chunks
// that have every row once: in a first snapshot, and on a running pipeline.
func TestKeysOfAnyType(t *testing.T) {
	const rows = 150
	db := maria.Database(t)
	r := rand.New(rand.NewPCG(5, 0))
	types := keyTypes()
	var sql strings.Builder
	sql.WriteString("SET time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES';\n")
	for i := range 2 * len(types) {
		key := []keyType{types[i%len(types)]}
		if i >= len(types) {
			key = append([]keyType{types[r.IntN(len(types))], types[r.IntN(len(types))]}[:1+r.IntN(2)], key...)
		}
		var columns, names []string
		for n, g := range key {
			columns, names = append(columns, fmt.Sprintf("k%d %s NOT NULL", n, g.Type)), append(names, fmt.Sprintf("k%d", n))
		}
		fmt.Fprintf(&sql, "CREATE TABLE t%d (%s, v int AUTO_INCREMENT UNIQUE, PRIMARY KEY (%s));\n", i, strings.Join(columns, ", "), strings.Join(names, ", "))
		few := make([]string, 4) // of the first columns, so that the later ones matter
		for n := range few {
			few[n] = key[0].Value(r)
		}
		fmt.Fprintf(&sql, "INSERT IGNORE INTO t%d (%s) VALUES ", i, strings.Join(names, ", "))
		for n := range rows {
			values := make([]string, len(key))
			for j, g := range key {
				if values[j] = g.Value(r); j == 0 && len(key) > 1 {
					values[j] = few[r.IntN(len(few))]
				}
			}
			fmt.Fprintf(&sql, "%s(%s)", []string{"", ", "}[min(n, 1)], strings.Join(values, ", "))
		}
		fmt.Fprintf(&sql, ";\nANALYZE TABLE t%d;\n", i)
	}
	maria.Exec(t, db, sql.String())
	whole, one := copied(t, db, 1_000_000)
	parts, many := copied(t, db, 20)
	if many < 3*one {
		t.Errorf("%d chunks of %d tables", many, one)
	}
	if diff := cmp.Diff(whole, parts); diff != "" {
		t.Errorf("a first snapshot in chunks (-want +have):\n%.3000s", diff)
	}
	c := configFor(t, maria, db)
	c.ZeroDates, c.Time, c.Snapshot, c.ChunkRows = onNull, asText, policyNever, 7
	o := newOracle()
	run := startLive(t, c, db, nil, o)
	run.streaming()
	var all []snapshot.Request
	for i := range 2 * len(types) {
		all = append(all, snapshot.Request{Table: fmt.Sprintf("%s.t%d", db, i), Reason: snapshot.ForRequest})
	}
	run.ask(all...)
	run.Stop()
	for _, e := range run.source.Entries() {
		if e.Status != snapshot.Done {
			t.Errorf("table %s: %s %s", e.Table, e.Status, e.Error)
		}
	}
	o.check(t, whole)
	t.Logf("%d tables, %d rows, %d chunks", 2*len(types), len(whole), o.chunks)
	if o.chunks < 20*len(types) {
		t.Errorf("%d chunks", o.chunks)
	}
}

// copied returns what a first snapshot reads with chunks of about so many rows, and how many those are.
func copied(t *testing.T, db string, chunk int) (have map[string]string, chunks int) {
	t.Helper()
	c := configFor(t, maria, db)
	c.ZeroDates, c.Time, c.Snapshot, c.ChunkRows = onNull, asText, policyOnly, chunk
	out := &pipetest.Collect{}
	have = map[string]string{}
	if err := open(t, c).Run(t.Context(), nil, out); err != nil {
		t.Fatal(err)
	}
	for _, b := range out.Batches() {
		for i := range b.Rows {
			r := &b.Rows[i]
			if _, twice := have[rowKey(r, r.Values)]; twice {
				t.Errorf("%s came twice", pipetest.RowText(r))
			}
			have[rowKey(r, r.Values)] = rowText(r.Values)
		}
		if b.Stream != snapshot.AttemptStream && strings.HasPrefix(string(b.Stream), "chunk/") && len(b.Marks) > 0 && b.Marks[0].Pos != "" {
			chunks += len(b.Marks)
		}
	}
	return have, chunks
}
