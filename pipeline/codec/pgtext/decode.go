package pgtext

import (
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Decoder turns what PostgreSQL sends for the columns of one table into Values. It is immutable and
// safe for concurrent use.
type Decoder struct {
	// Version is the server's server_version_num. Before 17 the largest interval is a finite one,
	// from 17 on it is infinity; 0 is taken as the newest. Set it before the first use.
	Version int

	cols []column
}

type column struct {
	kind   pipeline.Kind
	binary form
	alias  bool // the binary form's Value points into the source
	col    *pipeline.Column
}

// NewDecoder returns a decoder for the columns, which it refers to and does not change.
func NewDecoder(cols []pipeline.Column) *Decoder {
	d := &Decoder{cols: make([]column, len(cols))}
	for i := range cols {
		c := &cols[i]
		f := formOf(c)
		d.cols[i] = column{kind: c.Kind, binary: f, alias: f.aliases(), col: c}
	}
	return d
}

// Text decodes the text form of column col; src is copied. NULL is the caller's business.
func (d *Decoder) Text(a *pipeline.Arena, col int, src []byte) (pipeline.Value, error) {
	v, err := d.TextOwned(a, col, src)
	if err != nil || v.Kind() < pipeline.Text || v.Kind() == pipeline.Bytes {
		return v, err
	}
	return pipeline.BytesValue(v.Kind(), a.Copy(src)), nil
}

// TextOwned is Text for a src that lives as long as the arena: the Value may point into it. A caller
// that copies a whole row into the arena at once saves a copy for each column.
func (d *Decoder) TextOwned(a *pipeline.Arena, col int, src []byte) (pipeline.Value, error) {
	c := &d.cols[col]
	v, ok := pipeline.Value{}, true
	switch c.kind {
	case pipeline.Text, pipeline.JSON, pipeline.Other:
		return pipeline.BytesValue(c.kind, src), nil
	case pipeline.Bool:
		v, ok = textBool(src)
	case pipeline.Int:
		v, ok = textInt(src)
	case pipeline.Float32, pipeline.Float64:
		v, ok = textFloat(c.kind, src)
	case pipeline.Date, pipeline.Time, pipeline.Timestamp, pipeline.TimestampTZ:
		v, ok = textTemporal(c.kind, src)
	case pipeline.Bytes:
		return textBytea(a, c.col, src)
	default:
		v, ok = pipeline.BytesValue(c.kind, src), textShape(c.kind, src)
	}
	if !ok {
		v = pipeline.BytesValue(pipeline.Other, src)
	}
	return v, nil
}

// Binary decodes the binary form of column col, for which BinaryOK must hold; src is copied. NULL is
// the caller's business.
func (d *Decoder) Binary(a *pipeline.Arena, col int, src []byte) (pipeline.Value, error) {
	v, err := d.BinaryOwned(a, col, src)
	if err != nil || !d.cols[col].alias {
		return v, err
	}
	return pipeline.BytesValue(v.Kind(), a.Copy(v.Bytes())), nil
}

// BinaryOwned is Binary for a src that lives as long as the arena: the Value may point into it.
func (d *Decoder) BinaryOwned(a *pipeline.Arena, col int, src []byte) (pipeline.Value, error) {
	c := &d.cols[col]
	if v, ok := binaryFixed(c.binary, src); ok {
		return v, nil
	}
	switch c.binary {
	case formRaw:
		return pipeline.BytesValue(c.kind, src), nil
	case formJSONB:
		if len(src) > 0 && src[0] == jsonbVersion {
			return pipeline.BytesValue(c.kind, src[1:]), nil
		}
		return pipeline.Value{}, c.refuse(src)
	case formUnknown:
		return pipeline.Value{}, fmt.Errorf("column %s: the binary form of %s is not known",
			c.col.Name, c.col.Type)
	}
	out, err := d.render(a.Grow(renderRoom(c.binary, src)), c, src)
	if err != nil {
		return pipeline.Value{}, err
	}
	return pipeline.BytesValue(c.kind, a.Keep(out)), nil
}

// render appends the text of a value whose Value is text although its binary form is not.
func (d *Decoder) render(dst []byte, c *column, src []byte) ([]byte, error) {
	p := printer{version: d.Version}
	out, ok := p.value(dst, c.binary, c.col, src)
	if !ok {
		return nil, c.refuse(src)
	}
	return out, nil
}

// refuse says what could not be read: the length and the first bytes.
func (c *column) refuse(src []byte) error {
	const show = 16
	return fmt.Errorf("column %s: not the binary form of %s: %d bytes, % x",
		c.col.Name, c.col.Type, len(src), src[:min(len(src), show)])
}

// BinaryOK reports whether the binary form of the column's type decodes to the same Value as its
// text form. Where it does not, read the column as text: in a COPY or SELECT that is binary,
// "textin(TYPOUTPUT(column))" is what the server would print.
func BinaryOK(c *pipeline.Column) bool { return formOf(c) != formUnknown }
