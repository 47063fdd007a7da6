package mariadb

import (
	"strings"
)

// verb says what a statement in the log means to a reader of rows.
type verb uint8

const (
	verbOther    verb = iota // nothing to rows or shapes of tables
	verbCommit               // ends a group
	verbRollback             // ends a group whose rows do not count
	verbUndo                 // ROLLBACK TO a savepoint
	verbXA                   // XA ...
	verbChange               // rows changed by a statement: their tables are among the names
	verbTruncate             // the first name is empty now
	verbShape                // tables may have changed their shape
	verbMade                 // the first name is a table now, and empty if it was none before
	verbLossy                // rows of the tables named went or came without being in the log
	verbDrop                 // the tables named are gone
)

// name is a table's name in a statement.
type name struct {
	Database string // "": the statement's own
	Table    string
}

// statement is what could be read of a statement. Only what it means to rows is looked at: shapes of
// tables are never taken from its text.
type statement struct {
	Verb  verb
	Names []name
}

// token is a word, a quoted name or a single other character.
type token struct {
	text    string
	quoted  bool // a name in backquotes or double quotes
	literal bool
}

// is compares a word that is not quoted.
func (t token) is(word string) bool {
	return !t.quoted && !t.literal && strings.EqualFold(t.text, word)
}

// scanner reads tokens; comments are passed over, but for the executable ones.
type scanner struct {
	sql string
}

