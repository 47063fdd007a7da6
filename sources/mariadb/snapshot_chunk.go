package mariadb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// chunkRead is the reading of one chunk.
type chunkRead struct {
	*snapshotWorker
	table  *table
	stream pipeline.Stream
	tx     *pipeline.Tx
	done   pipeline.Position // after the chunk
	batch  *pipeline.Batch
	dec    *binlog.Decoder
	filter *expr.Where
	seq    uint32
}

func (r *chunkRead) read(ctx context.Context, within snapshot.Range) (err error) {
	if r.filter, err = compileWhere(r.table, r.table.Schema); err != nil {
		return err
	}
	columns, err := r.conn.Start(chunkSQL(r.table, within))
	if err != nil {
		return err
	}
	if err := r.decoder(columns); err != nil {
		return err
	}
	if r.batch, err = r.out.New(ctx, r.stream); err != nil {
		return err
	}
	for {
		packet, err := r.conn.Row()
		if err != nil {
			return err
		}
		if packet == nil {
			break
		}
		if err := r.row(packet); err != nil {
			return err
		}
		if !r.batch.Full() {
			continue
		}
		if err := r.emit(); err != nil {
			return err
		}
		if r.batch, err = r.out.New(ctx, r.stream); err != nil {
			return err
		}
	}
	if r.dec.Zeros > 0 || r.dec.Bad > 0 {
		r.env.Log.Warn("values are replaced", "table", r.table.String(), "zero_dates", r.dec.Zeros, "invalid_text", r.dec.Bad)
	}
	r.batch.Mark(r.done)
	return r.emit()
}

// decoder builds what decodes the result's columns, which are the schema's, in its order.
func (r *chunkRead) decoder(columns []wire.ColumnDef) (err error) {
	fields := slices.DeleteFunc(slices.Clone(r.table.fields), func(f binlog.Field) bool { return f.Out < 0 })
	if len(fields) != len(columns) {
		return fmt.Errorf("a result of %d columns, %d were asked for", len(columns), len(fields))
	}
	for i := range fields {
		fields[i].Column = binlog.MapColumn{}
		if fields[i].Charset == nil {
			continue
		}
		if fields[i].Charset, err = r.server.charset(columns[i].Collation); err != nil {
			return err
		}
	}
	r.dec, err = binlog.NewDecoder(fields, r.config.policy())
	return err
}

var errRow = errors.New("a row that ends too early")

func (r *chunkRead) row(packet []byte) error {
	b := r.batch
	p := b.Copy(packet)
	values := b.Values(len(r.dec.Fields))
	for i := range values {
		cell, null, rest, ok := wire.TextCell(p)
		if !ok {
			return errRow
		}
		if p = rest; null {
			continue
		}
		v, err := r.dec.Text(&b.Arena, &r.dec.Fields[i], cell)
		if err != nil {
			return r.valueError(i, values, err)
		}
		values[i] = v
	}
	if r.filter != nil {
		if keep, err := r.filter.Match(values, nil); err != nil || !keep {
			return err
		}
	}
	row := b.Add()
	row.Schema, row.Tx, row.Values, row.Op, row.Seq, row.At = r.table.Schema, r.tx, values, pipeline.Read, r.seq, r.moment.End
	r.seq++
	return nil
}

func (r *chunkRead) valueError(i int, values []pipeline.Value, err error) error {
	return &pipeline.Error{Class: pipeline.Input, Table: r.table.String(), Key: r.table.Schema.KeyText(values),
		Err: fmt.Errorf("column %s: %w", r.table.Schema.Columns[i].Name, err), Hint: valueHint(err)}
}

func (r *chunkRead) emit() error {
	r.progress.Add(r.table.String(), len(r.batch.Rows))
	b := r.batch
	r.batch = nil
	return r.out.Emit(b)
}

// chunkSQL reads a chunk.
func chunkSQL(t *table, r snapshot.Range) string {
	var list, where []string
	for i := range t.Schema.Columns {
		c := &t.Schema.Columns[i]
		list = append(list, output(c))
	}
	by := quoteName(t.cutBy())
	if r.Low != nil {
		where = append(where, by+" >= "+r.Low[0])
	}
	if r.High != nil {
		condition := by + " < " + r.High[0]
		if r.Low == nil {
			condition = "(" + condition + " OR " + by + " IS NULL)"
		}
		where = append(where, condition)
	}
	sql := "SELECT " + strings.Join(list, ", ") + " FROM " + t.Quoted()
	if len(where) > 0 {
		sql += " WHERE " + strings.Join(where, " AND ")
	}
	return sql
}

// output is how a column is asked for: the text of a float or of a double with digits is not exact.
func output(c *pipeline.Column) string {
	name := quoteName(c.Name)
	if c.Kind == pipeline.Float32 || c.Kind == pipeline.Float64 {
		return "CAST(" + name + " AS DOUBLE)"
	}
	return name
}

// cutBy is the column that chunks are ranges of; "" where there is none.
func (t *table) cutBy() string {
	if t.ChunkBy != "" {
		return t.ChunkBy
	}
	if len(t.relation.Key) == 0 {
		return ""
	}
	return t.relation.Key[0]
}
