package envelope

import "github.com/pipe-cdc/pipe/pipeline"

// pairs are the numbers below 100 as two digits each.
const pairs = "00010203040506070809" +
	"10111213141516171819" +
	"20212223242526272829" +
	"30313233343536373839" +
	"40414243444546474849" +
	"50515253545556575859" +
	"60616263646566676869" +
	"70717273747576777879" +
	"80818283848586878889" +
	"90919293949596979899"

// putPair writes n < 100 as two digits.
func putPair(b []byte, n uint32) {
	_ = b[1]
	b[0], b[1] = pairs[2*n], pairs[2*n+1]
}

// AppendSix appends n < 1,000,000 with six digits.
func AppendSix(dst []byte, n uint64) []byte {
	var b [6]byte
	putSix(b[:], uint32(n))
	return append(dst, b[:]...)
}

func putSix(b []byte, n uint32) {
	putPair(b, n/10_000)
	putPair(b[2:], n/100%100)
	putPair(b[4:], n%100)
}

// The size of "2026-11-20T10:11:12.123456Z" up to its seconds and in all.
const (
	isoSeconds = 19
	isoSize    = 27
)

// PutISO writes a timestamp of the years 0 to 9999 as AppendText does, and returns its length. It
// returns 0 where it cannot: for other values, or a b shorter than 27 bytes.
func (t *Type) PutISO(b []byte, v pipeline.Value) int {
	const firstDay, lastDay = -730_485, 2_921_939 // 0000-01-01, 9999-12-31
	k := v.Kind()
	if len(b) < isoSize || t.Digits < 0 || t.Digits > 6 || k != pipeline.TimestampTZ && k != pipeline.Timestamp {
		return 0
	}
	days, rest := pipeline.SplitMicros(v.Int())
	if days < firstDay || days > lastDay {
		return 0
	}
	year, month, day := pipeline.DateOf(days)
	putPair(b, uint32(year)/100)
	putPair(b[2:], uint32(year)%100)
	b[4], b[7], b[10], b[13], b[16] = '-', '-', 'T', ':', ':'
	putPair(b[5:], uint32(month))
	putPair(b[8:], uint32(day))
	sec, frac := uint32(rest/1_000_000), uint32(rest%1_000_000)
	putPair(b[11:], sec/3600)
	putPair(b[14:], sec/60%60)
	putPair(b[17:], sec%60)
	n := isoSeconds
	if t.Digits > 0 {
		b[n] = '.'
		putSix(b[n+1:], frac)
		n += 1 + t.Digits
	}
	if t.Zoned {
		b[n] = 'Z'
		n++
	}
	return n
}
