package envelope

import (
	"errors"
	"math/big"
	"math/rand"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
)

// oracle is two's complement of the fewest bytes by math/big.
func oracle(n *big.Int) []byte {
	if n.Sign() >= 0 {
		b := n.Bytes()
		if len(b) == 0 || b[0] >= 0x80 {
			b = append([]byte{0}, b...)
		}
		return b
	}
	for size := 1; ; size++ {
		limit := new(big.Int).Lsh(big.NewInt(1), uint(8*size-1))
		if new(big.Int).Neg(n).Cmp(limit) <= 0 {
			sum := new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
			return sum.FillBytes(make([]byte, size))
		}
	}
}

func checkUnscaled(t *testing.T, whole, frac string, neg bool, scale int) {
	t.Helper()
	text := whole
	if frac != "" {
		text += "." + frac
	}
	if neg {
		text = "-" + text
	}
	got, err := appendUnscaled(nil, []byte(text), scale)
	kept := strings.TrimRight(frac, "0")
	if len(kept) > scale {
		if !errors.Is(err, ErrRange) {
			t.Fatalf("%s at scale %d: %x, %v", text, scale, got, err)
		}
		return
	}
	digits := whole + kept + strings.Repeat("0", scale-len(kept))
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		t.Fatal(digits)
	}
	if neg {
		n.Neg(n)
	}
	if diff := cmp.Diff(oracle(n), got); diff != "" || err != nil {
		t.Fatalf("%s at scale %d: %v (-want +got):\n%s", text, scale, err, diff)
	}
}

func TestUnscaled(t *testing.T) {
	for _, s := range []string{"0", "127", "128", "255", "256", "32767", "32768", "9223372036854775807", "9223372036854775808",
		"18446744073709551615", "170141183460469231731687303715884105727", "340282366920938463463374607431768211456",
		"99999999999999999999999999999999999999", "999999999999999999", "1000000000000000000"} {
		for scale := range 4 {
			checkUnscaled(t, s, "", false, scale)
			checkUnscaled(t, s, "", true, scale)
		}
	}
	r := rand.New(rand.NewSource(1))
	number := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('0' + r.Intn(10))
		}
		return string(b)
	}
	for range 20_000 {
		checkUnscaled(t, number(1+r.Intn(45)), number(r.Intn(6)), r.Intn(2) == 0, r.Intn(8))
	}
	for _, bad := range []string{"", "-", "1.2.3", "x", "1e5", "12345678901234567890x", "--1", "."} {
		if out, err := appendUnscaled(nil, []byte(bad), 2); !errors.Is(err, ErrSyntax) && bad != "." {
			t.Errorf("%q: %x, %v", bad, out, err)
		}
	}
	for _, nan := range []string{"NaN", "Infinity", "-Infinity"} {
		if _, err := appendUnscaled(nil, []byte(nan), 2); !errors.Is(err, ErrNaN) {
			t.Errorf("%q: %v", nan, err)
		}
	}
}

func TestISO(t *testing.T) {
	day := pipeline.DaysOf(21016, 1, 2)
	for _, c := range []struct {
		v      pipeline.Value
		digits int
		zoned  bool
		want   string
	}{
		{pipeline.TimestampTZValue(0), 6, true, "2000-01-01T00:00:00.000000Z"},
		{pipeline.TimestampTZValue(0), 0, true, "2000-01-01T00:00:00Z"},
		{pipeline.TimestampTZValue(day * dayMicros), -1, true, "+21016-01-02T00:00:00Z"},
		{pipeline.TimestampValue(-1), -1, false, "1999-12-31T23:59:59.999999"},
		{pipeline.TimestampValue(1_500_000), 3, false, "2000-01-01T00:00:01.500"},
		{pipeline.TimestampTZValue(pipeline.PosInfinity), 6, true, "infinity"},
		{pipeline.DateValue(pipeline.NegInfinity), 6, true, "-infinity"},
		{pipeline.DateValue(pipeline.DaysOf(-43, 3, 15)), 0, false, "-0043-03-15"},
		{pipeline.DateValue(pipeline.DaysOf(0, 3, 15)), 0, false, "0000-03-15"},
		{pipeline.TimeValue(dayMicros), -1, false, "24:00:00"},
		{pipeline.TimeValue(-3_600_000_000 * 838), -1, false, "-838:00:00"},
	} {
		typ := &Type{Form: ISO, Kind: c.v.Kind(), Digits: c.digits, Zoned: c.zoned}
		got, err := typ.AppendText(nil, c.v)
		if err != nil || string(got) != c.want {
			t.Errorf("%v: %s, %v, want %s", c.v, got, err, c.want)
		}
	}
}

