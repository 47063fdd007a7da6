package pgtext

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
)

// TestCopyReaderIsTuple holds that what CopyReader writes by common forms is what Tuple writes, for each
// type and every kind of value in it, at the edges of their ranges and sizes, and with the same errors.
func TestCopyReaderIsTuple(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	oids := []uint32{oidBool, oidInt2, oidInt4, oidInt8, oidOid, oidFloat4, oidFloat8, oidNumeric, oidText, oidVarchar, oidBpchar,
		oidBytea, oidUUID, oidDate, oidTime, oidTimestamp, oidTimestampTZ, oidJSON, oidJSONB, oidInterval, oidBit}
	words := []uint64{0, 1, 1<<15 - 1, 1 << 15, 1<<31 - 1, 1 << 31, 1<<63 - 1, 1 << 63, 1<<64 - 1, 1<<64 - 1<<15, 1<<64 - 1<<15 - 1,
		1<<64 - 1<<31, 1<<64 - 1<<31 - 1}
	texts := []string{"", "a", "x\x00y", "1", "-12.50", "0123abcd-4567-89ab-cdef-0123456789ab", strings.Repeat("l", copyLarge-1),
		strings.Repeat("l", copyLarge), "01", "{}"}
	value := func() pipeline.Value {
		k := pipeline.Kind(rng.IntN(int(pipeline.Other) + 1))
		w := words[rng.IntN(len(words))]
		switch {
		case k.HasBytes():
			return pipeline.StringValue(k, texts[rng.IntN(len(texts))])
		case k == pipeline.Bool:
			return pipeline.BoolValue(w%2 == 0)
		case k == pipeline.Uint:
			return pipeline.UintValue(w)
		case k == pipeline.Float64:
			return pipeline.Float64Value(float64(int64(w)) / 3)
		case k == pipeline.Date:
			return pipeline.DateValue(int64(w))
		case k == pipeline.Time:
			return pipeline.TimeValue(int64(w))
		case k == pipeline.Timestamp:
			return pipeline.TimestampValue(int64(w))
		case k == pipeline.TimestampTZ:
			return pipeline.TimestampTZValue(int64(w))
		case k == pipeline.Null || k == pipeline.Absent:
			return []pipeline.Value{pipeline.NullValue, pipeline.AbsentValue}[k]
		}
		return pipeline.IntValue(int64(w))
	}
	var r CopyReader
	for range 40_000 {
		enc := NewEncoder([]EncodeColumn{{Name: "a", Index: 1, OID: oids[rng.IntN(len(oids))], Nul: Nul(rng.IntN(3))},
			{Name: "b", OID: oids[rng.IntN(len(oids))]}})
		row := []pipeline.Value{value(), value()}
		want, wantErr := enc.Tuple([]byte(copyHeader), row)
		r.Reset(enc, [][]pipeline.Value{row})
		have, _ := io.ReadAll(&r)
		_, err := r.Failed()
		if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%v as %d: %v, want %v", row, enc.cols[0].OID, err, wantErr)
		}
		if want = append(want, 0xff, 0xff); err == nil && !bytes.Equal(have, want) {
			t.Fatalf("%v as %d and %d:\n%x, want\n%x", row, enc.cols[0].OID, enc.cols[1].OID, have, want)
		}
	}
}
