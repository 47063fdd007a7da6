package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/avro"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/spec"
	"github.com/pipe-cdc/pipe/sources/postgres"
	"github.com/pipe-cdc/pipe/transforms"
)

// pathRows is how many rows the transaction that the path is measured with has.
const pathRows = 8192

// A row's way through the process, without the network: pgoutput message -> row in a batch -> filter
// -> Avro key and value. The target is at most 350 ns of CPU time and no allocation for each row.
var pathShapes = []struct {
	name    string
	options envelope.Options
}{
	{"debezium", envelope.Options{Name: "bench", Tombstones: true}},
	{"flat", envelope.Options{Shape: envelope.Flat, Mapping: envelope.Mapping{Types: envelope.Logical, AllOptional: true}}},
}

// BenchmarkPath reports CPU time for each row, which other load on the machine disturbs little.
func BenchmarkPath(b *testing.B) {
	for _, form := range []string{"text", "binary"} {
		messages, size := transaction(form == "binary")
		for _, s := range pathShapes {
			b.Run(s.name+"/"+form, func(b *testing.B) {
				p := newPath(b, s.options)
				p.run(b, messages)
				b.ReportAllocs()
				b.ResetTimer()
				start := cpuTime(b)
				for b.Loop() {
					p.run(b, messages)
				}
				rows := float64(b.N) * pathRows
				b.ReportMetric(float64(cpuTime(b)-start)/rows, "cpu-ns/row")
				b.ReportMetric(float64(size)/pathRows, "message-B/row")
				b.ReportMetric(float64(p.bytes)/float64(p.rows), "avro-B/row")
			})
		}
	}
}

// TestPathCostsNoAllocation holds the whole path to none, apart from one header for 64 transactions.
func TestPathCostsNoAllocation(t *testing.T) {
	for _, binary := range []bool{false, true} {
		messages, _ := transaction(binary)
		for _, s := range pathShapes {
			p := newPath(t, s.options)
			p.run(t, messages)
			p.rows = 0
			if n := testing.AllocsPerRun(20, func() { p.run(t, messages) }); n/pathRows > 0.001 {
				t.Errorf("%s, binary %v: %v allocations for %d rows", s.name, binary, n, pathRows)
			}
			if p.rows != 21*pathRows {
				t.Errorf("%s, binary %v: %d rows came out", s.name, binary, p.rows)
			}
		}
	}
}

// path is what the engine composes, in one goroutine.
type path struct {
	replay  *postgres.Replay
	batch   pipeline.Batch
	bind    pipeline.Transform
	in      *pipeline.Schema
	out     *pipeline.Schema
	filter  pipeline.Func
	options envelope.Options
	program *avro.Program
	events  []envelope.Event
	memo    envelope.Memo
	buf     []byte
	lsn     uint64
	rows    int
	bytes   int
}

