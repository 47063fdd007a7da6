package pgtext

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"

	"github.com/pipe-cdc/pipe/pipeline"
)

// maxDim is how many dimensions an array may have (MAXDIM).
const maxDim = 6

var errNotArray = errors.New("not an array in PostgreSQL's text form")

// encodeArray appends the binary form of an array given as text (array_in, array_recv).
func encodeArray(dst []byte, v pipeline.Value, c *encodeColumn) ([]byte, error) {
	if v.Kind() != pipeline.Array {
		return dst, mismatch(v, "an array")
	}
	p := arrayReader{src: v.Bytes(), at: len(dst)}
	if !p.bounds() {
		return dst, errNotArray
	}
	for p.ndim < len(p.src) && p.src[p.ndim] == '{' {
		p.ndim++
	}
	if p.ndim == 0 || p.ndim > maxDim || p.declared != 0 && p.declared != p.ndim {
		return dst, errNotArray
	}
	p.elem = c.elem
	var head [12 + 8*maxDim]byte
	dst = append(dst, head[:12+8*p.ndim]...)
	dst, err := p.level(dst, 0)
	if err != nil {
		return dst, err
	}
	if len(p.src) != 0 {
		return dst, errNotArray
	}
	return p.header(dst), nil
}

// arrayReader reads an array's text from the front of src.
type arrayReader struct {
	src      []byte
	at       int // where the binary form begins in dst
	ndim     int
	declared int // dimensions with declared lower bounds
	lower    [maxDim]int64
	size     [maxDim]int
	known    [maxDim]bool
	nulls    bool
	elem     *encodeColumn
}

// bounds reads the optional "[2:3][0:1]=".
func (p *arrayReader) bounds() bool {
	for i := range p.lower {
		p.lower[i] = 1
	}
	if len(p.src) == 0 || p.src[0] != '[' {
		return true
	}
	for len(p.src) > 0 && p.src[0] == '[' {
		i := 1
		for i < len(p.src) && p.src[i] != ':' {
			i++
		}
		j := i
		for j < len(p.src) && p.src[j] != ']' {
			j++
		}
		if j == len(p.src) || p.declared == maxDim {
			return false
		}
		n, ok := textInt(p.src[1:i])
		if !ok || n.Int() != int64(int32(n.Int())) {
			return false
		}
		p.lower[p.declared] = n.Int()
		p.declared++
		p.src = p.src[j+1:]
	}
	if len(p.src) == 0 || p.src[0] != '=' {
		return false
	}
	p.src = p.src[1:]
	return true
}

// level reads one "{...}" of dimension d and appends its elements. It recurses at most maxDim deep.
func (p *arrayReader) level(dst []byte, d int) ([]byte, error) {
	var err error
	p.src = p.src[1:]
	n := 0
	for {
		if len(p.src) == 0 {
			return dst, errNotArray
		}
		if n == 0 && p.src[0] == '}' {
			break
		}
		switch {
		case d+1 < p.ndim && p.src[0] == '{':
			dst, err = p.level(dst, d+1)
		case d+1 < p.ndim || p.src[0] == '{':
			err = errNotArray
		default:
			dst, err = p.element(dst)
		}
		if err != nil {
			return dst, err
		}
		n++
		if len(p.src) == 0 || p.src[0] != ',' && p.src[0] != '}' {
			return dst, errNotArray
		}
		if p.src[0] == '}' {
			break
		}
		p.src = p.src[1:]
	}
	p.src = p.src[1:]
	if p.known[d] && p.size[d] != n || n == 0 && p.ndim > 1 {
		return dst, errNotArray
	}
	p.known[d], p.size[d] = true, n
	return dst, nil
}