// next returns the next token; ok is false at the end.
func (s *scanner) next() (t token, ok bool) {
	if !s.space() {
		return t, false
	}
	switch c := s.sql[0]; {
	case c == '`' || c == '"':
		return token{text: s.quoted(c), quoted: true}, true
	case c == '\'':
		return token{text: s.quoted(c), literal: true}, true
	case isWord(c):
		n := 1
		for n < len(s.sql) && isWord(s.sql[n]) {
			n++
		}
		t.text, s.sql = s.sql[:n], s.sql[n:]
		return t, true
	}
	t.text, s.sql = s.sql[:1], s.sql[1:]
	return t, true
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

// space passes over white space and comments; false at the end.
func (s *scanner) space() bool {
	for {
		s.sql = strings.TrimLeft(s.sql, " \t\r\n\v\f")
		var more bool
		switch {
		case strings.HasPrefix(s.sql, "/*!"), strings.HasPrefix(s.sql, "/*M!"):
			_, s.sql, _ = strings.Cut(s.sql, "!")
			s.sql = strings.TrimLeft(s.sql, "0123456789")
			continue
		case strings.HasPrefix(s.sql, "*/"):
			s.sql = s.sql[2:]
			continue
		case strings.HasPrefix(s.sql, "/*"):
			_, s.sql, more = strings.Cut(s.sql[2:], "*/")
		case strings.HasPrefix(s.sql, "#"), strings.HasPrefix(s.sql, "-- "):
			_, s.sql, more = strings.Cut(s.sql, "\n")
		default:
			return s.sql != ""
		}
		if !more {
			s.sql = ""
			return false
		}
	}
}

// quoted reads up to the closing quote.
func (s *scanner) quoted(quote byte) string {
	var b strings.Builder
	for i := 1; i < len(s.sql); i++ {
		c := s.sql[i]
		if c == '\\' && quote != '`' && i+1 < len(s.sql) {
			i++
			c = s.sql[i]
		} else if c == quote {
			if i+1 == len(s.sql) || s.sql[i+1] != quote {
				s.sql = s.sql[i+1:]
				return b.String()
			}
			i++
		}
		b.WriteByte(c)
	}
	s.sql = ""
	return b.String()
}

// parser reads a statement.
type parser struct {
	tokens []token
}

// maxTokens bounds how much of a statement is looked at.
const maxTokens = 1 << 16

func parseStatement(sql string) statement {
	var p parser
	sc := scanner{sql: sql}
	for t, ok := sc.next(); ok && len(p.tokens) < maxTokens; t, ok = sc.next() {
		p.tokens = append(p.tokens, t)
	}
	if p.take("SET") && p.take("STATEMENT") {
		for len(p.tokens) > 0 && !p.take("FOR") {
			p.tokens = p.tokens[1:]
		}
	}
	return p.statement()
}

// take passes over a word where it comes next.
func (p *parser) take(word string) bool {
	if len(p.tokens) == 0 || !p.tokens[0].is(word) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

// has reports whether a word comes later on.
func (p *parser) has(words ...string) bool {
	for _, t := range p.tokens {
		for _, word := range words {
			if t.is(word) {
				return true
			}
		}
	}
	return false
}

func (p *parser) statement() statement {
	switch {
	case p.take("BEGIN"), p.take("SAVEPOINT"), p.take("RELEASE"), p.take("START"):
		return statement{Verb: verbOther}
	case p.take("COMMIT"):
		return statement{Verb: verbCommit}
	case p.take("ROLLBACK"):
		if p.has("TO") {
			return statement{Verb: verbUndo}
		}
		return statement{Verb: verbRollback}
	case p.take("XA"):
		return statement{Verb: verbXA}
	case p.take("INSERT"), p.take("REPLACE"), p.take("UPDATE"), p.take("DELETE"), p.take("LOAD"), p.take("WITH"):
		return statement{Verb: verbChange, Names: p.allNames()}
	case p.take("TRUNCATE"):
		p.take("TABLE")
		return statement{Verb: verbTruncate, Names: p.names(1)}
	case p.take("ALTER"):
		return p.alter()
	case p.take("RENAME"):
		return p.rename()
	case p.take("DROP"):
		p.take("TEMPORARY")
		if p.take("TABLE") || p.take("TABLES") {
			p.exists()
			return statement{Verb: verbDrop, Names: p.names(maxTokens)}
		}
	case p.take("CREATE"):
		return p.create()
	}
	return statement{Verb: verbShape}
}

func (p *parser) exists() {
	if p.take("IF") {
		p.take("NOT")
		p.take("EXISTS")
	}
}

func (p *parser) alter() statement {
	p.take("ONLINE")
	p.take("IGNORE")
	if !p.take("TABLE") {
		return statement{Verb: verbShape}
	}
	p.exists()
	out := statement{Verb: verbShape, Names: p.names(1)}
	partition := p.has("PARTITION") && p.has("DROP", "TRUNCATE", "EXCHANGE", "CONVERT")
	if partition || p.has("TABLESPACE") && p.has("DISCARD", "IMPORT") {
		out.Verb = verbLossy
	}
	return out
}

// rename finds the tables that get rows of another one: those after TO.
func (p *parser) rename() statement {
	out := statement{Verb: verbShape}
	for len(p.tokens) > 0 {
		if !p.take("TO") {
			p.tokens = p.tokens[1:]
			continue
		}
		out.Verb = verbLossy
		out.Names = append(out.Names, p.names(1)...)
	}
	return out
}

// create: replacing a table empties it, whatever it had.
func (p *parser) create() statement {
	replace := p.take("OR") && p.take("REPLACE")
	if p.take("TEMPORARY") {
		return statement{Verb: verbOther}
	}
	if !p.take("TABLE") {
		return statement{Verb: verbShape}
	}
	p.exists()
	out := statement{Verb: verbMade, Names: p.names(1)}
	if replace {
		out.Verb = verbTruncate
	}
	return out
}

// names reads a list of at most n names.
func (p *parser) names(n int) []name {
	var out []name
	for len(p.tokens) > 0 && len(out) < n {
		one := name{Table: p.tokens[0].text}
		p.tokens = p.tokens[1:]
		if len(p.tokens) > 1 && p.tokens[0].text == "." && !p.tokens[0].quoted {
			one.Database, one.Table = one.Table, p.tokens[1].text
			p.tokens = p.tokens[2:]
		}
		out = append(out, one)
		if len(p.tokens) == 0 || p.tokens[0].text != "," {
			break
		}
		p.tokens = p.tokens[1:]
	}
	return out
}

// allNames returns everything that may be a table's name.
func (p *parser) allNames() []name {
	var out []name
	for i, t := range p.tokens {
		if t.literal {
			continue
		}
		one := name{Table: t.text}
		if i >= 2 && p.tokens[i-1].text == "." && !p.tokens[i-1].quoted {
			one.Database = p.tokens[i-2].text
		}
		out = append(out, one)
	}
	return out
}
