package pgtext

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"

	"github.com/pipe-cdc/pipe/pipeline"
)

// printer appends the text that a type's output function prints, from the binary form. Its methods
// return false for input that is not of the form.
type printer struct{ version int }

// value prints a value of form f; col gives the element of an array and the number of a range type.
func (p printer) value(dst []byte, f form, col *pipeline.Column, src []byte) ([]byte, bool) {
	switch f {
	case formArray:
		return p.array(dst, col.Elem, src)
	case formRange:
		sub, _ := rangeOf(col.TypeID)
		return p.span(dst, sub, src)
	case formMultirange:
		rng, _ := multirangeOf(col.TypeID)
		return p.multirange(dst, rng, src)
	}
	return p.scalar(dst, f, src)
}

func (p printer) scalar(dst []byte, f form, src []byte) ([]byte, bool) {
	switch f {
	case formRaw:
		return append(dst, src...), true
	case formJSONB:
		if len(src) == 0 || src[0] != jsonbVersion {
			return dst, false
		}
		return append(dst, src[1:]...), true
	case formNumeric:
		return appendNumeric(dst, src)
	case formBytea:
		return hex.AppendEncode(append(dst, `\x`...), src), true
	case formUUID:
		return appendUUID(dst, src)
	case formBits:
		return appendBits(dst, src)
	case formInterval:
		return p.interval(dst, src)
	case formTimeTZ:
		return appendTimeTZ(dst, src)
	case formMoney:
		return appendMoney(dst, src)
	case formInet:
		return appendInet(dst, src)
	case formMacaddr:
		return appendMacaddr(dst, src)
	}
	return appendFixed(dst, f, src)
}

func appendFixed(dst []byte, f form, src []byte) ([]byte, bool) {
	v, ok := binaryFixed(f, src)
	if !ok {
		return dst, false
	}
	switch v.Kind() {
	case pipeline.Int:
		return strconv.AppendInt(dst, v.Int(), 10), true
	case pipeline.Bool:
		if v.Bool() {
			return append(dst, 't'), true
		}
		return append(dst, 'f'), true
	case pipeline.Date, pipeline.Time, pipeline.Timestamp, pipeline.TimestampTZ:
		return pipeline.AppendTemporal(dst, v), true
	}
	return dst, false // floating point: see elementOK
}

func appendUUID(dst, src []byte) ([]byte, bool) {
	if len(src) != 16 {
		return dst, false
	}
	dst = append(hex.AppendEncode(dst, src[:4]), '-')
	dst = append(hex.AppendEncode(dst, src[4:6]), '-')
	dst = append(hex.AppendEncode(dst, src[6:8]), '-')
	dst = append(hex.AppendEncode(dst, src[8:10]), '-')
	return hex.AppendEncode(dst, src[10:]), true
}

// appendBits: the length in bits, then the bits, the most significant first.
func appendBits(dst, src []byte) ([]byte, bool) {
	if len(src) < 4 {
		return dst, false
	}
	n, bits := int64(int32(binary.BigEndian.Uint32(src))), src[4:]
	if n < 0 || (n+7)/8 != int64(len(bits)) {
		return dst, false
	}
	for i := range n {
		dst = append(dst, '0'+bits[i/8]>>(7-i%8)&1)
	}
	return dst, true
}

// appendTimeTZ: microseconds, then the zone in seconds west of UTC (timetz_out, EncodeTimezone).
func appendTimeTZ(dst, src []byte) ([]byte, bool) {
	if len(src) != 12 {
		return dst, false
	}
	micros := binary.BigEndian.Uint64(src)
	west := int32(binary.BigEndian.Uint32(src[8:]))
	const farthest = 16 * 3600
	if micros > microsPerDay || west >= farthest || west <= -farthest {
		return dst, false
	}
	dst = pipeline.AppendClock(dst, int64(micros))
	sign := byte('+')
	if west > 0 {
		sign = '-'
	} else {
		west = -west
	}
	dst = appendPadded(append(dst, sign), int64(west/3600))
	minute, second := west/60%60, west%60
	if minute != 0 || second != 0 {
		dst = appendPadded(append(dst, ':'), int64(minute))
	}
	if second != 0 {
		dst = appendPadded(append(dst, ':'), int64(second))
	}
	return dst, true
}

// appendMoney prints cents as lc_monetary C does: -$1,234.56.
func appendMoney(dst, src []byte) ([]byte, bool) {
	if len(src) != 8 {
		return dst, false
	}
	n := int64(binary.BigEndian.Uint64(src))
	cents := uint64(n)
	if n < 0 {
		dst, cents = append(dst, '-'), -cents
	}
	var digits [20]byte
	whole := strconv.AppendUint(digits[:0], cents/100, 10)
	dst = append(dst, '$')
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, c)
	}
	return appendPadded(append(dst, '.'), int64(cents%100)), true
}

// appendInet: family, prefix length, whether it is a cidr, address length, address.
func appendInet(dst, src []byte) ([]byte, bool) {
	const family4, family6 = 2, 3 // PGSQL_AF_INET, PGSQL_AF_INET6
	if len(src) < 4 || len(src) != 4+int(src[3]) || src[2] > 1 {
		return dst, false
	}
	prefix, address := int(src[1]), src[4:]
	ip, ok := netip.AddrFromSlice(address)
	if !ok || ip.Is4() != (src[0] == family4) || ip.Is6() != (src[0] == family6) || prefix > ip.BitLen() {
		return dst, false
	}
	if ip.Is6() {
		dst = appendIPv6(dst, address)
	} else {
		dst = ip.AppendTo(dst)
	}
	if src[2] == 1 || prefix != ip.BitLen() {
		dst = strconv.AppendInt(append(dst, '/'), int64(prefix), 10)
	}
	return dst, true
}

// appendIPv6 prints as pg_inet_net_ntop does, which writes some addresses with a dotted end that
// netip does not: ::1.2.3.4.
func appendIPv6(dst, address []byte) []byte {
	ip := netip.AddrFrom16([16]byte(address))
	compat := true
	for _, b := range address[:12] {
		compat = compat && b == 0
	}
	high := address[12] != 0 || address[13] != 0
	if !compat || !high {
		return ip.AppendTo(dst) // the mapped form ::ffff:1.2.3.4 is netip's too
	}
	return netip.AddrFrom4([4]byte(address[12:])).AppendTo(append(dst, "::"...))
}

func appendMacaddr(dst, src []byte) ([]byte, bool) {
	if len(src) != 6 && len(src) != 8 {
		return dst, false
	}
	for i := range src {
		if i > 0 {
			dst = append(dst, ':')
		}
		dst = hex.AppendEncode(dst, src[i:i+1])
	}
	return dst, true
}

// appendPadded appends n >= 0 with at least two digits.
func appendPadded(dst []byte, n int64) []byte {
	if n < 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, n, 10)
}
