package binlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/charset"
)

// value decodes the bytes of one value.
func (d *Decoder) value(a *pipeline.Arena, f *Field, p []byte) (pipeline.Value, error) {
	switch f.read {
	case readInt:
		shift := 64 - 8*len(p)
		return pipeline.IntValue(int64(littleUint(p)<<shift) >> shift), nil
	case readUint:
		return unsigned(f, littleUint(p)), nil
	case readTruth:
		return pipeline.BoolValue(p[0] != 0), nil
	case readFloat:
		return pipeline.Float32Value(math.Float32frombits(binary.LittleEndian.Uint32(p))), nil
	case readDouble:
		return pipeline.Float64Value(math.Float64frombits(binary.LittleEndian.Uint64(p))), nil
	case readYear:
		return year(p[0]), nil
	case readDecimal:
		return decimal(a, p, int(f.Column.Meta&0xff), int(f.Column.Meta>>8))
	case readBit:
		return pipeline.BoolValue(p[len(p)-1] != 0), nil
	case readBits:
		return bitText(a, p, f.Length), nil
	case readEnum:
		return enum(f, littleUint(p))
	case readSet:
		return set(a, f, littleUint(p))
	case readText, readBytes:
		return d.content(a, f, p)
	case readFixed:
		return padded(a, p, f.Length)
	case readUUID:
		return uuid(a, p)
	case readInet:
		return inet(a, f, p)
	case readGeometry:
		return geometry(a, p)
	}
	return d.temporal(a, f, p)
}

func unsigned(f *Field, n uint64) pipeline.Value {
	if f.Kind == pipeline.Uint {
		return pipeline.UintValue(n)
	}
	return pipeline.IntValue(int64(n))
}

func year(b byte) pipeline.Value {
	if b == 0 {
		return pipeline.IntValue(0)
	}
	return pipeline.IntValue(1900 + int64(b))
}

// bitText renders the lowest n bits, the highest first.
func bitText(a *pipeline.Arena, p []byte, n int) pipeline.Value {
	bits := bigUint(p)
	out := a.Alloc(n)
	for i := range out {
		out[i] = '0' + byte(bits>>(n-1-i)&1)
	}
	return pipeline.BytesValue(pipeline.Bits, out)
}

var errLabel = errors.New("an enum or set value without a label")

// enum returns the label; 0 is the empty text that stands for a value that was refused.
func enum(f *Field, n uint64) (pipeline.Value, error) {
	if n == 0 {
		return pipeline.StringValue(pipeline.Text, ""), nil
	}
	if n > uint64(len(f.Labels)) {
		return pipeline.Value{}, fmt.Errorf("%w: number %d of %d", errLabel, n, len(f.Labels))
	}
	return pipeline.StringValue(pipeline.Text, f.Labels[n-1]), nil
}

// set joins the labels by commas, in the order of the type.
func set(a *pipeline.Arena, f *Field, bits uint64) (pipeline.Value, error) {
	if len(f.Labels) < 64 && bits>>len(f.Labels) != 0 {
		return pipeline.Value{}, fmt.Errorf("%w: %b of %d", errLabel, bits, len(f.Labels))
	}
	out := a.Grow(64)
	for i, first := 0, true; i < len(f.Labels); i++ {
		if bits&(1<<i) == 0 {
			continue
		}
		if !first {
			out = append(out, ',')
		}
		out, first = append(out, f.Labels[i]...), false
	}
	return pipeline.BytesValue(pipeline.Text, a.Keep(out)), nil
}

// content is a text, a document or bytes, which may be compressed.
func (d *Decoder) content(a *pipeline.Arena, f *Field, p []byte) (pipeline.Value, error) {
	if f.compressed() {
		out, err := d.z.column(a.Grow(4*len(p)), p)
		p = a.Keep(out)
		if err != nil {
			return pipeline.Value{}, err
		}
	}
	return d.plain(a, f, p)
}

// plain is content that is not compressed.
func (d *Decoder) plain(a *pipeline.Arena, f *Field, p []byte) (pipeline.Value, error) {
	if f.Kind == pipeline.Bytes || f.text == nil || f.text.Direct(p) {
		return pipeline.BytesValue(f.Kind, p), nil
	}
	out, err := f.text.Append(a.Grow(2*len(p)), p)
	p = a.Keep(out)
	if errors.Is(err, charset.ErrInvalid) && d.Policy.Replace {
		d.Bad++
		err = nil
	}
	if err != nil {
		return pipeline.Value{}, fmt.Errorf("%w (%s)", err, f.Charset.Name)
	}
	return pipeline.BytesValue(f.Kind, p), nil
}

// padded gives binary(n) back the zeros at its end, which the log leaves out.
func padded(a *pipeline.Arena, p []byte, n int) (pipeline.Value, error) {
	if len(p) >= n {
		return pipeline.BytesValue(pipeline.Bytes, p), nil
	}
	out := a.Alloc(n)
	clear(out[copy(out, p):])
	return pipeline.BytesValue(pipeline.Bytes, out), nil
}

// uuid renders 16 bytes as text. The log of 10.11 has them in the order of the text. In records of the
// server those of versions 1 to 5 have their fields in reverse, so that they sort by time; should a log
// have them so, they are known by the place of the variant and the version: the server takes no uuid
// whose text has those bits in these places.
func uuid(a *pipeline.Arena, p []byte) (pipeline.Value, error) {
	var b [16]byte
	if copy(b[:], p); len(p) > len(b) {
		return pipeline.Value{}, errRange
	}
	if b[6]&0x80 != 0 && b[8] > 0 && b[8] < 0x60 {
		r := b
		copy(b[0:4], r[12:16])
		copy(b[4:6], r[10:12])
		copy(b[6:8], r[8:10])
		copy(b[8:10], r[6:8])
		copy(b[10:16], r[0:6])
	}
	const digits = "0123456789abcdef"
	out := a.Alloc(36)
	at := 0
	for i, x := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out[at] = '-'
			at++
		}
		out[at], out[at+1] = digits[x>>4], digits[x&15]
		at += 2
	}
	return pipeline.BytesValue(pipeline.UUID, out), nil
}

// inetText is the longest text of an address.
const inetText = 46

func inet(a *pipeline.Arena, f *Field, p []byte) (pipeline.Value, error) {
	var b [16]byte
	if copy(b[:], p); len(p) > len(b) || f.Special == INET4 && len(p) > 4 {
		return pipeline.Value{}, errRange
	}
	addr := netip.AddrFrom16(b)
	if f.Special == INET4 {
		addr = netip.AddrFrom4([4]byte(b[:4]))
	}
	return pipeline.BytesValue(pipeline.Text, a.Keep(addr.AppendTo(a.Grow(inetText)))), nil
}

// geometry turns the server's form, a number of the reference system before WKB, into WKB; where the
// number is not 0 it is kept, in the way of PostGIS's EWKB.
func geometry(a *pipeline.Arena, p []byte) (pipeline.Value, error) {
	const hasSRID = 0x20
	if len(p) == 0 {
		return pipeline.BytesValue(pipeline.Bytes, p), nil
	}
	if len(p) < 9 {
		return pipeline.Value{}, errRange
	}
	srid, wkb := p[:4], p[4:]
	if littleUint(srid) == 0 || wkb[0] != 1 {
		return pipeline.BytesValue(pipeline.Bytes, wkb), nil
	}
	out := append(a.Grow(len(p)), wkb[:5]...)
	out[4] |= hasSRID
	out = append(append(out, srid...), wkb[5:]...)
	return pipeline.BytesValue(pipeline.Bytes, a.Keep(out)), nil
}