func TestIntervals(t *testing.T) {
	for in, want := range map[string]string{
		"1 year 2 mons 3 days 04:05:06.78":     "P1Y2M3DT4H5M6.78S",
		"-1 years -2 mons +3 days -04:05:06.5": "P-1Y-2M3DT-4H-5M-6.5S",
		"00:00:00":                             "P0Y0M0DT0H0M0.0S",
		"-00:00:00.5":                          "P0Y0M0DT0H0M-0.5S",
		"1 day":                                "P0Y0M1DT0H0M0.0S",
		"2562047788:00:54.775807":              "P0Y0M0DT2562047788H0M54.775807S",
	} {
		got, err := appendISODuration(nil, in)
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", in, got, err, want)
		}
	}
	if n, err := intervalMicros("1 mon"); err != nil || n != 2_629_800_000_000 {
		t.Errorf("a month: %d, %v", n, err)
	}
	if _, err := intervalMicros("178000000 years"); !errors.Is(err, ErrRange) {
		t.Errorf("too long: %v", err)
	}
	for _, bad := range []string{"x", "1", "1 week", "04:05:06 1 day", "1 day 25"} {
		if _, err := parseInterval(bad); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestElements(t *testing.T) {
	for in, want := range map[string][]string{
		"{}": nil, "{1,2}": {"1", "2"}, `{NULL,"NULL",null}`: {"<null>", "NULL", "null"}, `{"a,b","c\"\\d",""}`: {"a,b", `c"\d`, ""},
		"[0:1]={7,8}": {"7", "8"}, `{"{1}"}`: {"{1}"},
	} {
		var got []string
		_, err := Elements(in, nil, func(text []byte, null bool) error {
			if null {
				text = []byte("<null>")
			}
			got = append(got, string(text))
			return nil
		})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", in, err, diff)
		}
	}
	for _, bad := range []string{"", "{", "}", "{{1},{2}}", `{"a}`, `{"a"b}`, "{1,}", "{,1}", `{"a\`} {
		if _, err := Elements(bad, nil, func([]byte, bool) error { return nil }); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestTextOfTemporals(t *testing.T) {
	for _, v := range []pipeline.Value{
		pipeline.DateValue(0), pipeline.DateValue(pipeline.DaysOf(-43, 3, 15)), pipeline.TimestampValue(-1),
		pipeline.TimestampTZValue(848_484_672_123_456), pipeline.TimestampTZValue(pipeline.PosInfinity), pipeline.TimeValue(1),
	} {
		typ := &Type{Kind: v.Kind()}
		if got, err := typ.ParseText(pipeline.AppendTemporal(nil, v)); err != nil || !got.Equal(v) {
			t.Errorf("%v: %v, %v", v, got, err)
		}
	}
	if v, err := parseTemporal(pipeline.TimestampTZ, "2000-01-01 02:00:00.5+02"); err != nil || v.Int() != 500_000 {
		t.Errorf("%v, %v", v.Int(), err)
	}
}

// FuzzText gives any text to every conversion that parses one.
func FuzzText(f *testing.F) {
	for _, s := range []string{"{1,\"a\"}", "1 day -01:02:03", "12:00+02", `"a"=>"b", "c"=>NULL`, "$1,234.50", "0101", "2000-01-01 00:00:00+00", "-1.50"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = Elements(s, nil, func([]byte, bool) error { return nil })
		_, _ = intervalMicros(s)
		_, _ = appendISODuration(nil, s)
		_, _ = appendZonedTime(nil, s)
		_, _ = appendMoney(nil, s, 2)
		_, _ = appendBits(nil, s)
		if out, err := appendHstore(nil, s); err == nil && (len(out) < 2 || out[0] != '{') {
			t.Errorf("%q: %q", s, out)
		}
		for k := pipeline.Bool; k <= pipeline.Other; k++ {
			_, _ = (&Type{Kind: k}).ParseText([]byte(s))
		}
		if out, err := appendUnscaled(nil, []byte(s), 3); err == nil && len(out) == 0 {
			t.Errorf("%q: nothing", s)
		}
	})
}
