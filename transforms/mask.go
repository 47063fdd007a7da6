package transforms

import (
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// The forms of a hash: what is hashed after the salt.
const (
	formText = "text" // the value's text; Debezium's column.mask.hash.v2
	formJava = "java" // the value as a serialised Java string; Debezium's column.mask.hash
)

// Mask is the configuration of transform "mask".
type Mask struct {
	Tables   []string
	Columns  []string
	Hash     string
	Salt     spec.Secret
	Form     string
	Truncate int
	Fixed    string
}

// Spec describes the block.
func (c *Mask) Spec(b *spec.Block) {
	b.Doc("Hides the content of columns: by a salted hash, by cutting, or by a fixed text. NULL stays NULL. " +
		"The columns become text. Columns of the key can be hashed: equal keys stay equal.")
	tablesAttr(b, &c.Tables)
	spec.Attr(b, "columns", &c.Columns).Required().
		Doc("The columns, as patterns: \"column\", \"table.column\" or \"schema.table.column\", with *.").
		Example(`["users.email"]`)
	spec.Attr(b, "hash", &c.Hash).OneOf(hashNames()...).
		Doc("Replaces values by the hexadecimal hash of salt and text, cut to the length of a column that has one.")
	spec.Attr(b, "salt", &c.Salt).Doc("What is hashed before the value; keep it " +
		"secret.").Example(`env("MASK_SALT")`)
	a := spec.Attr(b, "form", &c.Form).OneOf(formText, formJava).
		Doc("What is hashed: the text (Debezium's column.mask.hash.v2), or the text as a serialised Java string " +
			"(Debezium's column.mask.hash).")
	spec.Default(a, &c.Form, formText)
	spec.Attr(b, "truncate", &c.Truncate).Range(1, 1<<30).Doc("Cuts the text after this many characters.")
	spec.Attr(b, "fixed", &c.Fixed).Doc("Replaces every value by this text.").Example(`"***"`)
	b.Check(c.check)
	b.Example = "transform \"mask\" \"mail\" {\n  from    = source.shop\n  columns = [\"users.email\"]\n" +
		"  hash    = \"sha256\"\n  salt    = env(\"MASK_SALT\")\n}\n"
}

func (c *Mask) check(p *spec.Problems) {
	checkTables(p, c.Tables)
	checkColumns(p, "columns", c.Columns)
	ways := 0
	for _, name := range []string{"hash", "truncate", "fixed"} {
		if p.Block.Attribute(name).IsSet() {
			ways++
		}
	}
	if ways != 1 {
		p.Error("", "How to mask", "Set exactly one of hash, truncate and fixed.")
	}
	if c.Hash != "" && c.Salt == "" {
		p.Warning("hash", "Hash without a salt", "Values that can be guessed can be found by trying; set salt.")
	}
}

// Open builds the transform.
func (c *Mask) Open(env spec.Env) (pipeline.Transform, error) {
	s, err := newScope(env, c.Tables)
	if err != nil {
		return nil, err
	}
	columns, err := match.NewColumns(c.Columns)
	if err != nil {
		return nil, s.wrong("", fmt.Errorf("columns: %w", err), "")
	}
	return &mask{scope: s, config: c, columns: columns}, nil
}

type mask struct {
	scope
	config  *Mask
	columns *match.Columns
}

// masker replaces a value that is neither NULL nor Absent.
type masker func(*pipeline.Arena, pipeline.Value) pipeline.Value

type maskedColumn struct {
	index int
	apply masker
}

// Bind finds the columns to mask.
func (t *mask) Bind(in *pipeline.Schema) (*pipeline.Schema, pipeline.Func, error) {
	if !t.covers(in) {
		return in, nil, nil
	}
	out := copySchema(in)
	var columns []maskedColumn
	for i := range in.Columns {
		col := &in.Columns[i]
		if t.columns.Index(in.Database, in.Namespace, in.Table, col.Name) < 0 {
			continue
		}
		if in.IsKey(i) && t.config.Hash == "" {
			return nil, nil, t.wrong(in.Name(), fmt.Errorf("column %s belongs to the key, which must stay "+
				"different for different rows", col.Name),
				"Mask it with hash.")
		}
		columns = append(columns, maskedColumn{i, t.masker(col)})
		out.Blend(i)
		out.Columns[i] = pipeline.Column{
			Name: col.Name, Kind: pipeline.Text, Type: "text", Nullable: col.Nullable, Precision: -1, Length: -1,
		}
	}
	if len(columns) == 0 {
		return in, nil, nil
	}
	return out, func(a *pipeline.Arena, r *pipeline.Row) (bool, error) {
		if eventful(r) {
			maskValues(a, columns, r.Values)
			maskValues(a, columns, r.Before)
		}
		return true, nil
	}, nil
}

func maskValues(a *pipeline.Arena, columns []maskedColumn, values []pipeline.Value) {
	if values == nil {
		return
	}
	for _, c := range columns {
		if x := values[c.index]; !x.IsNull() && !x.IsAbsent() {
			values[c.index] = c.apply(a, x)
		}
	}
}

func (t *mask) masker(col *pipeline.Column) masker {
	switch {
	case t.config.Hash != "":
		h := newHasher(t.config.Hash, t.config.Form, t.config.Salt.Reveal())
		if col.Kind == pipeline.Text && col.Length > 0 {
			h.limit = col.Length
		}
		return h.mask
	case t.config.Truncate > 0:
		n := t.config.Truncate
		return func(a *pipeline.Arena, x pipeline.Value) pipeline.Value { return truncate(text(a, x), n) }
	}
	fixed := pipeline.StringValue(pipeline.Text, t.config.Fixed)
	return func(*pipeline.Arena, pipeline.Value) pipeline.Value { return fixed }
}

// text turns a value into its text, in place where it is one.
func text(a *pipeline.Arena, x pipeline.Value) pipeline.Value {
	if x.Kind().HasBytes() && x.Kind() != pipeline.Bytes {
		return pipeline.BytesValue(pipeline.Text, x.Bytes())
	}
	return pipeline.BytesValue(pipeline.Text, a.Keep(expr.AppendText(a.Grow(40+2*len(x.Bytes())), x)))
}

// truncate keeps the first n characters.
func truncate(x pipeline.Value, n int) pipeline.Value {
	s := x.View()
	for i := range s {
		if n == 0 {
			return pipeline.StringValue(pipeline.Text, s[:i])
		}
		n--
	}
	return x
}
