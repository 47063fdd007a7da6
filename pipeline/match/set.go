package match

import "strings"

// The most parts that a pattern may have: database.schema.table, and a column after it.
const (
	tableParts  = 3
	columnParts = 4
)

// Set is a compiled list of table patterns. It is immutable.
type Set struct {
	patterns []pattern
}

// New compiles table patterns. The error names the first pattern that is wrong and why.
func New(patterns []string) (*Set, error) {
	list, err := compileAll(patterns, tableParts)
	if err != nil {
		return nil, err
	}
	return &Set{patterns: list}, nil
}

// Len returns the number of patterns.
func (s *Set) Len() int { return len(s.patterns) }

// Match returns the pattern that names the table. In MariaDB, where the database is the namespace,
// schema is "" (or the database again).
func (s *Set) Match(database, schema, name string) (pattern string, ok bool) {
	i := s.Index(database, schema, name)
	if i < 0 {
		return "", false
	}
	return s.patterns[i].text, true
}

// Index is Match by the pattern's index in the list given to New, -1 where none matches.
func (s *Set) Index(database, schema, name string) int {
	return find(s.patterns, qualify(database, schema, name))
}

// Columns is a compiled list of column patterns. It is immutable.
type Columns struct {
	patterns []pattern
}

// NewColumns compiles column patterns: "column", "table.column", "schema.table.column" or
// "database.schema.table.column". A regular expression is matched against "table.column".
func NewColumns(patterns []string) (*Columns, error) {
	list, err := compileAll(patterns, columnParts)
	if err != nil {
		return nil, err
	}
	return &Columns{patterns: list}, nil
}

// Len returns the number of patterns.
func (c *Columns) Len() int { return len(c.patterns) }

// Index returns the index of the pattern that names the column, -1 where none does.
func (c *Columns) Index(database, schema, table, column string) int {
	return find(c.patterns, append(qualify(database, schema, table), column))
}

func compileAll(texts []string, limit int) ([]pattern, error) {
	list := make([]pattern, 0, len(texts))
	for _, text := range texts {
		p, err := compile(text, limit)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// qualify lists the parts of a table's name: the database only where it is not the namespace.
func qualify(database, schema, name string) []string {
	if schema == "" {
		schema = database
	}
	if database == "" || database == schema {
		return []string{schema, name}
	}
	return []string{database, schema, name}
}

// find returns the exact pattern that matches, else the first that does, else -1.
func find(list []pattern, names []string) int {
	first := -1
	for i := range list {
		if !list[i].match(names) {
			continue
		}
		if list[i].exact {
			return i
		}
		if first < 0 {
			first = i
		}
	}
	return first
}

// Names splits a table pattern into the names of database, schema and table, as they are compared: "*"
// where it does not say. ok is false for one that does not tell them, such as a regular expression.
func Names(text string) (database, schema, table string, ok bool) {
	p, err := compile(text, tableParts)
	if err != nil || p.re != nil {
		return "", "", "", false
	}
	names := [tableParts]string{"*", "*", "*"}
	for i, one := range p.parts {
		names[tableParts-len(p.parts)+i] = strings.Join(one.pieces, "*")
	}
	return names[0], names[1], names[2], true
}
