package binlog

import "encoding/binary"

// cursor reads bytes; after a read beyond the end it is bad and yields zeros.
type cursor struct {
	b   []byte
	bad bool
}

// take returns the next n bytes, nil where there are not so many.
func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.b, c.bad = nil, true
		return nil
	}
	p := c.b[:n:n]
	c.b = c.b[n:]
	return p
}

func (c *cursor) u8() uint8 {
	if p := c.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if p := c.take(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if p := c.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

// uint reads n <= 8 bytes, little-endian.
func (c *cursor) uint(n int) uint64 { return littleUint(c.take(n)) }

// length reads a length-encoded integer that must fit an int; a NULL (0xfb) is bad.
func (c *cursor) length() int {
	first := c.u8()
	n := uint64(first)
	switch {
	case first < 0xfb:
	case first == 0xfc:
		n = c.uint(2)
	case first == 0xfd:
		n = c.uint(3)
	case first == 0xfe:
		n = c.uint(8)
	default:
		c.b, c.bad = nil, true
		return 0
	}
	if n > maxLength {
		c.b, c.bad = nil, true
		return 0
	}
	return int(n)
}

// maxLength bounds a length-encoded integer: more than any event has.
const maxLength = 1 << 31

func (c *cursor) text() string { return string(c.take(c.length())) }

func littleUint(p []byte) uint64 {
	var n uint64
	for i := len(p) - 1; i >= 0; i-- {
		n = n<<8 | uint64(p[i])
	}
	return n
}

func bigUint(p []byte) uint64 {
	var n uint64
	for _, b := range p {
		n = n<<8 | uint64(b)
	}
	return n
}
