package postgres

import "strings"

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
