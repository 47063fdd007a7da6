package expr

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/pipe-cdc/pipe/pipeline"
)

// exponentMax bounds, in bits, the size of a constant number.
const exponentMax = 4096

// rowScope reports whether a root name belongs to the row scope.
func rowScope(name string) bool {
	return name == "row" || name == "old" || name == "op" || name == "table"
}

// ofRow reports whether x refers to the row scope anywhere.
func ofRow(x hclsyntax.Expression) bool {
	for _, t := range x.Variables() {
		if rowScope(t.RootName()) {
			return true
		}
	}
	return false
}

// outside handles what is no node of a row expression: a constant of the configuration, or an error.
func (c *compiler) outside(x hclsyntax.Expression) *node {
	if ofRow(x) {
		return c.errorf(x.Range(), "Not allowed in a row expression", "%s", Allowed)
	}
	val, diags := x.Value(c.ctx)
	c.diags = append(c.diags, diags...)
	if diags.HasErrors() {
		return nil
	}
	return c.literal(val, x.Range())
}

func (c *compiler) traversal(x *hclsyntax.ScopeTraversalExpr) *node {
	t := x.Traversal
	switch t.RootName() {
	case "row", "old":
		return c.columnRef(t)
	case "op":
		if len(t) > 1 {
			return c.errorf(x.Range(), "op is text", "op is \"read\", \"insert\", \"update\" or \"delete\"; it "+
				"has no attributes.")
		}
		return &node{op: opEvent, kind: pipeline.Text, rng: x.Range(), labels: opNames()}
	case "table":
		return c.tableRef(t)
	}
	return c.outside(x)
}

func opNames() []string {
	var names []string
	for o := pipeline.Read; o <= pipeline.Message; o++ {
		names = append(names, o.String())
	}
	return names
}

func (c *compiler) tableRef(t hcl.Traversal) *node {
	rng := t.SourceRange()
	name, ok := stepName(t, 1)
	s := c.schema
	value := map[string]string{
		"database": s.Database, "schema": s.Namespace, "name": s.Table, "target": s.Target,
	}
	if s.Namespace == "" {
		value["schema"] = s.Database
	}
	text, known := value[name]
	if !ok || !known || len(t) > 2 {
		return c.errorf(rng, "Unknown attribute of table",
			"Write table.database, table.schema, table.name or table.target.")
	}
	return &node{op: opConst, kind: pipeline.Text, val: pipeline.StringValue(pipeline.Text, text), rng: rng}
}

