package pgtext

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/pipe-cdc/pipe/pipeline"
)

// infiniteIntervals is the server version from which the extremes of an interval are infinities.
const infiniteIntervals = 170000

// interval: microseconds, days, months; printed under IntervalStyle postgres (EncodeInterval).
func (p printer) interval(dst, src []byte) ([]byte, bool) {
	if len(src) != 16 {
		return dst, false
	}
	micros := int64(binary.BigEndian.Uint64(src))
	days := int32(binary.BigEndian.Uint32(src[8:]))
	months := int32(binary.BigEndian.Uint32(src[12:]))
	if p.version == 0 || p.version >= infiniteIntervals {
		if micros == math.MaxInt64 && days == math.MaxInt32 && months == math.MaxInt32 {
			return append(dst, "infinity"...), true
		}
		if micros == math.MinInt64 && days == math.MinInt32 && months == math.MinInt32 {
			return append(dst, "-infinity"...), true
		}
	}
	s := spanText{dst: dst}
	s.part(int64(months/12), "year")
	s.part(int64(months%12), "mon")
	s.part(int64(days), "day")
	s.clock(micros)
	return s.dst, true
}

// spanText writes an interval's parts. A part is signed with + after a negative one.
type spanText struct {
	dst           []byte
	any, negative bool
}

func (s *spanText) part(n int64, unit string) {
	if n == 0 {
		return
	}
	if s.any {
		s.dst = append(s.dst, ' ')
	}
	if s.negative && n > 0 {
		s.dst = append(s.dst, '+')
	}
	s.dst = strconv.AppendInt(s.dst, n, 10)
	s.dst = append(append(s.dst, ' '), unit...)
	if n != 1 {
		s.dst = append(s.dst, 's')
	}
	s.any, s.negative = true, n < 0
}

func (s *spanText) clock(micros int64) {
	if micros == 0 && s.any {
		return
	}
	if s.any {
		s.dst = append(s.dst, ' ')
	}
	magnitude := uint64(micros)
	switch {
	case micros < 0:
		s.dst, magnitude = append(s.dst, '-'), -magnitude
	case s.negative:
		s.dst = append(s.dst, '+')
	}
	const hour = 3600 * microsPerSecond
	s.dst = appendPadded(s.dst, int64(magnitude/hour))
	rest := pipeline.AppendClock(s.dst, int64(magnitude%hour)) // 00:mm:ss.ffffff
	at := len(s.dst)
	s.dst = append(rest[:at], rest[at+len("00"):]...)
}
