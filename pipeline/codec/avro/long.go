package avro

import (
	"encoding/binary"
	"math/bits"
)

// longRoom is the most bytes that a long takes, and that writing one touches.
const longRoom = binary.MaxVarintLen64

// appendLong appends Avro's int and long: zigzag, seven bits to a byte.
func appendLong(dst []byte, n int64) []byte {
	u := uint64(n<<1) ^ uint64(n>>63)
	if u < 0x80 {
		return append(dst, byte(u))
	}
	var buf [longRoom]byte
	return append(dst, buf[:putVarint(buf[:], u)]...)
}

// putLong writes a long at b[n:], where longRoom bytes must be, and returns where it ends.
func putLong(b []byte, n int, v int64) int {
	u := uint64(v<<1) ^ uint64(v>>63)
	if u < 0x80 {
		b[n] = byte(u)
		return n + 1
	}
	if u < 1<<14 {
		b[n], b[n+1] = byte(u)|0x80, byte(u>>7)
		return n + 2
	}
	return n + putVarint(b[n:], u)
}

// putVarint writes a varint of several bytes, eight of them at once: times and LSNs are long.
func putVarint(b []byte, u uint64) int {
	const more = 0x8080808080808080
	_ = b[longRoom-1]
	x := u & (1<<56 - 1)
	x = x&0x000000000fffffff | x&0x00fffffff0000000<<4
	x = x&0x00003fff00003fff | x&0x0fffc0000fffc000<<2
	x = x&0x007f007f007f007f | x&0x3f803f803f803f80<<1
	n := (bits.Len64(u) + 6) / 7
	if n <= 8 {
		binary.LittleEndian.PutUint64(b, x|more&(1<<(8*(n-1))-1))
		return n
	}
	binary.LittleEndian.PutUint64(b, x|more)
	b[8] = byte(u >> 56)
	if n == 10 {
		b[8] |= 0x80
		b[9] = byte(u >> 63)
	}
	return n
}

func appendString(dst []byte, s string) []byte {
	return append(appendLong(dst, int64(len(s))), s...)
}
