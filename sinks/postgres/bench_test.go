package postgres

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// orders is the table of ten columns that the project measures with.
func orders() *pipeline.Schema {
	return tableOf("orders", col("id", "bigint", pipeline.Int), col("customer", "integer", pipeline.Int),
		col("status", "smallint", pipeline.Int), col("total", "numeric(12,2)", pipeline.Decimal),
		col("name", "character varying(40)", pipeline.Text), col("note", "text", pipeline.Text),
		col("created", "timestamp with time zone", pipeline.TimestampTZ), col("paid", "boolean", pipeline.Bool),
		col("doc", "jsonb", pipeline.JSON), col("weight", "double precision", pipeline.Float64))
}

func fillOrders(b *pipeline.Batch, s *pipeline.Schema, tx *pipeline.Tx, from, n int, op pipeline.Op) {
	note := []byte(strings.Repeat("a note about the order ", 5))
	for i := range n {
		r := b.Add()
		v := b.Values(10)
		id := int64(from + i)
		v[0], v[1], v[2] = pipeline.IntValue(id), pipeline.IntValue(id%1000), pipeline.IntValue(id%7)
		v[3] = pipeline.BytesValue(pipeline.Decimal, b.Copy(fmt.Appendf(nil, "%d.%02d", id%10000, id%100)))
		v[4] = pipeline.BytesValue(pipeline.Text, b.Copy(fmt.Appendf(nil, "customer %d", id)))
		v[5] = pipeline.BytesValue(pipeline.Text, b.Copy(note))
		v[6], v[7] = pipeline.TimestampTZValue(id*1_000_000), pipeline.BoolValue(id%2 == 0)
		v[8] = pipeline.BytesValue(pipeline.JSON, b.Copy([]byte(`{"a": 1, "b": "two"}`)))
		v[9] = pipeline.Float64Value(float64(id) / 3)
		r.Schema, r.Tx, r.Op, r.Values, r.Seq = s, tx, op, v, uint32(i)
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkWrite measures batches of new and of existing keys through Write, and in the same run the
// best single statement by hand: COPY of the encoded rows into a temporary table, INSERT ON CONFLICT.
func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{100, 300, 1000, 10000} {
		rounds := 100000 / size
		if size < 1000 {
			rounds = 200
		}
		b.Run(fmt.Sprintf("%d", size), func(b *testing.B) {
			for range b.N {
				compareWrite(b, size, rounds)
			}
		})
	}
}

func compareWrite(b *testing.B, size, rounds int) {
	dsn := pg.Database(b)
	s := start(b, configure(b, dsn, ""))
	schema := orders()
	batches := make([]*pipeline.Batch, rounds)
	for i := range batches {
		batches[i] = &pipeline.Batch{Stream: "source.test/wal"}
		fillOrders(batches[i], schema, &pipeline.Tx{Pos: pipetest.Position(1)}, i*size, size, pipeline.Insert)
	}
	mustWrite(b, s, pipetest.NewBatch(schema).Mark(pipetest.Position(1)).Batch())
	n, pos := float64(rounds*size), 2
	sink := func() (float64, float64) {
		begin, used := time.Now(), cpu()
		for _, batch := range batches {
			batch.Marks = batch.Marks[:0]
			for i := range batch.Rows {
				batch.Rows[i].Tx = &pipeline.Tx{Pos: pipetest.Position(pos)}
			}
			pos++
			batch.Mark(pipetest.Position(pos))
			mustWrite(b, s, batch)
		}
		return n / time.Since(begin).Seconds(), (cpu() - used).Seconds() * 1e6 / n
	}
	fresh, freshCPU := sink()
	again, againCPU := sink()
	pipetest.Exec(b, dsn, "CREATE TABLE raw (LIKE public.orders INCLUDING ALL)")
	raw := rawWriter(b, dsn, schema)
	rawFresh, rawFreshCPU := raw(batches)
	rawAgain, _ := raw(batches)
	again2, _ := sink()
	rawAgain2, _ := raw(batches)
	b.ReportMetric(fresh, "new/s")
	b.ReportMetric(again, "old/s")
	b.ReportMetric(rawFresh, "rawnew/s")
	b.ReportMetric(rawAgain, "rawold/s")
	b.ReportMetric(fresh/rawFresh, "new-ratio")
	b.ReportMetric((again+again2)/(rawAgain+rawAgain2), "old-ratio")
	b.ReportMetric(freshCPU, "cpu-us/new")
	b.ReportMetric(againCPU, "cpu-us/old")
	b.ReportMetric(rawFreshCPU, "rawcpu-us/row")
}

// rawWriter returns a function that writes batches by hand and returns rows/s and CPU us/row.
func rawWriter(b *testing.B, dsn string, schema *pipeline.Schema) func([]*pipeline.Batch) (float64, float64) {
	c, err := pgconn.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	run := func(sql string) {
		if err := c.Exec(b.Context(), sql).Close(); err != nil {
			b.Fatal(err)
		}
	}
	run("SET synchronous_commit = on; CREATE TEMP TABLE stage (id int8, customer int4, status int2, total numeric," +
		" name varchar, note text, created timestamptz, paid bool, doc jsonb, weight float8) ON COMMIT DELETE ROWS")
	oids := []uint32{20, 23, 21, 1700, 1043, 25, 1184, 16, 3802, 701}
	cols := make([]pgtext.EncodeColumn, len(oids))
	var sets []string
	for i := range cols {
		cols[i] = pgtext.EncodeColumn{Index: i, OID: oids[i]}
		if i > 0 {
			sets = append(sets, schema.Columns[i].Name+" = excluded."+schema.Columns[i].Name)
		}
	}
	enc := pgtext.NewEncoder(cols)
	var reader pgtext.CopyReader
	merge := "INSERT INTO raw SELECT * FROM stage ON CONFLICT (id) DO UPDATE SET " + strings.Join(sets, ", ") +
		"; COMMIT"
	return func(batches []*pipeline.Batch) (float64, float64) {
		n := 0
		begin, used := time.Now(), cpu()
		for _, batch := range batches {
			rows := make([][]pipeline.Value, len(batch.Rows))
			for i := range rows {
				rows[i] = batch.Rows[i].Values
			}
			n += len(rows)
			run("BEGIN")
			reader.Reset(enc, rows)
			if _, err := c.CopyFrom(b.Context(), &reader, "COPY stage FROM STDIN (FORMAT binary)"); err != nil {
				b.Fatal(err)
			}
			run(merge)
		}
		return float64(n) / time.Since(begin).Seconds(), (cpu() - used).Seconds() * 1e6 / float64(n)
	}
}

// BenchmarkFirstLoad measures a snapshot's rows, which go by COPY into the target.
func BenchmarkFirstLoad(b *testing.B) {
	const size, rounds = 10000, 10
	for range b.N {
		dsn := pg.Database(b)
		s := start(b, configure(b, dsn, ""))
		schema := orders()
		batch := &pipeline.Batch{Stream: "source.test/chunk/1"}
		var used time.Duration
		for i := range rounds {
			batch.Reset()
			batch.Stream = "source.test/chunk/1"
			fillOrders(batch, schema, &pipeline.Tx{Pos: pipetest.Position(i), Snapshot: true}, i*size, size,
				pipeline.Read)
			batch.Mark(pipetest.Position(i + 1))
			at := time.Now()
			mustWrite(b, s, batch)
			used += time.Since(at)
		}
		b.ReportMetric(size*rounds/used.Seconds(), "rows/s")
	}
}

// BenchmarkOpenTransaction measures one source transaction over many batches.
func BenchmarkOpenTransaction(b *testing.B) {
	const size, rounds = 1000, 200
	for range b.N {
		s, schema := start(b, configure(b, pg.Database(b), "")), orders()
		batch := &pipeline.Batch{}
		var used time.Duration
		for i := range rounds {
			batch.Reset()
			batch.Stream = "source.test/wal"
			fillOrders(batch, schema, &pipeline.Tx{Pos: pipetest.Position(1)}, i*size, size, pipeline.Insert)
			if i == rounds-1 {
				batch.Mark(pipetest.Position(2))
			}
			at := time.Now()
			mustWrite(b, s, batch)
			used += time.Since(at)
		}
		b.ReportMetric(size*rounds/used.Seconds(), "rows/s")
	}
}
