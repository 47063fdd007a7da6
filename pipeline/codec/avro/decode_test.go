package avro

import (
	"encoding/json"
	"errors"
	"testing"
)

// TestHostileData holds the attacks that other decoders died of.
func TestHostileData(t *testing.T) {
	for name, c := range map[string]struct {
		schema, data string
		want         error
	}{
		"array of null, 2^33 items":    {`{"type":"array","items":"null"}`, "\x80\x80\x80\x80\x40", ErrTooLarge},
		"array of null, 2^23 items":    {`{"type":"array","items":"null"}`, "\x80\x80\x80\x08\x00", ErrTooLarge},
		"array of long, 2^25 items":    {`{"type":"array","items":"long"}`, "\x80\x80\x80\x20", ErrTooLarge},
		"map of 2^40 items":            {`{"type":"map","values":"long"}`, "\x80\x80\x80\x80\x80\x80\x02", ErrTooLarge},
		"truncated record":             {`{"type":"record","name":"r","fields":[{"name":"a","type":"long"},{"name":"b","type":"long"}]}`, "\x02", ErrTruncated},
		"truncated string":             {`"string"`, "\x10abc", ErrTruncated},
		"negative length":              {`"bytes"`, "\x01", ErrCorrupt},
		"union branch out of range":    {`["null","long"]`, "\x04", ErrCorrupt},
		"string not UTF-8":             {`"string"`, "\x02\xff", ErrCorrupt},
		"recursive record, endless":    {`{"type":"record","name":"r","fields":[{"name":"r","type":"r"}]}`, "", ErrTooLarge},
		"varint too long":              {`"long"`, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", ErrCorrupt},
		"int out of range":             {`"int"`, "\x80\x80\x80\x80\x80\x01", ErrCorrupt},
		"negative count, 2^62 of them": {`{"type":"array","items":"null"}`, "\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00", ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := NewDecoder(c.schema)
			if err != nil {
				t.Fatal(err)
			}
			out, _, err := d.AppendJSON(nil, []byte(c.data))
			if !errors.Is(err, c.want) || len(out) > 16<<20 {
				t.Errorf("error %v after %d bytes, want %v", err, len(out), c.want)
			}
		})
	}
}

func TestHostileSchemas(t *testing.T) {
	deep := ""
	for range 10_000 {
		deep += `{"type":"array","items":`
	}
	for _, s := range []string{"", "{", "nope", `"nope"`, `{"type":"record"}`, `{"type":"array"}`, deep, `[1]`, `{"type":{}}`,
		`{"type":"record","name":"a","fields":[{"name":"b","type":{"type":"record","name":"a","fields":[]}}]}`} {
		if _, err := NewDecoder(s); !errors.Is(err, ErrSchema) {
			t.Errorf("%.40q: %v", s, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	s := wide()
	g := compile(f, envelopeOptions, s, "x")
	events, _ := g.Plan.Events(nil, wideRow(s), 1)
	data, _ := g.AppendValue(nil, &events[0])
	f.Add(g.ValueSchema, data[HeaderSize:])
	f.Add(`{"type":"map","values":["null",{"type":"fixed","name":"f","size":3}]}`, []byte("\x02\x02a\x02abc\x00"))
	f.Add(`{"type":"enum","name":"e","symbols":["a"]}`, []byte{0})
	f.Fuzz(func(t *testing.T, schema string, data []byte) {
		d, err := NewDecoder(schema)
		if err != nil || len(data) > 1<<16 {
			return
		}
		out, _, err := d.AppendJSON(nil, data)
		if err == nil && !json.Valid(out) {
			t.Errorf("not JSON: %q", out)
		}
	})
}
