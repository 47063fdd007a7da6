package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pipe-cdc/pipe/pipeline/codec/avro"
	"github.com/pipe-cdc/pipe/pipeline/codec/avro/registry"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// verdict is what a record says of its key.
type verdict uint8

const (
	foreign verdict = iota // it is not one of the sink's, or cannot be read
	other                  // it is another table's
	alive                  // the row is there
	gone                   // it was deleted
)

// maxDecoders bounds the schemas of values that are kept.
const maxDecoders = 1000

// judge tells the records of one table from others. Not safe for concurrent use.
type judge struct {
	topic    string
	flat     bool             // rows without envelope, whose topic is the table's alone
	deleted  []byte           // what a rewritten delete ends with; nil where there are none
	keyID    uint32           // Avro: of the keys' schema
	quick    []byte           // what shows that an event is the table's; nil where it must be taken apart
	registry *registry.Client // nil for JSON
	wrapped  bool             // JSON: {"schema","payload"}
	db       []byte           // as JSON
	schema   []byte           // nil: the source block has none
	name     []byte
	decoders map[uint32]*avro.Decoder // by the registry's id; nil: no schema that can be read
	json     []byte
}

func newJudge(s *Sink, topic string, m mark) *judge {
	q := func(s string) []byte { return envelope.AppendJSONString(nil, s) }
	o := s.config.shape()
	j := &judge{topic: topic, flat: o.Shape == envelope.Flat, keyID: uint32(m.KeyID), registry: s.registry,
		wrapped: s.config.Format.Schemas, db: q(m.Database), name: q(m.Table), decoders: map[uint32]*avro.Decoder{}}
	if m.Namespace != "" {
		j.schema = q(m.Namespace)
	}
	if m.Apart && o.Shape == envelope.Debezium && o.Tombstones {
		j.quick = j.mark(m)
	}
	switch {
	case o.Deletes != envelope.Rewrite:
	case s.registry != nil:
		j.deleted = []byte("\x02\x08true")
	case j.wrapped:
		j.deleted = []byte(`,"` + envelope.DeletedField + `":"true"}}`)
	default:
		j.deleted = []byte(`,"` + envelope.DeletedField + `":"true"}`)
	}
	return j
}

// mark returns what stands in the source block of the table's events. That of another table is not expected
// in a topic whose name is the table's; and that an event is a delete need not be seen, since a tombstone
// follows.
func (j *judge) mark(m mark) []byte {
	sized := func(s string) string { return string(binary.AppendVarint(nil, int64(len(s)))) + s }
	switch {
	case j.registry != nil && j.schema != nil:
		return []byte(sized(m.Namespace) + sized(m.Table))
	case j.registry != nil:
		return []byte("\x02" + sized(m.Table))
	case j.schema != nil:
		return fmt.Appendf(nil, `,"schema":%s,"table":%s,`, j.schema, j.name)
	}
	return fmt.Appendf(nil, `,"table":%s,`, j.name)
}

// of judges a record with a key.
func (j *judge) of(ctx context.Context, rec *kgo.Record) (verdict, error) {
	switch {
	case !ownKey(rec.Key, j.registry != nil, j.keyID):
		return foreign, nil
	case rec.Value == nil, j.deleted != nil && bytes.HasSuffix(rec.Value, j.deleted):
		return gone, nil
	case j.flat, j.quick != nil && bytes.Contains(rec.Value, j.quick):
		return alive, nil
	}
	value := rec.Value
	if j.registry != nil {
		var err error
		if value, err = j.decode(ctx, value); err != nil || value == nil {
			return foreign, err
		}
	}
	return j.event(value), nil
}

// ownKey reports whether a key may be one of a table's: in Avro, by the id of its schema.
func ownKey(key []byte, avroKeys bool, id uint32) bool {
	if !avroKeys {
		return len(key) > 0 && key[0] == '{'
	}
	return len(key) > avro.HeaderSize && key[0] == 0 && binary.BigEndian.Uint32(key[1:]) == id
}

