// Package stdout is the sink "stdout": one line of JSON for each row, for looking and for dry runs.
//
// Lines are collected for a batch and written in one call; a row counts as delivered once the write
// returned. Control characters in data are escaped, so that a row cannot drive the terminal.
// Nothing is refused that a stricter sink would refuse: columns that were not sent are left out.
//
// Neighbours: codec/json and codec/envelope write the rows; cmd/pipe uses New for --dry-run.
package stdout

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
	"github.com/pipe-cdc/pipe/pipeline/codec/json"
)

// Options say how rows are printed. The zero value prints flat lines.
type Options struct {
	Envelope string // Flat or Debezium; "": Flat
	Pretty   bool
	Decimal  string // "", "string" or "double"
	Node     string // address to say in each line, where several sinks share an output; "": none
}

const (
	maxTables  = 10_000  // compiled schemas kept
	flushBytes = 1 << 20 // collected before it is written although the batch goes on
)

// Sink prints rows. Safe for concurrent use; lines are never torn apart.
type Sink struct {
	options Options

	mu     sync.Mutex
	out    io.Writer
	buf    []byte
	events []envelope.Event
	tables map[*pipeline.Schema]*printer
}

// New returns a sink that prints to w.
func New(w io.Writer, o Options) *Sink {
	return &Sink{options: o, out: w, tables: map[*pipeline.Schema]*printer{}}
}

// printer prints the rows of one Schema.
type printer struct {
	plan    *envelope.Plan
	program *json.Program
	head    string // ,"table":"public.orders"
}

// Write prints the rows of a batch.
func (s *Sink) Write(ctx context.Context, b *pipeline.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UnixNano()
	for i := range b.Rows {
		if err := s.row(&b.Rows[i], now); err != nil {
			return err
		}
		if len(s.buf) < flushBytes {
			continue
		}
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	return s.flush(ctx)
}

// Close does nothing: each Write is complete.
func (s *Sink) Close() error { return nil }

func (s *Sink) flush(ctx context.Context) error {
	if len(s.buf) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := s.out.Write(s.buf)
	s.buf = s.buf[:0]
	if err != nil {
		return &pipeline.Error{Class: pipeline.Environment, Err: fmt.Errorf("standard output: %w", err)}
	}
	return nil
}

func (s *Sink) row(r *pipeline.Row, now int64) error {
	if r.Note() {
		return nil // nothing was emptied
	}
	p, err := s.printer(r.Schema)
	if err != nil {
		return err
	}
	start := len(s.buf)
	if s.options.Envelope == Debezium {
		err = s.debezium(p, r, now)
	} else {
		s.buf, err = p.flat(s.buf, r, s.options.Node)
	}
	if err != nil || !s.options.Pretty {
		return err
	}
	return s.indent(start)
}

func (s *Sink) debezium(p *printer, r *pipeline.Row, now int64) (err error) {
	if s.events, err = p.plan.Events(s.events[:0], r, now); err != nil {
		return err
	}
	for i := range s.events {
		if s.buf, err = p.program.AppendValue(s.buf, &s.events[i]); err != nil {
			return err
		}
		s.buf = append(s.buf, '\n')
	}
	return nil
}

// indent spreads what was appended since start over lines. Pretty output is for eyes, not for speed.
func (s *Sink) indent(start int) error {
	var out bytes.Buffer
	for line := range bytes.Lines(s.buf[start:]) {
		if err := stdjson.Indent(&out, bytes.TrimRight(line, "\n"), "", "  "); err != nil {
			return &pipeline.Error{Class: pipeline.Internal, Err: err}
		}
		out.WriteByte('\n')
	}
	s.buf = append(s.buf[:start], out.Bytes()...)
	return nil
}

func (s *Sink) printer(schema *pipeline.Schema) (*printer, error) {
	if p := s.tables[schema]; p != nil {
		return p, nil
	}
	o := envelope.Options{Version: envelope.DefaultVersion, Name: schema.Database}
	o.Mapping.Decimal = s.options.Decimal
	if s.options.Envelope != Debezium {
		o.Shape = envelope.Flat
		o.Mapping.Types = envelope.Plain
	}
	plan, err := o.Plan(schema)
	if err != nil {
		return nil, err
	}
	p := &printer{plan: plan, program: json.Compile(plan, json.Options{})}
	p.head = `,"table":` + string(envelope.AppendJSONString(nil, schema.Name()))
	if schema.Target != "" {
		p.head += `,"target":` + string(envelope.AppendJSONString(nil, schema.Target))
	}
	if len(s.tables) >= maxTables {
		clear(s.tables)
	}
	s.tables[schema] = p
	return p, nil
}

// flat appends {"op","table","pos","row","before"} and a line feed.
func (p *printer) flat(dst []byte, r *pipeline.Row, node string) (_ []byte, err error) {
	dst = append(append(append(dst, `{"op":"`...), r.Op.String()...), '"')
	dst = append(dst, p.head...)
	if node != "" {
		dst = envelope.AppendJSONString(append(dst, `,"sink":`...), node)
	}
	if r.Tx != nil {
		dst = envelope.AppendJSONString(append(dst, `,"pos":`...), string(r.Tx.Pos))
	}
	if r.Op == pipeline.Message {
		return p.message(dst, r), nil
	}
	if r.Values != nil {
		if dst, err = p.program.AppendSent(append(dst, `,"row":`...), r, r.Values); err != nil {
			return dst, err
		}
	}
	if r.Before != nil {
		if dst, err = p.program.AppendSent(append(dst, `,"before":`...), r, r.Before); err != nil {
			return dst, err
		}
	}
	return append(dst, '}', '\n'), nil
}

// message appends a logical message: its prefix, and its content as text.
func (p *printer) message(dst []byte, r *pipeline.Row) []byte {
	for i, name := range [...]string{`,"prefix":`, `,"content":`} {
		if i < len(r.Values) {
			dst = envelope.AppendJSONString(append(dst, name...), r.Values[i].Bytes())
		}
	}
	return append(dst, '}', '\n')
}
