package match

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// pattern is one compiled pattern: a regular expression, or parts from left to right.
type pattern struct {
	text  string
	re    *regexp.Regexp
	parts []part
	exact bool // no "*" and no regular expression
}

// part is one dotted part: literal pieces that "*" separates.
type part struct {
	pieces []string
}

// compile reads one pattern of at most limit parts.
func compile(text string, limit int) (pattern, error) {
	p := pattern{text: text}
	if expr, ok := strings.CutPrefix(text, "~"); ok {
		re, err := regexp.Compile(expr)
		if err != nil {
			return p, fmt.Errorf("pattern %q: %w", text, err)
		}
		p.re = re
		return p, nil
	}
	p.exact = true
	for rest, more := text, true; more; {
		var one part
		var err error
		one, rest, more, err = cutPart(rest)
		if err != nil {
			return p, fmt.Errorf("pattern %q: %w", text, err)
		}
		p.parts = append(p.parts, one)
		p.exact = p.exact && len(one.pieces) == 1
	}
	if len(p.parts) > limit {
		return p, fmt.Errorf("pattern %q has %d parts, at most %d are allowed; quote a part that has a dot in it",
			text, len(p.parts), limit)
	}
	return p, nil
}

// cutPart takes the first part off s; more says that a dot followed it.
func cutPart(s string) (one part, rest string, more bool, err error) {
	if strings.HasPrefix(s, `"`) {
		return cutQuoted(s[1:])
	}
	text, rest, more := strings.Cut(s, ".")
	if text == "" {
		return one, "", false, errors.New("a part is empty")
	}
	if strings.Contains(text, `"`) {
		return one, "", false, errors.New("a double quote may only surround a whole part")
	}
	return part{pieces: strings.Split(text, "*")}, rest, more, nil
}

// cutQuoted takes a part off s, which begins after its opening quote; "" inside is one quote.
func cutQuoted(s string) (one part, rest string, more bool, err error) {
	var b strings.Builder
	for {
		text, after, ok := strings.Cut(s, `"`)
		if !ok {
			return one, "", false, errors.New("a double quote is not closed")
		}
		b.WriteString(text)
		if !strings.HasPrefix(after, `"`) {
			s = after
			break
		}
		b.WriteByte('"')
		s = after[1:]
	}
	if s != "" && s[0] != '.' {
		return one, "", false, errors.New("a double quote may only surround a whole part")
	}
	rest, more = strings.CutPrefix(s, ".")
	return part{pieces: []string{b.String()}}, rest, more, nil
}

// match reports whether the pattern names the object of those parts, aligned at the right.
func (p *pattern) match(names []string) bool {
	if p.re != nil {
		return p.re.MatchString(strings.Join(names[max(0, len(names)-2):], "."))
	}
	if len(p.parts) > len(names) {
		return false
	}
	names = names[len(names)-len(p.parts):]
	for i := range p.parts {
		if !p.parts[i].match(names[i]) {
			return false
		}
	}
	return true
}

func (p part) match(s string) bool {
	first, last := p.pieces[0], p.pieces[len(p.pieces)-1]
	if len(p.pieces) == 1 {
		return s == first
	}
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, piece := range p.pieces[1 : len(p.pieces)-1] {
		i := strings.Index(s, piece)
		if i < 0 {
			return false
		}
		s = s[i+len(piece):]
	}
	return true
}
