package expr

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// ErrNotSQL says that an expression has no exact counterpart in the database's SQL.
var ErrNotSQL = errors.New("cannot be expressed in SQL with exactly the same meaning")

// firstUserOID is the first number that PostgreSQL gives to a type that is not built in.
const firstUserOID = 16384

// SQL renders the expression in PostgreSQL's SQL, names and literals quoted, such that the server
// computes what Eval does. The error wraps ErrNotSQL where that is not certain.
func (p *Program) SQL() (string, error) { return p.render(false) }

// PublicationSQL is SQL restricted to what a publication's row filter may contain: columns,
// constants, immutable built-in functions, built-in types.
func (p *Program) PublicationSQL() (string, error) { return p.render(true) }

func (p *Program) render(publication bool) (string, error) {
	if s := p.schema.System; s != pipeline.PostgreSQL && s != "" {
		return "", fmt.Errorf("%w: the source is %s", ErrNotSQL, s)
	}
	w := &sqlWriter{publication: publication}
	if err := w.node(p.root); err != nil {
		return "", err
	}
	return w.b.String(), nil
}

type sqlWriter struct {
	b           strings.Builder
	publication bool
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNotSQL, fmt.Sprintf(format, args...))
}

// write writes strings, and nodes between them.
func (w *sqlWriter) write(parts ...any) error {
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			w.b.WriteString(p)
		case *node:
			if err := w.node(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *sqlWriter) node(n *node) error {
	switch n.op {
	case opConst:
		return w.constant(n)
	case opColumn:
		return w.columnRef(n)
	case opEvent:
		return refuse("op is of the change, not of the row")
	case opCompare:
		return w.compare(n)
	case opIsNull:
		return w.write("(", n.args[0], " IS NULL)")
	case opNot:
		return w.write("(NOT ", n.args[0], ")")
	case opAnd:
		return w.write("(", n.args[0], " AND ", n.args[1], ")")
	case opOr:
		return w.write("(", n.args[0], " OR ", n.args[1], ")")
	case opNegate:
		return w.arith('-', &node{op: opConst, kind: pipeline.Int}, n.args[0], n.kind)
	case opArith:
		return w.arith(n.sign, n.args[0], n.args[1], n.kind)
	case opConcat:
		return w.concat(n)
	case opIf:
		return w.write("(CASE WHEN ", n.args[0], " THEN ", n.args[1], " ELSE ", n.args[2], " END)")
	case opIn:
		return w.in(n)
	case opCast:
		return w.write(n.args[0], "::"+typeName(n.kind))
	}
	if n.fn.sql == nil {
		return refuse("the function %s", n.fn.Name)
	}
	return n.fn.sql(w, n)
}

// QuoteIdentifier quotes a PostgreSQL identifier.
func QuoteIdentifier(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// QuoteLiteral quotes a PostgreSQL text literal, under either setting of
// standard_conforming_strings.
func QuoteLiteral(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

func (w *sqlWriter) columnRef(n *node) error {
	if n.old {
		return refuse("old.%s is of the change, not of the row", n.column.Name)
	}
	user := len(n.labels) > 0 || n.column.TypeID >= firstUserOID
	if w.publication && user {
		return refuse("a publication's row filter cannot use column %s of type %s, which is not built in",
			n.column.Name, n.column.Type)
	}
	if n.kind == pipeline.Text && !plainText(n.column.Type) {
		return w.write(QuoteIdentifier(n.column.Name), "::text")
	}
	return w.write(QuoteIdentifier(n.column.Name))
}

// plainText reports whether values of the type are compared as text is.
func plainText(typ string) bool {
	return typ == "" || typ == "text" || strings.HasPrefix(typ, "character varying") ||
		strings.HasPrefix(typ, "varchar")
}

func (w *sqlWriter) constant(n *node) error {
	x := n.val
	switch {
	case n.unknown:
		return refuse("a value is not known yet")
	case n.kind == pipeline.Null:
		return w.write("NULL")
	case n.kind == pipeline.Bool || n.kind == pipeline.Int || n.kind == pipeline.Uint:
		return w.write("(" + x.String() + ")")
	case n.kind == pipeline.Decimal:
		return w.write("'" + x.String() + "'::numeric")
	case isFloat(n.kind):
		return w.write("'" + string(appendFloat(nil, x.Float(), 64)) + "'::double precision")
	case strings.Contains(x.View(), "\x00"):
		return refuse("text with a zero byte")
	}
	return w.write(QuoteLiteral(string(AppendText(nil, x))) + "::" + typeName(n.kind))
}

// compare makes the types of both sides explicit, and the order of text that of bytes.
func (w *sqlWriter) compare(n *node) error {
	l, r := n.args[0], n.args[1]
	op := sqlOperator(n.mask)
	cast, order := castBoth(l.kind, r.kind), ""
	if l.kind == pipeline.Text && !equality(n.mask) {
		order = ` COLLATE "C"`
	}
	return w.write("(", l, cast+order+" "+op+" ", r, cast+order+")")
}

// castBoth is what a comparison of numbers of two kinds computes in.
func castBoth(a, b pipeline.Kind) string {
	switch {
	case isFloat(a) || isFloat(b):
		return "::double precision"
	case a == pipeline.Decimal && b.Numeric() || b == pipeline.Decimal && a.Numeric():
		return "::numeric"
	}
	return ""
}

func sqlOperator(mask uint8) string {
	return [...]string{"", "<", "=", "<=", ">", "<>", ">=", ""}[mask]
}

func (w *sqlWriter) arith(sign byte, l, r *node, kind pipeline.Kind) error {
	cast := "::bigint"
	switch {
	case isFloat(kind):
		return refuse("arithmetic of floats")
	case kind == pipeline.Decimal && sign == '/':
		return refuse("the quotient of decimals")
	case kind == pipeline.Decimal:
		cast = "::numeric"
	}
	if l.op == opConst && l.val.IsNull() && l.kind == pipeline.Int {
		return w.write("(- ", r, cast+")")
	}
	return w.write("(", l, cast+" "+string(sign)+" ", r, cast+")")
}

func (w *sqlWriter) concat(n *node) error {
	for i, a := range n.args {
		sep := " || "
		if i == 0 {
			sep = "("
		}
		if err := w.write(sep, a); err != nil {
			return err
		}
	}
	return w.write(")")
}

// in is a chain of comparisons: no operator has to be found for a list of mixed types.
func (w *sqlWriter) in(n *node) error {
	if len(n.args) == 1 {
		return w.write("false")
	}
	for i, item := range n.args[1:] {
		sep := " OR "
		if i == 0 {
			sep = "("
		}
		if err := w.write(sep); err != nil {
			return err
		}
		if item.kind == pipeline.Null {
			if err := w.write("NULL::boolean"); err != nil {
				return err
			}
			continue
		}
		if err := w.compare(&node{args: []*node{n.args[0], item}, mask: maskEqual}); err != nil {
			return err
		}
	}
	return w.write(")")
}

// sqlCall renders a function of the same meaning under its SQL name.
func sqlCall(name string) func(*sqlWriter, *node) error {
	return func(w *sqlWriter, n *node) error {
		for i, a := range n.args {
			sep := ", "
			if i == 0 {
				sep = name + "("
			}
			cast := ""
			if a.kind == pipeline.Text || a.kind == pipeline.Null && n.kind == pipeline.Text {
				cast = "::text"
			}
			if err := w.write(sep, a, cast); err != nil {
				return err
			}
		}
		return w.write(")")
	}
}

// sqlExact renders a function of a number, which for integers and floats differs in type.
func sqlExact(name string) func(*sqlWriter, *node) error {
	return func(w *sqlWriter, n *node) error {
		switch {
		case n.kind == pipeline.Int && name != "abs":
			return w.write(n.args[0])
		case n.kind == pipeline.Int:
			return w.write("abs(", n.args[0], "::bigint)")
		case n.kind != pipeline.Decimal:
			return refuse("%s of a float", name)
		case len(n.args) == 2:
			return w.write(name+"(", n.args[0], ", "+strconv.FormatInt(n.args[1].val.Int(), 10)+")")
		}
		return w.write(name+"(", n.args[0], ")")
	}
}

// substrMax keeps the arguments of substr in SQL's own range.
const substrMax = 1 << 30

func sqlSubstr(w *sqlWriter, n *node) error {
	if err := w.write("substr(", n.args[0]); err != nil {
		return err
	}
	for _, a := range n.args[1:] {
		if !a.constant() || a.kind != pipeline.Int || a.val.Int() > substrMax || a.val.Int() < -substrMax {
			return refuse("substr with arguments that are not constant")
		}
		if err := w.write(", ", a); err != nil {
			return err
		}
	}
	return w.write(")")
}

func sqlEndsWith(w *sqlWriter, n *node) error {
	return w.write("(right(", n.args[0], ", length(", n.args[1], "::text)) = ", n.args[1], "::text)")
}

func sqlContains(w *sqlWriter, n *node) error {
	return w.write("(strpos(", n.args[0], ", ", n.args[1], "::text) > 0)")
}

func sqlConcat(w *sqlWriter, n *node) error {
	for i, a := range n.args {
		sep := " || "
		if i == 0 {
			sep = "("
		}
		if err := w.write(sep+"coalesce(", a, "::text, '')"); err != nil {
			return err
		}
	}
	return w.write(")")
}

func sqlToText(w *sqlWriter, n *node) error {
	switch n.args[0].kind {
	case pipeline.Text, pipeline.Null, pipeline.Int, pipeline.UUID, pipeline.Decimal:
		return w.write(n.args[0], "::text")
	}
	return refuse("to_text of %s", n.args[0].describe())
}
