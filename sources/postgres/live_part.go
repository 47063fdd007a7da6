package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// livePart is a relation that is read live, with what turns its rows into ours. It belongs to one reader.
type livePart struct {
	table     *table
	leaf      *relation
	signature string // of the leaf's columns
	columns   string // the select list
	where     []string
	filters   []*expr.Where // what SQL cannot say of them
	key       []string      // names of the key's columns
	decoder   *pgtext.Decoder
	base      *pipeline.Schema // the stream's when this was made

	asked    string // the request's where
	rowBytes float64
	perBlock float64 // rows
}

// node names a part of a table whose rows have not moved since: its name, and that of the file.
func node(leaf *relation, file uint32) string {
	return leaf.String() + "@" + strconv.FormatUint(uint64(file), 10)
}

// splitNode is the inverse of node.
func splitNode(part string) (leaf string, file uint32, err error) {
	i := strings.LastIndexByte(part, '@')
	if i < 0 {
		return "", 0, fmt.Errorf("%q names no part of a table", part)
	}
	n, err := strconv.ParseUint(part[i+1:], 10, 32)
	return part[:i], uint32(n), err
}

// newLivePart prepares the reading of a leaf of a table for a request.
func newLivePart(t *table, leaf *relation, q *snapshot.Request, version int) (*livePart, error) {
	p := &livePart{table: t, leaf: leaf, base: t.Schema, signature: leaf.signature(), asked: q.Where}
	read := t.toRead()
	var err error
	if p.columns, err = selectList(&read); err != nil {
		return nil, failed(pipeline.Input, "", "%w", err)
	}
	columns := append(slices.Clone(t.Schema.Columns), pipeline.Column{Kind: pipeline.Bytes, Type: "tid"})
	p.decoder = pgtext.NewDecoder(columns)
	p.decoder.Version = version
	for _, i := range t.Schema.Key {
		p.key = append(p.key, t.Schema.Columns[i].Name)
	}
	if t.filter != nil {
		own, err := compileWhere(t, t.Schema)
		if err != nil {
			return nil, &pipeline.Error{Class: pipeline.Input, Err: err}
		}
		p.restrict(own)
	}
	if q.Where == "" {
		return p, nil
	}
	asked, err := compileAsked(q.Where, t.Schema)
	if err != nil {
		return nil, err
	}
	p.restrict(asked)
	return p, nil
}

// restrict adds a condition, which the server checks where that means the same.
func (p *livePart) restrict(w *expr.Where) {
	if sql, err := w.Program.SQL(); err == nil {
		p.where = append(p.where, "("+sql+")")
		return
	}
	p.filters = append(p.filters, w)
}

// compileAsked compiles the where of a request.
func compileAsked(text string, schema *pipeline.Schema) (*expr.Where, error) {
	x, diags := hclsyntax.ParseExpression([]byte(text), "where", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, failed(pipeline.Input, "Write it as in a table block: row.amount > 100", "where: %w", diags)
	}
	w, err := expr.CompileWhere(x, schema, &hcl.EvalContext{})
	if err != nil {
		return nil, failed(pipeline.Input, "Write it as in a table block: row.amount > 100", "where: %w", err)
	}
	return w, nil
}

// signature says which columns the relation has, as signatureSQL does.
func (r *relation) signature() string {
	list := make([]string, len(r.Columns))
	for i := range r.Columns {
		a := &r.Columns[i]
		list[i] = fmt.Sprintf("%d:%s:%d:%d", a.Num, a.Name, a.Type.OID, a.Type.Mod)
	}
	return strings.Join(list, ",")
}

// signatureSQL is a query of the columns that a relation has, as the session's snapshot sees them.
func signatureSQL(oid uint32) string {
	return fmt.Sprintf("SELECT string_agg(attnum || ':' || attname || ':' || atttypid || ':' || atttypmod, ',' "+
		"ORDER BY attnum) FROM pg_attribute WHERE attrelid = %d AND attnum > 0 AND NOT attisdropped", oid)
}

// leafOf returns the leaf of a table that a part names, or the table; nil where there is none.
func leafOf(t *table, name string) *relation {
	if t.String() == name {
		return t.relation
	}
	for _, leaf := range t.Leaves() {
		if leaf.String() == name {
			return leaf
		}
	}
	return nil
}

// describe returns a part as this reader knows it, or makes it from what the stream knows, or reads the
// catalogue where that is behind the server (fresh).
func (r *liveReader) describe(ctx context.Context, name string, q *snapshot.Request, fresh bool) (*livePart, error) {
	t := r.live.table(q.Table)
	if t == nil {
		return nil, failed(pipeline.Input, "", "table %s is not read any more", q.Table)
	}
	known := r.parts[name]
	if !fresh && known != nil && known.base == t.Schema && known.asked == q.Where {
		return known, nil
	}
	base := t.Schema
	if fresh {
		var err error
		if t, err = r.live.reload(ctx, t); err != nil {
			return nil, err
		}
	}
	leaf := leafOf(t, name)
	if leaf == nil {
		return nil, failed(pipeline.Environment, "", "table %s has no part %s any more", q.Table, name)
	}
	p, err := newLivePart(t, leaf, q, r.live.server.Version)
	if err != nil {
		return nil, err
	}
	p.base = base
	if known != nil {
		p.rowBytes, p.perBlock = known.rowBytes, known.perBlock
	}
	r.parts[name] = p
	return p, nil
}

// reload reads a table's description from the catalogue. Its schema is the stream's where they say the
// same.
func (l *live) reload(ctx context.Context, t *table) (*table, error) {
	conn, err := l.config.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	c, err := loadCatalog(ctx, conn, func(r *relation) bool { return r.OID == t.OID })
	if err != nil {
		return nil, err
	}
	rel := c.Relation(t.OID)
	if rel == nil {
		return nil, failed(pipeline.Environment, "", "table %s does not exist any more", t)
	}
	out, err := l.settings.table(c, rel)
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.Input, Err: err}
	}
	if sameShape(out.Schema, t.Schema) {
		out.Schema = t.Schema
	}
	return out, nil
}

// sameShape reports whether rows of one schema are rows of the other.
func sameShape(a, b *pipeline.Schema) bool {
	if a.Namespace != b.Namespace || a.Table != b.Table || !slices.Equal(a.Key, b.Key) {
		return false
	}
	return slices.EqualFunc(a.Columns, b.Columns, func(x, y pipeline.Column) bool {
		return x.Name == y.Name && x.Kind == y.Kind && x.Type == y.Type && x.Nullable == y.Nullable &&
			x.Default == y.Default && x.TypeID == y.TypeID && slices.Equal(x.Labels, y.Labels)
	})
}
