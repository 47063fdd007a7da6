package binlog

import (
	"errors"
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
)

// RowsOp is what a rows event did.
type RowsOp uint8

// The operations.
const (
	WriteRows  RowsOp = iota + 1 // images after
	UpdateRows                   // pairs of images, before and after
	DeleteRows                   // images before
)

// RowsEnd is the flag of the last rows event of a statement: its table maps end with it.
const RowsEnd uint16 = 1

// Rows is a rows event. Its bytes alias the event, or the inflater's memory where it was compressed.
type Rows struct {
	Op     RowsOp
	Flags  uint16
	Width  int
	Before []byte // bitmap of the columns that images before hold; nil for WriteRows
	After  []byte // of images after; nil for DeleteRows
	Data   []byte // the images
}

// extraSize is the size of the length of a version 2 event's extra data, which counts itself.
const extraSize = 2

// ParseRows reads what follows the table's number in the body of a rows event.
func ParseRows(t EventType, rest []byte, z *Inflater, r *Rows) error {
	op, ok := t.Rows()
	if !ok {
		return fmt.Errorf("event type %d is no rows event", t)
	}
	c := cursor{b: rest}
	*r = Rows{Op: op, Flags: c.u16()}
	if t.second() {
		c.take(int(c.u16()) - extraSize)
	}
	r.Width = c.length()
	bitmap := (r.Width + 7) / 8
	first := c.take(bitmap)
	if op == WriteRows {
		r.After = first
	} else {
		r.Before = first
	}
	if op == UpdateRows {
		r.After = c.take(bitmap)
	}
	if c.bad || r.Width > maxColumns {
		return fmt.Errorf("rows event: %w", ErrShort)
	}
	r.Data = c.b
	if !t.compressed() {
		return nil
	}
	var err error
	if r.Data, err = z.event(c.b); err != nil {
		return fmt.Errorf("compressed rows event: %w", err)
	}
	return nil
}

// Has reports whether a bitmap has column i.
func Has(bitmap []byte, i int) bool { return bitmap[i>>3]&(1<<(i&7)) != 0 }

// full reports whether a bitmap has all of n columns.
func full(bitmap []byte, n int) bool {
	for ; n >= 8; n, bitmap = n-8, bitmap[1:] {
		if bitmap[0] != 0xff {
			return false
		}
	}
	return n == 0 || bitmap[0]&(1<<n-1) == 1<<n-1
}

// Image decodes one row image into values, which has an element for each column of the schema and
// undefined content, and returns what follows it. It sets every element, also where it
// fails. Texts alias data where they need no conversion. A column outside of the bitmap is Absent.
func (d *Decoder) Image(a *pipeline.Arena, values []pipeline.Value, bitmap, data []byte) (rest []byte, err error) {
	if full(bitmap, len(d.Fields)) {
		if len(values) != d.columns {
			clear(values)
		}
		return d.fullImage(a, values, data)
	}
	return d.partImage(a, values, bitmap, data)
}

// partImage decodes an image that lacks columns.
func (d *Decoder) partImage(a *pipeline.Arena, values []pipeline.Value, bitmap, data []byte) (rest []byte, err error) {
	for i := range values {
		values[i] = pipeline.AbsentValue
	}
	present := 0
	for i := range d.Fields {
		if Has(bitmap, i) {
			present++
		}
	}
	n := (present + 7) / 8
	if len(data) < n {
		return nil, ErrShort
	}
	nulls, data := data[:n], data[n:]
	at := 0
	for i := range d.Fields {
		if !Has(bitmap, i) {
			continue
		}
		null := Has(nulls, at)
		at++
		if data, err = d.column(a, values, &d.Fields[i], null, data); err != nil {
			return nil, err
		}
	}
	return data, nil
}

var errUnknown = errors.New("a column of a type of before version 5.0")

// column decodes one value, or passes over it where the schema does not have it.
func (d *Decoder) column(a *pipeline.Arena, values []pipeline.Value, f *Field, null bool, data []byte) ([]byte, error) {
	if null {
		if f.Out >= 0 {
			values[f.Out] = pipeline.NullValue
		}
		return data, nil
	}
	if f.read == 0 {
		return nil, errUnknown
	}
	n := f.width
	if f.prefix > 0 {
		if len(data) < f.prefix {
			return nil, ErrShort
		}
		n = f.prefix + int(littleUint(data[:f.prefix]))
	}
	if n < 0 || n > len(data) {
		return nil, ErrShort
	}
	if f.Out < 0 {
		return data[n:], nil
	}
	v, err := d.value(a, f, data[f.prefix:n:n])
	if err != nil {
		return nil, &ColumnError{Column: f.Out, Err: err}
	}
	values[f.Out] = v
	return data[n:], nil
}

// ColumnError says in which column of the schema a value could not be decoded.
type ColumnError struct {
	Column int
	Err    error
}

// Error returns the cause.
func (e *ColumnError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ColumnError) Unwrap() error { return e.Err }
