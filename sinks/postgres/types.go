package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
)

// typeFor returns the type to create for a source's column: its own where the target knows it and it
// holds the column's values, else the one that holds its kind.
func typeFor(ctx context.Context, c *conn, s *pipeline.Schema, col *pipeline.Column) (string, error) {
	if s.System == pipeline.PostgreSQL && col.Type != "" {
		for _, t := range []string{col.Type, ident(s.Namespace) + "." + col.Type} {
			ok, err := known(ctx, c, t, col)
			if err != nil {
				return "", err
			}
			if ok {
				return t, nil
			}
		}
	}
	return typeOfKind(s, col), nil
}

// known reports whether the target has a type of that text that takes the column's values. The text
// comes from a source: to_regtype takes nothing but a type's name, and an error means no.
func known(ctx context.Context, c *conn, typ string, col *pipeline.Column) (bool, error) {
	rows, err := c.query(ctx, `WITH RECURSIVE base AS (SELECT t.* FROM pg_type t WHERE t.oid = to_regtype($1)
		UNION ALL SELECT t.* FROM base b JOIN pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd')
		SELECT oid, CASE WHEN typcategory = 'A' THEN typelem ELSE 0 END, typtype = 'e' FROM base WHERE typtype <> 'd'`, typ)
	if err != nil && sqlState(err) == "" {
		return false, err
	}
	if err != nil || len(rows) == 0 {
		return false, nil
	}
	oid, elem, enum := oidOf(rows[0][0]), oidOf(rows[0][1]), rows[0][2] == "t"
	if pgtext.Wire(col.Kind, oid, elem, enum) {
		return true, nil
	}
	return col.Kind == pipeline.Other || col.Kind == pipeline.Array || col.Kind == pipeline.Text &&
		!pgtext.Native(oid), nil
}

// typeOfKind returns a type that holds the kind's values as they are.
func typeOfKind(s *pipeline.Schema, col *pipeline.Column) string {
	switch col.Kind {
	case pipeline.Bool:
		return "boolean"
	case pipeline.Int:
		return integerType(s, col)
	case pipeline.Uint:
		return "numeric(20,0)"
	case pipeline.Float32:
		return "real"
	case pipeline.Float64:
		return "double precision"
	case pipeline.Decimal:
		if col.Precision > 0 && col.Precision <= 1000 {
			return fmt.Sprintf("numeric(%d,%d)", col.Precision, col.Scale)
		}
		return "numeric"
	case pipeline.Date:
		return "date"
	case pipeline.Time:
		return "time" + fraction(col)
	case pipeline.Timestamp:
		return "timestamp" + fraction(col)
	case pipeline.TimestampTZ:
		return "timestamp" + fraction(col) + " with time zone"
	case pipeline.Bytes:
		return "bytea"
	case pipeline.UUID:
		return "uuid"
	case pipeline.JSON:
		return "json"
	case pipeline.Bits:
		return "bit varying"
	case pipeline.Interval:
		return "interval"
	case pipeline.Array:
		if col.Elem != nil && col.Elem.Kind != pipeline.Other && col.Elem.Kind != pipeline.Array {
			return typeOfKind(s, col.Elem) + "[]"
		}
	}
	return "text"
}

func fraction(col *pipeline.Column) string {
	if col.Precision >= 0 && col.Precision < 6 {
		return fmt.Sprintf("(%d)", col.Precision)
	}
	return ""
}

// integerType returns the smallest integer type that holds the source's.
func integerType(s *pipeline.Schema, col *pipeline.Column) string {
	if s.System == pipeline.PostgreSQL {
		return "bigint"
	}
	base, _, _ := strings.Cut(strings.ToLower(col.Type), "(")
	unsigned := strings.Contains(strings.ToLower(col.Type), "unsigned")
	switch word, _, _ := strings.Cut(base, " "); word {
	case "tinyint", "year":
		return "smallint"
	case "smallint":
		if unsigned {
			return "integer"
		}
		return "smallint"
	case "mediumint":
		return "integer"
	case "int", "integer":
		if unsigned {
			return "bigint"
		}
		return "integer"
	}
	return "bigint"
}

// constant reports whether a default expression is a constant, which ADD COLUMN ... DEFAULT gives to
// the rows that are there already, as the source did.
func constant(expr string) bool {
	s := strings.TrimSpace(expr)
	if s == "" {
		return false
	}
	if strings.EqualFold(s, "true") || strings.EqualFold(s, "false") {
		return true
	}
	if s[0] == '\'' {
		return quotedConstant(s[1:])
	}
	s = strings.TrimPrefix(s, "-")
	digits := strings.TrimLeft(s, "0123456789.")
	return digits == "" && s != "" && strings.Count(s, ".") <= 1 && s != "."
}

// quotedConstant checks the rest of 'text' or 'text'::type after its first quote.
func quotedConstant(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			return false
		}
		if s[i] != '\'' {
			continue
		}
		if i+1 < len(s) && s[i+1] == '\'' {
			i++
			continue
		}
		rest := s[i+1:]
		return rest == "" || strings.HasPrefix(rest, "::") && plainType(rest[2:])
	}
	return false
}

func plainType(s string) bool {
	for _, r := range s {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune(` _.,()[]"`, r)
		if !ok {
			return false
		}
	}
	return s != "" && strings.Count(s, `"`)%2 == 0
}
