package stdout

import (
	"context"
	"os"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Config is the block sink "stdout".
type Config struct {
	From     []spec.Ref
	Envelope string
	Pretty   bool
	Types    *Format
}

// Format is the block format "json".
type Format struct {
	Type, Decimal string
	Pretty        bool
}

// The shapes of a line.
const (
	Flat     = "flat"     // {"op","table","pos","row","before"}
	Debezium = "debezium" // Debezium's envelope
)

// Spec describes the block.
func (c *Config) Spec(b *spec.Block) {
	b.Doc("Prints one line of JSON for each row.")
	spec.Attr(b, "from", &c.From).Required().To("source", "transform").Doc("Where the rows come from.")
	spec.Default(spec.Attr(b, "envelope", &c.Envelope).OneOf(Flat, Debezium).
		Doc("Shape of a line: the row with its operation, table and position, or Debezium's envelope."), &c.Envelope, Flat)
	spec.Attr(b, "pretty", &c.Pretty).Doc("Indent, over several lines.")
	spec.Sub(b, "format", []string{"type"}, &c.Types, func(b *spec.Block, f *Format, labels []string) {
		b.Doc("How values are written: format \"json\".")
		f.Type = labels[0]
		spec.Default(spec.Attr(b, "decimal", &f.Decimal).OneOf("precise", envelope.Text, envelope.Approx).
			Doc("Decimals: exact numbers, text, or floating point."), &f.Decimal, "precise")
		spec.Attr(b, "pretty", &f.Pretty).Doc("Indent, over several lines.")
	}).OneOf("json")
}

// Open returns the sink, writing to the process's standard output.
func (c *Config) Open(context.Context, spec.Env) (pipeline.Sink, error) {
	o := Options{Envelope: c.Envelope, Pretty: c.Pretty}
	if f := c.Types; f != nil {
		o.Pretty = o.Pretty || f.Pretty
		if f.Decimal != "precise" {
			o.Decimal = f.Decimal
		}
	}
	return New(os.Stdout, o), nil
}
