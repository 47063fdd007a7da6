package pgtext

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// encoded is a value, what it is written as, and what the server then prints.
type encoded struct {
	typ  string
	oid  uint32
	elem uint32
	v    pipeline.Value
	want string
}

func text(k pipeline.Kind, s string) pipeline.Value { return pipeline.StringValue(k, s) }

func encodedValues() []encoded {
	same := func(typ string, oid uint32, k pipeline.Kind, texts ...string) (out []encoded) {
		for _, s := range texts {
			out = append(out, encoded{typ: typ, oid: oid, v: text(k, s), want: s})
		}
		return out
	}
	array := func(typ string, elem uint32, texts ...string) (out []encoded) {
		for _, s := range texts {
			out = append(out, encoded{typ: typ + "[]", oid: ArrayOID(elem), elem: elem, v: text(pipeline.Array, s), want: s})
		}
		return out
	}
	all := []encoded{
		{"bool", oidBool, 0, pipeline.BoolValue(true), "t"}, {"bool", oidBool, 0, pipeline.BoolValue(false), "f"},
		{"int2", oidInt2, 0, pipeline.IntValue(-32768), "-32768"}, {"int4", oidInt4, 0, pipeline.IntValue(math.MinInt32), "-2147483648"},
		{"int8", oidInt8, 0, pipeline.IntValue(math.MinInt64), "-9223372036854775808"}, {"int8", oidInt8, 0, pipeline.UintValue(7), "7"},
		{"oid", oidOid, 0, pipeline.IntValue(math.MaxUint32), "4294967295"},
		{"float4", oidFloat4, 0, pipeline.Float32Value(1.1), "1.1"}, {"float8", oidFloat8, 0, pipeline.Float64Value(1e-300), "1e-300"},
		{"float8", oidFloat8, 0, pipeline.Float64Value(math.NaN()), "NaN"}, {"float4", oidFloat4, 0, pipeline.Float64Value(math.Inf(-1)), "-Infinity"},
		{"numeric", oidNumeric, 0, pipeline.IntValue(math.MinInt64), "-9223372036854775808"},
		{"numeric", oidNumeric, 0, pipeline.UintValue(math.MaxUint64), "18446744073709551615"},
		{"date", oidDate, 0, pipeline.DateValue(pipeline.DaysOf(-43, 3, 15)), "0044-03-15 BC"},
		{"date", oidDate, 0, pipeline.DateValue(pipeline.PosInfinity), "infinity"}, {"date", oidDate, 0, pipeline.DateValue(pipeline.NegInfinity), "-infinity"},
		{"date", oidDate, 0, pipeline.DateValue(pipeline.DaysOf(5874897, 12, 31)), "5874897-12-31"},
		{"time", oidTime, 0, pipeline.TimeValue(86_400_000_000), "24:00:00"},
		{"timestamp", oidTimestamp, 0, pipeline.TimestampValue(1), "2000-01-01 00:00:00.000001"},
		{"timestamptz", oidTimestampTZ, 0, pipeline.TimestampTZValue(pipeline.PosInfinity), "infinity"},
		{"timestamptz", oidTimestampTZ, 0, pipeline.TimestampTZValue(-1), "1999-12-31 23:59:59.999999+00"},
		{"bytea", oidBytea, 0, text(pipeline.Bytes, "\x00\xff"), `\x00ff`}, {"text", oidText, 0, pipeline.IntValue(-5), "-5"},
		{"text", oidText, 0, pipeline.DateValue(0), "2000-01-01"}, {"text", oidText, 0, pipeline.Float64Value(math.Inf(1)), "Infinity"},
		{"numeric", oidNumeric, 0, text(pipeline.Decimal, "-0"), "0"}, {"numeric", oidNumeric, 0, text(pipeline.Decimal, "007.50"), "7.50"},
		{"numeric", oidNumeric, 0, text(pipeline.Decimal, ".5"), "0.5"},
	}
	all = append(all, same("numeric", oidNumeric, pipeline.Decimal, "0", "0.00", "1", "-1.5", "9999", "10000", "0.0001", "0.00001", "10000.00010000",
		"123456789012345678901234567890.123456789", "NaN", "Infinity", "-Infinity", "100000000", strings.Repeat("9", 1000)+"."+strings.Repeat("1", 900))...)
	all = append(all, same("uuid", oidUUID, pipeline.UUID, "0123abcd-4567-89ab-cdef-0123456789ab")...)
	all = append(all, same("json", oidJSON, pipeline.JSON, `{"b": 1,  "a": 2}`)...)
	all = append(all, same("jsonb", oidJSONB, pipeline.JSON, `{"a": 2, "b": [1, null]}`)...)
	all = append(all, same("varbit", oidVarbit, pipeline.Bits, "", "1", "10101010", "101010101")...)
	all = append(all, same("interval", oidInterval, pipeline.Interval, "00:00:00", "1 year 2 mons 3 days 04:05:06.789", "-1 years -2 mons +3 days -04:05:06",
		"1 mon", "-00:00:00.000001", "100000:00:00", "1 day -00:00:01")...)
	all = append(all, same("text", oidText, pipeline.Text, "", "héllo", "\"q\\")...)
	all = append(all, array("int4", oidInt4, "{}", "{1,2,NULL}", "{{1,2},{3,4}}", "[2:3]={1,2}", "[0:0][-1:0]={{7,8}}")...)
	all = append(all, array("text", oidText, `{a,"b,c",NULL,"NULL","","q\"q","back\\slash"}`, `{{a},{"{x}"}}`)...)
	all = append(all, array("numeric", oidNumeric, "{1.50,NaN,-0.001}")...)
	all = append(all, array("bytea", oidBytea, `{"\\x00ff","\\x"}`)...)
	all = append(all, array("bool", oidBool, "{t,f,NULL}")...)
	all = append(all, array("float8", oidFloat8, "{1.5,NaN,Infinity,-Infinity}")...)
	all = append(all, array("jsonb", oidJSONB, `{"{\"a\": 1}"}`)...)
	return append(all, array("uuid", oidUUID, "{0123abcd-4567-89ab-cdef-0123456789ab}")...)
}