// stepName returns the name that step i of a traversal takes: .name or ["name"].
func stepName(t hcl.Traversal, i int) (string, bool) {
	if i >= len(t) {
		return "", false
	}
	switch step := t[i].(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

func (c *compiler) columnRef(t hcl.Traversal) *node {
	rng, root := t.SourceRange(), t.RootName()
	name, ok := stepName(t, 1)
	if !ok {
		return c.errorf(rng, "Column missing", "Write %s.NAME or %s[\"odd name\"].", root, root)
	}
	if len(t) > 2 {
		return c.errorf(rng, "A column has no attributes",
			"Take a member out of a JSON column with json_get(%s.%s, \"member\").", root, name)
	}
	return c.column(root, name, rng)
}

func (c *compiler) column(root, name string, rng hcl.Range) *node {
	i := c.schema.Index(name)
	if i < 0 {
		return c.errorf(rng, "Unknown column", "Table %s has no column %q.%s", c.schema.Name(), name, c.suggest(name))
	}
	col := &c.schema.Columns[i]
	n := &node{op: opColumn, kind: col.Kind, rng: rng, column: col, index: i, old: root == "old"}
	if col.Kind == pipeline.Null || col.Kind == pipeline.Absent {
		n.kind = pipeline.Other
	}
	if col.Kind == pipeline.Text {
		n.labels = col.Labels
		n.trimmed = padded(c.schema.System, col.Type)
	}
	return n
}

// padded reports whether values of the type carry blanks that its comparison ignores: char(n).
func padded(system pipeline.System, typ string) bool {
	if system != pipeline.PostgreSQL {
		return false
	}
	typ = strings.ToLower(typ)
	return typ == "character" || strings.HasPrefix(typ, "character(") || strings.HasPrefix(typ, "bpchar") ||
		typ == "char" || strings.HasPrefix(typ, "char(")
}

// suggest says what an unknown column may have been meant to be.
func (c *compiler) suggest(name string) string {
	if first, _, ok := strings.Cut(name, "-"); ok && c.schema.Index(first) >= 0 {
		return fmt.Sprintf(" In HCL %s is one name: put spaces around the - to subtract.", name)
	}
	names := make([]string, len(c.schema.Columns))
	for i := range names {
		names[i] = c.schema.Columns[i].Name
	}
	return didYouMean(name, names)
}

// listedMax is how many columns a message lists where no name is near.
const listedMax = 12

func didYouMean(name string, names []string) string {
	best, distance := "", min(3, 1+len(name)/3)+1
	for _, n := range names {
		if d := levenshtein(strings.ToLower(name), strings.ToLower(n)); d < distance {
			best, distance = n, d
		}
	}
	if best != "" {
		return fmt.Sprintf(" Did you mean %q?", best)
	}
	if len(names) > listedMax {
		return ""
	}
	return " There are: " + strings.Join(names, ", ") + "."
}

func levenshtein(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 0; i < len(a); i++ {
		left := row[0]
		row[0] = i + 1
		for j := 0; j < len(b); j++ {
			cost := left
			if a[i] != b[j] {
				cost++
			}
			left = row[j+1]
			row[j+1] = min(cost, left+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// index handles row[KEY] where KEY is a constant expression, and constants of the configuration.
func (c *compiler) index(x *hclsyntax.IndexExpr) *node {
	base, ok := x.Collection.(*hclsyntax.ScopeTraversalExpr)
	if !ok || len(base.Traversal) != 1 || base.Traversal.RootName() != "row" &&
		base.Traversal.RootName() != "old" {
		return c.outside(x)
	}
	key := c.node(x.Key)
	if key == nil {
		return nil
	}
	if !key.constant() || key.kind != pipeline.Text {
		return c.errorf(x.Key.Range(), "Not a column name", "The name of a column must be constant text.")
	}
	return c.column(base.Traversal.RootName(), key.val.View(), x.Range())
}

// literal makes a constant of a value of the configuration.
func (c *compiler) literal(val cty.Value, rng hcl.Range) *node {
	val, marks := val.UnmarkDeep()
	n := &node{op: opConst, rng: rng, secret: len(marks) > 0}
	switch {
	case !val.IsKnown():
		n.unknown = true
	case val.IsNull():
	case val.Type() == cty.Bool:
		n.kind, n.val = pipeline.Bool, pipeline.BoolValue(val.True())
	case val.Type() == cty.String:
		n.kind, n.val = pipeline.Text, pipeline.StringValue(pipeline.Text, val.AsString())
	case val.Type() == cty.Number:
		return c.number(n, val.AsBigFloat())
	case val.CanIterateElements() && (val.Type().IsListType() || val.Type().IsTupleType() ||
		val.Type().IsSetType()):
		return c.constants(n, val)
	default:
		return c.errorf(rng, "Not a value of a row", "A %s cannot be used here: only text, numbers, "+
			"booleans and null.",
			val.Type().FriendlyName())
	}
	return n
}

// constants makes a list of a constant list, for contains.
func (c *compiler) constants(n *node, val cty.Value) *node {
	n.op = opList
	for it := val.ElementIterator(); it.Next(); {
		_, v := it.Element()
		if item := c.literal(v, n.rng); item != nil {
			item.secret = item.secret || n.secret
			n.args = append(n.args, item)
		}
	}
	return n
}

// number is exact: HCL holds 512 bits, whose shortest text is what was written.
func (c *compiler) number(n *node, f *big.Float) *node {
	if exponent := f.MantExp(nil); f.IsInf() || exponent > exponentMax || exponent < -exponentMax {
		return c.errorf(n.rng, "Number out of range", "The number has too many digits.")
	}
	// Float.Uint64 calls 150.5 exact: ask first.
	if i, acc := f.Int64(); f.IsInt() && acc == big.Exact {
		n.kind, n.val = pipeline.Int, pipeline.IntValue(i)
		return n
	}
	if u, acc := f.Uint64(); f.IsInt() && acc == big.Exact {
		n.kind, n.val = pipeline.Uint, pipeline.UintValue(u)
		return n
	}
	n.kind, n.val = pipeline.Decimal, pipeline.StringValue(pipeline.Decimal, f.Text('f', -1))
	return n
}
