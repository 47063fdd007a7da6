package avro

import (
	"encoding/binary"
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// HeaderSize is the length of the wire format's header: 0x00 and the schema's id.
const HeaderSize = 5

// Program encodes the events of one Schema.
type Program struct {
	Plan        *envelope.Plan
	KeySchema   string // "" where messages have no key
	ValueSchema string

	key, value [HeaderSize]byte
	keys, cols []op
	record     func(dst []byte, e *envelope.Event) ([]byte, error)
	parts      source
}

// Union says where NULL stands in a column's union.
type union uint8

const (
	required  union = iota
	nullFirst       // ["null", T]
	nullLast        // [T, "null"]
)

// op encodes one column.
type op struct {
	field envelope.Field
	index int
	form  envelope.Form
	kind  pipeline.Kind
	union union
}

// Compile derives the schemas of a plan, named after the topic, and the program that encodes them.
func Compile(p *envelope.Plan, topic string) (*Program, error) {
	var taken []string
	if p.Shape == envelope.Flat && p.Deletes == envelope.Rewrite {
		taken = []string{envelope.DeletedField}
	}
	names, err := fieldNames(p.Schema, p.Fields, taken...)
	if err != nil {
		return nil, err
	}
	ns := ValidNamespace(topic)
	g := &Program{Plan: p, ValueSchema: valueSchema(p, names, ns), cols: ops(p.Fields), keys: ops(p.Keys)}
	if len(p.Keys) > 0 {
		var keyNames []string
		for _, k := range p.Keys {
			keyNames = append(keyNames, names[k.Index])
		}
		g.KeySchema = keySchema(p, keyNames, ns)
	}
	for _, text := range []string{g.KeySchema, g.ValueSchema} {
		if text == "" {
			continue
		}
		if err := validate(text); err != nil {
			return nil, &pipeline.Error{
				Table: p.Schema.Name(), Class: pipeline.Internal, Err: fmt.Errorf("derived Avro schema: %w", err),
			}
		}
	}
	g.parts = newSource(p)
	g.record = g.appendEnvelope
	if p.Shape == envelope.Flat {
		g.record = g.appendFlat
	}
	return g, nil
}

func ops(fields []envelope.Field) []op {
	out := make([]op, len(fields))
	for i, f := range fields {
		o := op{field: f, index: f.Index, form: f.Type.Form, kind: f.Type.Kind}
		switch {
		case f.Type.Optional && f.Type.Default != "":
			o.union = nullLast
		case f.Type.Optional:
			o.union = nullFirst
		}
		out[i] = o
	}
	return out
}

// SetIDs sets the registry's ids of the key's and the value's schema. Not safe once encoding began.
func (g *Program) SetIDs(key, value int) {
	binary.BigEndian.PutUint32(g.key[1:], uint32(key))
	binary.BigEndian.PutUint32(g.value[1:], uint32(value))
}

// AppendKey appends the key of the given row, header first; nothing where messages have no key.
func (g *Program) AppendKey(dst []byte, e *envelope.Event, row []pipeline.Value) ([]byte, error) {
	if len(g.keys) == 0 {
		return dst, nil
	}
	dst = append(dst, g.key[:]...)
	for i := range g.keys {
		o := &g.keys[i]
		v, err := row[o.index], error(nil)
		if k := v.Kind(); k == pipeline.Absent || k == pipeline.Null {
			if v, err = g.Plan.KeyValue(e, &o.field, row); err != nil {
				return dst, g.Plan.Error(e.Row, o.field.Name, err)
			}
		}
		if dst, err = o.append(dst, v); err != nil {
			return dst, g.Plan.Error(e.Row, o.field.Name, err)
		}
	}
	return dst, nil
}

// AppendValue appends the event's value, header first.
func (g *Program) AppendValue(dst []byte, e *envelope.Event) ([]byte, error) {
	return g.record(append(dst, g.value[:]...), e)
}

func (g *Program) appendFlat(dst []byte, e *envelope.Event) ([]byte, error) {
	dst, err := g.row(dst, e, envelope.After, e.After)
	if err != nil || g.Plan.Deletes != envelope.Rewrite {
		return dst, err
	}
	if e.Op == 'd' {
		return append(dst, "\x02\x08true"...), nil
	}
	return append(dst, "\x02\x0afalse"...), nil
}

// row appends the record of a table's columns.
func (g *Program) row(dst []byte, e *envelope.Event, img envelope.Image, row []pipeline.Value) ([]byte, error) {
	var err error
	for i := range g.cols {
		o := &g.cols[i]
		v := row[o.index]
		if k := v.Kind(); k <= pipeline.Absent && (k == pipeline.Absent || o.union == required) {
			if v, err = g.Plan.Fill(e, img, &o.field, v); err != nil {
				return dst, g.Plan.Error(e.Row, o.field.Name, err)
			}
		}
		if dst, err = o.append(dst, v); err != nil {
			return dst, g.Plan.Error(e.Row, o.field.Name, err)
		}
	}
	return dst, nil
}
