package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// compared is how rows of one schema are compared with their target.
type compared struct {
	plan  *plan
	keys  []*column
	rows  string // the temporary table with the rows as the target would hold them
	notes string // the one with the keys seen

	copySQL    string
	encoder    *pgtext.Encoder
	castSQL    string // from the staging table into rows; "" where they are copied there
	noteSQL    string
	compareSQL string
	differs    string // its condition: only rows that are not the same
	extraSQL   string
	heldSQL    string
}

const oidInt4 = 23

// table returns how a schema's rows are compared, making the temporary tables at first.
func (v *comparer) table(ctx context.Context, s *pipeline.Schema) (*compared, error) {
	if t := v.tables[s]; t != nil {
		return t, nil
	}
	p, err := v.plan(ctx, s)
	if err != nil {
		return nil, err
	}
	t := &compared{plan: p}
	for _, k := range p.key {
		for i := range p.cols {
			if p.cols[i].index == k {
				t.keys = append(t.keys, &p.cols[i])
			}
		}
	}
	v.numbers++
	t.rows, t.notes = fmt.Sprintf("pg_temp.pipe_rows_%d", v.numbers), fmt.Sprintf("pg_temp.pipe_keys_%d", v.numbers)
	create := t.shape(fmt.Sprintf("pg_temp.pipe_wire_%d", v.numbers))
	if first := v.noted[p.target.name]; first != nil {
		t.notes = first.notes
	}
	t.statements(v.ignored[s])
	if err := v.conn.run(ctx, create); err != nil {
		return nil, err
	}
	v.tables[s] = t
	return t, nil
}

// plan finds out how the rows would be written.
func (v *comparer) plan(ctx context.Context, s *pipeline.Schema) (*plan, error) {
	n, err := v.cfg.targetName(s)
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.Input, Table: s.Name(), Err: err, Hint: "Set into"}
	}
	t, err := readTable(ctx, v.conn, n)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, &pipeline.Error{Class: pipeline.Input, Table: s.Name(), Err: fmt.Errorf("%w: %s", spec.ErrNoTarget, n),
			Hint: "Run the pipeline, and verify once the table's snapshot is done"}
	}
	if len(s.Key) == 0 {
		return nil, &pipeline.Error{Class: pipeline.Input, Table: s.Name(), Err: errors.New("it has no key to find its rows by")}
	}
	// Deferred: a comparison needs no index, so it does not ask for one.
	return newPlan(v.cfg, &target{name: n, table: t, deferred: true}, s)
}

// shape returns what makes the temporary tables, and sets how they are filled.
func (t *compared) shape(wire string) string {
	p := t.plan
	var same, names, stages, casts, keys []string
	var enc []pgtext.EncodeColumn
	for i := range p.cols {
		c := &p.cols[i]
		cell := "c" + strconv.Itoa(i)
		names, same = append(names, cell), append(same, ident(c.attr.name)+" AS "+cell)
		stages, casts = append(stages, cell+" "+c.stage.typ), append(casts, "s."+cell+c.stage.cast)
		e := pgtext.EncodeColumn{Name: c.attr.name, Index: c.index, OID: c.attr.oid, Elem: c.attr.elem, Nul: p.nul}
		if !p.direct {
			e.OID, e.Elem = c.stage.oid, c.stage.elem
		}
		enc = append(enc, e)
	}
	for i, k := range t.keys {
		keys = append(keys, ident(k.attr.name)+" AS k"+strconv.Itoa(i))
	}
	t.encoder = pgtext.NewEncoder(append(enc, pgtext.EncodeColumn{Name: "n", Index: len(p.schema.Columns), OID: oidInt4}))
	list := " (" + strings.Join(names, ", ") + ", n)"
	into := t.rows
	create := "CREATE TEMPORARY TABLE " + bare(t.rows) + " ON COMMIT DELETE ROWS AS SELECT " + strings.Join(same, ", ") +
		", 0 AS n FROM " + p.table + " WITH NO DATA; CREATE TEMPORARY TABLE " + bare(t.notes) + " AS SELECT " +
		strings.Join(keys, ", ") + " FROM " + p.table + " WITH NO DATA"
	if !p.direct {
		into = wire
		create += "; CREATE TEMPORARY TABLE " + bare(wire) + " (" + strings.Join(stages, ", ") + ", n integer) ON COMMIT DELETE ROWS"
		t.castSQL = "INSERT INTO " + t.rows + list + " SELECT " + strings.Join(casts, ", ") + ", s.n FROM " + wire + " AS s"
	}
	t.copySQL = "COPY " + into + list + " FROM STDIN (FORMAT binary)"
	return create
}

