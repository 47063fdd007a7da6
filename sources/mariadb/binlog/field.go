package binlog

import (
	"errors"
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/charset"
)

// Special says what a column's type in the log does not tell.
type Special uint8

// The specials.
const (
	Ordinary Special = iota
	UUID             // uuid: 16 bytes
	INET4            // inet4: 4 bytes
	INET6            // inet6: 16 bytes
	Geometry         // a geometry, in a query result
	Truth            // tinyint(1) as a truth value
	Clock            // time, in a query result
)

// Zero is what becomes of a date that is no date, such as 0000-00-00.
type Zero uint8

// The policies.
const (
	ZeroFails Zero = iota
	ZeroNull       // NULL
	ZeroEpoch      // 1970-01-01, and 00:00:00 UTC of it
)

// Policy is what to do with values that no kind holds.
type Policy struct {
	Zero    Zero
	Replace bool // bytes that are no text become U+FFFD; else they are an error
}

// The errors of values that a policy refuses.
var (
	ErrZeroDate = errors.New("a zero or partial date")
	errRange    = errors.New("a value out of its type's range")
)

// Field says how to read one column's values and what they become.
type Field struct {
	Column   MapColumn     // of the table map; zero for a field that reads query results only
	Kind     pipeline.Kind // of the schema's column
	Special  Special
	Unsigned bool
	Length   int      // of binary(n): bytes; of bit(n): bits
	Labels   []string // of an enum or a set, in UTF-8
	Charset  *charset.Charset
	Out      int // index of the schema's column; -1: not read

	prefix int // bytes of the length before the value; 0: it has width bytes
	width  int
	read   reader
	text   *charset.Decoder
}

// reader is the way in which a value is read from the log.
type reader uint8

const (
	readInt reader = iota + 1
	readUint
	readTruth
	readFloat
	readDouble
	readYear
	readDecimal
	readDate
	readTime
	readTime2
	readDatetime
	readDatetime2
	readTimestamp
	readTimestamp2
	readBit
	readBits
	readEnum
	readSet
	readText
	readBytes
	readFixed // binary(n): padded
	readUUID
	readInet
	readGeometry
)

// Decoder decodes rows of one table. Not safe for concurrent use: it has scratch memory.
type Decoder struct {
	Fields []Field // one for each column of the table map
	Policy Policy
	Zeros  uint64 // dates that the policy changed
	Bad    uint64 // texts in which bytes were replaced

	steps   []step // of a full image, one for each field
	columns int    // of the schema, where the fields have all of them
	z       Inflater
}

// NewDecoder compiles the fields.
func NewDecoder(fields []Field, p Policy) (*Decoder, error) {
	d := &Decoder{Fields: fields, Policy: p}
	for i := range d.Fields {
		f := &d.Fields[i]
		if f.Charset != nil {
			f.text = charset.NewDecoder(f.Charset)
		}
		if f.Column.Type == 0 {
			continue
		}
		if err := f.compile(); err != nil {
			return nil, fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	d.program()
	return d, nil
}

// compile finds out how long the column's values are and how they are read.
func (f *Field) compile() error {
	meta := int(f.Column.Meta)
	low, high := meta&0xff, meta>>8
	switch f.Column.Type {
	case TypeTiny, TypeShort, TypeInt24, TypeLong, TypeLongLong:
		return f.integer()
	case TypeFloat:
		f.fixed(readFloat, 4)
	case TypeDouble:
		f.fixed(readDouble, 8)
	case TypeYear:
		f.fixed(readYear, 1)
	case TypeNewDecimal:
		if high > low || low > maxDigits {
			return fmt.Errorf("decimal(%d,%d)", low, high)
		}
		f.fixed(readDecimal, decimalSize(low, high))
	case TypeDate, TypeNewDate:
		f.fixed(readDate, 3)
	case TypeTime:
		f.fixed(readTime, 3)
	case TypeDatetime:
		f.fixed(readDatetime, 8)
	case TypeTimestamp:
		f.fixed(readTimestamp, 4)
	case TypeTime2, TypeDatetime2, TypeTimestamp2:
		return f.temporal(meta)
	case TypeBit:
		return f.bits(low, high)
	case TypeEnum, TypeSet:
		return f.labelled()
	default:
		return f.variable()
	}
	return nil
}

func (f *Field) fixed(r reader, width int) { f.read, f.width = r, width }

func (f *Field) integer() error {
	f.read, f.width = readInt, map[byte]int{TypeTiny: 1, TypeShort: 2, TypeInt24: 3, TypeLong: 4, TypeLongLong: 8}[f.Column.Type]
	switch {
	case f.Special == Truth:
		f.read = readTruth
	case f.Kind == pipeline.Uint, f.Unsigned:
		f.read = readUint
	}
	return nil
}

func (f *Field) temporal(digits int) error {
	if digits > 6 {
		return fmt.Errorf("%d digits of a second", digits)
	}
	more := (digits + 1) / 2
	switch f.Column.Type {
	case TypeTime2:
		f.fixed(readTime2, 3+more)
	case TypeDatetime2:
		f.fixed(readDatetime2, 5+more)
	default:
		f.fixed(readTimestamp2, 4+more)
	}
	return nil
}

func (f *Field) bits(low, high int) error {
	n := high*8 + low
	if low > 7 || n < 1 || n > 64 {
		return fmt.Errorf("bit(%d)", n)
	}
	f.fixed(readBits, (n+7)/8)
	f.Length = n
	if f.Kind == pipeline.Bool {
		f.read = readBit
	}
	return nil
}

func (f *Field) labelled() error {
	size := f.Column.Size
	if f.Column.Type == TypeEnum {
		f.fixed(readEnum, size)
		if size != 1 && size != 2 {
			return fmt.Errorf("an enum of %d bytes", size)
		}
		return nil
	}
	f.fixed(readSet, size)
	if size < 1 || size > 8 {
		return fmt.Errorf("a set of %d bytes", size)
	}
	return nil
}

// variable is for types whose values have a length.
func (f *Field) variable() error {
	meta := int(f.Column.Meta)
	switch f.Column.Type {
	case TypeVarchar, TypeVarString, TypeVarCompressed:
		f.prefix = prefixFor(meta)
	case TypeString:
		f.prefix = prefixFor(f.Column.Size)
	case TypeTinyBlob:
		f.prefix = 1
	case TypeMediumBlob:
		f.prefix = 3
	case TypeLongBlob:
		f.prefix = 4
	case TypeBlob, TypeGeometry, TypeBlobCompressed:
		f.prefix = meta
	default:
		return fmt.Errorf("column type %d is unknown", f.Column.Type)
	}
	if f.prefix < 1 || f.prefix > 4 {
		return fmt.Errorf("a length of %d bytes", f.prefix)
	}
	f.read = f.content()
	return nil
}

// prefixFor returns the bytes of the length of values of at most so many bytes.
func prefixFor(most int) int {
	if most > 255 {
		return 2
	}
	return 1
}

func (f *Field) content() reader {
	switch {
	case f.Special == UUID:
		return readUUID
	case f.Special == INET4, f.Special == INET6:
		return readInet
	case f.Column.Type == TypeGeometry:
		return readGeometry
	case f.Kind != pipeline.Bytes:
		return readText
	case f.Column.Type == TypeString:
		return readFixed
	}
	return readBytes
}

func (f *Field) compressed() bool {
	return f.Column.Type == TypeBlobCompressed || f.Column.Type == TypeVarCompressed
}
