package avro

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

func TestPutLong(t *testing.T) {
	check := func(n int64) {
		want := binary.AppendVarint(nil, n)
		if got := appendLong(nil, n); !bytes.Equal(got, want) {
			t.Fatalf("%d: % x, want % x", n, got, want)
		}
		b := make([]byte, longRoom)
		if got := b[:putLong(b, 0, n)]; !bytes.Equal(got, want) {
			t.Fatalf("put %d: % x, want % x", n, got, want)
		}
	}
	for shift := range 64 {
		for d := int64(-2); d <= 2; d++ {
			check(1<<shift + d)
			check(-1<<shift + d)
		}
	}
	for range 100_000 {
		check(int64(rand.Uint64()) >> rand.IntN(64))
	}
	check(math.MaxInt64)
}

func TestValid(t *testing.T) {
	for n := range 100 {
		for at := range n {
			for _, insert := range []string{"x", "\xff", "é", "\xe2\x82", "€"} {
				s := []byte(strings.Repeat("a", at) + insert + strings.Repeat("b", n-at))
				if got := valid(s); got != utf8.Valid(s) {
					t.Fatalf("%q: %v", s, got)
				}
			}
		}
	}
}

// TestFastWays: what rows are written as does not depend on the room that there is, on the memo, or
// on whether a column's fast way was taken.
func TestFastWays(t *testing.T) {
	memo := &envelope.Memo{}
	txs := []*pipeline.Tx{aTx, {ID: 7, LSN: 999_999, Time: -1, Pos: "1", Origin: "o"}, {LSN: 1 << 40, Snapshot: true}}
	for _, types := range []envelope.Types{envelope.Connect, envelope.Logical} {
		for _, shape := range []envelope.Shape{envelope.Debezium, envelope.Flat} {
			s := wide()
			g := compile(t, envelope.Options{Shape: shape, Mapping: envelope.Mapping{Types: types, AllOptional: true}}, s, "x")
			exact := compile(t, g.Plan.Options, s, "x")
			for i := range exact.cols.ops {
				exact.cols.ops[i].code = codeSlow
				exact.cols.ops[i].kind = pipeline.Absent
			}
			for n := range 300 {
				r := wideRow(s)
				r.Tx, r.At = txs[rand.IntN(len(txs))], rand.Uint64()>>(8+rand.IntN(56))
				for i := range r.Values[1:] {
					if rand.IntN(4) == 0 {
						r.Values[i+1] = pipeline.NullValue
					}
				}
				events, err := g.Plan.Events(nil, r, int64(n/7))
				if err != nil {
					t.Fatal(err)
				}
				want, err := exact.AppendValue(nil, &events[0])
				if err != nil {
					t.Fatal(err)
				}
				events[0].Memo = memo
				got, err := g.AppendValue(make([]byte, 3, 3+rand.IntN(2000)), &events[0])
				if diff := cmp.Diff(want, got[3:]); diff != "" || err != nil {
					t.Fatalf("%v (-want +got):\n%s", err, diff)
				}
			}
		}
	}
}

// TestInstants: timestamps near and far, in place and by the exact way.
func TestInstants(t *testing.T) {
	for _, digits := range []int{-1, 0, 3, 6} {
		s := &pipeline.Schema{Table: "t", Columns: []pipeline.Column{{Name: "a", Kind: pipeline.TimestampTZ, Precision: digits}}}
		g := compile(t, envelope.Options{Shape: envelope.Flat, Mapping: envelope.Mapping{Time: envelope.InISO}}, s, "x")
		for range 20_000 {
			v := pipeline.TimestampTZValue(int64(rand.Uint64()) >> rand.IntN(40))
			typ := g.Plan.Fields[0].Type
			want, err := typ.AppendText(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 64)
			if n := typ.PutISO(got, v); n > 0 && string(got[:n]) != string(want) {
				t.Fatalf("%s, want %s", got[:n], want)
			}
		}
	}
}
