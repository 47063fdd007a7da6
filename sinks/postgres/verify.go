package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// comparer compares rows with targets in one session. Rows go into a temporary table of the target's
// own types by the assignments that a write would make, and the server compares: so what a type rounds,
// pads or normalises differs no more than it does for the sink.
type comparer struct {
	cfg     *Config
	node    string
	conn    *conn
	tables  map[*pipeline.Schema]*compared
	noted   map[name]*compared // whose notes a target has
	ignored map[*pipeline.Schema][]string
	told    map[name]bool // Extra was answered and nothing was noted since
	numbers int
	values  [][]pipeline.Value
	reader  pgtext.CopyReader
}

// OpenVerify implements spec.Verifier.
func (c *Config) OpenVerify(ctx context.Context, env spec.Env) (spec.Comparer, error) {
	if c.Write == writeAppend {
		return nil, &pipeline.Error{Node: env.Address, Class: pipeline.Input,
			Err: errors.New("a history (write = \"append\") cannot be compared with what the source has now")}
	}
	s, err := c.connect(ctx, "pipe verify "+env.Pipeline)
	if err != nil {
		return nil, explain(env.Address, err)
	}
	return &comparer{cfg: c, node: env.Address, conn: s, tables: map[*pipeline.Schema]*compared{},
		noted: map[name]*compared{}, told: map[name]bool{}, ignored: map[*pipeline.Schema][]string{}}, nil
}

// Close ends the session, and with it the temporary tables.
func (v *comparer) Close() error {
	v.conn.close()
	return nil
}

// Target implements spec.Comparer.
func (v *comparer) Target(s *pipeline.Schema) (string, error) {
	n, err := v.cfg.targetName(s)
	return n.sql(), explain(v.node, err)
}

// Compare implements spec.Comparer.
func (v *comparer) Compare(ctx context.Context, s *pipeline.Schema, rows []*pipeline.Row, note, all bool,
	each func(spec.Comparison)) error {
	if len(rows) == 0 {
		return nil
	}
	t, err := v.table(ctx, s)
	if err == nil {
		err = v.within(ctx, func() error { return v.compare(ctx, t, rows, note, all, each) })
	}
	return explain(v.node, err)
}

// Ignore implements spec.Comparer.
func (v *comparer) Ignore(s *pipeline.Schema, columns []string) {
	v.ignored[s] = columns
	if t := v.tables[s]; t != nil {
		t.statements(columns)
	}
}

// within runs f in a transaction, at whose end the rows to compare are gone.
func (v *comparer) within(ctx context.Context, f func() error) error {
	if err := v.conn.run(ctx, "BEGIN"); err != nil {
		return err
	}
	if err := f(); err != nil {
		return firstError(err, v.conn.run(context.WithoutCancel(ctx), "ROLLBACK"))
	}
	return v.conn.run(ctx, "COMMIT")
}

func (v *comparer) compare(ctx context.Context, t *compared, rows []*pipeline.Row, note, all bool,
	each func(spec.Comparison)) error {
	if err := v.fill(ctx, t, rows); err != nil {
		return err
	}
	if note {
		v.noted[t.plan.target.name] = t
		delete(v.told, t.plan.target.name)
		if err := v.conn.run(ctx, t.noteSQL); err != nil {
			return err
		}
	}
	sql := t.compareSQL
	if !all {
		sql += t.differs
	}
	found, err := v.conn.query(ctx, sql)
	if err != nil {
		return err
	}
	for _, f := range found {
		c, err := t.comparison(f)
		if err != nil {
			return err
		}
		each(c)
	}
	return nil
}

// fill copies rows, with their numbers, into the temporary table.
func (v *comparer) fill(ctx context.Context, t *compared, rows []*pipeline.Row) error {
	v.values = v.values[:0]
	for i, r := range rows {
		row := make([]pipeline.Value, len(r.Values)+1)
		copy(row, r.Values)
		row[len(r.Values)] = pipeline.IntValue(int64(i))
		v.values = append(v.values, row)
	}
	v.reader.Reset(t.encoder, v.values)
	_, err := v.conn.CopyFrom(ctx, &v.reader, t.copySQL)
	if row, fault := v.reader.Failed(); fault != nil {
		return &rowFault{row: rows[row], plan: t.plan, err: fault}
	}
	clear(v.values)
	if err != nil || t.castSQL == "" {
		return err
	}
	return v.conn.run(ctx, t.castSQL)
}

// Extra implements spec.Comparer.
func (v *comparer) Extra(ctx context.Context, s *pipeline.Schema, limit int, each func(key []string)) (bool, error) {
	if v.cfg.Merge || v.cfg.Deletes == deletesIgnore {
		return false, nil
	}
	t, err := v.table(ctx, s)
	if errors.Is(err, spec.ErrNoTarget) {
		return true, nil
	}
	if err != nil {
		return false, explain(v.node, err)
	}
	if v.told[t.plan.target.name] { // for another schema of the same target
		return true, nil
	}
	v.told[t.plan.target.name] = true
	if noted := v.noted[t.plan.target.name]; noted != nil {
		t = noted
	}
	if err := v.conn.run(ctx, "ANALYZE "+t.notes); err != nil {
		return false, explain(v.node, err)
	}
	rows, err := v.conn.query(ctx, t.extraSQL+" LIMIT "+strconv.Itoa(limit))
	for _, r := range rows {
		each(r)
	}
	return true, explain(v.node, firstError(err, v.conn.run(ctx, "TRUNCATE "+t.notes)))
}

// Held implements spec.Comparer.
func (v *comparer) Held(ctx context.Context, s *pipeline.Schema, keys [][]string) ([]bool, error) {
	out := make([]bool, len(keys))
	if len(keys) == 0 {
		return out, nil
	}
	t, err := v.table(ctx, s)
	if err != nil {
		return nil, explain(v.node, err)
	}
	columns := make([]string, len(t.keys)+1)
	for i, key := range keys {
		columns[0] = appendElement(columns[0], strconv.Itoa(i))
		for k := range t.keys {
			columns[k+1] = appendElement(columns[k+1], key[k])
		}
	}
	for i := range columns {
		columns[i] += "}"
	}
	rows, err := v.conn.query(ctx, t.heldSQL, columns...)
	for _, r := range rows {
		i, err := strconv.Atoi(r[0])
		if err != nil || i >= len(out) {
			return nil, fmt.Errorf("the number of a key is %q", r[0])
		}
		out[i] = true
	}
	return out, explain(v.node, err)
}

// appendElement adds an element to the text of an array that is not closed yet.
func appendElement(array, text string) string {
	if array == "" {
		array = "{"
	} else {
		array += ","
	}
	return array + `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
