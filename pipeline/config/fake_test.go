package config_test

import (
	"context"
	"errors"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// The component types of the tests; together they have every kind of attribute.

var errFake = errors.New("a fake cannot be opened")

type fakeLogin struct {
	Host     string
	Port     int
	Password spec.Secret
	TLS      *fakeTLS
}

type fakeTLS struct {
	CA string
}

func (l *fakeLogin) Spec(b *spec.Block) {
	spec.Attr(b, "host", &l.Host).Required().Example(`"db.example"`)
	spec.Default(spec.Attr(b, "port", &l.Port).Range(1, 65535), &l.Port, 5432)
	spec.Attr(b, "password", &l.Password)
	spec.Sub(b, "tls", nil, &l.TLS, func(b *spec.Block, t *fakeTLS, _ []string) {
		spec.Attr(b, "ca", &t.CA).Required()
	})
}

type fakeDatabase struct{ DSN spec.Secret }

func (d *fakeDatabase) Spec(b *spec.Block) { spec.Attr(b, "dsn", &d.DSN).Required() }

type fakeTable struct {
	pattern  string
	Where    spec.Expr
	Omit     []string
	Snapshot string
}

type fakeSource struct {
	login     fakeLogin
	DSN       string
	Tables    []string
	Snapshot  string
	Create    []string
	Heartbeat time.Duration
	Memory    spec.Bytes
	Ratio     float64
	Rows      int64
	Table     []*fakeTable
}

func (s *fakeSource) Spec(b *spec.Block) {
	b.Doc("Reads nothing.")
	b.Connection("fake", &s.login)
	spec.Attr(b, "dsn", &s.DSN).Sensitive()
	spec.Attr(b, "tables", &s.Tables)
	spec.Default(spec.Attr(b, "snapshot", &s.Snapshot).OneOf("initial", "never", "only", "when_needed"),
		&s.Snapshot, "initial")
	spec.Attr(b, "create", &s.Create).OneOf("slot", "publication")
	a := spec.Attr(b, "heartbeat", &s.Heartbeat).Range(int64(time.Second), int64(time.Hour))
	spec.Default(a, &s.Heartbeat, 10*time.Second)
	spec.Default(spec.Attr(b, "memory", &s.Memory), &s.Memory, 64<<20)
	spec.Attr(b, "ratio", &s.Ratio).Range(0, 1)
	spec.Attr(b, "chunk_rows", &s.Rows)
	spec.Blocks(b, "table", []string{"pattern"}, &s.Table, func(b *spec.Block, t *fakeTable, labels []string) {
		t.pattern = labels[0]
		spec.Attr(b, "where", &t.Where)
		spec.Attr(b, "omit", &t.Omit)
		spec.Attr(b, "snapshot", &t.Snapshot).OneOf("initial", "never")
	})
	b.Check(func(p *spec.Problems) {
		if s.Snapshot == "never" && s.Rows > 0 {
			p.Error("chunk_rows", "No snapshot", `"chunk_rows" has no meaning with snapshot = "never".`)
		}
	})
}

func (s *fakeSource) Names() []*pipeline.Schema {
	var out []*pipeline.Schema
	for _, pattern := range s.Tables {
		if database, schema, table, ok := match.Names(pattern); ok {
			out = append(out, &pipeline.Schema{Database: database, Namespace: schema, Table: table})
		}
	}
	return out
}

func (s *fakeSource) Open(spec.Env) (pipeline.Source, error) { return nil, errFake }

type fakeFilter struct {
	Where  spec.Expr
	Tables []string
}

func (f *fakeFilter) Spec(b *spec.Block) {
	spec.Attr(b, "where", &f.Where).Required()
	spec.Attr(b, "tables", &f.Tables)
}

func (f *fakeFilter) Open(spec.Env) (pipeline.Transform, error) { return nil, errFake }

type fakeSet struct{ Columns map[string]spec.Expr }

func (f *fakeSet) Spec(b *spec.Block) { spec.Attr(b, "columns", &f.Columns).Required() }

func (f *fakeSet) Renames() bool { return true }

func (f *fakeSet) Open(spec.Env) (pipeline.Transform, error) { return nil, errFake }

type fakeFormat struct {
	kind     string
	Registry string
	Pretty   bool
}

type fakeSink struct {
	login  fakeLogin
	Merge  bool
	Topic  spec.Template
	Labels map[string]string
	Format *fakeFormat
	Dead   spec.Ref
}

func (s *fakeSink) Spec(b *spec.Block) {
	b.Connection("fake", &s.login)
	spec.Attr(b, "topic", &s.Topic).Required()
	spec.Attr(b, "merge", &s.Merge)
	spec.Attr(b, "labels", &s.Labels)
	spec.Attr(b, "dead", &s.Dead).To("sink")
	spec.Sub(b, "format", []string{"kind"}, &s.Format, func(b *spec.Block, f *fakeFormat, labels []string) {
		f.kind = labels[0]
		if f.kind == "json" {
			spec.Attr(b, "pretty", &f.Pretty)
			return
		}
		spec.Attr(b, "registry", &f.Registry).Required()
	}).OneOf("avro", "json")
}

func (s *fakeSink) Target() spec.Target {
	t := spec.Target{What: "topic", Attr: "topic", Merge: s.Merge, Merges: "merge", Name: s.Topic.Text}
	if s.login.Host != "" {
		t.Servers = []string{s.login.Host}
	}
	return t
}

func (s *fakeSink) Open(context.Context, spec.Env) (pipeline.Sink, error) { return nil, errFake }

type fakeOut struct{ Pretty bool }

func (s *fakeOut) Spec(b *spec.Block) { spec.Attr(b, "pretty", &s.Pretty) }

func (s *fakeOut) Open(context.Context, spec.Env) (pipeline.Sink, error) { return nil, errFake }

func fakes() config.Registry {
	return config.Registry{
		Sources: map[string]func() spec.Source{
			"postgres": func() spec.Source { return &fakeSource{} },
		},
		Transforms: map[string]func() spec.Transform{
			"filter": func() spec.Transform { return &fakeFilter{} },
			"set":    func() spec.Transform { return &fakeSet{} },
		},
		Sinks: map[string]func() spec.Sink{
			"kafka":  func() spec.Sink { return &fakeSink{} },
			"stdout": func() spec.Sink { return &fakeOut{} },
		},
		Connections: map[string]func() spec.Definition{
			"fake":     func() spec.Definition { return &fakeLogin{} },
			"other":    func() spec.Definition { return &fakeOut{} },
			"postgres": func() spec.Definition { return &fakeDatabase{} },
		},
	}
}
