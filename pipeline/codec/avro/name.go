package avro

import (
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// ValidName makes a name valid for Avro, [A-Za-z_][A-Za-z0-9_]*, as Debezium's "avro" adjustment
// does: other characters become _, and so does one put before a leading digit.
func ValidName(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r == '_':
			b.WriteRune(r)
		case r >= '0' && r <= '9':
			if i == 0 {
				b.WriteByte('_')
			}
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	if b.Len() == 0 {
		return "_"
	}
	return b.String()
}

// ValidNamespace makes each dotted segment of a topic's name valid.
func ValidNamespace(topic string) string {
	parts := strings.Split(topic, ".")
	for i, p := range parts {
		parts[i] = ValidName(p)
	}
	return strings.Join(parts, ".")
}

// fieldNames returns the Avro names of fields, or an error where two become one.
func fieldNames(s *pipeline.Schema, fields []envelope.Field, taken ...string) ([]string, error) {
	seen := map[string]string{}
	for _, t := range taken {
		seen[t] = t
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = ValidName(f.Name)
		if other, dup := seen[names[i]]; dup {
			return nil, &pipeline.Error{
				Table: s.Name(), Class: pipeline.Input,
				Err:  fmt.Errorf("columns %q and %q both become %q in Avro", other, f.Name, names[i]),
				Hint: "Rename one of them with a rename transform.",
			}
		}
		seen[names[i]] = f.Name
	}
	return names, nil
}
