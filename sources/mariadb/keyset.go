package mariadb

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// keyset is the columns by whose order a table is read in pieces, front to back. The server compares
// them, by their own collations: a bound is a value that it gave, written back exactly.
type keyset struct {
	index   string // its name, for a hint; "" where none is known
	columns []*column
	null    bool // NULL occurs: those rows come first
}

// keyset returns the order of the table's key: of the configured columns where the catalogue knows
// none. nil where there is no key, or one whose columns may be NULL.
func (t *table) keyset() *keyset {
	k := &keyset{index: t.relation.KeyIndex}
	names := t.relation.Key
	if len(names) == 0 {
		k.index, names = "", t.tableSettings.Key
	}
	for _, name := range names {
		c := t.relation.Column(name)
		if c == nil || c.Nullable {
			return nil
		}
		k.columns = append(k.columns, c)
	}
	if len(k.columns) == 0 {
		return nil
	}
	return k
}

// cutter returns what the table's first snapshot is cut by; nil: nothing.
func (t *table) cutter() *keyset {
	if t.ChunkBy == "" {
		return t.keyset()
	}
	c := t.relation.Column(t.ChunkBy)
	if c == nil {
		return nil
	}
	return &keyset{columns: []*column{c}, null: true}
}

// part names what segments with this order are parts of: a segment outlives a change of the key only
// where it is the same still.
func (k *keyset) part(t *table) string {
	names := make([]string, len(k.columns))
	for i, c := range k.columns {
		names[i] = c.Name
	}
	return t.String() + "(" + strings.Join(names, ",") + ")"
}

// names returns the columns, quoted, for ORDER BY.
func (k *keyset) names() string {
	names := make([]string, len(k.columns))
	for i, c := range k.columns {
		names[i] = quoteName(c.Name)
	}
	return strings.Join(names, ", ")
}

// bounds returns what to select for keep, one expression for each column.
func (k *keyset) bounds() []string {
	out := make([]string, len(k.columns))
	for i, c := range k.columns {
		switch out[i] = quoteName(c.Name); c.Type {
		case "bit", "enum", "set":
			out[i] += " + 0" // the number, which is what they are ordered by
		case "float", "double":
			out[i] = "CAST(" + out[i] + " AS DOUBLE)"
		}
	}
	return out
}

// hint makes the server read in the key's order.
func (k *keyset) hint() string {
	if k == nil || k.index == "" {
		return ""
	}
	return " FORCE INDEX (" + quoteName(k.index) + ")"
}

// within returns the conditions of the rows from low, inclusive, up to high, exclusive; nil bounds none.
func (k *keyset) within(low, high []string) ([]string, error) {
	var out []string
	for _, b := range []struct {
		key         []string
		strict, end string
	}{{low, " > ", " >= "}, {high, " < ", " < "}} {
		if b.key == nil {
			continue
		}
		one, err := k.compare(b.key, b.strict, b.end)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	if k.null && low == nil && high != nil {
		out[0] = "(" + out[0] + " OR " + quoteName(k.columns[0].Name) + " IS NULL)"
	}
	return out, nil
}

// compare expands the comparison of rows (a, b) > (x, y) to a > x OR (a = x AND b > y), which the
// server resolves into ranges of an index; it does not know row comparisons as such.
func (k *keyset) compare(key []string, strict, end string) (string, error) {
	if len(key) == 0 || len(key) > len(k.columns) {
		return "", fmt.Errorf("a bound of %d values for a key of %d columns", len(key), len(k.columns))
	}
	var terms []string
	equal := ""
	for i, text := range key {
		name := quoteName(k.columns[i].Name)
		literal, err := k.columns[i].literal(text)
		if err != nil {
			return "", err
		}
		op := strict
		if i == len(key)-1 {
			op = end
		}
		terms = append(terms, "("+equal+name+op+literal+")")
		equal += name + " = " + literal + " AND "
	}
	return "(" + strings.Join(terms, " OR ") + ")", nil
}

// isNumber reports whether values are compared as numbers.
func (c *column) isNumber() bool {
	return c.integer() || slices.Contains([]string{"year", "decimal", "float", "double", "bit", "enum", "set"}, c.Type)
}

// keep returns the text by which a bound remembers a value of a result.
func (c *column) keep(cell []byte) string {
	if isText(c.Type) || isBinaryType(c.Type) {
		return hex.EncodeToString(cell)
	}
	return string(cell)
}

// utf8Mark begins the text of a value that is UTF-8, and not in the character set of the column.
const utf8Mark = "u"

// literal is SQL for what keep returned, or for UTF-8 in hexadecimal behind utf8Mark.
func (c *column) literal(text string) (string, error) {
	const digits, words = "0123456789+-.e", "0123456789abcdefABCDEF+-.: "
	switch {
	case isBinaryType(c.Type):
		return hexLiteral("", text)
	case isText(c.Type) || strings.HasPrefix(text, utf8Mark):
		set := c.Charset
		if set == "" {
			set = "utf8mb4"
		}
		if rest, ok := strings.CutPrefix(text, utf8Mark); ok {
			literal, err := hexLiteral("_utf8mb4 ", rest)
			return "CONVERT(" + literal + " USING " + set + ")", err
		}
		return hexLiteral("_"+set+" ", text)
	case c.isNumber():
		if text != "" && strings.Trim(text, digits) == "" {
			return text, nil
		}
	case text != "" && strings.Trim(text, words) == "":
		return quoteText(text), nil
	}
	return "", fmt.Errorf("%q is no value of column %s of type %s", text, c.Name, c.Full)
}

func hexLiteral(introducer, text string) (string, error) {
	if _, err := hex.DecodeString(text); err != nil {
		return "", fmt.Errorf("the bound %q: %w", text, err)
	}
	return introducer + "x'" + text + "'", nil
}