// TestEncodeAgainstServer sends every value by binary COPY and as an array parameter, and compares
// what the server prints.
func TestEncodeAgainstServer(t *testing.T) {
	dsn := pipetest.Postgres(t).Database(t)
	c := dial(t, dsn)
	for _, e := range encodedValues() {
		enc := NewEncoder([]EncodeColumn{{Name: "v", OID: e.oid, Elem: e.elem}})
		rows := [][]pipeline.Value{{e.v}, {pipeline.NullValue}}
		run(t, c, "DROP TABLE IF EXISTS t; CREATE TABLE t (v "+e.typ+")")
		var r CopyReader
		r.Reset(enc, rows)
		if _, err := c.CopyFrom(t.Context(), &r, "COPY t FROM STDIN (FORMAT binary)"); err != nil {
			t.Errorf("%s %q: %v", e.typ, e.want, err)
			continue
		}
		if have := run(t, c, "SELECT format('%s', v) FROM t WHERE v IS NOT NULL"); have != e.want {
			t.Errorf("%s: copied %q, want %q", e.typ, have, e.want)
		}
		if e.elem != 0 {
			continue
		}
		array, _, err := enc.Array(nil, 0, rows)
		if err != nil {
			t.Errorf("%s %q: %v", e.typ, e.want, err)
			continue
		}
		res := c.ExecParams(t.Context(), "SELECT format('%s', u), u FROM unnest($1::"+e.typ+"[]) u", [][]byte{array}, nil, []int16{1}, nil).Read()
		if res.Err != nil || len(res.Rows) != 2 || string(res.Rows[0][0]) != e.want || res.Rows[1][1] != nil {
			t.Errorf("%s: as a parameter %q (%v), want %q and NULL", e.typ, res.Rows, res.Err, e.want)
		}
	}
}

func dial(t testing.TB, dsn string) *pgconn.PgConn {
	t.Helper()
	c, err := pgconn.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	run(t, c, "SET timezone = 'UTC'; SET intervalstyle = postgres; SET client_min_messages = error")
	return c
}

// run returns the first value of the last result.
func run(t testing.TB, c *pgconn.PgConn, sql string) string {
	t.Helper()
	res, err := c.Exec(t.Context(), sql).ReadAll()
	if err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
	last := res[len(res)-1]
	if len(last.Rows) == 0 {
		return ""
	}
	return string(last.Rows[0][0])
}