func newPath(t testing.TB, o envelope.Options) *path {
	t.Helper()
	p := &path{options: o, lsn: 1 << 32}
	p.batch.MaxRows, p.batch.MaxBytes = 1024, 1<<20
	var err error
	if p.replay, err = postgres.NewReplay(t.Context(), "shop", p, ordersReplay()); err != nil {
		t.Fatal(err)
	}
	text := "from = source.x\nwhere = row.amount > 100 && row.kind != 3"
	file, diags := hclsyntax.ParseConfig([]byte(text), "path.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	config := &transforms.Filter{}
	block := spec.Describe("filter", config)
	var from spec.Ref
	spec.Attr(block, "from", &from)
	if diags := spec.Decode(block, file.Body, &hcl.EvalContext{}); diags.HasErrors() {
		t.Fatal(diags)
	}
	if p.bind, err = config.Open(spec.Env{Address: "transform.big"}); err != nil {
		t.Fatal(err)
	}
	if err := p.replay.Message(1, relationMessage()); err != nil {
		t.Fatal(err)
	}
	return p
}

// run feeds the messages of one transaction, which commits after the one before.
func (p *path) run(t testing.TB, messages [][]byte) {
	end := p.lsn + uint64(256*len(messages))
	binary.BigEndian.PutUint64(messages[0][1:], end-1)
	commit := messages[len(messages)-1]
	binary.BigEndian.PutUint64(commit[2:], end-1)
	binary.BigEndian.PutUint64(commit[10:], end)
	for _, m := range messages {
		p.lsn += 256
		if err := p.replay.Message(p.lsn, m); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.replay.Flush(); err != nil {
		t.Fatal(err)
	}
}

// New and the three after it make the path a pipeline.Output.
func (p *path) New(context.Context, pipeline.Stream) (*pipeline.Batch, error) {
	p.batch.Reset()
	return &p.batch, nil
}

func (p *path) Idle() bool { return false }

func (p *path) Drain(context.Context, ...pipeline.Stream) error { return nil }

func (p *path) Emit(b *pipeline.Batch) error {
	const now = 1_795_169_472_200_111_222
	p.memo.Forget()
	for i := range b.Rows {
		r := &b.Rows[i]
		if r.Schema != p.in {
			if err := p.compile(r.Schema); err != nil {
				return err
			}
		}
		r.Schema = p.out
		keep, err := p.filter(&b.Arena, r)
		if err != nil || !keep {
			return fmt.Errorf("row %d: keep %v: %w", i, keep, err)
		}
		if p.events, err = p.program.Plan.Events(p.events[:0], r, now); err != nil {
			return err
		}
		e := &p.events[0]
		e.Memo = &p.memo
		if p.buf, err = p.program.AppendKey(p.buf[:0], e, e.Key); err != nil {
			return err
		}
		if p.buf, err = p.program.AppendValue(p.buf, e); err != nil {
			return err
		}
		p.rows++
		p.bytes += len(p.buf)
	}
	return nil
}

func (p *path) compile(s *pipeline.Schema) error {
	var err error
	p.in = s
	if p.out, p.filter, err = p.bind.Bind(s); err != nil {
		return err
	}
	plan, err := p.options.Plan(p.out)
	if err != nil {
		return err
	}
	p.program, err = avro.Compile(plan, "shop.public.orders")
	return err
}

// orderColumn is a column of ordersTable.
type orderColumn struct {
	name    string
	oid     uint32
	mod     int32
	format  string
	notNull bool
}

var orderColumns = []orderColumn{
	{"id", 20, -1, "bigint", true},
	{"customer", 23, -1, "integer", true},
	{"kind", 23, -1, "integer", true},
	{"quantity", 23, -1, "integer", true},
	{"amount", 1700, 12<<16 + 2 + 4, "numeric(12,2)", true},
	{"code", 1043, 24, "character varying(20)", true},
	{"note", 25, -1, "text", false},
	{"placed_at", 1184, -1, "timestamp with time zone", true},
	{"express", 16, -1, "boolean", true},
	{"attributes", 3802, -1, "jsonb", false},
}

func ordersReplay() postgres.ReplayTable {
	t := postgres.ReplayTable{OID: 9, Namespace: "public", Name: "orders", Key: []string{"id"}}
	for _, c := range orderColumns {
		t.Columns = append(t.Columns, postgres.ReplayColumn{Name: c.name, NotNull: c.notNull,
			Type: pgtext.Type{OID: c.oid, Mod: c.mod, Format: c.format, Class: 'b'}})
	}
	return t
}

func relationMessage() []byte {
	m := binary.BigEndian.AppendUint32([]byte{'R'}, 9)
	m = append(m, "public\x00orders\x00d\x00\x0a"...)
	for i, c := range orderColumns {
		key := byte(0)
		if i == 0 {
			key = 1
		}
		m = append(append(m, key), c.name+"\x00"...)
		m = binary.BigEndian.AppendUint32(m, c.oid)
		m = binary.BigEndian.AppendUint32(m, uint32(c.mod))
	}
	return m
}

// transaction returns the messages of one transaction of pathRows inserts that the filter keeps,
// and the size of the inserts.
func transaction(binaryForm bool) (messages [][]byte, size int) {
	begin := binary.BigEndian.AppendUint64([]byte{'B'}, math.MaxUint32)
	begin = binary.BigEndian.AppendUint64(begin, 848_484_672_123_456)
	messages = append(messages, binary.BigEndian.AppendUint32(begin, 7))
	for i := range pathRows {
		m := append(binary.BigEndian.AppendUint32([]byte{'I'}, 9), 'N', 0, byte(len(orderColumns)))
		for _, v := range orderValues(1_000_000+i, binaryForm) {
			m = append(m, v.form)
			m = binary.BigEndian.AppendUint32(m, uint32(len(v.bytes)))
			m = append(m, v.bytes...)
		}
		size += len(m)
		messages = append(messages, m)
	}
	commit := binary.BigEndian.AppendUint64([]byte{'C', 0}, math.MaxUint32)
	commit = binary.BigEndian.AppendUint64(commit, math.MaxUint32+100)
	return append(messages, binary.BigEndian.AppendUint64(commit, 848_484_672_123_456)), size
}

type tupleValue struct {
	form  byte
	bytes []byte
}

// orderValues are the values of one row as the server sends them.
func orderValues(i int, binaryForm bool) []tupleValue {
	note := "a note of about a hundred bytes, so that the row has the size that rows have: " + strings.Repeat("0f", 16)
	document := fmt.Sprintf(`{"n": %d, "x": %d}`, i, i%10)
	kind, cents := 2*(i%3), 1_000_000+i // 0, 2 or 4: never the kind that is filtered out
	if !binaryForm {
		var out []tupleValue
		for _, s := range []string{
			fmt.Sprint(i), fmt.Sprint(i % 50_000), fmt.Sprint(kind), fmt.Sprint(i % 13), fmt.Sprintf("%d.%02d", cents/100, cents%100),
			fmt.Sprint("C", i), note, fmt.Sprintf("2024-01-12 13:46:%02d.%06d+00", i%60, i%1_000_000), []string{"f", "t"}[i%2], document,
		} {
			out = append(out, tupleValue{'t', []byte(s)})
		}
		return out
	}
	be := binary.BigEndian
	amount := be.AppendUint16(nil, 3) // digits, weight, sign, scale
	for _, n := range []int{1, 0, 2, cents / 100_0000, cents / 100 % 10_000, cents % 100 * 100} {
		amount = be.AppendUint16(amount, uint16(n))
	}
	var out []tupleValue
	for _, v := range [][]byte{
		be.AppendUint64(nil, uint64(i)), be.AppendUint32(nil, uint32(i%50_000)), be.AppendUint32(nil, uint32(kind)),
		be.AppendUint32(nil, uint32(i%13)), amount, fmt.Append(nil, "C", i), []byte(note),
		be.AppendUint64(nil, uint64(758_123_456_789_012+i)), {byte(i % 2)}, append([]byte{1}, document...),
	} {
		out = append(out, tupleValue{'b', v})
	}
	return out
}

// cpuTime returns the CPU time of this process, nanoseconds.
func cpuTime(t testing.TB) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
