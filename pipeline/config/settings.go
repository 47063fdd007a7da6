package config

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// pipelineSpec describes the pipeline block.
type pipelineSpec struct {
	s       *Settings
	state   *stateSpec
	retry   *Retry
	control *Control
}

type stateSpec struct {
	kind   string
	path   string
	sink   spec.Ref
	dsn    spec.Secret
	schema string
	lease  time.Duration
}

// server is the part of state "postgres" that a connection block may give.
type server stateSpec

// Spec describes the attributes of a connection.
func (s *server) Spec(b *spec.Block) {
	spec.Attr(b, "dsn", &s.dsn).Required().Sensitive().Example(`env("STATE_DSN")`).
		Doc("The connection string, as a URL or as keywords and values. It must lead to the server itself, or to" +
			" sessions of a pooler: a lock is held.")
}

// Spec describes a block state, once its kind is known.
func (s *stateSpec) Spec(b *spec.Block) {
	b.Doc("Where positions are kept: in a file, in the sink, in the same transaction as the rows, or in tables" +
		" of a PostgreSQL database. There processes of one pipeline share it: one runs, the others stand by and" +
		" take over.")
	switch s.kind {
	case "sink":
		spec.Attr(b, "sink", &s.sink).Required().To("sink").Doc("The sink that keeps them.")
	case "postgres":
		b.Connection("postgres", (*server)(s))
		a := spec.Attr(b, "schema", &s.schema).Doc("The schema of the tables state, lease, share and chunk, which are made where" +
			" they are missing. Several pipelines may share it.")
		spec.Default(a, &s.schema, "pipe")
		a = spec.Attr(b, "lease", &s.lease).Range(int64(time.Second), int64(time.Hour)).
			Doc("After this long without a sign of life a process loses the pipeline to one that stands by. One that" +
				" ended loses it at once.")
		spec.Default(a, &s.lease, 15*time.Second)
	default:
		spec.Attr(b, "path", &s.path).Required().Example(`"/var/lib/pipe/"`).
			Doc("The state file; or a directory, which exists or is written with a / at the end.")
	}
}

// Spec describes the block.
func (p *pipelineSpec) Spec(b *spec.Block) {
	if p.s == nil {
		p.s = &Settings{}
	}
	b.Doc("Names the pipeline and says where its positions are kept and what it may use.")
	spec.Sub(b, "state", []string{"kind"}, &p.state, func(b *spec.Block, s *stateSpec, labels []string) {
		s.kind = labels[0]
		s.Spec(b)
	}).OneOf("file", "postgres", "sink")
	limitsSpec(b, p.s)
	retrySpec(b, p)
	controlSpec(b, p)
}

// limitsSpec has the defaults that package engine has: they keep a process below 128 MB.
func limitsSpec(b *spec.Block, s *Settings) {
	a := spec.Attr(b, "batch_rows", &s.BatchRows).Range(1, 1<<20).Doc("Rows in one batch at most.")
	spec.Default(a, &s.BatchRows, 8192)
	a = spec.Attr(b, "batch_bytes", &s.BatchBytes).Range(1<<10, 1<<30).Doc("Size of one batch, roughly at most.")
	spec.Default(a, &s.BatchBytes, 4<<20)
	a = spec.Attr(b, "batches", &s.Batches).Range(2, 1024).
		Doc("Batches in flight at most; with batch_bytes this bounds memory.")
	spec.Default(a, &s.Batches, 8)
	a = spec.Attr(b, "linger", &s.Linger).Range(0, int64(time.Minute)).
		Doc("How long a part-filled batch may wait for company.")
	spec.Default(a, &s.Linger, 20*time.Millisecond)
	a = spec.Attr(b, "grace", &s.Grace).Range(0, int64(time.Hour)).
		Doc("How long batches in flight may take to finish on shutdown.")
	spec.Default(a, &s.Grace, 20*time.Second)
}