func TestEncodeRefuses(t *testing.T) {
	cases := []struct {
		oid, elem uint32
		v         pipeline.Value
		want      string
	}{
		{oidInt2, 0, pipeline.IntValue(32768), "out of range for smallint"},
		{oidInt4, 0, pipeline.IntValue(1 << 31), "out of range for integer"},
		{oidInt8, 0, pipeline.UintValue(1 << 63), "out of range for bigint"},
		{oidOid, 0, pipeline.IntValue(-1), "out of range for oid"},
		{oidFloat4, 0, pipeline.Float64Value(1e300), "out of range for real"},
		{oidDate, 0, pipeline.DateValue(1 << 40), "out of range for date"},
		{oidText, 0, text(pipeline.Text, "a\x00b"), "NUL"}, {oidJSONB, 0, text(pipeline.JSON, "\x00"), "NUL"},
		{oidText, 0, text(pipeline.Bytes, "a"), "cannot be written as text"},
		{oidNumeric, 0, text(pipeline.Decimal, "1e5"), "not a decimal"}, {oidNumeric, 0, text(pipeline.Decimal, ""), "not a decimal"},
		{oidNumeric, 0, text(pipeline.Decimal, "."), "not a decimal"}, {oidNumeric, 0, text(pipeline.Decimal, strings.Repeat("9", 131073)), "more digits"},
		{oidUUID, 0, text(pipeline.UUID, "12"), "uuid"}, {oidVarbit, 0, text(pipeline.Bits, "012"), "bit"},
		{oidInterval, 0, text(pipeline.Interval, "1 fortnight"), "interval"}, {oidInterval, 0, text(pipeline.Interval, ""), "interval"},
		{oidBool, 0, pipeline.AbsentValue, "not sent"}, {oidTimestamp, 0, text(pipeline.Other, "0000-00-00"), "0000-00-00"},
		{1007, oidInt4, text(pipeline.Array, "{1,{2}}"), "array"}, {1007, oidInt4, text(pipeline.Array, "{{1},{2,3}}"), "array"},
		{1007, oidInt4, text(pipeline.Array, "{1"), "array"}, {1007, oidInt4, text(pipeline.Array, "{1,}"), "array"},
		{1007, oidInt4, text(pipeline.Array, "{x}"), "array"}, {1007, oidInt4, text(pipeline.Array, "{2147483648}"), "out of range"},
	}
	for _, c := range cases {
		_, err := NewEncoder([]EncodeColumn{{Name: "v", OID: c.oid, Elem: c.elem}}).Tuple(nil, []pipeline.Value{c.v})
		var ee *EncodeError
		if !errors.As(err, &ee) || !strings.Contains(err.Error(), c.want) || ee.Column != "v" {
			t.Errorf("type %d, %s: %v, want %q", c.oid, c.v, err, c.want)
		}
	}
}

func TestEncodeNul(t *testing.T) {
	for nul, want := range map[Nul]string{NulStrip: "ab", NulReplace: "a\uFFFDb"} {
		out, err := NewEncoder([]EncodeColumn{{OID: oidText, Nul: nul}}).Field(nil, 0, []pipeline.Value{text(pipeline.Text, "a\x00b")})
		if err != nil || string(out[4:]) != want {
			t.Errorf("policy %d: %q, %v, want %q", nul, out, err, want)
		}
	}
}

