package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hamba/avro/v2"
)

// Bounds of what is taken.
const (
	maxSchemaBytes = 1 << 20
	maxReferences  = 64 // schemas that one schema may name, references of references included
)

// Reference says that a schema uses a name that another subject's schema defines.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// Schema is a schema's text with what it refers to. Type "" means AVRO, the only one that is taken.
type Schema struct {
	Text       string      `json:"schema"`
	Type       string      `json:"schemaType,omitempty"`
	References []Reference `json:"references,omitempty"`
}

// identity returns what two texts of the same schema share: the JSON without white space, with its
// references.
func (s Schema) identity() string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(s.Text)); err != nil {
		b.Reset()
		b.WriteString(s.Text) // a bare name such as string
	}
	for _, r := range s.References {
		fmt.Fprintf(&b, "\n%s %s %d", r.Name, r.Subject, r.Version)
	}
	return b.String()
}

// parse checks a schema and everything that it refers to. Names are looked up in this schema and
// its references only.
func (r *Registry) parse(s Schema) (avro.Schema, error) {
	if s.Type != "" && s.Type != "AVRO" {
		return nil, fmt.Errorf("schema type %s is not supported, only AVRO", s.Type)
	}
	left := maxReferences
	return r.parseInto(&avro.SchemaCache{}, s, &left)
}

func (r *Registry) parseInto(cache *avro.SchemaCache, s Schema, left *int) (avro.Schema, error) {
	if len(s.Text) > maxSchemaBytes {
		return nil, fmt.Errorf("schema of %d bytes exceeds %d", len(s.Text), maxSchemaBytes)
	}
	for _, ref := range s.References {
		if *left--; *left < 0 {
			return nil, fmt.Errorf("more than %d references", maxReferences)
		}
		v, fault := r.version(ref.Subject, ref.Version)
		if fault != nil {
			return nil, fmt.Errorf("reference %s: %w", ref.Name, fault)
		}
		if _, err := r.parseInto(cache, r.state.Schemas[v.ID], left); err != nil {
			return nil, fmt.Errorf("reference %s: %w", ref.Name, err)
		}
	}
	if s.Text == "" {
		return nil, errors.New("the schema is empty")
	}
	return avro.ParseWithCache(s.Text, "", cache)
}

// compare returns why next may not follow the older schemas (oldest first) at a level; nothing: it
// may.
func compare(l Level, next avro.Schema, older []avro.Schema) []string {
	if len(older) > 0 && !l.transitive() {
		older = older[len(older)-1:]
	}
	var reasons []string
	for _, old := range older {
		if err := reads(next, old); l.backward() && err != nil {
			reasons = append(reasons, "the new schema cannot read data of the old one: "+err.Error())
		}
		if err := reads(old, next); l.forward() && err != nil {
			reasons = append(reasons, "the old schema cannot read data of the new one: "+err.Error())
		}
	}
	return reasons
}

// reads reports nil when reader can read what writer wrote.
func reads(reader, writer avro.Schema) error {
	return avro.NewSchemaCompatibility().Compatible(reader, writer)
}
