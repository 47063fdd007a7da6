package transforms

import (
	"math/big"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
)

// FuzzConvert converts text to every type: what succeeds keeps its kind, and a number its value.
func FuzzConvert(f *testing.F) {
	for _, s := range []string{"1", "-0.50", "true", "2024-02-29 24:00:00+14", "NaN", "infinity", "{}", "{6ba7b810}", "1e5", "-", "."} {
		f.Add(s, 5, 2)
	}
	f.Fuzz(func(t *testing.T, s string, precision, scale int) {
		if precision < 1 || precision > 50 || scale < 0 || scale > precision {
			return
		}
		for _, name := range []string{"bool", "int16", "int64", "float32", "date", "time", "timestamp", "timestamptz", "bytes", "uuid", "json"} {
			to, err := parseTarget(name)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := to.converter()(new(pipeline.Arena), pipeline.StringValue(pipeline.Text, s)); ok && got.Kind() != to.kind {
				t.Errorf("%q to %s: %s", s, name, got.Kind())
			}
		}
		got, ok := toDecimal(precision, scale)(new(pipeline.Arena), pipeline.StringValue(pipeline.Text, s))
		if !ok || got.String() == "NaN" {
			return
		}
		want, ok1 := new(big.Rat).SetString(s)
		have, ok2 := new(big.Rat).SetString(got.String())
		if !ok1 || !ok2 || want.Cmp(have) != 0 {
			t.Errorf("%q to numeric(%d,%d): %s", s, precision, scale, got)
		}
	})
}
