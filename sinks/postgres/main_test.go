package postgres

import (
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
	"github.com/pipe-cdc/pipe/pipeline/spec/spectest"
)

var pg *pipetest.PG

func TestMain(m *testing.M) { os.Exit(pipetest.RunWithPostgres(m, &pg)) }

// configure decodes a sink's block for the database dsn.
func configure(t testing.TB, dsn, text string) *Config {
	t.Helper()
	c := &Config{}
	spectest.Decode(t, c, "from = source.test\ndsn = \""+dsn+"\"\n"+text)
	return c
}

func env() spec.Env {
	return spec.Env{Address: "sink.test", Pipeline: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

// start opens a sink and claims its fence; it is closed when the test ends.
func start(t testing.TB, c *Config) *Sink {
	t.Helper()
	s, err := c.Open(t.Context(), env())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.(pipeline.Keeper).Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*Sink)
}

func mustWrite(t testing.TB, s *Sink, batches ...*pipeline.Batch) {
	t.Helper()
	for _, b := range batches {
		if err := s.Write(t.Context(), b); err != nil {
			t.Fatalf("write: %v", err)
		}
	}
}

// wantQuery compares the rows of a query, columns joined by "|".
func wantQuery(t testing.TB, dsn, sql string, want ...string) {
	t.Helper()
	var have []string
	for _, r := range pipetest.QueryText(t, dsn, sql) {
		have = append(have, strings.Join(r, "|"))
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("%s (-want +have):\n%s", sql, diff)
	}
}

// wantError checks an error's text and class.
func wantError(t testing.TB, err error, class pipeline.Class, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	if have := pipeline.ClassOf(err); have != class {
		t.Errorf("class %d, want %d: %v", have, class, err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not contain %q", err, p)
		}
	}
}

// table describes a table "public.NAME" with columns "name type kind"; the first is the key.
func tableOf(name string, columns ...pipeline.Column) *pipeline.Schema {
	s := &pipeline.Schema{System: pipeline.PostgreSQL, Database: "shop", Namespace: "public", Table: name,
		Key: []int{0}}
	for _, c := range columns {
		c.Precision, c.Length = -1, -1
		s.Columns = append(s.Columns, c)
	}
	return s
}

func col(name, typ string, k pipeline.Kind) pipeline.Column {
	return pipeline.Column{Name: name, Type: typ, Kind: k, Nullable: true}
}

func TestSuite(t *testing.T) {
	pipetest.TestSink(t, pipetest.SinkHarness{New: func(t testing.TB) pipetest.SinkTarget {
		dsn := pg.Database(t)
		return pipetest.SinkTarget{
			Open: func(t testing.TB) pipeline.Sink {
				s, err := configure(t, dsn, "").Open(t.Context(), env())
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
			Rows: func(t testing.TB) []string {
				if pipetest.QueryText(t, dsn, "SELECT to_regclass('public.items')")[0][0] == "NULL" {
					return nil
				}
				var out []string
				for _, r := range pipetest.QueryText(t, dsn, "SELECT * FROM public.items") {
					out = append(out, strings.ReplaceAll(strings.Join(r, "|"), "NULL", "null"))
				}
				return out
			},
		}
	}})
}
