package avro

import (
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// products is the table of the reference schema.
func products() *pipeline.Schema {
	return &pipeline.Schema{
		System: pipeline.PostgreSQL, Database: "shop", Namespace: "public", Table: "products", Key: []int{0},
		Columns: []pipeline.Column{
			{Name: "id", Kind: pipeline.Int, Type: "integer", Default: "nextval('products_id_seq'::regclass)"},
			{Name: "name", Kind: pipeline.Text, Type: "text"},
			{Name: "price", Kind: pipeline.Decimal, Type: "numeric(10,2)", Nullable: true, Precision: 10, Scale: 2},
			{Name: "created_at", Kind: pipeline.TimestampTZ, Type: "timestamp with time zone", Nullable: true, Precision: -1},
		},
	}
}

var envelopeOptions = envelope.Options{Name: "srv", Version: "1"}

func text(s string) pipeline.Value { return pipeline.StringValue(pipeline.Text, s) }
func decimal(s string) pipeline.Value {
	return pipeline.StringValue(pipeline.Decimal, s)
}

var aTx = &pipeline.Tx{ID: 556, LSN: 24023119, Time: 845_936_672_123_456 - 0, Pos: "0/1"}

func productRow() *pipeline.Row {
	return &pipeline.Row{
		Schema: products(), Tx: aTx, Op: pipeline.Update, At: 24023128,
		Before: []pipeline.Value{pipeline.IntValue(1), text("old"), {}, {}},
		Values: []pipeline.Value{
			pipeline.IntValue(1), text("new"), decimal("12.34"), pipeline.TimestampTZValue(848_484_672_123_456),
		},
	}
}

func compile(t testing.TB, o envelope.Options, s *pipeline.Schema, topic string) *Program {
	t.Helper()
	p, err := o.Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Compile(p, topic)
	if err != nil {
		t.Fatal(err)
	}
	g.SetIDs(7, 9)
	return g
}

// show encodes a row's first event and decodes it with our decoder.
func show(t testing.TB, g *Program, r *pipeline.Row) string {
	t.Helper()
	events, err := g.Plan.Events(nil, r, 1_795_169_472_200_111_222)
	if err != nil {
		t.Fatal(err)
	}
	data, err := g.AppendValue(nil, &events[0])
	if err != nil {
		t.Fatal(err)
	}
	return decodeText(t, g.ValueSchema, data[HeaderSize:])
}

func decodeText(t testing.TB, schema string, data []byte) string {
	t.Helper()
	d, err := NewDecoder(schema)
	if err != nil {
		t.Fatal(err)
	}
	out, rest, err := d.AppendJSON(nil, data)
	if err != nil || len(rest) > 0 {
		t.Fatalf("decode: %v, %d bytes left; have %s", err, len(rest), out)
	}
	return string(out)
}
