package snapshot

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// contains applies a range to a number that stands for a key or a block.
func contains(t *testing.T, r Range, n int64) bool {
	t.Helper()
	bound := func(b []string) int64 {
		v, err := strconv.ParseInt(b[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	return (r.Low == nil || n >= bound(r.Low)) && (r.High == nil || n < bound(r.High))
}

func TestEveryKeyFallsInExactlyOneChunk(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		var ranges []Range
		if round%2 == 0 {
			ranges = Blocks(rnd.Int64N(5000), rnd.IntN(40))
		} else {
			var keys []int64
			for range rnd.IntN(30) {
				keys = append(keys, rnd.Int64N(9e18)*int64(1-2*rnd.IntN(2)), rnd.Int64N(4))
			}
			slices.Sort(keys)
			var bounds [][]string
			for _, k := range keys {
				bounds = append(bounds, []string{strconv.FormatInt(k, 10)})
			}
			ranges = Keys(bounds)
		}
		probes := []int64{-1 << 63, -1, 0, 1, 1<<63 - 1}
		for range 50 {
			probes = append(probes, rnd.Int64N(6000), rnd.Int64())
		}
		for _, r := range ranges {
			for _, b := range [][]string{r.Low, r.High} {
				if b != nil {
					n, _ := strconv.ParseInt(b[0], 10, 64)
					probes = append(probes, n-1, n, n+1)
				}
			}
		}
		for _, n := range probes {
			in := 0
			for _, r := range ranges {
				if contains(t, r, n) {
					in++
				}
			}
			if in != 1 {
				t.Fatalf("round %d: %d is in %d of %v", round, n, in, ranges)
			}
		}
	}
}

func TestBlocks(t *testing.T) {
	for _, c := range []struct {
		blocks int64
		n      int
		want   string
	}{
		{0, 5, "[all]"},
		{1, 5, "[all]"},
		{10, 1, "[all]"},
		{10, 2, "[(-, 5) [5, -)]"},
		{10, 3, "[(-, 4) [4, 8) [8, -)]"},
		{3, 100, "[(-, 1) [1, 2) [2, -)]"},
	} {
		if got := fmt.Sprint(Blocks(c.blocks, c.n)); got != c.want {
			t.Errorf("Blocks(%d, %d) = %s, want %s", c.blocks, c.n, got, c.want)
		}
	}
}

func TestKeysDropsEqualNeighbours(t *testing.T) {
	got := fmt.Sprint(Keys([][]string{{"1", "a"}, {"1", "a"}, {"1", "b"}}))
	if want := "[(-, 1,a) [1,a, 1,b) [1,b, -)]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCount(t *testing.T) {
	got := []int{Count(-1, 10), Count(0, 10), Count(10, 10), Count(11, 10), Count(1<<62, 1)}
	if diff := cmp.Diff([]int{1, 1, 1, 2, MaxChunks}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPolicy(t *testing.T) {
	for _, p := range []Policy{Initial, Never, Only, WhenNeeded, Always} {
		got, err := ParsePolicy(p.String())
		if err != nil || got != p {
			t.Errorf("ParsePolicy(%q) = %v, %v", p, got, err)
		}
	}
	if _, err := ParsePolicy("sometimes"); err == nil {
		t.Error("a policy that does not exist was accepted")
	}
	if Initial.Reads(Start{Done: true}) || !WhenNeeded.Reads(Start{Done: true, Lost: true}) || Never.Reads(Start{}) {
		t.Error("a policy reads what it should not, or does not read what it should")
	}
}
