package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

const (
	// maxCandidates bounds the rows of a table that are looked at again; the rest is undecided.
	maxCandidates = 10_000
	// maxShown bounds the keys of each kind that are shown.
	maxShown = 20
)

// verifyPass is the comparison of one table.
type verifyPass struct {
	*verifier
	source string
	table  *spec.TableInfo
	reader spec.RowReader
	sinks  []*verifySink
	rows   int64
}

// verifySink is the comparison of one table in one sink.
type verifySink struct {
	verified
	paths    []*verifyPath
	comparer spec.Comparer
	reached  bool // rows of the table may come
	schemas  []*pipeline.Schema
	// kept says that the transforms leave keys as they are: a key of the target is one of the source.
	kept       bool
	candidates []*candidate
	byKey      map[string]*candidate
	dropped    int // candidates beyond the bound
	probed     map[*pipeline.Schema]*probed
}

// candidate is a row that differed when it was compared first.
type candidate struct {
	schema *pipeline.Schema
	target string   // of the schema: paths may send rows with one key to several tables of a sink
	source []string // its key at the source
	key    []string // as the target prints it

	kind    string // how it differed at the last look; "": not at all
	columns []string
	hashes  []uint64 // what the source had, at each look
	seen    bool     // at this look the source had it
	done    bool
}

// id tells candidates apart.
func (c *candidate) id() string { return candidateID(c.target, c.key) }

func candidateID(target string, key []string) string {
	return target + "\x00" + strings.Join(key, "\x00")
}

// add adds a path to a sink.
func (p *verifyPass) add(path *verifyPath) {
	for _, k := range p.sinks {
		if k.Sink == path.sink {
			k.paths = append(k.paths, path)
			return
		}
	}
	k := &verifySink{paths: []*verifyPath{path}, comparer: p.comparers[path.sink], kept: true, byKey: map[string]*candidate{},
		probed: map[*pipeline.Schema]*probed{}}
	k.Source, k.Table, k.Sink, k.schema = path.source, p.table.Schema.Name(), path.sink, p.table.Schema
	p.sinks = append(p.sinks, k)
}

// run compares all rows, and then again those that differ.
func (p *verifyPass) run(ctx context.Context) error {
	began := time.Now()
	for _, k := range p.sinks {
		if err := k.bind(p.table.Schema); err != nil {
			return err
		}
	}
	out := newRowOutput(func(b *pipeline.Batch) error { return p.compare(ctx, b) })
	if _, err := p.reader.Read(ctx, p.table.Schema.Name(), nil, out); err != nil {
		return err
	}
	for _, k := range p.sinks {
		if !k.reached {
			continue
		}
		if err := k.extras(ctx, p.table.Schema); err != nil {
			return at(k.Sink, err)
		}
		if err := p.settle(ctx, k); err != nil {
			return err
		}
		k.ignored()
		k.Seconds = time.Since(began).Seconds()
	}
	p.line.clear()
	return nil
}

// bind finds out under which schemas the table's rows reach the sink.
func (k *verifySink) bind(s *pipeline.Schema) error {
	for _, path := range k.paths {
		out, err := path.schema(s)
		if err != nil {
			return err
		}
		if out != nil {
			k.reached = true
			k.schemas = append(k.schemas, out)
			k.kept = k.kept && len(out.Key) == len(s.Key)
		}
	}
	return nil
}

// passed are rows of one schema on their way to a comparison.
type passed struct {
	rows []*pipeline.Row
	from []int // the rows of the batch that they were
}

// through sends a batch through the sink's paths.
func (k *verifySink) through(b *pipeline.Batch) (map[*pipeline.Schema]*passed, error) {
	out := map[*pipeline.Schema]*passed{}
	for i := range b.Rows {
		in := &b.Rows[i]
		for _, path := range k.paths {
			row, err := path.pass(&b.Arena, in)
			if err != nil {
				return nil, err
			}
			if row == nil {
				continue
			}
			k.kept = k.kept && sameKey(in, row)
			k.probe(path, &b.Arena, in, row)
			g := out[row.Schema]
			if g == nil {
				g = &passed{}
				out[row.Schema] = g
			}
			g.rows, g.from = append(g.rows, row), append(g.from, i)
		}
	}
	return out, nil
}