func bare(temporary string) string { return strings.TrimPrefix(temporary, "pg_temp.") }

// statements builds the questions; the ignored columns are not asked about.
func (t *compared) statements(ignored []string) {
	p := t.plan
	var join, noted, held, texts, keys, arrays, names []string
	for i, k := range t.keys {
		cell, name := t.cell(k), "t."+ident(k.attr.name)
		join = append(join, name+" = v."+cell)
		noted = append(noted, fmt.Sprintf("k.k%d = %s", i, name))
		held = append(held, fmt.Sprintf("%s = x.k%d::%s", name, i, castType(&k.attr)))
		texts, keys = append(texts, "v."+cell+"::text"), append(keys, name+"::text")
		arrays, names = append(arrays, fmt.Sprintf("$%d::text[]", i+2)), append(names, fmt.Sprintf("k%d", i))
	}
	var differ, marks []string
	for i := range p.cols {
		if p.cols[i].key || slices.Contains(ignored, p.cols[i].attr.name) {
			continue
		}
		d := differs(&p.cols[i].attr, "v.c"+strconv.Itoa(i))
		differ = append(differ, d)
		marks = append(marks, fmt.Sprintf("CASE WHEN %s THEN '%d' END", d, i))
	}
	live := ""
	if p.soft != "" {
		live = " AND t." + ident(p.soft) + " IS NOT TRUE"
	}
	t.compareSQL = "SELECT v.n, t.tableoid IS NULL, concat_ws(',', NULL" + prefixed(marks) + "), " + strings.Join(texts, ", ") +
		" FROM " + t.rows + " AS v LEFT JOIN " + p.table + " AS t ON " + strings.Join(join, " AND ") + live
	t.differs = " WHERE " + strings.Join(append([]string{"t.tableoid IS NULL"}, differ...), " OR ")
	cells := make([]string, len(t.keys))
	for i, k := range t.keys {
		cells[i] = t.cell(k)
	}
	t.noteSQL = "INSERT INTO " + t.notes + " SELECT " + strings.Join(cells, ", ") + " FROM " + t.rows
	t.extraSQL = "SELECT " + strings.Join(keys, ", ") + " FROM " + p.table + " AS t WHERE NOT EXISTS (SELECT FROM " + t.notes +
		" AS k WHERE " + strings.Join(noted, " AND ") + ")" + live
	t.heldSQL = "SELECT x.n FROM unnest($1::integer[], " + strings.Join(arrays, ", ") + ") AS x (n, " + strings.Join(names, ", ") +
		") JOIN " + p.table + " AS t ON " + strings.Join(held, " AND ") + live
}

func prefixed(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}

// cell is the name of a column in the temporary table.
func (t *compared) cell(c *column) string {
	for i := range t.plan.cols {
		if &t.plan.cols[i] == c {
			return "c" + strconv.Itoa(i)
		}
	}
	return ""
}

// differs compares a column of the target with a cell: by its type's equality where that tells all
// values apart, else by what they print (json and xml have no equality, that of a box is its area, of an
// interval its length, of a citext what it likes).
func differs(a *attribute, cell string) string {
	have := "t." + ident(a.name)
	if tellsApart(a) {
		return have + " IS DISTINCT FROM " + cell
	}
	return have + `::text COLLATE "C" IS DISTINCT FROM ` + cell + `::text COLLATE "C"`
}

func tellsApart(a *attribute) bool {
	switch a.oid {
	case oidBool, oidBytea, 20, 21, oidInt4, 700, 701, 1700, 1082, 1083, 1114, 1184, 1266, 2950, 3802, oidBit, oidVarbit, 869, 650:
		return true // numbers, dates and times, uuid, jsonb, bits, inet, cidr (pg_type.dat)
	}
	return false
}

// comparison reads one row of the answer.
func (t *compared) comparison(f []string) (spec.Comparison, error) {
	n, err := strconv.Atoi(f[0])
	if err != nil {
		return spec.Comparison{}, fmt.Errorf("the number of a row is %q", f[0])
	}
	c := spec.Comparison{Row: n, Missing: f[1] == "t", Key: f[3:]}
	if c.Missing || f[2] == "" {
		return c, nil
	}
	for _, mark := range strings.Split(f[2], ",") {
		i, err := strconv.Atoi(mark)
		if err != nil || i >= len(t.plan.cols) {
			return spec.Comparison{}, fmt.Errorf("the number of a column is %q", mark)
		}
		c.Columns = append(c.Columns, t.plan.cols[i].attr.name)
	}
	return c, nil
}
