package mariadb

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/spec"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// keysAtOnce is how many keys one statement looks for.
const keysAtOnce = 100

// rowReader reads tables beside a run, in read-only transactions.
type rowReader struct {
	*runner
	reads int
}

// OpenRows implements spec.RowSource.
func (c *Config) OpenRows(ctx context.Context, env spec.Env) (spec.RowReader, error) {
	s := &Source{config: c, env: env}
	r, err := newRunner(s)
	if err == nil {
		if err = r.prepare(ctx); err == nil {
			return &rowReader{runner: r}, nil
		}
		r.close()
	}
	return nil, s.named(classified(err))
}

// Close ends the session.
func (r *rowReader) Close() error {
	r.close()
	return nil
}

// Read implements spec.RowReader.
func (r *rowReader) Read(ctx context.Context, name string, keys [][]string, out pipeline.Output) (spec.Fence, error) {
	fence, err := r.read(ctx, name, keys, out)
	if err != nil {
		err = r.source.named(classified(err))
	}
	return fence, err
}

func (r *rowReader) read(ctx context.Context, name string, keys [][]string, out pipeline.Output) (spec.Fence, error) {
	i := slices.IndexFunc(r.picked, func(t *table) bool { return t.Schema.Name() == name })
	if i < 0 {
		return spec.Fence{}, failed(pipeline.Input, `See "pipe tables"`, "the source does not read table %s", name)
	}
	t := r.picked[i]
	conn, err := r.config.connect(ctx)
	if err != nil {
		return spec.Fence{}, err
	}
	defer conn.Close()
	for _, sql := range []string{"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
		"START TRANSACTION WITH CONSISTENT SNAPSHOT"} {
		if err := conn.Exec(ctx, sql); err != nil {
			return spec.Fence{}, err
		}
	}
	if err := r.readAll(ctx, conn, t, keys, out); err != nil {
		return spec.Fence{}, fmt.Errorf("table %s: %w", t, err)
	}
	return r.fence(ctx)
}

// fence is where the log ends. It is asked for after the snapshot was taken: a transaction is in the log
// before anybody sees it.
func (r *rowReader) fence(ctx context.Context) (spec.Fence, error) {
	if !r.server.LogBin {
		return spec.Fence{}, nil
	}
	rows, err := r.admin.Query(ctx, "SELECT @@global.gtid_binlog_pos")
	if err != nil {
		return spec.Fence{}, err
	}
	set, err := binlog.ParseSet(rows[0][0].Text)
	if err != nil {
		return spec.Fence{}, err
	}
	n, ok := set.Ordinal()
	if !ok {
		return spec.Fence{}, fmt.Errorf("the sequence numbers of %s are too large to be added", set)
	}
	return spec.Fence{Stream: binlogStream, Pos: pipeline.Position(appendHex(nil, n, ordinalDigits))}, nil
}

