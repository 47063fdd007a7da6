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
	keys, cols record
	parts      source
}

// Union says where NULL stands in a column's union.
type union uint8

const (
	required  union = iota
	nullFirst       // ["null", T]
	nullLast        // [T, "null"]
)

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
	g := &Program{Plan: p, ValueSchema: valueSchema(p, names, ns), cols: newRecord(p.Fields), keys: newRecord(p.Keys)}
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
	return g, nil
}

// SetIDs sets the registry's ids of the key's and the value's schema. Not safe once encoding began.
func (g *Program) SetIDs(key, value int) {
	binary.BigEndian.PutUint32(g.key[1:], uint32(key))
	binary.BigEndian.PutUint32(g.value[1:], uint32(value))
}

// Room returns how many bytes beyond those that they take a key and a value together need at the most
// to be encoded without growing their buffer.
func (g *Program) Room() int { return 2 * (HeaderSize + g.keys.most + g.cols.most) }

// AppendKey appends the key of the given row, header first; nothing where messages have no key.
func (g *Program) AppendKey(dst []byte, e *envelope.Event, row []pipeline.Value) ([]byte, error) {
	if len(g.keys.ops) == 0 {
		return dst, nil
	}
	return g.row(append(dst, g.key[:]...), &g.keys, e, keyImage, row)
}

// AppendValue appends the event's value, header first.
func (g *Program) AppendValue(dst []byte, e *envelope.Event) ([]byte, error) {
	dst = append(dst, g.value[:]...)
	if g.Plan.Shape == envelope.Flat {
		return g.appendFlat(dst, e)
	}
	return g.appendEnvelope(dst, e)
}

func (g *Program) appendFlat(dst []byte, e *envelope.Event) ([]byte, error) {
	dst, err := g.row(dst, &g.cols, e, envelope.After, e.After)
	if err != nil || g.Plan.Deletes != envelope.Rewrite {
		return dst, err
	}
	if e.Op == 'd' {
		return append(dst, "\x02\x08true"...), nil
	}
	return append(dst, "\x02\x0afalse"...), nil
}
