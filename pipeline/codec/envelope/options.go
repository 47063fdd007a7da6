package envelope

import (
	"fmt"
	"slices"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Shape is the shape of an event's value.
type Shape uint8

// The shapes.
const (
	Debezium Shape = iota
	Flat
)

// The values of Options' fields. The zero value of each is the default.
const (
	Placeholder = ""     // Unavailable: DefaultPlaceholder, in the form of the column's type
	AsNull      = "null" // Unavailable: NULL, and the event names the columns
	Fail        = "fail" // Unavailable, Truncates: an error

	Emit   = "emit"   // Truncates: an event t without key
	Ignore = "ignore" // Truncates: nothing

	Rewrite = "rewrite" // Deletes: the old row with __deleted = "true"

	// DefaultVersion is what source.version says unless told otherwise.
	DefaultVersion = "pipe-0.1"
	// DefaultPlaceholder is what Debezium writes for a value that the source did not send.
	DefaultPlaceholder = "__debezium_unavailable_value"
	// DeletedField is the column that rewritten deletes add, text "true" or "false".
	DeletedField = "__deleted"
	// NewKeyHeader and OldKeyHeader carry the other key where a row's key changed.
	NewKeyHeader = "__debezium.newkey"
	OldKeyHeader = "__debezium.oldkey"
)

// Options choose the shape of events.
type Options struct {
	Shape       Shape
	Mapping     Mapping
	Name        string   // source.name: the logical name of the server
	Version     string   // source.version
	Unavailable string   // what is written for a value that the source did not send
	Truncates   string   // Emit, Ignore or Fail; "": Emit for Debezium, Fail for Flat
	Deletes     string   // Flat: "" a tombstone, or Rewrite
	Tombstones  bool     // Debezium: a message without value after each delete
	Key         []string // columns of the key; nil: the table's key
}

// Plan says what the rows of one Schema become. It is immutable and safe for concurrent use.
type Plan struct {
	Options
	Schema *pipeline.Schema
	Fields []Field // the columns
	Keys   []Field // those of the key, in its order; empty: messages have no key
	ghosts []pipeline.Value
	zeros  []pipeline.Value
}

// Plan works out what rows of s become. An error names the columns of the key that s lacks.
func (o Options) Plan(s *pipeline.Schema) (*Plan, error) {
	p := &Plan{Options: o, Schema: s}
	key, err := o.keyOf(s)
	if err != nil {
		return nil, err
	}
	for i := range s.Columns {
		c := s.Columns[i]
		if c.Kind == pipeline.Time && s.System != pipeline.PostgreSQL {
			c.Length = mariaTime
		}
		t := o.Mapping.TypeOf(&c)
		if o.Mapping.AllOptional && !slices.Contains(key, i) {
			t.Optional = true
		}
		p.Fields = append(p.Fields, Field{Index: i, Name: c.Name, Type: t})
		p.ghosts = append(p.ghosts, ghost(t))
		p.zeros = append(p.zeros, zero(t))
	}
	for _, i := range key {
		f := p.Fields[i]
		t := *f.Type
		t.Optional = s.Columns[i].Nullable
		f.Type = &t
		p.Keys = append(p.Keys, f)
	}
	return p, nil
}

func (o Options) keyOf(s *pipeline.Schema) ([]int, error) {
	if len(o.Key) == 0 {
		return s.Key, nil
	}
	var key []int
	for _, name := range o.Key {
		i := s.Index(name)
		if i < 0 {
			return nil, &pipeline.Error{
				Table: s.Name(), Class: pipeline.Input,
				Err:  fmt.Errorf("the key names column %q, which the table does not have", name),
				Hint: "Name columns of the table in key = [...].",
			}
		}
		key = append(key, i)
	}
	return key, nil
}

// ghost returns what stands for a value that was not sent; NULL where the type cannot hold it.
func ghost(t *Type) pipeline.Value {
	const text = DefaultPlaceholder
	switch t.Form {
	case String:
		return pipeline.StringValue(t.Kind, text)
	case Bytes:
		return pipeline.StringValue(pipeline.Bytes, text)
	case Document:
		return pipeline.StringValue(pipeline.JSON, `"`+text+`"`)
	case Hstore:
		return pipeline.StringValue(t.Kind, `"`+text+`"=>"`+text+`"`)
	case Array:
		return ghostArray(t.Elem)
	}
	return pipeline.NullValue
}

func ghostArray(elem *Type) pipeline.Value {
	switch elem.Form {
	case String:
		return pipeline.StringValue(pipeline.Array, "{"+DefaultPlaceholder+"}")
	case Int16, Int32, Int64:
		b := []byte{'{'}
		for i, c := range []byte(DefaultPlaceholder) {
			if i > 0 {
				b = append(b, ',')
			}
			b = fmt.Append(b, c)
		}
		return pipeline.BytesValue(pipeline.Array, append(b, '}'))
	}
	return pipeline.NullValue
}

// zero returns what stands in a required column of an old row of which only the key is known.
func zero(t *Type) pipeline.Value {
	switch t.Kind {
	case pipeline.Bool:
		return pipeline.BoolValue(false)
	case pipeline.Int:
		return pipeline.IntValue(0)
	case pipeline.Uint:
		return pipeline.UintValue(0)
	case pipeline.Float32:
		return pipeline.Float32Value(0)
	case pipeline.Float64:
		return pipeline.Float64Value(0)
	case pipeline.Date:
		return pipeline.DateValue(-pipeline.EpochDays)
	case pipeline.Time:
		return pipeline.TimeValue(0)
	case pipeline.Timestamp:
		return pipeline.TimestampValue(-pipeline.EpochMicros)
	case pipeline.TimestampTZ:
		return pipeline.TimestampTZValue(-pipeline.EpochMicros)
	case pipeline.Array:
		return pipeline.StringValue(t.Kind, "{}")
	case pipeline.Decimal, pipeline.Bits:
		return pipeline.StringValue(t.Kind, "0")
	}
	return zeroText(t)
}

func zeroText(t *Type) pipeline.Value {
	switch t.Form {
	case Money:
		return pipeline.StringValue(t.Kind, "0")
	case ZonedTime:
		return pipeline.StringValue(t.Kind, "00:00:00+00")
	case Document:
		return pipeline.StringValue(t.Kind, "null")
	}
	return pipeline.StringValue(t.Kind, "")
}
