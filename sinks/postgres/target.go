package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// target is one table that rows are written to, shared by the lanes. The binder's lock guards it.
type target struct {
	name    name
	table   *table
	sources []string // whose rows it takes: one, unless merge
	load    string   // the source whose unfinished first load fills it; "" where there is none
	fresh   bool     // it was empty when this run first saw it, and only a snapshot wrote to it since
	made    bool     // by the sink: its constraints are the sink's own
	clashed bool     // an inserted row was there already: no more guessing that keys are new
	// deferred says that its key is made once it is loaded: till then it takes nothing but new rows.
	deferred bool
	sifted   bool // keys that are written are remembered until a sweep
	version  int  // rises with every change of the table that the sink makes
}

// targetName works out where a table's rows go.
func (c *Config) targetName(s *pipeline.Schema) (name, error) {
	n := name{schema: s.Namespace, table: s.Table}
	if n.schema == "" {
		n.schema = s.Database
	}
	text := s.Target
	if c.Into.IsSet() {
		var err error
		if text, err = c.Into.Text(s); err != nil {
			return n, err
		}
	}
	if text != "" {
		n = parseName(text, n.schema)
	}
	for _, part := range []string{n.schema, n.table} {
		if err := checkName(part); err != nil {
			return n, err
		}
	}
	return n, nil
}

// parseName splits schema.table at the first dot outside double quotes; without a dot the table is in
// the given schema.
func parseName(text, schema string) name {
	quoted := false
	for i, r := range text {
		switch {
		case r == '"':
			quoted = !quoted
		case r == '.' && !quoted:
			return name{unquote(text[:i]), unquote(text[i+1:])}
		}
	}
	return name{schema, unquote(text)}
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return strings.ReplaceAll(s[1:len(s)-1], `""`, `"`)
	}
	return s
}

// checkName refuses what the server would cut off or misunderstand.
func checkName(s string) error {
	switch {
	case s == "":
		return errors.New("the target's name is empty")
	case len(s) > maxNameSize:
		return fmt.Errorf("the name %q has %d bytes, PostgreSQL keeps %d", s, len(s), maxNameSize)
	case strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("the name %q contains a NUL byte", s)
	}
	return nil
}

// sourceOf names the table that rows of a stream come from, for telling two apart.
func sourceOf(stream pipeline.Stream, s *pipeline.Schema) string {
	return stream.Address() + " " + s.Name()
}

// joinSource records a source of the target, and refuses a second one unless merge is set.
func (t *target) joinSource(source string, merge bool) error {
	for _, s := range t.sources {
		if s == source {
			return nil
		}
	}
	if len(t.sources) > 0 && !merge {
		return &pipeline.Error{Class: pipeline.Input, Table: t.name.String(),
			Err:  fmt.Errorf("two tables are written to it: %s and %s", t.sources[0], source),
			Hint: "Give them different targets with into, or set merge = true"}
	}
	t.sources = append(t.sources, source)
	return nil
}

// empty reports whether the target has no rows.
func (t *target) empty(ctx context.Context, c *conn) (bool, error) {
	rows, err := c.query(ctx, "SELECT NOT EXISTS (SELECT FROM "+t.name.sql()+")")
	if err != nil {
		return false, err
	}
	return rows[0][0] == "t", nil
}
