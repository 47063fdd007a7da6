package avro

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// kind is the type of a node of a schema.
type kind uint8

const (
	kindNull kind = iota
	kindBoolean
	kindInt
	kindLong
	kindFloat
	kindDouble
	kindBytes
	kindString
	kindFixed
	kindEnum
	kindUnion
	kindArray
	kindMap
	kindRecord
)

var primitiveKinds = map[string]kind{
	"null": kindNull, "boolean": kindBoolean, "int": kindInt, "long": kindLong, "float": kindFloat,
	"double": kindDouble, "bytes": kindBytes, "string": kindString,
}

// The bounds of a schema's text.
const (
	maxSchema = 4 << 20
	maxNodes  = 100_000
	maxScale  = 10_000
)

// node is one type of a parsed schema.
type node struct {
	kind     kind
	fields   []field
	branches []*node
	items    *node
	symbols  []string
	size     int64
	scale    int
	decimal  bool
}

type field struct {
	label []byte // its name as JSON, with the colon
	node  *node
}

// ErrSchema says that a schema's text is not a schema, or exceeds the bounds.
var ErrSchema = errors.New("not a valid Avro schema")

type parser struct {
	named map[string]*node
	nodes int
}

// NewDecoder parses a schema's text.
func NewDecoder(schema string) (*Decoder, error) {
	if len(schema) > maxSchema {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrSchema, maxSchema)
	}
	p := parser{named: map[string]*node{}}
	root, err := p.parse(json.RawMessage(schema), "", 0)
	if err != nil {
		return nil, err
	}
	return &Decoder{root: root}, nil
}

// definition is a schema's JSON object.
type definition struct {
	Type        json.RawMessage `json:"type"`
	Name        string          `json:"name"`
	Namespace   *string         `json:"namespace"`
	Fields      []member        `json:"fields"`
	Items       json.RawMessage `json:"items"`
	Values      json.RawMessage `json:"values"`
	Symbols     []string        `json:"symbols"`
	Size        int64           `json:"size"`
	LogicalType json.RawMessage `json:"logicalType"`
	Scale       json.RawMessage `json:"scale"`
}

type member struct {
	Name string          `json:"name"`
	Type json.RawMessage `json:"type"`
}

func (p *parser) parse(raw json.RawMessage, ns string, depth int) (*node, error) {
	if p.nodes++; depth > MaxDepth || p.nodes > maxNodes {
		return nil, fmt.Errorf("%w: too deep or too large", ErrSchema)
	}
	raw = json.RawMessage(strings.TrimLeft(string(raw), " \t\r\n"))
	if len(raw) == 0 {
		return nil, fmt.Errorf("%w: a type is missing", ErrSchema)
	}
	switch raw[0] {
	case '"':
		var name string
		if err := json.Unmarshal(raw, &name); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSchema, err)
		}
		return p.reference(name, ns)
	case '[':
		return p.union(raw, ns, depth)
	}
	var d definition
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return p.define(&d, ns, depth)
}

func (p *parser) reference(name, ns string) (*node, error) {
	if k, ok := primitiveKinds[name]; ok {
		return &node{kind: k}, nil
	}
	if n := p.named[fullName(name, ns)]; n != nil {
		return n, nil
	}
	if n := p.named[name]; n != nil {
		return n, nil
	}
	return nil, fmt.Errorf("%w: unknown type %q", ErrSchema, name)
}

func fullName(name, ns string) string {
	if ns == "" || strings.Contains(name, ".") {
		return name
	}
	return ns + "." + name
}

func (p *parser) union(raw json.RawMessage, ns string, depth int) (*node, error) {
	var branches []json.RawMessage
	if err := json.Unmarshal(raw, &branches); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	n := &node{kind: kindUnion}
	for _, b := range branches {
		branch, err := p.parse(b, ns, depth+1)
		if err != nil {
			return nil, err
		}
		n.branches = append(n.branches, branch)
	}
	return n, nil
}

func (p *parser) define(d *definition, ns string, depth int) (*node, error) {
	var typ string
	if json.Unmarshal(d.Type, &typ) != nil {
		return p.parse(d.Type, ns, depth+1)
	}
	switch typ {
	case "record", "error":
		return p.record(d, ns, depth)
	case "enum":
		return p.name(&node{kind: kindEnum, symbols: d.Symbols}, d, ns)
	case "fixed":
		n := &node{kind: kindFixed, size: d.Size}
		n.decimalOf(d)
		return p.name(n, d, ns)
	case "array", "map":
		n, raw := &node{kind: kindArray}, d.Items
		if typ == "map" {
			n.kind, raw = kindMap, d.Values
		}
		var err error
		n.items, err = p.parse(raw, ns, depth+1)
		return n, err
	}
	n, err := p.reference(typ, ns)
	if err == nil && n.kind == kindBytes {
		n.decimalOf(d)
	}
	return n, err
}

// decimalOf reads the logical type decimal; one that is not valid is ignored, as Avro says.
func (n *node) decimalOf(d *definition) {
	scale := 0
	if d.Scale != nil && json.Unmarshal(d.Scale, &scale) != nil {
		return
	}
	if string(d.LogicalType) == `"decimal"` && scale >= 0 && scale <= maxScale {
		n.decimal, n.scale = true, scale
	}
}

func (p *parser) name(n *node, d *definition, ns string) (*node, error) {
	if d.Namespace != nil {
		ns = *d.Namespace
	}
	full := fullName(d.Name, ns)
	if d.Name == "" || p.named[full] != nil {
		return nil, fmt.Errorf("%w: type %q has no name or is defined twice", ErrSchema, full)
	}
	p.named[full] = n
	return n, nil
}

func (p *parser) record(d *definition, ns string, depth int) (*node, error) {
	n, err := p.name(&node{kind: kindRecord}, d, ns)
	if err != nil {
		return nil, err
	}
	if d.Namespace != nil {
		ns = *d.Namespace
	} else if i := strings.LastIndexByte(d.Name, '.'); i >= 0 {
		ns = d.Name[:i]
	}
	for _, m := range d.Fields {
		child, err := p.parse(m.Type, ns, depth+1)
		if err != nil {
			return nil, err
		}
		label := append(envelope.AppendJSONString(nil, m.Name), ':')
		n.fields = append(n.fields, field{label: label, node: child})
	}
	return n, nil
}