// TestCopyReaderLarge compares the stream with large values against tuples encoded at once, read in
// odd pieces.
func TestCopyReaderLarge(t *testing.T) {
	big := strings.Repeat("x", copyLarge)
	rows := [][]pipeline.Value{
		{pipeline.IntValue(1), text(pipeline.Bytes, big), text(pipeline.Text, big)},
		{pipeline.IntValue(2), text(pipeline.Bytes, "s"), text(pipeline.Text, strings.Repeat("y", 3*copyChunk))},
		{pipeline.IntValue(3), pipeline.NullValue, text(pipeline.Text, "z")},
	}
	enc := NewEncoder([]EncodeColumn{{Index: 0, OID: oidInt8}, {Index: 1, OID: oidBytea}, {Index: 2, OID: oidText}})
	want := []byte(copyHeader)
	for _, row := range rows {
		var err error
		if want, err = enc.Tuple(want, row); err != nil {
			t.Fatal(err)
		}
	}
	want = append(want, 0xff, 0xff)
	for _, size := range []int{1, 7, 4096, 1 << 20} {
		var r CopyReader
		r.Reset(enc, rows)
		var have []byte
		buf := make([]byte, size)
		for {
			n, err := r.Read(buf)
			have = append(have, buf[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(have, want) {
			t.Errorf("read by %d bytes: %d bytes differ from %d", size, len(have), len(want))
		}
	}
}

func TestCopyReaderFailed(t *testing.T) {
	var r CopyReader
	r.Reset(NewEncoder([]EncodeColumn{{Name: "n", OID: oidInt2}}), [][]pipeline.Value{{pipeline.IntValue(1)}, {pipeline.IntValue(99999)}})
	if _, err := io.ReadAll(&r); err == nil {
		t.Fatal("no error")
	}
	if row, err := r.Failed(); row != 1 || err == nil {
		t.Errorf("failed row %d, %v, want row 1", row, err)
	}
}

func encodeSample() (*Encoder, []pipeline.Value) {
	enc := NewEncoder([]EncodeColumn{{Index: 0, OID: oidInt8}, {Index: 1, OID: oidInt4}, {Index: 2, OID: oidNumeric}, {Index: 3, OID: oidText},
		{Index: 4, OID: oidText}, {Index: 5, OID: oidTimestampTZ}, {Index: 6, OID: oidBool}, {Index: 7, OID: oidJSONB},
		{Index: 8, OID: oidFloat8}, {Index: 9, OID: 1007, Elem: oidInt4}})
	return enc, []pipeline.Value{pipeline.IntValue(1), pipeline.IntValue(2), text(pipeline.Decimal, "1234.56"), text(pipeline.Text, "name"),
		text(pipeline.Text, strings.Repeat("n", 100)), pipeline.TimestampTZValue(5), pipeline.BoolValue(true), text(pipeline.JSON, `{"a": 1}`),
		pipeline.Float64Value(1.5), text(pipeline.Array, "{1,2,3}")}
}

func TestEncodeAllocates(t *testing.T) {
	enc, row := encodeSample()
	dst := make([]byte, 0, 4096)
	n := testing.AllocsPerRun(100, func() {
		if _, err := enc.Tuple(dst[:0], row); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a row, want 0", n)
	}
}

func BenchmarkEncodeTuple(b *testing.B) {
	enc, row := encodeSample()
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := enc.Tuple(dst[:0], row); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzEncodeNumeric holds that what is encoded prints as it was, but for needless zeros before it.
func FuzzEncodeNumeric(f *testing.F) {
	for _, s := range []string{"0", "-1.50", "10000.0001", "NaN", "00.5", ".5", "-0.0", "99999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		bin, err := encodeDecimal(nil, []byte(s))
		if err != nil {
			return
		}
		have, ok := appendNumeric(nil, bin)
		if !ok || !sameDecimal(string(have), s) {
			t.Errorf("%q became %q (%v)", s, have, ok)
		}
	})
}

func sameDecimal(a, b string) bool {
	b = strings.TrimPrefix(b, "+")
	neg := strings.HasPrefix(b, "-") && strings.ContainsAny(b, "123456789")
	if b == "-Infinity" {
		return a == b
	}
	b = strings.TrimPrefix(b, "-")
	if b == "NaN" || b == "Infinity" {
		return a == b
	}
	b = strings.TrimLeft(b, "0")
	b = strings.TrimSuffix(b, ".")
	if b == "" || b[0] == '.' {
		b = "0" + b
	}
	if neg {
		b = "-" + b
	}
	return a == b
}

// FuzzEncodeArray holds that no text panics, and that what is accepted has a consistent header.
func FuzzEncodeArray(f *testing.F) {
	for _, s := range []string{"{}", "{1,2}", `{"a\"b",NULL}`, "[1:2][3:3]={{1},{2}}", "{{{}}}", `{"\\x00"}`} {
		f.Add(s, uint8(0))
	}
	elems := []uint32{oidText, oidInt4, oidBytea, oidNumeric, oidBool, oidUUID, oidFloat8}
	f.Fuzz(func(t *testing.T, s string, which uint8) {
		elem := elems[int(which)%len(elems)]
		enc := NewEncoder([]EncodeColumn{{OID: ArrayOID(elem), Elem: elem}})
		out, err := enc.Field(nil, 0, []pipeline.Value{text(pipeline.Array, s)})
		if err == nil && len(out) < 16 {
			t.Errorf("%q became %x", s, out)
		}
	})
}

// FuzzEncodeInterval holds that an interval that is read survives printing by the decoder's rules.
func FuzzEncodeInterval(f *testing.F) {
	for _, s := range []string{"00:00:00", "1 year 2 mons -3 days +04:05:06.789", "-2562047788:00:54.775808"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		enc := NewEncoder([]EncodeColumn{{OID: oidInterval}})
		out, err := enc.Field(nil, 0, []pipeline.Value{text(pipeline.Interval, s)})
		if err == nil && len(out) != 20 {
			t.Errorf("%q became %x", s, out)
		}
	})
}

func BenchmarkCopyReader(b *testing.B) {
	enc, row := encodeSample()
	rows := make([][]pipeline.Value, 1000)
	for i := range rows {
		rows[i] = row
	}
	var r CopyReader
	buf := make([]byte, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(enc, rows)
		for {
			if _, err := r.Read(buf); err != nil {
				break
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rows)), "ns/row")
}
