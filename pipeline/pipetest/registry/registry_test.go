package registry

import (
	"errors"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
)

// Versions of one record that differ in one thing each.
const (
	base     = `{"type":"record","name":"r","fields":[{"name":"a","type":"int"}]}`
	optional = `{"type":"record","name":"r","fields":[{"name":"a","type":"int"},{"name":"b","type":["null","string"],"default":null}]}`
	required = `{"type":"record","name":"r","fields":[{"name":"a","type":"int"},{"name":"b","type":"string"}]}`
	widened  = `{"type":"record","name":"r","fields":[{"name":"a","type":"long"}]}`
	dropped  = `{"type":"record","name":"r","fields":[]}`
	other    = `{"type":"record","name":"r","fields":[{"name":"a","type":"boolean"}]}`
	renamed  = `{"type":"record","name":"r2","fields":[{"name":"a","type":"int"}]}`
)

func serve(t *testing.T, c Config, opts ...sr.ClientOpt) (*sr.Client, *Registry) {
	t.Helper()
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	client, err := sr.NewClient(append([]sr.ClientOpt{sr.URLs(s.URL)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return client, r
}

func avroSchema(text string) sr.Schema { return sr.Schema{Schema: text} }

// code returns the error code of an answer, 0 for none.
func code(t *testing.T, err error) int {
	t.Helper()
	var re *sr.ResponseError
	if err == nil {
		return 0
	}
	if !errors.As(err, &re) {
		t.Fatalf("not an answer: %v", err)
	}
	return re.ErrorCode
}

func TestLevels(t *testing.T) {
	for _, c := range []struct {
		level  Level
		before []string
		next   string
		want   int
	}{
		{None, []string{base}, other, 0},
		{Backward, []string{base}, optional, 0},
		{Backward, []string{base}, required, 409},
		{Backward, []string{base}, widened, 0},
		{Backward, []string{base}, dropped, 0},
		{Backward, []string{base}, other, 409},
		{Backward, []string{base}, renamed, 409},
		{Backward, []string{widened}, base, 409},
		{Forward, []string{base}, required, 0},
		{Forward, []string{base}, dropped, 409},
		{Forward, []string{base}, widened, 409},
		{Forward, []string{widened}, base, 0},
		{Full, []string{base}, optional, 0},
		{Full, []string{base}, required, 409},
		{Full, []string{base}, dropped, 409},
		// The second last version stands in the way only of the transitive levels.
		{Backward, []string{base, dropped}, optional, 409},
		{Backward, []string{required, base}, optional, 0},
		{Backward, []string{other, dropped}, optional, 409},
		{BackwardTransitive, []string{other, dropped}, dropped + " ", 0},
		{BackwardTransitive, []string{base, optional}, widened, 0},
		{BackwardTransitive, []string{widened, base}, optional, 409},
		{Backward, []string{widened, base}, optional, 0},
		{ForwardTransitive, []string{base, widened}, required, 0},
		{Forward, []string{base, other}, other + " ", 0},
		{ForwardTransitive, []string{required, base}, base + " ", 0},
		{ForwardTransitive, []string{required, optional}, optional2(), 409},
		{Forward, []string{required, optional}, optional2(), 0},
		{FullTransitive, []string{base, optional}, optional2(), 0},
		{FullTransitive, []string{required, optional}, optional2(), 409},
		{Full, []string{required, optional}, optional2(), 0},
	} {
		client, r := serve(t, Config{Level: None})
		for _, s := range c.before {
			if _, err := client.RegisterSchema(t.Context(), "s", avroSchema(s), -1, -1); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.SetLevel("s", c.level); err != nil {
			t.Fatal(err)
		}
		_, err := client.RegisterSchema(t.Context(), "s", avroSchema(c.next), -1, -1)
		if got := code(t, err); got != c.want {
			t.Errorf("%s: %v then %s: got %d (%v), want %d", c.level, c.before, c.next, got, err, c.want)
		}
		res, err := client.CheckCompatibility(t.Context(), "s", -1, avroSchema(c.next))
		if c.want == 409 && !c.level.transitive() && (err != nil || res.Is) {
			t.Errorf("%s: check of %s says %v, %v", c.level, c.next, res, err)
		}
	}
}

// optional2 has a second optional field, and lacks the first.
func optional2() string { return strings.Replace(optional, `"b"`, `"c"`, 1) }

// TestComparisonAgreesWithAnotherLibrary compares every pair of a set of schemas.
func TestComparisonAgreesWithAnotherLibrary(t *testing.T) {
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{base, optional, required, widened, dropped, other, renamed, `"string"`, `"bytes"`, `"int"`, `"double"`,
		`["null","int"]`, `["null","string","long"]`, `{"type":"array","items":"int"}`, `{"type":"array","items":"long"}`,
		`{"type":"map","values":"float"}`, `{"type":"enum","name":"e","symbols":["A","B"]}`,
		`{"type":"enum","name":"e","symbols":["A"]}`, `{"type":"enum","name":"e","symbols":["A"],"default":"A"}`,
		`{"type":"fixed","name":"f","size":4}`, `{"type":"fixed","name":"f","size":8}`,
		`{"type":"record","name":"l","fields":[{"name":"next","type":["null","l"],"default":null}]}`}
	for _, reader := range texts {
		for _, writer := range texts {
			a, err := r.parse(Schema{Text: reader})
			if err != nil {
				t.Fatal(err)
			}
			b, err := r.parse(Schema{Text: writer})
			if err != nil {
				t.Fatal(err)
			}
			ours := reads(a, b)
			theirs := avro.CheckCompatibility(avro.MustParse(writer), avro.MustParse(reader))
			if (ours == nil) != (theirs == nil) {
				t.Errorf("reader %s, writer %s: we say %v, they say %v", reader, writer, ours, theirs)
			}
		}
	}
}

func TestVersionsAndIDs(t *testing.T) {
	client, _ := serve(t, Config{})
	ctx := t.Context()
	first, err := client.CreateSchema(ctx, "s-value", avroSchema(base))
	if err != nil {
		t.Fatal(err)
	}
	again, err := client.CreateSchema(ctx, "s-value", avroSchema(strings.ReplaceAll(base, ",", ", ")))
	if err != nil || again.ID != first.ID || again.Version != 1 {
		t.Errorf("the same schema again: %+v, %v", again, err)
	}
	elsewhere, err := client.CreateSchema(ctx, "a/b", avroSchema(base))
	if err != nil || elsewhere.ID != first.ID {
		t.Errorf("the same schema in another subject: %+v, %v", elsewhere, err)
	}
	second, err := client.CreateSchema(ctx, "s-value", avroSchema(optional))
	if err != nil || second.ID == first.ID || second.Version != 2 {
		t.Errorf("the second version: %+v, %v", second, err)
	}
	got, err := client.SchemaByID(ctx, second.ID)
	if err != nil || got.Schema != optional {
		t.Errorf("by id: %+v, %v", got, err)
	}
	latest, err := client.SchemaByVersion(ctx, "s-value", -1)
	if err != nil || latest.Version != 2 {
		t.Errorf("latest: %+v, %v", latest, err)
	}
	subjects, err := client.Subjects(ctx)
	if d := cmp.Diff([]string{"a/b", "s-value"}, subjects); d != "" || err != nil {
		t.Error(d, err)
	}
	if _, err := client.DeleteSubject(ctx, "s-value", sr.SoftDelete); err != nil {
		t.Fatal(err)
	}
	if _, err := client.SchemaByID(ctx, second.ID); err != nil {
		t.Errorf("an id is forgotten with its subject: %v", err)
	}
	third, err := client.CreateSchema(ctx, "s-value", avroSchema(other))
	if err != nil || third.Version != 3 {
		t.Errorf("after the deletion: %+v, %v", third, err)
	}
}

func TestReferences(t *testing.T) {
	client, _ := serve(t, Config{})
	if _, err := client.CreateSchema(t.Context(), "inner", avroSchema(base)); err != nil {
		t.Fatal(err)
	}
	outer := avroSchema(`{"type":"record","name":"o","fields":[{"name":"r","type":"r"}]}`)
	if _, err := client.CreateSchema(t.Context(), "outer", outer); code(t, err) != 42201 {
		t.Errorf("a name that nobody defines: %v", err)
	}
	outer.References = []sr.SchemaReference{{Name: "r", Subject: "inner", Version: 1}}
	if _, err := client.CreateSchema(t.Context(), "outer", outer); err != nil {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	client, _ := serve(t, Config{})
	ctx := t.Context()
	if _, err := client.CreateSchema(ctx, "s", avroSchema(base)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		want int
		call func() error
	}{
		"no subject":   {40401, func() error { _, err := client.SchemaByVersion(ctx, "none", -1); return err }},
		"no version":   {40402, func() error { _, err := client.SchemaByVersion(ctx, "s", 7); return err }},
		"no id":        {40403, func() error { _, err := client.SchemaByID(ctx, 99); return err }},
		"lookup":       {40403, func() error { _, err := client.LookupSchema(ctx, "s", avroSchema(other)); return err }},
		"bad schema":   {42201, func() error { _, err := client.CreateSchema(ctx, "s", avroSchema("{")); return err }},
		"empty schema": {42201, func() error { _, err := client.CreateSchema(ctx, "s", avroSchema("")); return err }},
		"other type":   {42201, func() error { return register(client, t, sr.Schema{Schema: "{}", Type: sr.TypeJSON}) }},
		"not deleted":  {40405, func() error { _, err := client.DeleteSubject(ctx, "s", sr.HardDelete); return err }},
		"incompatible": {409, func() error { return register(client, t, avroSchema(other)) }},
		"huge schema":  {42201, func() error { return register(client, t, avroSchema(strings.Repeat(" ", maxSchemaBytes)+base)) }},
		"endless refs": {42201, func() error { return register(client, t, many()) }},
		"no own level": {40408, func() error { return client.Compatibility(ctx, "s")[0].Err }},
	} {
		if got := code(t, c.call()); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestInvalidLevel(t *testing.T) {
	_, r := serve(t, Config{})
	for _, text := range []string{`{"compatibility":"SIDEWAYS"}`, `{}`} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("PUT", "/config", strings.NewReader(text)))
		if w.Code != 422 || !strings.Contains(w.Body.String(), "42203") {
			t.Errorf("%s: %d %s", text, w.Code, w.Body)
		}
	}
}

func register(client *sr.Client, t *testing.T, s sr.Schema) error {
	_, err := client.RegisterSchema(t.Context(), "s", s, -1, -1)
	return err
}

func many() sr.Schema {
	s := avroSchema(base)
	for range maxReferences + 1 {
		s.References = append(s.References, sr.SchemaReference{Name: "r", Subject: "s", Version: 1})
	}
	return s
}

func TestAuthentication(t *testing.T) {
	config := Config{User: "u", Password: "p"}
	client, _ := serve(t, config)
	if _, err := client.Subjects(t.Context()); code(t, err) != 401 {
		t.Errorf("without a password: %v", err)
	}
	client, _ = serve(t, config, sr.BasicAuth("u", "wrong"))
	if _, err := client.Subjects(t.Context()); code(t, err) != 401 {
		t.Errorf("with a wrong password: %v", err)
	}
	client, _ = serve(t, config, sr.BasicAuth("u", "p"))
	if _, err := client.Subjects(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFileKeepsTheState(t *testing.T) {
	config := Config{File: filepath.Join(t.TempDir(), "registry.json")}
	client, _ := serve(t, config)
	before, err := client.CreateSchema(t.Context(), "s", avroSchema(base))
	if err != nil {
		t.Fatal(err)
	}
	if r := client.SetCompatibility(t.Context(), sr.SetCompatibility{Level: sr.CompatFull}, "s"); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	client, r := serve(t, config)
	after, err := client.LookupSchema(t.Context(), "s", avroSchema(base))
	if err != nil || after.ID != before.ID {
		t.Errorf("before %+v, after %+v, %v", before, after, err)
	}
	if got := client.Compatibility(t.Context(), "s")[0]; got.Level != sr.CompatFull {
		t.Errorf("level %v", got)
	}
	if id, err := r.Register("s", Schema{Text: optional}); err != nil || id == before.ID {
		t.Errorf("the next id: %d, %v", id, err)
	}
}
