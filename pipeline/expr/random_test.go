package expr

import (
	"fmt"
	"math/big"
	"math/rand"
	"strconv"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
)

// field is a column of the random table: its type, its SQL values and how they are read.
type field struct {
	name, typ string
	kind      pipeline.Kind
	labels    []string
	pool      []string
}

func fields() []field {
	return []field{
		{"id", "int8", pipeline.Int, nil, nil},
		{"i", "int4", pipeline.Int, nil, []string{"-3", "0", "1", "2", "7", "100"}},
		{"n", "numeric", pipeline.Decimal, nil, []string{"-1.50", "0", "0.00", "1", "1.0", "2.25",
			"100.000001", "-7"}},
		{"s", "text", pipeline.Text, nil, []string{"", "a", "ab", "b", "A", "é", "draft", "a b", " a "}},
		{"b", "boolean", pipeline.Bool, nil, []string{"true", "false"}},
		{"d", "date", pipeline.Date, nil, []string{"1999-12-31", "2000-01-01", "2024-02-29"}},
		{"e", "mood", pipeline.Text, []string{"sad", "ok", "glad"}, []string{"sad", "ok", "glad"}},
		{"c", "character(4)", pipeline.Text, nil, []string{"a", "ab", "abcd", ""}},
		{"x", "numeric", pipeline.Decimal, nil, []string{"NaN", "Infinity", "-Infinity", "1.5", "0"}},
		{"f", "double precision", pipeline.Float64, nil, []string{"NaN", "Infinity", "1.5", "0", "-2", "0.1"}},
		{"ts", "timestamp", pipeline.Timestamp, nil, []string{"infinity", "2000-01-01 00:00:00",
			"2024-02-29 12:00:00.5"}},
	}
}

func randomSchema() *pipeline.Schema {
	s := &pipeline.Schema{System: pipeline.PostgreSQL, Database: "d", Namespace: "public", Table: "t",
		Key: []int{0}}
	for _, f := range fields() {
		s.Columns = append(s.Columns, pipeline.Column{Name: f.name, Kind: f.kind, Type: f.typ, Labels: f.labels})
	}
	return s
}

// randomRows returns rows as text, NULL as "".
func randomRows(rnd *rand.Rand, n int) [][]*string {
	rows := make([][]*string, n)
	for i := range rows {
		for c, f := range fields() {
			id := strconv.Itoa(i)
			v := &id
			if c > 0 {
				v = &f.pool[rnd.Intn(len(f.pool))]
				if rnd.Intn(5) == 0 {
					v = nil
				}
			}
			rows[i] = append(rows[i], v)
		}
	}
	return rows
}

// rowValues reads the text of a row as a source would.
func rowValues(row []*string) []pipeline.Value {
	out := make([]pipeline.Value, len(row))
	for i, f := range fields() {
		if row[i] == nil {
			continue
		}
		s := *row[i]
		switch f.kind {
		case pipeline.Int:
			n, _ := strconv.ParseInt(s, 10, 64)
			out[i] = pipeline.IntValue(n)
		case pipeline.Bool:
			out[i] = pipeline.BoolValue(s == "true")
		case pipeline.Float64:
			n, _ := strconv.ParseFloat(s, 64)
			out[i] = pipeline.Float64Value(n)
		case pipeline.Date, pipeline.Timestamp:
			out[i], _ = ParseTemporal(f.kind, s)
		default:
			if f.typ == "character(4)" {
				s = fmt.Sprintf("%-4s", s)
			}
			out[i] = pipeline.StringValue(f.kind, s)
		}
	}
	return out
}

// sample is a random expression and, unless it uses columns that the reference cannot read, its
// slow meaning over a row's text: nil for NULL, bool, string or *big.Rat.
type sample struct {
	src string
	ref func(row []*string) any
}

type generator struct {
	*rand.Rand
	special bool // use the columns that have no reference
}

func (g *generator) condition(depth int) sample {
	if depth == 0 {
		return g.leaf()
	}
	a := g.condition(depth - 1)
	switch g.Intn(6) {
	case 0:
		return sample{"!(" + a.src + ")", func(r []*string) any {
			x, ok := a.ref(r).(bool)
			if !ok {
				return nil
			}
			return !x
		}}
	case 1, 2:
		return logic("&&", a, g.condition(depth-1), false)
	case 3, 4:
		return logic("||", a, g.condition(depth-1), true)
	}
	b, c := g.condition(depth-1), g.condition(depth-1)
	return sample{fmt.Sprintf("((%s) ? (%s) : (%s))", a.src, b.src, c.src), func(r []*string) any {
		if a.ref(r) == true {
			return b.ref(r)
		}
		return c.ref(r)
	}}
}

