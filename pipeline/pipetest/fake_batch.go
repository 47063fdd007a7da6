package pipetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Builder builds one batch for a sink's or transform's test: NewBatch(schema).Insert(1, "a").Mark(pos).
// Arguments are Go values, turned into the kind of their column: nil, bool, int, float64, string,
// []byte, or a pipeline.Value as it is (pipeline.AbsentValue).
type Builder struct {
	batch  *pipeline.Batch
	schema *pipeline.Schema
	tx     *pipeline.Tx
	seq    uint32
}

// Row is one row's arguments for Builder.Update.
type Row []any

// NewBatch starts a batch of the stream "source.test/wal" with rows of a table.
func NewBatch(schema *pipeline.Schema) *Builder {
	b := &pipeline.Batch{Stream: "source.test/wal", MaxRows: 1 << 20, MaxBytes: 1 << 30}
	return &Builder{batch: b, schema: schema}
}

// In sets the batch's (qualified) stream.
func (b *Builder) In(s pipeline.Stream) *Builder {
	b.batch.Stream = s
	return b
}

// Table makes the following rows those of another table, or of another version of it.
func (b *Builder) Table(schema *pipeline.Schema) *Builder {
	b.schema = schema
	return b
}

// Tx begins a transaction that the mark pos will include, to build one that spans batches; first is
// the ordinal of its first row in this batch. Without it, Mark ends the transaction of the rows
// since the last Mark; rows after a batch's last Mark always need it (a Keeper trims by it).
func (b *Builder) Tx(pos pipeline.Position, first uint32) *Builder {
	b.tx, b.seq = &pipeline.Tx{ID: 1, Pos: before(pos)}, first
	return b
}

// Insert adds an insert.
func (b *Builder) Insert(values ...any) *Builder {
	return b.add(pipeline.Insert, nil, values)
}

// Read adds a row read by a snapshot.
func (b *Builder) Read(values ...any) *Builder {
	return b.add(pipeline.Read, nil, values)
}

// Update adds an update; old is nil where the source sent no old row, or the old row, or its key with
// pipeline.AbsentValue in the other columns.
func (b *Builder) Update(old Row, values ...any) *Builder {
	return b.add(pipeline.Update, old, values)
}

// Delete adds a delete with the old row, or its key with pipeline.AbsentValue in the other columns.
func (b *Builder) Delete(old ...any) *Builder {
	return b.add(pipeline.Delete, old, nil)
}

// Truncate adds a truncate.
func (b *Builder) Truncate(flags pipeline.Flags) *Builder {
	b.add(pipeline.Truncate, nil, nil)
	b.batch.Rows[len(b.batch.Rows)-1].Flags = flags
	return b
}

// Mark ends the transaction: everything added so far is complete up to pos, which must be a text of
// the same length in all batches of a stream ("" finishes the stream).
func (b *Builder) Mark(pos pipeline.Position) *Builder {
	if b.tx != nil && b.tx.Pos == "" {
		b.tx.Pos = before(pos)
	}
	b.batch.Mark(pos)
	b.tx, b.seq = nil, 0
	return b
}

// Batch returns the batch.
func (b *Builder) Batch() *pipeline.Batch { return b.batch }

func (b *Builder) add(op pipeline.Op, old, values []any) *Builder {
	if b.tx == nil {
		b.tx = &pipeline.Tx{ID: uint64(len(b.batch.Marks) + 1), Snapshot: op == pipeline.Read}
	}
	r := b.batch.Add()
	r.Schema, r.Tx, r.Op, r.Seq, r.At = b.schema, b.tx, op, b.seq, uint64(b.seq)
	r.Values, r.Before = b.values(values), b.values(old)
	b.seq++
	return b
}