// decode turns an Avro value into JSON; nil where its schema is none that can be read.
func (j *judge) decode(ctx context.Context, value []byte) ([]byte, error) {
	if len(value) < avro.HeaderSize || value[0] != 0 {
		return nil, nil
	}
	id := binary.BigEndian.Uint32(value[1:])
	d, ok := j.decoders[id]
	if !ok {
		text, err := j.registry.Schema(ctx, int(id))
		if err != nil {
			return nil, fmt.Errorf("topic %s: %w", j.topic, err)
		}
		if text != "" {
			d, _ = avro.NewDecoder(text) // an error leaves d nil: what it describes is not the sink's
		}
		if len(j.decoders) >= maxDecoders {
			clear(j.decoders)
		}
		j.decoders[id] = d
	}
	if d == nil {
		return nil, nil
	}
	out, rest, err := d.AppendJSON(j.json[:0], value[avro.HeaderSize:])
	if err != nil || len(rest) > 0 {
		return nil, nil // not what the schema says: not the sink's
	}
	j.json = out
	return out, nil
}

// event judges an envelope by its source block and its operation.
func (j *judge) event(value []byte) verdict {
	var source, op []byte
	ok := j.open(value, func(name, v []byte) {
		switch string(name) {
		case `"source"`:
			source = v
		case `"op"`:
			op = v
		}
	})
	if !ok || len(op) != len(`"d"`) {
		return foreign
	}
	var db, schema, name []byte
	if !members(source, func(n, v []byte) {
		switch string(n) {
		case `"db"`:
			db = v
		case `"schema"`:
			schema = v
		case `"table"`:
			name = v
		}
	}) {
		return foreign
	}
	switch {
	case !bytes.Equal(db, j.db), !bytes.Equal(schema, j.schema), !bytes.Equal(name, j.name):
		return other
	case op[1] == 'd':
		return gone
	}
	return alive
}

// open calls f with the members of an object, or of the payload that it wraps.
func (j *judge) open(doc []byte, f func(name, value []byte)) bool {
	if !j.wrapped {
		return members(doc, f)
	}
	return members(payload(doc), f)
}

// payload returns what {"schema","payload"} wraps; nil where it is none.
func payload(doc []byte) (out []byte) {
	members(doc, func(name, value []byte) {
		if string(name) == `"payload"` {
			out = value
		}
	})
	return out
}

// members calls f with the members of a JSON object, and reports whether it is one. Names and values are
// as they are written; what is inside a value is not looked at.
func members(doc []byte, f func(name, value []byte)) bool {
	at := gap(doc, 0)
	if at == len(doc) || doc[at] != '{' {
		return false
	}
	for at = gap(doc, at+1); at < len(doc) && doc[at] == '"'; at = gap(doc, at+1) {
		name := doc[at : at+token(doc[at:])]
		at = gap(doc, at+len(name))
		if len(name) == 0 || at == len(doc) || doc[at] != ':' {
			return false
		}
		at = gap(doc, at+1)
		value := doc[at : at+token(doc[at:])]
		if len(value) == 0 {
			return false
		}
		f(name, value)
		at = gap(doc, at+len(value))
		if at == len(doc) || doc[at] != ',' {
			break
		}
	}
	return at < len(doc) && doc[at] == '}' && gap(doc, at+1) == len(doc)
}

// gap returns the index of what follows the white space at doc[at:].
func gap(doc []byte, at int) int {
	for at < len(doc) && (doc[at] == ' ' || doc[at] == '\n' || doc[at] == '\t' || doc[at] == '\r') {
		at++
	}
	return at
}

// token returns the length of the JSON value that doc begins with, 0 where it does not end.
func token(doc []byte) int {
	depth := 0
	for i := 0; i < len(doc); i++ {
		switch doc[i] {
		case '"':
			n := quoted(doc[i:])
			if n == 0 {
				return 0
			}
			if i += n - 1; depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	if depth > 0 {
		return 0
	}
	return len(doc)
}

// quoted returns the length of the string that doc begins with, 0 where it does not end.
func quoted(doc []byte) int {
	for i := 1; i < len(doc); i++ {
		switch doc[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}
