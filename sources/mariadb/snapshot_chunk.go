package mariadb

import (
	"context"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// chunkRead is the reading of one chunk.
type chunkRead struct {
	*snapshotWorker
	table  *table
	stream pipeline.Stream
	tx     *pipeline.Tx
	done   pipeline.Position // after the chunk
	batch  *pipeline.Batch
	rows   *textRows
	seq    uint32

	changed *touchedKeys // rows to leave out; nil: none
	key     []byte       // scratch
	leftOut int64
}

func (r *chunkRead) read(ctx context.Context, within snapshot.Range) error {
	sql, err := chunkSQL(r.table, within)
	if err != nil {
		return err
	}
	columns, err := r.conn.Start(sql)
	if err != nil {
		return err
	}
	if r.rows, err = r.textRows(r.table, r.table.Schema, columns, r.table.Where); err != nil {
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
	if dec := r.rows.dec; dec.Zeros > 0 || dec.Bad > 0 {
		r.env.Log.Warn("values are replaced", "table", r.table.String(), "zero_dates", dec.Zeros, "invalid_text", dec.Bad)
	}
	r.batch.Mark(r.done)
	return r.emit()
}

func (r *chunkRead) row(packet []byte) error {
	b := r.batch
	values, _, err := r.rows.values(&b.Arena, b.Copy(packet))
	if err != nil {
		return err
	}
	if keep, err := r.rows.match(values); err != nil || !keep {
		return err
	}
	if r.changed.has(&r.key, values) {
		r.leftOut++
		return nil
	}
	row := b.Add()
	row.Schema, row.Tx, row.Values, row.Op, row.Seq, row.At = r.table.Schema, r.tx, values, pipeline.Read, r.seq, r.moment.End
	r.seq++
	return nil
}

func (r *chunkRead) emit() error {
	r.progress.Add(r.table.String(), len(r.batch.Rows))
	b := r.batch
	r.batch = nil
	return r.out.Emit(b)
}

// chunkSQL reads a chunk.
func chunkSQL(t *table, r snapshot.Range) (string, error) {
	q := selection{table: t}
	if k := t.cutter(); k != nil && r.Cut == snapshot.ByKey {
		var err error
		if q.where, err = k.within(r.Low, r.High); err != nil {
			return "", err
		}
		q.hint = k.hint()
	}
	q.where = append(q.where, pushdown(t.Where, t))
	return q.String(), nil
}