// element appends one element: first its text, unescaped, behind dst; then the binary form made of
// that, which takes the text's place.
func (p *arrayReader) element(dst []byte) ([]byte, error) {
	at := len(dst)
	dst, quoted, ok := p.text(dst)
	if !ok {
		return dst, errNotArray
	}
	text := dst[at:]
	if !quoted && len(text) == 0 {
		return dst, errNotArray
	}
	if !quoted && isNull(text) {
		p.nulls = true
		return append(dst[:at], 0xff, 0xff, 0xff, 0xff), nil
	}
	v, out, ok := elementValue(dst, text, p.elem.OID)
	if !ok {
		return dst, errNotArray
	}
	from := len(out)
	out, err := p.elem.f(append(out, 0, 0, 0, 0), v, p.elem)
	if err != nil {
		return out, err
	}
	binary.BigEndian.PutUint32(out[from:], uint32(len(out)-from-4))
	return append(out[:at], out[from:]...), nil
}

// text appends the element's text without quotes and backslashes.
func (p *arrayReader) text(dst []byte) (_ []byte, quoted, ok bool) {
	if len(p.src) > 0 && p.src[0] == '"' {
		for i := 1; i < len(p.src); i++ {
			switch p.src[i] {
			case '"':
				p.src = p.src[i+1:]
				return dst, true, true
			case '\\':
				if i++; i == len(p.src) {
					return dst, true, false
				}
			}
			dst = append(dst, p.src[i])
		}
		return dst, true, false
	}
	for i, c := range p.src {
		switch c {
		case ',', '}':
			p.src = p.src[i:]
			return dst, false, true
		case '"', '\\', '{':
			return dst, false, false
		}
		dst = append(dst, c)
	}
	return dst, false, false
}

func isNull(s []byte) bool {
	return len(s) == 4 && s[0]|32 == 'n' && s[1]|32 == 'u' && s[2]|32 == 'l' && s[3]|32 == 'l'
}

// elementValue reads an element's text; where the value needs other bytes they are appended to dst.
func elementValue(dst, s []byte, oid uint32) (v pipeline.Value, _ []byte, ok bool) {
	switch oid {
	case oidBool:
		v, ok = textBool(s)
	case oidInt2, oidInt4, oidInt8:
		v, ok = textInt(s)
	case oidFloat4, oidFloat8:
		v, ok = elementFloat(s)
	case oidNumeric:
		v, ok = pipeline.BytesValue(pipeline.Decimal, s), true
	case oidUUID:
		v, ok = pipeline.BytesValue(pipeline.UUID, s), true
	case oidJSON, oidJSONB:
		v, ok = pipeline.BytesValue(pipeline.JSON, s), true
	case oidBytea:
		return elementBytea(dst, s)
	default:
		v, ok = pipeline.BytesValue(pipeline.Text, s), true
	}
	return v, dst, ok
}

func elementFloat(s []byte) (pipeline.Value, bool) {
	f, err := strconv.ParseFloat(string(s), 64)
	if err != nil {
		return pipeline.Value{}, false
	}
	return pipeline.Float64Value(f), true
}

func elementBytea(dst, s []byte) (v pipeline.Value, _ []byte, ok bool) {
	if len(s) < 2 || len(s)%2 != 0 || s[0] != '\\' || s[1] != 'x' {
		return v, dst, false
	}
	at := len(dst)
	for i := 2; i < len(s); i += 2 {
		hi, lo := hexDigit(s[i]), hexDigit(s[i+1])
		if hi > 15 || lo > 15 {
			return v, dst, false
		}
		dst = append(dst, hi<<4|lo)
	}
	return pipeline.BytesValue(pipeline.Bytes, dst[at:]), dst, true
}

// header fills in what was left open before the elements. An empty array has no dimensions.
func (p *arrayReader) header(dst []byte) []byte {
	h := dst[p.at:p.at]
	if p.size[0] == 0 {
		p.ndim = 0
		dst = dst[:p.at+12]
	}
	h = binary.BigEndian.AppendUint32(h, uint32(p.ndim))
	flags := uint32(0)
	if p.nulls {
		flags = 1
	}
	h = binary.BigEndian.AppendUint32(h, flags)
	h = binary.BigEndian.AppendUint32(h, p.elem.OID)
	for d := range p.ndim {
		h = binary.BigEndian.AppendUint32(h, uint32(p.size[d]))
		h = binary.BigEndian.AppendUint32(h, uint32(min(p.lower[d], math.MaxInt32)))
	}
	return dst
}
