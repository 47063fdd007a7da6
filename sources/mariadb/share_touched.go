package mariadb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// The bounds of what a helper remembers of changed rows, over all tables: beyond them it does not help. And
// those of the batches in which it reads them.
const (
	maxTouched      = 1 << 19
	maxTouchedBytes = 32 << 20
	touchedRows     = 1024
	touchedBytes    = 4 << 20
)

// unfitError is why a process cannot help.
type unfitError struct{ why string }

func (e *unfitError) Error() string { return e.why }

// touched are the keys of rows that were changed between the leader's moment, M, and what a helper sees, S,
// or a little later. A row that is not among them is at S as it was at M. One that is, the stream brings:
// its first change after M either is whole or removes it, or the process does not help.
//
// It is an Output too: of the stream that reads the log.
type touched struct {
	tables map[string]*touchedKeys           // by name
	known  map[*pipeline.Schema]*touchedKeys // of rows that came; nil: not shared
	batch  pipeline.Batch
	count  int
	size   int // bytes of keys
	key    []byte
}

// touchedKeys are those of one table, whose rows must be of one schema.
type touchedKeys struct {
	schema *pipeline.Schema
	keys   map[string]struct{}
}

func newTouched(tables []*table) *touched {
	t := &touched{tables: map[string]*touchedKeys{}, known: map[*pipeline.Schema]*touchedKeys{}}
	for _, one := range tables {
		k := &touchedKeys{schema: one.Schema, keys: map[string]struct{}{}}
		t.tables[one.String()], t.known[one.Schema] = k, k
	}
	return t
}

// has reports whether a row was changed. buf is the caller's room for its key.
func (k *touchedKeys) has(buf *[]byte, values []pipeline.Value) bool {
	if k == nil || len(k.keys) == 0 {
		return false
	}
	*buf = snapshot.AppendKey((*buf)[:0], k.schema, values)
	_, ok := k.keys[string(*buf)]
	return ok
}

// New implements pipeline.Output.
func (t *touched) New(context.Context, pipeline.Stream) (*pipeline.Batch, error) {
	t.batch.Reset()
	t.batch.MaxRows, t.batch.MaxBytes = touchedRows, touchedBytes
	return &t.batch, nil
}

// Idle implements pipeline.Output: a batch is as well filled.
func (t *touched) Idle() bool { return false }

// Drain implements pipeline.Output.
func (t *touched) Drain(context.Context, ...pipeline.Stream) error { return nil }

// Emit implements pipeline.Output.
func (t *touched) Emit(b *pipeline.Batch) error {
	for i := range b.Rows {
		if err := t.row(&b.Rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// row takes a change.
func (t *touched) row(row *pipeline.Row) error {
	k, seen := t.known[row.Schema]
	if !seen {
		if t.tables[row.Schema.Name()] != nil {
			return t.altered(row.Schema.Name())
		}
		t.known[row.Schema] = nil
	}
	switch {
	case k == nil:
		return nil
	case row.Op == pipeline.Truncate:
		return t.altered(row.Schema.Name())
	case row.Op == pipeline.Update && !row.Complete() && !k.has(&t.key, earlier(row)):
		return &unfitError{"changes of table " + row.Schema.Name() + " came without all values: binlog_row_image is not FULL"}
	}
	if err := t.add(k, row.Values); err != nil {
		return err
	}
	return t.add(k, row.Before)
}

// earlier are the values with the key that an updated row had.
func earlier(row *pipeline.Row) []pipeline.Value {
	if row.KeyChanged() {
		return row.Before
	}
	return row.Values
}

// add takes the key of an image, nil for none.
func (t *touched) add(k *touchedKeys, values []pipeline.Value) error {
	if values == nil || k.has(&t.key, values) {
		return nil
	}
	for _, i := range k.schema.Key {
		if values[i].IsAbsent() {
			return &unfitError{"changes of table " + k.schema.Name() + " came without its key: binlog_row_image is not FULL"}
		}
	}
	t.key = snapshot.AppendKey(t.key[:0], k.schema, values)
	k.keys[string(t.key)] = struct{}{}
	t.count, t.size = t.count+1, t.size+len(t.key)
	if t.count > maxTouched || t.size > maxTouchedBytes {
		return &unfitError{fmt.Sprintf("more than %d rows were changed since it was taken", t.count-1)}
	}
	return nil
}

// altered: what was done to a table is not known row by row.
func (t *touched) altered(name string) error {
	return &unfitError{"table " + name + " was altered or emptied since it was taken"}
}

// scan reads the log from a place up to another one into a touched. What is no change of a single row makes
// the process unfit to help.
func (r *runner) scan(ctx context.Context, from place, to binlog.Set, into *touched) error {
	config := *r.config
	config.ServerID, config.LossyDDL = 0, onFail // the number configured may be in use by the leader
	beside := *r
	beside.config, beside.live, beside.env.UntilCaughtUp = &config, nil, false
	beside.env.Log = slog.New(slog.DiscardHandler)
	beside.source = &Source{config: &config, env: beside.env, desk: r.source.desk}
	s, err := beside.newStream(ctx, from, into)
	if err != nil {
		return err
	}
	defer s.held.close()
	s.target, s.asking = to, ctx
	if from.set.Covers(to) {
		return nil
	}
	var altered error
	s.voided = func(t *table) {
		if into.tables[t.String()] != nil {
			altered = into.altered(t.String())
		}
	}
	if s.conn, err = s.dump(); err != nil {
		return err
	}
	defer s.conn.Close()
	stop := context.AfterFunc(ctx, s.conn.Interrupt)
	defer stop()
	err = s.run()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	if altered != nil {
		return altered
	}
	return unfits(err)
}

// unfits makes what cannot be read of the log a reason not to help, which the leader's stream will meet too.
// What passes is left alone.
func unfits(err error) error {
	var why *unfitError
	if err == nil || errors.As(err, &why) {
		return err
	}
	if err = classified(err); pipeline.ClassOf(err) == pipeline.Retryable {
		return err
	}
	return &unfitError{"what was changed since cannot be read: " + err.Error()}
}
