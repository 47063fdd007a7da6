package pipeline

import (
	"fmt"
	"testing"
	"time"
)

// FuzzDate: DateOf and DaysOf are inverse, follow each other without a gap, and agree with package
// time wherever it can say.
func FuzzDate(f *testing.F) {
	for _, days := range []int64{0, -1, 59, 60, 366, -730485, -730486, 2921939, 106741034, -2451545, 1 << 40, -1 << 40} {
		f.Add(days)
	}
	f.Fuzz(func(t *testing.T, days int64) {
		days %= 1 << 45
		year, month, day := DateOf(days)
		if back := DaysOf(year, month, day); back != days {
			t.Fatalf("day %d is %d-%d-%d, which is day %d", days, year, month, day, back)
		}
		y, m, d := DateOf(days + 1)
		next := y == year && m == month && d == day+1 || y == year && m == month+1 && d == 1 || y == year+1 && m == 1 && d == 1
		if !next || month < 1 || month > 12 || day < 1 || day > 31 {
			t.Fatalf("%d-%d-%d comes after %d-%d-%d", y, m, d, year, month, day)
		}
		if days > -1<<30 && days < 1<<30 {
			want := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(days))
			if want.Year() != int(year) || int(want.Month()) != month || want.Day() != day {
				t.Fatalf("day %d is %d-%d-%d, want %v", days, year, month, day, want)
			}
		}
	})
}

func TestDateEveryDay(t *testing.T) {
	at := time.Date(-410, 1, 1, 0, 0, 0, 0, time.UTC)
	for days := DaysOf(-410, 1, 1); days < DaysOf(2410, 1, 1); days++ {
		year, month, day := DateOf(days)
		if at.Year() != int(year) || int(at.Month()) != month || at.Day() != day {
			t.Fatalf("day %d is %d-%d-%d, want %v", days, year, month, day, at)
		}
		at = at.AddDate(0, 0, 1)
	}
}

func TestAppendTemporal(t *testing.T) {
	const usec, day = 1, 86_400_000_000
	cases := map[string]Value{
		"2000-01-01":                    DateValue(0),
		"infinity":                      DateValue(PosInfinity),
		"-infinity":                     DateValue(NegInfinity),
		"4714-11-24 BC":                 DateValue(-2451545),   // the first date of PostgreSQL
		"5874897-12-31":                 DateValue(2145031948), // the last
		"0001-12-31 BC":                 DateValue(DaysOf(0, 12, 31)),
		"0044-03-15 BC":                 DateValue(DaysOf(-43, 3, 15)),
		"00:00:00":                      TimeValue(0),
		"24:00:00":                      TimeValue(day),
		"13:14:15.1":                    TimeValue(47655_100000),
		"23:59:59.999999":               TimeValue(day - usec),
		"2000-01-01 00:00:00":           TimestampValue(0),
		"1999-12-31 23:59:59.999999":    TimestampValue(-usec),
		"1999-12-31 23:59:59.99+00":     TimestampTZValue(-10_000),
		"294276-12-31 23:59:59.999999":  TimestampValue(9223371331199999999), // the last of PostgreSQL
		"4714-11-24 00:00:00+00 BC":     TimestampTZValue(-211813488000000000),
		"2024-02-29 13:14:15.000001+00": TimestampTZValue(DaysOf(2024, 2, 29)*day + 47655_000001),
		"0001-01-01 00:00:00.5 BC":      TimestampValue(DaysOf(0, 1, 1)*day + 500_000),
		"10000-01-01 00:00:00":          TimestampValue(DaysOf(10000, 1, 1) * day),
		"0999-06-07 00:00:00":           TimestampValue(DaysOf(999, 6, 7) * day),
	}
	for want, v := range cases {
		if have := string(AppendTemporal(nil, v)); have != want {
			t.Errorf("%v %d is %q, want %q", v.Kind(), v.Int(), have, want)
		}
		if have := v.String(); have != want {
			t.Errorf("String is %q, want %q", have, want)
		}
	}
	for _, v := range []Value{TimestampValue(PosInfinity), TimestampTZValue(PosInfinity)} {
		if have := string(AppendTemporal([]byte("x"), v)); have != "xinfinity" {
			t.Errorf("infinity is %q", have)
		}
	}
}

// FuzzTimestamp: the text of a timestamp says when it is, by package time.
func FuzzTimestamp(f *testing.F) {
	f.Add(int64(0))
	f.Add(int64(-1))
	f.Add(int64(709_257_255_123_456))
	f.Fuzz(func(t *testing.T, micros int64) {
		const max = 200_000_000_000_000_000 // before the year 9999
		micros %= max
		have := string(AppendTemporal(nil, TimestampTZValue(micros)))
		want := time.UnixMicro(micros + EpochMicros).UTC()
		if want.Year() < 1 {
			return
		}
		parsed, err := time.Parse("2006-01-02 15:04:05.999999-07", have)
		if err != nil || !parsed.Equal(want) {
			t.Fatalf("%d is %q: %v, %v; want %v", micros, have, parsed, err, want)
		}
		days, rest := SplitMicros(micros)
		if rest < 0 || rest >= 86_400_000_000 || days*86_400_000_000+rest != micros {
			t.Fatalf("%d splits into %d and %d", micros, days, rest)
		}
		if clock := string(AppendClock(nil, rest)); clock != want.Format("15:04:05.999999") {
			t.Fatalf("clock %q, want %q", clock, want.Format("15:04:05.999999"))
		}
	})
}

func TestTemporalAllocations(t *testing.T) {
	dst := make([]byte, 0, 64)
	v := TimestampTZValue(709_257_255_123_456)
	if n := testing.AllocsPerRun(100, func() { dst = AppendTemporal(dst[:0], v) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppendTemporal(b *testing.B) {
	dst := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendTemporal(dst[:0], TimestampTZValue(709_257_255_123_456))
	}
}

func ExampleDateOf() {
	fmt.Println(DateOf(DaysOf(2024, 2, 29)))
	// Output: 2024 2 29
}
