package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// fakeSource is a source whose tables can be read again: a request is done a moment after it was taken.
type fakeSource struct {
	tables []spec.TableInfo

	mu      sync.Mutex // guards the following
	lives   int
	fail    error // of the next run, once
	deaf    bool  // Ask waits for ever
	ignored int   // calls of Ask while deaf
	standby bool
	entries map[string]*snapshot.Entry
	asked   []snapshot.Request
	gone    []string
}

func (f *fakeSource) Spec(*spec.Block) {}

func (f *fakeSource) Open(spec.Env) (pipeline.Source, error) { return f, nil }

func (f *fakeSource) Tables(context.Context, spec.Env) ([]spec.TableInfo, error) {
	return f.tables, nil
}

func (f *fakeSource) Run(ctx context.Context, _ pipeline.Checkpoint, out pipeline.Output) error {
	f.mu.Lock()
	f.lives++
	life, fail := f.lives, f.fail
	f.fail = nil
	f.mu.Unlock()
	for n := range 3 {
		b, err := out.New(ctx, "log")
		if err != nil {
			return err
		}
		b.Mark(pipeline.Position(fmt.Sprintf("%03d/%d", life, n)))
		if err := out.Emit(b); err != nil {
			return err
		}
	}
	if err := out.Drain(ctx, "log"); err != nil {
		return err
	}
	if fail != nil {
		return fail
	}
	<-ctx.Done()
	return nil
}

func (f *fakeSource) Commit(context.Context, pipeline.Checkpoint) error { return nil }

func (f *fakeSource) Report() pipeline.Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.standby {
		return pipeline.Report{Phase: "standby", LagBytes: -1, LagTime: -1, Retained: -1}
	}
	return pipeline.Report{Phase: "streaming", LagBytes: 0, LagTime: 0, Retained: 7}
}

func (f *fakeSource) Ask(ctx context.Context, requests ...snapshot.Request) error {
	f.mu.Lock()
	deaf := f.deaf
	if deaf {
		f.ignored++
	}
	f.mu.Unlock()
	if deaf {
		<-ctx.Done()
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, q := range requests {
		f.asked = append(f.asked, q)
		f.entries[q.Table] = &snapshot.Entry{Table: q.Table, Status: snapshot.Done, Request: q, Started: time.Now(),
			Ended: time.Now(), Rows: 3, Estimate: 3}
	}
	return nil
}

func (f *fakeSource) Cancel(_ context.Context, tables ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = append(f.gone, tables...)
	return nil
}

func (f *fakeSource) Entries() []snapshot.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []snapshot.Entry
	for _, e := range f.entries {
		out = append(out, e.Clone())
	}
	slices.SortFunc(out, func(a, b snapshot.Entry) int { return compareText(a.Table, b.Table) })
	return out
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// oldSource is a source whose tables cannot be read again.
type oldSource struct{ f *fakeSource }

func (o oldSource) Run(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error {
	return o.f.Run(ctx, from, out)
}
func (o oldSource) Commit(context.Context, pipeline.Checkpoint) error { return nil }

// oldConfig opens an oldSource.
type oldConfig struct{ *fakeSource }

func (o oldConfig) Open(spec.Env) (pipeline.Source, error) { return oldSource{o.fakeSource}, nil }

// fakeSink takes everything.
type fakeSink struct{}

func (fakeSink) Spec(*spec.Block) {}
func (k fakeSink) Open(context.Context, spec.Env) (pipeline.Sink, error) {
	return k, nil
}
func (fakeSink) Write(context.Context, *pipeline.Batch) error { return nil }
func (fakeSink) Close() error                                 { return nil }

// fakeTable makes a table of a fake source: "public.orders", with columns id and note.
func fakeTable(schema, name string, taken bool) spec.TableInfo {
	return spec.TableInfo{Taken: taken, Why: "exclude " + schema + ".*", Schema: &pipeline.Schema{
		Database: "shop", Namespace: schema, Table: name, Key: []int{0}, Columns: []pipeline.Column{
			{Name: "id", Kind: pipeline.Int, Type: "int8"}, {Name: "note", Kind: pipeline.Text, Type: "text", Nullable: true}}}}
}

// fakeRunner returns a runner of two fake sources with two sinks, of these types.
func fakeRunner(dir string, shop, other spec.Source, sinks [2]string) *runner {
	c := &config.Config{Dir: dir}
	c.Settings.Name = "fake"
	c.Settings.State = config.State{Kind: "file", Path: dir + "/state"}
	c.Settings.Control.StalledAfter = time.Minute
	c.Nodes = []*config.Node{
		{Address: "source.shop", Kind: "source", Name: "shop", Type: "fake", Def: shop},
		{Address: `source.other["eu"]`, Kind: "source", Name: "other", Key: "eu", Type: "fake", Def: other},
		{Address: "sink.copy", Kind: "sink", Name: "copy", Type: sinks[0], Def: fakeSink{}, From: []string{"source.shop"}},
		{Address: "sink.events", Kind: "sink", Name: "events", Type: sinks[1], Def: fakeSink{}, From: []string{`source.other["eu"]`}},
	}
	r := &runner{policy: retryPolicy(config.Retry{Wait: 10 * time.Millisecond, MaxWait: 10 * time.Millisecond})}
	r.config, r.nodes, r.out, r.log = c, c.Nodes, io.Discard, slog.New(slog.DiscardHandler)
	return r
}

func newFakeSource(tables ...spec.TableInfo) *fakeSource {
	return &fakeSource{tables: tables, entries: map[string]*snapshot.Entry{}}
}

var errLost = &pipeline.Error{Class: pipeline.Retryable, Err: errors.New("connection lost")}