func logic(op string, a, b sample, dominant bool) sample {
	return sample{fmt.Sprintf("(%s %s %s)", a.src, op, b.src), func(r []*string) any {
		x, y := a.ref(r), b.ref(r)
		switch {
		case x == dominant || y == dominant:
			return dominant
		case x == nil || y == nil:
			return nil
		}
		return !dominant
	}}
}

func (g *generator) pick(options ...string) string { return options[g.Intn(len(options))] }

// leaf is a comparison, a null test, a list or a function that is a condition.
func (g *generator) leaf() sample {
	if g.special && g.Intn(3) == 0 {
		return sample{src: g.pick(
			`row.x > row.n`, `row.x == row.x`, `row.x != 1.5`, `row.x >= row.i`, `row.f > row.n`, `row.f == 0.1`,
			`row.f <= row.x`, `row.f < 2`, `row.ts > row.d`, `row.ts == "2000-01-01"`, `row.ts < "infinity"`,
			`row.i == row.f`, `row.f != row.f`, `contains([0, 1.5], row.x)`, `row.s > "B"`, `row.s < row.c`,
		)}
	}
	switch g.Intn(8) {
	case 0:
		return compareSamples(g.pick("==", "!=", "<", "<=", ">", ">="), g.num(2), g.num(2))
	case 1:
		return compareSamples(g.pick("==", "!=", "<", ">="), g.text(2), g.text(2))
	case 2:
		d := g.pick("2000-01-01", "2024-02-29", "1000-01-01")
		return compareSamples(g.pick("==", "!=", "<", ">"), column("d"), constant(d))
	case 3:
		name := g.pick("i", "n", "s", "b", "d", "e", "c")
		col := column(name)
		null := g.Intn(2) == 0
		op := map[bool]string{true: "==", false: "!="}[null]
		return sample{"row." + name + " " + op + " null",
			func(r []*string) any { return (col.ref(r) == nil) == null }}
	case 4:
		return compareSamples(g.pick("==", "!="), column("e"), constant(g.pick("sad", "ok", "glad")))
	case 5:
		return column("b")
	case 6:
		return g.list()
	}
	return g.test()
}

func (g *generator) list() sample {
	x, items := g.text(1), []sample{g.text(0), g.text(0), g.text(0)}
	src := make([]string, len(items))
	for i := range items {
		src[i] = items[i].src
	}
	return sample{fmt.Sprintf("contains([%s], %s)", strings.Join(src, ", "), x.src), func(r []*string) any {
		var result any = false
		for _, item := range items {
			switch eq := compareRef("==", x.ref(r), item.ref(r)); {
			case eq == true:
				return true
			case eq == nil:
				result = nil
			}
		}
		return result
	}}
}

func (g *generator) test() sample {
	name := g.pick("startswith", "endswith", "contains")
	f := map[string]func(a, b string) bool{
		"startswith": strings.HasPrefix, "endswith": strings.HasSuffix, "contains": strings.Contains}[name]
	a, b := g.text(1), g.text(0)
	return sample{fmt.Sprintf("%s(%s, %s)", name, a.src, b.src), func(r []*string) any {
		x, ok1 := a.ref(r).(string)
		y, ok2 := b.ref(r).(string)
		if !ok1 || !ok2 {
			return nil
		}
		return f(x, y)
	}}
}

func column(name string) sample {
	for i, f := range fields() {
		if f.name != name {
			continue
		}
		return sample{"row." + name, func(r []*string) any {
			if r[i] == nil {
				return nil
			}
			switch f.kind {
			case pipeline.Bool:
				return *r[i] == "true"
			case pipeline.Int, pipeline.Decimal:
				n, _ := new(big.Rat).SetString(*r[i])
				return n
			}
			return *r[i]
		}}
	}
	panic(name)
}

func constant(s string) sample {
	return sample{strconv.Quote(s), func([]*string) any { return s }}
}

