package postgres

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVisibility(t *testing.T) {
	v, err := parseVisibility("100:110:108,102")
	if err != nil {
		t.Fatal(err)
	}
	var seen []uint64
	for tx := uint64(98); tx < 112; tx++ {
		if v.sees(tx) {
			seen = append(seen, tx)
		}
	}
	if diff := cmp.Diff([]uint64{98, 99, 100, 101, 103, 104, 105, 106, 107, 109}, seen); diff != "" {
		t.Error(diff)
	}
	if got := v.unseen([]uint64{1, 102, 105, 110}); !slices.Equal(got, []uint64{102, 110}) {
		t.Errorf("unseen: %v", got)
	}
	for _, bad := range []string{"", "1:2", "2:1:", "1:2:x", "a:2:", "1:-2:", "1:2:3:4"} {
		if _, err := parseVisibility(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzParseVisibility(f *testing.F) {
	f.Add("100:110:108,102")
	f.Add("1:1:")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseVisibility(text)
		if err != nil {
			return
		}
		if v.xmin > 0 && !v.sees(v.xmin-1) || v.sees(v.xmax) || !slices.IsSorted(v.running) {
			t.Errorf("%q: %v", text, v)
		}
	})
}

func TestExtend(t *testing.T) {
	const epoch = uint64(1) << 32
	for _, x := range []struct {
		xid        uint32
		near, want uint64
	}{
		{5, 7, 5}, {7, 5, 7}, {0xfffffff0, epoch + 5, 0xfffffff0}, {5, epoch - 3, epoch + 5},
		{5, 3*epoch - 3, 3*epoch + 5}, {0xfffffff0, 3*epoch + 1, 3*epoch - 16}, {0xfffffff0, 5, 0xfffffff0},
	} {
		if got := extend(x.xid, x.near); got != x.want {
			t.Errorf("%x near %x: %x, want %x", x.xid, x.near, got, x.want)
		}
	}
}

func TestRecordEnd(t *testing.T) {
	got := fmt.Sprint(recordEnd(8192+24, 8192), recordEnd(8192+40, 8192), recordEnd(8192+48, 8192), recordEnd(24, 0))
	if got != "8192 8192 8240 24" {
		t.Error(got)
	}
}

func TestEmitted(t *testing.T) {
	var e emitted
	asked := 0
	for tx := range uint64(pruneFrom + 100) {
		if prune, full := e.add(tx); full {
			t.Fatal("full")
		} else if prune {
			asked++
		}
	}
	e.prune(&visibility{xmin: 50, xmax: pruneFrom, running: []uint64{60}})
	e.answered()
	if got := e.all(); asked != 1 || len(got) != 101 || got[0] != 60 {
		t.Errorf("asked %d times, %d left", asked, len(got))
	}
}
