package json

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// Program encodes the events of one Schema. It is immutable and safe for concurrent use.
type Program struct {
	Plan       *envelope.Plan
	keys, cols []column
	parts      source
	keyHead    string // {"schema":...,"payload": where schemas are asked for
	valueHead  string
}

type column struct {
	field envelope.Field
	label string // its name as JSON, with the colon
	comma string // the same with a comma before it
}

// Options of the JSON form.
type Options struct {
	Schemas bool   // Debezium: {"schema","payload"}
	Name    string // what the schemas are named after: the topic
}

// Compile returns the program of a plan.
func Compile(p *envelope.Plan, o Options) *Program {
	g := &Program{Plan: p, keys: columns(p.Keys), cols: columns(p.Fields), parts: newSource(p)}
	if o.Schemas {
		g.keyHead, g.valueHead = schemaHeads(p, o.Name)
	}
	return g
}

func columns(fields []envelope.Field) []column {
	out := make([]column, len(fields))
	for i, f := range fields {
		label := string(envelope.AppendJSONString(nil, f.Name)) + ":"
		out[i] = column{field: f, label: label, comma: "," + label}
	}
	return out
}

// AppendKey appends the key of the given row; nothing where messages have no key.
func (g *Program) AppendKey(dst []byte, e *envelope.Event, row []pipeline.Value) ([]byte, error) {
	if len(g.keys) == 0 {
		return dst, nil
	}
	dst = append(append(dst, g.keyHead...), '{')
	for i := range g.keys {
		c := &g.keys[i]
		v, err := g.Plan.KeyValue(e, &c.field, row)
		if err != nil {
			return dst, g.Plan.Error(e.Row, c.field.Name, err)
		}
		if dst, err = c.append(dst, v, i == 0); err != nil {
			return dst, g.Plan.Error(e.Row, c.field.Name, err)
		}
	}
	return closed(dst, g.keyHead), nil
}

// AppendValue appends the event's value.
func (g *Program) AppendValue(dst []byte, e *envelope.Event) ([]byte, error) {
	dst = append(dst, g.valueHead...)
	if g.Plan.Shape == envelope.Debezium {
		dst, err := g.appendEnvelope(dst, e)
		return closed(dst, g.valueHead), err
	}
	dst, err := g.row(dst, e, envelope.After, e.After)
	if err != nil {
		return dst, err
	}
	if g.Plan.Deletes == envelope.Rewrite {
		dst = append(dst, `,"`+envelope.DeletedField+`":"`...)
		dst = append(strconv.AppendBool(dst, e.Op == 'd'), '"')
	}
	return closed(dst, g.valueHead), nil
}

// closed ends an object, and the one around it where there is a head.
func closed(dst []byte, head string) []byte {
	if head != "" {
		return append(dst, '}', '}')
	}
	return append(dst, '}')
}

// row appends the columns of a row, without the closing brace.
func (g *Program) row(dst []byte, e *envelope.Event, img envelope.Image, row []pipeline.Value) ([]byte, error) {
	dst = append(dst, '{')
	var err error
	for i := range g.cols {
		c := &g.cols[i]
		v := row[c.field.Index]
		if k := v.Kind(); k <= pipeline.Absent && (k == pipeline.Absent || !c.field.Type.Optional) {
			if v, err = g.Plan.Fill(e, img, &c.field, v); err != nil {
				return dst, g.Plan.Error(e.Row, c.field.Name, err)
			}
		}
		if dst, err = c.append(dst, v, i == 0); err != nil {
			return dst, g.Plan.Error(e.Row, c.field.Name, err)
		}
	}
	return dst, nil
}

func (c *column) append(dst []byte, v pipeline.Value, first bool) ([]byte, error) {
	if first {
		dst = append(dst, c.label...)
	} else {
		dst = append(dst, c.comma...)
	}
	if v.IsNull() {
		return append(dst, "null"...), nil
	}
	return appendBase(dst, c.field.Type, v)
}

