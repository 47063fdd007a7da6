package spec_test

import (
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"10s": 10 * time.Second, "1h30m": 90 * time.Minute, "500ms": 500 * time.Millisecond, "0s": 0,
		"7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour,
	} {
		if got, err := spec.ParseDuration(in); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "10", "-1s", "1x", "d", "1d1", "99999999999d", "106751d24h", "1d-1h", "1e3"} {
		if got, err := spec.ParseDuration(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for in, want := range map[string]spec.Bytes{
		"0B": 0, "10B": 10, "64MiB": 64 << 20, "1.5KiB": 1536, "2 GiB": 2 << 30, "1kB": 1000, "3TB": 3e12,
	} {
		if got, err := spec.ParseBytes(in); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "10", "MiB", "-1MiB", "1mib", "99999999999TiB", "NaNB", "infB", "1 2MiB"} {
		if got, err := spec.ParseBytes(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}

func TestSecretNeverShows(t *testing.T) {
	if got := spec.Secret("c4nary").String(); got != "(sensitive)" {
		t.Error(got)
	}
}

// FuzzUnits holds that what is read is neither negative nor changed by rendering it.
func FuzzUnits(f *testing.F) {
	for _, seed := range []string{"10s", "1d12h", "64MiB", "1.5KiB", "9223372036854775807B", "x", "1e300TB"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := spec.ParseDuration(text); err == nil {
			again, err := spec.ParseDuration(d.String())
			if d < 0 || err != nil || again != d {
				t.Errorf("%q: %v, then %v, %v", text, d, again, err)
			}
		}
		if n, err := spec.ParseBytes(text); err == nil {
			again, err := spec.ParseBytes(n.String())
			if n < 0 || err != nil || n < 1<<53 && again != n {
				t.Errorf("%q: %v, then %v, %v", text, n, again, err)
			}
		}
	})
}
