package expr

import (
	"encoding/json"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
)

// FuzzJSON compares json_get with encoding/json on documents that are valid.
func FuzzJSON(f *testing.F) {
	f.Add(`{"a": {"b": [1, "x\n\u00e9", null]}}`, "a")
	f.Add(`{"a":1,"a":2,"\u0061":"3"}`, "a")
	f.Add(`[1,[2,"]"],{"x":"}"}]`, "1")
	f.Add(`{"\ud83d\ude00":"\ud83d\ude00"}`, "😀")
	f.Fuzz(func(t *testing.T, doc, key string) {
		v := &Vars{arena: new(pipeline.Arena)}
		got := jsonPath(v, doc, []string{key})
		var members map[string]json.RawMessage
		if !json.Valid([]byte(doc)) || json.Unmarshal([]byte(doc), &members) != nil || members == nil {
			return
		}
		raw, ok := members[key]
		var text string
		switch {
		case !ok || string(raw) == "null":
			if !got.IsNull() && !got.IsAbsent() {
				t.Errorf("%q in %s: %s, want NULL", key, doc, got)
			}
		case raw[0] != '"':
			if got.View() != string(raw) {
				t.Errorf("%q in %s: %s, want %s", key, doc, got, raw)
			}
		case json.Unmarshal(raw, &text) == nil && !got.IsAbsent():
			if got.View() != text && valid(raw) {
				t.Errorf("%q in %s: %q, want %q", key, doc, got.View(), text)
			}
		}
	})
}

// valid reports whether encoding/json replaces nothing in the document, as it does with bad UTF-8.
func valid(raw []byte) bool {
	for _, r := range string(raw) {
		if r == '\uFFFD' {
			return false
		}
	}
	return true
}