func (g *generator) num(depth int) sample {
	if depth == 0 || g.Intn(3) == 0 {
		if g.Intn(3) > 0 {
			return column(g.pick("i", "n", "id"))
		}
		text := g.pick("0", "1", "-2", "1.0", "2.25", "99.5")
		n, _ := new(big.Rat).SetString(text)
		return sample{text, func([]*string) any { return n }}
	}
	a := g.num(depth - 1)
	switch g.Intn(6) {
	case 0:
		return unaryNumber("abs(%s)", a, func(x *big.Rat) *big.Rat { return new(big.Rat).Abs(x) })
	case 1:
		return unaryNumber("floor(%s)", a, floorRat)
	case 2:
		return unaryNumber("-(%s)", a, func(x *big.Rat) *big.Rat { return new(big.Rat).Neg(x) })
	case 3:
		return unaryNumber("round(%s)", a, func(x *big.Rat) *big.Rat {
			half := floorRat(new(big.Rat).Add(new(big.Rat).Abs(x), big.NewRat(1, 2)))
			if x.Sign() < 0 {
				half.Neg(half)
			}
			return half
		})
	}
	op, b := g.pick("+", "-", "*"), g.num(depth-1)
	f := map[string]func(z, x, y *big.Rat) *big.Rat{
		"+": (*big.Rat).Add, "-": (*big.Rat).Sub, "*": (*big.Rat).Mul}[op]
	return sample{fmt.Sprintf("(%s %s %s)", a.src, op, b.src), func(r []*string) any {
		x, ok1 := a.ref(r).(*big.Rat)
		y, ok2 := b.ref(r).(*big.Rat)
		if !ok1 || !ok2 {
			return nil
		}
		return f(new(big.Rat), x, y)
	}}
}

func floorRat(x *big.Rat) *big.Rat {
	q, _ := new(big.Int).DivMod(x.Num(), x.Denom(), new(big.Int))
	return new(big.Rat).SetInt(q)
}

func unaryNumber(format string, a sample, f func(*big.Rat) *big.Rat) sample {
	return sample{fmt.Sprintf(format, a.src), func(r []*string) any {
		x, ok := a.ref(r).(*big.Rat)
		if !ok {
			return nil
		}
		return f(x)
	}}
}

func (g *generator) text(depth int) sample {
	if depth == 0 || g.Intn(3) == 0 {
		if g.Intn(3) > 0 {
			return column(g.pick("s", "c"))
		}
		return constant(g.pick("", "a", "b", "ab", "é", "it's", `\`, " "))
	}
	a := g.text(depth - 1)
	switch g.Intn(4) {
	case 0:
		return sample{"trim(" + a.src + ")", func(r []*string) any {
			s, ok := a.ref(r).(string)
			if !ok {
				return nil
			}
			return strings.Trim(s, " ")
		}}
	case 1:
		return sample{"coalesce(" + a.src + `, "b")`, func(r []*string) any {
			if x := a.ref(r); x != nil {
				return x
			}
			return "b"
		}}
	case 2:
		return sample{"substr(" + a.src + ", 2, 2)", func(r []*string) any {
			s, ok := a.ref(r).(string)
			if !ok {
				return nil
			}
			runes := []rune(s)
			return string(runes[min(1, len(runes)):min(3, len(runes))])
		}}
	}
	b := g.text(depth - 1)
	return sample{fmt.Sprintf(`"${%s}-${%s}"`, a.src, b.src), func(r []*string) any {
		x, ok1 := a.ref(r).(string)
		y, ok2 := b.ref(r).(string)
		if !ok1 || !ok2 {
			return nil
		}
		return x + "-" + y
	}}
}

func compareSamples(op string, a, b sample) sample {
	return sample{fmt.Sprintf("(%s %s %s)", a.src, op, b.src), func(r []*string) any {
		return compareRef(op, a.ref(r), b.ref(r))
	}}
}

func compareRef(op string, a, b any) any {
	if a == nil || b == nil {
		return nil
	}
	c := 0
	switch a := a.(type) {
	case *big.Rat:
		c = a.Cmp(b.(*big.Rat))
	case string:
		c = strings.Compare(a, b.(string))
	}
	return map[string]bool{"==": c == 0, "!=": c != 0, "<": c < 0, "<=": c <= 0, ">": c > 0, ">=": c >= 0}[op]
}

// TestAgainstReference compares Match with the reference over random expressions and rows.
func TestAgainstReference(t *testing.T) {
	g := &generator{Rand: rand.New(rand.NewSource(1))}
	rows := randomRows(g.Rand, 40)
	schema, values, arena := randomSchema(), make([][]pipeline.Value, len(rows)), new(pipeline.Arena)
	for i, row := range rows {
		values[i] = rowValues(row)
	}
	for range 2000 {
		s := g.condition(g.Intn(4))
		p, diags := Compile(parse(t, s.src), schema, nil)
		if diags.HasErrors() {
			t.Fatalf("%s: %v", s.src, diags)
		}
		v := new(Vars)
		for i, row := range rows {
			arena.Reset()
			v.New = values[i]
			got, err := p.Eval(arena, v)
			want := s.ref(row)
			if err != nil || want == nil && !got.IsNull() || want != nil && (got.IsNull() || got.Bool() != want.(bool)) {
				t.Fatalf("%s = %s, %v; want %v\nrow %v", s.src, got, err, want, values[i])
			}
		}
	}
}