func (b *Builder) values(args []any) []pipeline.Value {
	if args == nil {
		return nil
	}
	if len(args) != len(b.schema.Columns) {
		panic(fmt.Sprintf("%s has %d columns, got %d values", b.schema.Name(), len(b.schema.Columns), len(args)))
	}
	out := b.batch.Values(len(args))
	for i, arg := range args {
		out[i] = valueOf(&b.batch.Arena, b.schema.Columns[i].Kind, arg)
	}
	return out
}

func valueOf(a *pipeline.Arena, k pipeline.Kind, arg any) pipeline.Value {
	switch v := arg.(type) {
	case nil:
		return pipeline.NullValue
	case pipeline.Value:
		return v
	case bool:
		return pipeline.BoolValue(v)
	case int:
		return intOf(k, int64(v))
	case int64:
		return intOf(k, v)
	case uint64:
		return pipeline.UintValue(v)
	case float64:
		if k == pipeline.Float32 {
			return pipeline.Float32Value(float32(v))
		}
		return pipeline.Float64Value(v)
	case string:
		return pipeline.BytesValue(bytesKind(k, pipeline.Text), a.Copy([]byte(v)))
	case []byte:
		return pipeline.BytesValue(bytesKind(k, pipeline.Bytes), a.Copy(v))
	}
	panic(fmt.Sprintf("no value of kind %s from %T", k, arg))
}

func bytesKind(k, otherwise pipeline.Kind) pipeline.Kind {
	if k.HasBytes() {
		return k
	}
	return otherwise
}

func intOf(k pipeline.Kind, n int64) pipeline.Value {
	switch k {
	case pipeline.Date:
		return pipeline.DateValue(n)
	case pipeline.Time:
		return pipeline.TimeValue(n)
	case pipeline.Timestamp:
		return pipeline.TimestampValue(n)
	case pipeline.TimestampTZ:
		return pipeline.TimestampTZValue(n)
	case pipeline.Uint:
		return pipeline.UintValue(uint64(n))
	}
	return pipeline.IntValue(n)
}

// before returns the greatest text of pos's length that is less than pos.
func before(pos pipeline.Position) pipeline.Position {
	if pos == "" {
		return ""
	}
	p := []byte(pos)
	p[len(p)-1]--
	return pipeline.Position(p)
}

// Position returns the n-th position of a test's stream: texts of one length that sort as n does.
func Position(n int) pipeline.Position {
	return pipeline.Position(fmt.Sprintf("%08d", n))
}

// RowText renders a row for comparison: `update public.items (id=1) -> (1,"a")`.
func RowText(r *pipeline.Row) string {
	var b strings.Builder
	b.WriteString(r.Op.String())
	if r.Schema != nil {
		b.WriteString(" " + r.Schema.Name())
	}
	appendValues(&b, " old ", r.Before)
	appendValues(&b, " ", r.Values)
	return b.String()
}

func appendValues(b *strings.Builder, lead string, values []pipeline.Value) {
	if values == nil {
		return
	}
	b.WriteString(lead + "(")
	for i, v := range values {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(v.String())
	}
	b.WriteString(")")
}

// BatchText renders a batch's rows and marks in order, one line each.
func BatchText(b *pipeline.Batch) []string {
	out := make([]string, 0, len(b.Rows)+len(b.Marks))
	marks := b.Marks
	for i := 0; i <= len(b.Rows); i++ {
		for len(marks) > 0 && marks[0].End == i {
			out = append(out, "mark "+string(marks[0].Pos))
			marks = marks[1:]
		}
		if i < len(b.Rows) {
			out = append(out, RowText(&b.Rows[i]))
		}
	}
	return out
}

// write writes a batch as the engine does: it checks that the sink left it alone, and overwrites its
// memory afterwards so that a sink that kept a part of it is found out.
func write(t testing.TB, s pipeline.Sink, b *pipeline.Batch) {
	t.Helper()
	if err := tryWrite(t, s, b); err != nil {
		t.Fatalf("write %s: %v", b.Stream, err)
	}
}
