package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
)

const (
	stageRows  = 500     // rows from which COPY into a staging table and a merge beat array parameters
	stageBytes = 1 << 20 // bytes from which they do whatever the number of rows
)

// list is what a statement is given: values for the encoder, and the rows they come from.
type list struct {
	values [][]pipeline.Value
	rows   []*pipeline.Row
}

func (s *list) add(values []pipeline.Value, row *pipeline.Row) {
	s.values, s.rows = append(s.values, values), append(s.rows, row)
}

func (s *list) reset() {
	clear(s.values)
	clear(s.rows)
	s.values, s.rows = s.values[:0], s.rows[:0]
}

// lists are the statements' inputs of one phase.
type lists struct {
	deletes, inserts, fulls, some list
}

// run executes a statement for a list and returns the number of rows that it affected.
func (l *lane) run(ctx context.Context, p *plan, s *statement, in *list) (int64, error) {
	if len(in.values) == 0 {
		return 0, nil
	}
	if len(in.values) >= stageRows || heavy(in.values) {
		return l.runStaged(ctx, p, s, in)
	}
	return l.runArrays(ctx, p, s, in)
}

// heavy reports whether the rows' bytes exceed what should be held a second time.
func heavy(rows [][]pipeline.Value) bool {
	n := 0
	for _, row := range rows {
		for i := range row {
			if n += len(row[i].Bytes()); n > stageBytes {
				return true
			}
		}
	}
	return false
}

func (l *lane) runArrays(ctx context.Context, p *plan, s *statement, in *list) (int64, error) {
	if err := l.prepare(ctx, s.name, s.array); err != nil {
		return 0, err
	}
	l.buf, l.ends, l.params = l.buf[:0], l.ends[:0], l.params[:0]
	for c := range s.params.Len() {
		var failed int
		var err error
		if l.buf, failed, err = s.params.Array(l.buf, c, in.values); err != nil {
			return 0, &rowFault{row: in.rows[failed], plan: p, err: err}
		}
		l.ends = append(l.ends, len(l.buf))
	}
	from := 0
	for _, end := range l.ends {
		l.params = append(l.params, l.buf[from:end])
		from = end
	}
	tag, err := l.conn.ExecPrepared(ctx, s.name, l.params, []int16{1}, nil).Close()
	return tag.RowsAffected(), err
}

func (l *lane) runStaged(ctx context.Context, p *plan, s *statement, in *list) (int64, error) {
	if !l.staged[s.name] {
		if err := l.conn.run(ctx, s.create); err != nil {
			return 0, err
		}
		l.staged[s.name] = true
	}
	if l.filled[s.name] != "" {
		if err := l.conn.run(ctx, "TRUNCATE "+s.stage); err != nil {
			return 0, err
		}
	}
	l.filled[s.name] = s.stage
	l.reader.Reset(s.copyEnc, in.values)
	if _, err := l.copy(ctx, p, s.copySQL, in); err != nil {
		return 0, err
	}
	merge := s.name + "_merge"
	if err := l.prepare(ctx, merge, s.merge); err != nil {
		return 0, err
	}
	tag, err := l.conn.ExecPrepared(ctx, merge, nil, nil, nil).Close()
	return tag.RowsAffected(), err
}

// runCopy writes rows straight into the target.
func (l *lane) runCopy(ctx context.Context, p *plan, in *list) error {
	if len(in.values) == 0 {
		return nil
	}
	l.reader.Reset(p.copyEnc, in.values)
	_, err := l.copy(ctx, p, p.copySQL, in)
	return err
}

// copy runs a COPY of what the reader holds, which is in's values.
func (l *lane) copy(ctx context.Context, p *plan, sql string, in *list) (pgconn.CommandTag, error) {
	tag, err := l.conn.CopyFrom(ctx, &l.reader, sql)
	if row, fault := l.reader.Failed(); fault != nil && sqlState(err) == "57014" {
		return tag, &rowFault{row: in.rows[row], plan: p, err: fault}
	}
	return tag, err
}

func (l *lane) prepare(ctx context.Context, name, sql string) error {
	if l.prepared[name] {
		return nil
	}
	if _, err := l.conn.Prepare(ctx, name, sql, nil); err != nil {
		return err
	}
	l.prepared[name] = true
	return nil
}

// runSingly executes a statement for one row at a time, in order, and calls each with the number of
// rows that it affected.
func (l *lane) runSingly(ctx context.Context, p *plan, s *statement, in *list, each func(i int, n int64) error) error {
	one := list{values: make([][]pipeline.Value, 1), rows: make([]*pipeline.Row, 1)}
	for i := range in.values {
		one.values[0], one.rows[0] = in.values[i], in.rows[i]
		n, err := l.run(ctx, p, s, &one)
		if err != nil {
			return l.blame(p, in.rows[i], err)
		}
		if err := each(i, n); err != nil {
			return l.blame(p, in.rows[i], err)
		}
	}
	return nil
}

// blame pins an error on a row where it is of a kind that rows cause.
func (l *lane) blame(p *plan, r *pipeline.Row, err error) error {
	var f *rowFault
	if errors.As(err, &f) || !aboutRows(err) {
		return err
	}
	return &rowFault{row: r, plan: p, err: err}
}
