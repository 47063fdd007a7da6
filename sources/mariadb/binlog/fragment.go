package binlog

import (
	"errors"
	"fmt"
)

// maxFragmented bounds a rows event that comes in fragments, in bytes: it is held in memory whole.
const maxFragmented = 2 << 30

// ErrFragments says that the fragments of a rows event do not make one.
var ErrFragments = errors.New("the fragments of a rows event do not fit together")

// Fragments joins the fragments of a rows event that was too large for one event (MariaDB Knowledge
// Base, "PARTIAL_ROW_DATA_EVENT", from MariaDB 12.3 on). The zero value is ready for use.
//
// Fragments are numbered from 1; each says its number and how many there are. The descriptions that
// are public do not agree which of the two comes first, but the first fragment of several tells.
type Fragments struct {
	event []byte
	size  uint64 // of the event, as the first fragment says
	total uint32
	next  uint32 // number of the fragment to come; 0: none is awaited
	after bool   // the number comes after the total
}

// Pending reports whether an event has begun that has not ended.
func (f *Fragments) Pending() bool { return f.next != 0 }

// Add takes the body of a fragment. With the last one it returns the header and the body of the whole
// event, valid until the next call; before that, done is false. checked says that events of the log end
// with a checksum, which the whole event may have too.
func (f *Fragments) Add(body []byte, checked bool) (h Header, rows []byte, done bool, err error) {
	const hasSize = 1
	c := cursor{b: body}
	one, other, flags := c.u32(), c.u32(), c.u8()
	if f.next == 0 {
		err = f.first(one, other, flags&hasSize != 0)
		f.size = c.uint(8)
	} else {
		if f.after {
			one, other = other, one
		}
		if one != f.next || other != f.total || flags != 0 {
			err = fmt.Errorf("%w: number %d of %d with flags %x, expected %d of %d", ErrFragments, one, other, flags, f.next, f.total)
		}
	}
	if c.bad && err == nil {
		err = fmt.Errorf("fragment: %w", ErrShort)
	}
	if err == nil && (uint64(len(f.event)+len(c.b)) > f.size || f.size > maxFragmented) {
		err = fmt.Errorf("%w: %d bytes of an event of %d", ErrFragments, len(f.event)+len(c.b), f.size)
	}
	if err != nil {
		f.next = 0
		return h, nil, false, err
	}
	f.event = append(f.event, c.b...)
	if f.next++; f.next <= f.total {
		return h, nil, false, nil
	}
	f.next = 0
	h, rows, err = f.whole(checked)
	return h, rows, err == nil, err
}

// first begins an event with its first fragment.
func (f *Fragments) first(one, other uint32, sized bool) error {
	if f.after = one != 1; f.after {
		one, other = other, one
	}
	if one != 1 || other < 1 || !sized {
		return fmt.Errorf("%w: the first one has the numbers %d and %d", ErrFragments, one, other)
	}
	f.event, f.total, f.next = f.event[:0], other, 1
	return nil
}

// whole reads the event that was joined.
func (f *Fragments) whole(checked bool) (h Header, rows []byte, err error) {
	e := f.event
	if cap(f.event) > shrinkAbove {
		f.event = nil
	}
	if uint64(len(e)) != f.size || len(e) < HeaderSize {
		return h, nil, fmt.Errorf("%w: %d bytes of an event of %d", ErrFragments, len(e), f.size)
	}
	h = header(e)
	if _, ok := h.Type.Rows(); !ok || int(h.Size) != len(e) && int(h.Size) != len(e)+checksumSize {
		return h, nil, fmt.Errorf("%w: they make an event of type %d with %d bytes, in a header that says %d",
			ErrFragments, h.Type, len(e), h.Size)
	}
	if checked && int(h.Size) == len(e) {
		if body, err := CheckSum(e); err == nil {
			return h, body, nil
		}
	}
	return h, e[HeaderSize:], nil
}

// shrinkAbove is the size from which on memory of one event is not kept for the next.
const shrinkAbove = 4 << 20