func retrySpec(b *spec.Block, p *pipelineSpec) {
	p.s.Retry = defaultRetry()
	spec.Sub(b, "retry", nil, &p.retry, func(b *spec.Block, r *Retry, _ []string) {
		b.Doc("How a pipeline that failed for a transient reason is started again.")
		a := spec.Attr(b, "attempts", &r.Attempts).Range(0, 1<<20).
			Doc("Attempts in a row without progress, then the run fails. 0: without end.")
		spec.Default(a, &r.Attempts, defaultRetry().Attempts)
		a = spec.Attr(b, "wait", &r.Wait).Range(int64(time.Millisecond), int64(time.Hour)).
			Doc("Before the first attempt; doubles with each.")
		spec.Default(a, &r.Wait, defaultRetry().Wait)
		a = spec.Attr(b, "max_wait", &r.MaxWait).Range(int64(time.Millisecond), int64(24*time.Hour)).
			Doc("The longest wait.")
		spec.Default(a, &r.MaxWait, defaultRetry().MaxWait)
	})
}

func defaultRetry() Retry { return Retry{Wait: time.Second, MaxWait: time.Minute} }

// PipelineBlock describes the pipeline block, for "pipe explain pipeline".
func PipelineBlock() *spec.Block { return spec.Describe("pipeline", &pipelineSpec{}) }

// settings decodes the pipeline block, or fills the defaults where there is none: the positions in
// .pipe beside the configuration.
func (l *loader) settings(path string) {
	p := &pipelineSpec{s: &l.out.Settings}
	desc := spec.Describe("pipeline", p)
	p.s.Name = defaultName(path)
	if len(l.pipelines) > 0 {
		b := l.pipelines[0]
		p.s.Name, p.s.Range = b.Labels[0], b.DefRange
		l.report(desc.Decode(spec.Input{Body: b.Body, Ctx: l.ctx, Header: b.DefRange, Shared: l.connection("postgres")})...)
	}
	if p.retry != nil {
		p.s.Retry = *p.retry
	}
	if p.control != nil {
		p.s.Control = *p.control
		if t := p.control.TLS; t != nil {
			p.s.Control.TLS = &ControlTLS{Cert: l.relative(t.Cert), Key: l.relative(t.Key)}
		}
	}
	switch {
	case p.state == nil:
		p.s.State = State{Kind: "file", Path: filepath.Join(l.dir, ".pipe", p.s.Name)}
	case p.state.kind == "sink":
		p.s.State = State{Kind: "sink", Sink: l.stateSink(p.state.sink)}
	case p.state.kind == "postgres":
		p.s.State = State{Kind: "postgres", DSN: p.state.dsn, Schema: p.state.schema, Lease: p.state.lease}
	default:
		p.s.State = State{Kind: "file", Path: l.relative(p.state.path)}
	}
}

func (l *loader) relative(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	joined := filepath.Join(l.dir, path)
	if strings.HasSuffix(path, "/") {
		return joined + "/" // says that it is a directory
	}
	return joined
}

// defaultName derives a pipeline's name from its file or directory.
func defaultName(path string) string {
	base := filepath.Base(path)
	if abs, err := filepath.Abs(path); err == nil {
		base = filepath.Base(abs)
	}
	base = strings.TrimSuffix(strings.TrimSuffix(base, ".json"), ".hcl")
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(base))
	if strings.Trim(name, "_") == "" {
		return "pipeline"
	}
	return name[:min(len(name), maxName)]
}

// stateSink resolves the sink that keeps the positions.
func (l *loader) stateSink(r spec.Ref) string {
	if r.Name == "" {
		return ""
	}
	addresses := l.resolve(r)
	if len(addresses) > 1 {
		l.report(failure(r.Range, "Not one sink", r.String()+" has several instances: name one, "+addresses[0]+"."))
	}
	if len(addresses) == 0 {
		return ""
	}
	return addresses[0]
}