// readAll reads the whole table, or the rows with the keys, some at a time.
func (r *rowReader) readAll(ctx context.Context, conn *wire.Conn, t *table, keys [][]string, out pipeline.Output) error {
	if keys == nil {
		return r.emitRows(ctx, conn, t, "", out)
	}
	for len(keys) > 0 {
		n := min(len(keys), keysAtOnce)
		where, err := t.withKeys(keys[:n])
		if err != nil {
			return err
		}
		if err := r.emitRows(ctx, conn, t, " WHERE "+where, out); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// rowStream is one statement's rows on their way out.
type rowStream struct {
	*rowReader
	table  *table
	dec    *binlog.Decoder
	filter *expr.Where
	tx     *pipeline.Tx
	batch  *pipeline.Batch
}

func (r *rowReader) emitRows(ctx context.Context, conn *wire.Conn, t *table, where string, out pipeline.Output) error {
	stop := context.AfterFunc(ctx, conn.Interrupt)
	defer stop()
	s := &rowStream{rowReader: r, table: t, tx: &pipeline.Tx{Snapshot: true}}
	var list []string
	for i := range t.Schema.Columns {
		list = append(list, output(&t.Schema.Columns[i]))
	}
	columns, err := conn.Start("SELECT " + strings.Join(list, ", ") + " FROM " + t.Quoted() + where)
	if err != nil {
		return err
	}
	if s.filter, err = compileWhere(t, t.Schema); err != nil {
		return err
	}
	if err := s.decoder(columns); err != nil {
		return err
	}
	r.reads++
	stream := pipeline.Stream(fmt.Sprintf("chunk/verify-%d", r.reads))
	for {
		if s.batch == nil {
			if s.batch, err = out.New(ctx, stream); err != nil {
				return err
			}
		}
		packet, err := conn.Row()
		if err != nil {
			return err
		}
		if packet == nil {
			return out.Emit(s.batch)
		}
		if err := s.row(packet); err != nil {
			return err
		}
		if !s.batch.Full() {
			continue
		}
		if err := out.Emit(s.batch); err != nil {
			return err
		}
		s.batch = nil
	}
}

// decoder builds what decodes the result's columns, which are the schema's, in its order.
func (s *rowStream) decoder(columns []wire.ColumnDef) (err error) {
	fields := slices.DeleteFunc(slices.Clone(s.table.fields), func(f binlog.Field) bool { return f.Out < 0 })
	if len(fields) != len(columns) {
		return fmt.Errorf("a result of %d columns, %d were asked for", len(columns), len(fields))
	}
	for i := range fields {
		fields[i].Column = binlog.MapColumn{}
		if fields[i].Charset == nil {
			continue
		}
		if fields[i].Charset, err = s.server.charset(columns[i].Collation); err != nil {
			return err
		}
	}
	s.dec, err = binlog.NewDecoder(fields, s.config.policy())
	return err
}

func (s *rowStream) row(packet []byte) error {
	b := s.batch
	p := b.Copy(packet)
	values := b.Values(len(s.dec.Fields))
	for i := range values {
		cell, null, rest, ok := wire.TextCell(p)
		if !ok {
			return errRow
		}
		if p = rest; null {
			continue
		}
		v, err := s.dec.Text(&b.Arena, &s.dec.Fields[i], cell)
		if err != nil {
			return fmt.Errorf("column %s: %w", s.table.Schema.Columns[i].Name, err)
		}
		values[i] = v
	}
	if s.filter != nil {
		if keep, err := s.filter.Match(values, nil); err != nil || !keep {
			return err
		}
	}
	row := b.Add()
	row.Schema, row.Tx, row.Values, row.Op = s.table.Schema, s.tx, values, pipeline.Read
	return nil
}

// withKeys is a condition for the rows with one of the keys, whose texts are in the schema's order.
func (t *table) withKeys(keys [][]string) (string, error) {
	s := t.Schema
	some := make([]string, len(keys))
	for i, key := range keys {
		if len(key) != len(s.Key) {
			return "", fmt.Errorf("a key of %d values, %d are needed", len(key), len(s.Key))
		}
		all := make([]string, len(key))
		for n, text := range key {
			col := &s.Columns[s.Key[n]]
			literal, err := keyLiteral(col, text)
			if err != nil {
				return "", err
			}
			all[n] = quoteName(col.Name) + " = " + literal
		}
		some[i] = "(" + strings.Join(all, " AND ") + ")"
	}
	return strings.Join(some, " OR "), nil
}

// keyLiteral writes a key's value, as PostgreSQL prints it, for MariaDB.
func keyLiteral(col *pipeline.Column, text string) (string, error) {
	switch col.Kind {
	case pipeline.Bool:
		if text == "true" || text == "t" {
			return "1", nil
		}
		return "0", nil
	case pipeline.Bytes:
		raw, err := hex.DecodeString(strings.TrimPrefix(text, `\x`))
		if err != nil {
			return "", fmt.Errorf("column %s: %q are no bytes", col.Name, text)
		}
		return "X'" + hex.EncodeToString(raw) + "'", nil
	case pipeline.Bits:
		if strings.Trim(text, "01") != "" {
			return "", fmt.Errorf("column %s: %q are no bits", col.Name, text)
		}
		return "b'" + text + "'", nil
	case pipeline.TimestampTZ:
		text, _, _ = strings.Cut(text, "+")
	case pipeline.Int, pipeline.Uint, pipeline.Float32, pipeline.Float64:
		if strings.Trim(text, "0123456789+-.eE") == "" && text != "" {
			return text, nil
		}
	}
	return quoteText(text), nil
}