// sameKey reports whether a row has the same key after the transforms.
func sameKey(in, out *pipeline.Row) bool {
	if len(in.Schema.Key) != len(out.Schema.Key) {
		return false
	}
	for n, i := range in.Schema.Key {
		if !in.Values[i].Equal(out.Values[out.Schema.Key[n]]) {
			return false
		}
	}
	return true
}

// compare is the first look at a batch of rows.
func (p *verifyPass) compare(ctx context.Context, b *pipeline.Batch) error {
	p.rows += int64(len(b.Rows))
	p.draw()
	for _, k := range p.sinks {
		groups, err := k.through(b)
		if err != nil {
			return err
		}
		for s, g := range groups {
			k.Rows += int64(len(g.rows))
			k.seen(s)
			target, err := k.comparer.Target(s)
			if err == nil {
				err = k.comparer.Compare(ctx, s, g.rows, true, false, func(c spec.Comparison) {
					k.suspect(&candidate{schema: s, target: target, key: c.Key, source: keyTexts(&b.Rows[g.from[c.Row]])})
				})
			}
			if errors.Is(err, spec.ErrNoTarget) {
				k.Missing += len(g.rows)
				k.note("every row is missing: " + refuseStep(err).Why)
				continue
			}
			if err != nil {
				return at(k.Sink, err)
			}
		}
	}
	return nil
}

// seen notes a schema that rows have: a transform may send rows of one table to several targets.
func (k *verifySink) seen(s *pipeline.Schema) {
	if !slices.Contains(k.schemas, s) {
		k.schemas = append(k.schemas, s)
	}
}

// suspect notes a row to be looked at again.
func (k *verifySink) suspect(c *candidate) {
	id := c.id()
	switch {
	case k.byKey[id] != nil:
	case len(k.candidates) >= maxCandidates:
		k.dropped++
	default:
		k.byKey[id] = c
		k.candidates = append(k.candidates, c)
	}
}

// extras finds the target's rows that the source did not have.
func (k *verifySink) extras(ctx context.Context, source *pipeline.Schema) error {
	for _, s := range k.schemas {
		var found [][]string
		exact, err := k.comparer.Extra(ctx, s, maxCandidates+1, func(key []string) { found = append(found, key) })
		if err != nil {
			return err
		}
		if !exact {
			k.note("the target may have rows of other tables, or keeps deleted ones: extra rows are not looked for")
			return nil
		}
		if len(found) > 0 && !k.kept {
			k.Undecided += len(found)
			k.note(fmt.Sprintf("%s of the target are unknown at the source; the transforms change keys, so they cannot be looked up there",
				plural(len(found), "row")))
			continue
		}
		target, err := k.comparer.Target(s)
		if err != nil {
			return err
		}
		for _, key := range found {
			k.suspect(&candidate{schema: s, target: target, key: key, source: key})
		}
	}
	return nil
}

func (k *verifySink) note(text string) {
	for _, n := range k.Notes {
		if n == text {
			return
		}
	}
	k.Notes = append(k.Notes, text)
}

// keyTexts renders a row's key as PostgreSQL prints it.
func keyTexts(r *pipeline.Row) []string {
	out := make([]string, len(r.Schema.Key))
	for n, i := range r.Schema.Key {
		v := r.Values[i]
		if out[n] = v.String(); v.Kind() == pipeline.Bytes {
			out[n] = fmt.Sprintf(`\x%x`, v.Bytes())
		}
	}
	return out
}

// draw shows how far the comparison is.
func (p *verifyPass) draw() {
	p.line.show(fmt.Sprintf("%s: %s of %s rows", p.table.Schema.Name(), grouped(p.rows), estimate(p.table.Rows)), time.Now())
}