// appendBase appends a value that is not NULL by its type's primitive.
func appendBase(dst []byte, t *envelope.Type, v pipeline.Value) ([]byte, error) {
	switch t.Form.Base() {
	case envelope.Int, envelope.Long:
		n, err := t.Long(v)
		return strconv.AppendInt(dst, n, 10), err
	case envelope.Boolean:
		b, err := t.Bool(v)
		return strconv.AppendBool(dst, b), err
	case envelope.Float:
		f, err := t.Float(v)
		return appendFloat(dst, f, 32), err
	case envelope.Double:
		f, err := t.Float(v)
		return appendFloat(dst, f, 64), err
	case envelope.Blob:
		return appendBlob(dst, t, v)
	case envelope.Record:
		return appendVarDecimal(dst, t, v)
	case envelope.List:
		return appendArray(dst, t, v)
	}
	return appendText(dst, t, v)
}

func appendText(dst []byte, t *envelope.Type, v pipeline.Value) ([]byte, error) {
	switch t.Form {
	case envelope.DecimalNumber:
		if number(v.Bytes()) {
			return append(dst, v.Bytes()...), nil
		}
		return envelope.AppendJSONString(dst, v.Bytes()), nil
	case envelope.Document:
		if out, ok := AppendDocument(dst, v.Bytes()); ok {
			return out, nil
		}
		return envelope.AppendJSONString(dst, v.Bytes()), utf8Error(v.Bytes())
	case envelope.String:
		if v.Kind().HasBytes() {
			return envelope.AppendJSONString(dst, v.Bytes()), utf8Error(v.Bytes())
		}
	case envelope.ISO:
		out, err := t.AppendText(append(dst, '"'), v)
		return append(out, '"'), err
	}
	var buf [256]byte
	text, err := t.AppendText(buf[:0], v)
	return envelope.AppendJSONString(dst, text), err
}

func utf8Error(b []byte) error {
	if !utf8.Valid(b) {
		return envelope.ErrUTF8
	}
	return nil
}

func appendBlob(dst []byte, t *envelope.Type, v pipeline.Value) ([]byte, error) {
	if t.Form == envelope.Bytes {
		dst = base64.StdEncoding.AppendEncode(append(dst, '"'), v.Bytes())
		return append(dst, '"'), nil
	}
	var buf [64]byte
	b, err := t.AppendBytes(buf[:0], v)
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), b)
	return append(dst, '"'), err
}

func appendVarDecimal(dst []byte, t *envelope.Type, v pipeline.Value) ([]byte, error) {
	var buf [64]byte
	scale, b, err := t.Parts(buf[:0], v)
	dst = strconv.AppendInt(append(dst, `{"scale":`...), int64(scale), 10)
	dst = base64.StdEncoding.AppendEncode(append(dst, `,"value":"`...), b)
	return append(dst, `"}`...), err
}

func appendArray(dst []byte, t *envelope.Type, v pipeline.Value) ([]byte, error) {
	if v.Kind() != pipeline.Array {
		return dst, envelope.ErrKind
	}
	start := len(dst)
	dst = append(dst, '[')
	var scratch [256]byte
	_, err := envelope.Elements(v.View(), scratch[:0], func(text []byte, null bool) error {
		if len(dst) > start+1 {
			dst = append(dst, ',')
		}
		if null {
			dst = append(dst, "null"...)
			return nil
		}
		e, err := t.Elem.ParseText(text)
		if err != nil {
			return err
		}
		dst, err = appendBase(dst, t.Elem, e)
		return err
	})
	return append(dst, ']'), err
}

// AppendSent appends a row's columns as an object, those that the source did not send left out. A
// value that its type cannot hold is written as its source prints it.
func (g *Program) AppendSent(dst []byte, r *pipeline.Row, row []pipeline.Value) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	for i := range g.cols {
		c := &g.cols[i]
		v := row[c.field.Index]
		if v.IsAbsent() {
			continue
		}
		start := len(dst)
		out, err := c.append(dst, v, first)
		if err != nil {
			out = append(dst[:start], c.comma...)
			if first {
				out = append(dst[:start], c.label...)
			}
			out = envelope.AppendJSONString(out, v.String())
		}
		dst, first = out, false
	}
	return append(dst, '}'), nil
}
