package expr

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/pipe-cdc/pipe/pipeline"
)

// convert reads a text constant as the type of the node that it is compared with.
func (c *compiler) convert(text, to *node) *node {
	s := text.val.View()
	out := *text
	out.kind = to.kind
	var ok bool
	form := ""
	switch to.kind {
	case pipeline.Date:
		out.val, ok = parseDate(s)
		form = "a date such as \"2024-02-29\""
	case pipeline.Time:
		out.val, ok = parseTime(s)
		form = "a time such as \"13:14:15\""
	case pipeline.Timestamp:
		out.val, ok = parseTimestamp(s)
		form = "a timestamp without a zone such as \"2024-02-29 13:14:15\""
	case pipeline.TimestampTZ:
		out.val, ok = parseTimestampTZ(s)
		form = "a timestamp such as \"2024-02-29T13:14:15Z\" (UTC where no zone is given)"
	case pipeline.UUID:
		var u string
		u, ok = parseUUID(s)
		out.val = pipeline.StringValue(pipeline.UUID, u)
		form = "a UUID such as \"6ba7b810-9dad-11d1-80b4-00c04fd430c8\""
	case pipeline.Bits:
		ok = strings.Trim(s, "01") == ""
		out.val = pipeline.StringValue(pipeline.Bits, s)
		form = "bits such as \"101\""
	case pipeline.JSON, pipeline.Bytes, pipeline.Interval, pipeline.Array, pipeline.Other:
		return text // ordered says why not
	default:
		return c.mismatch(text, to)
	}
	if !ok {
		return c.errorf(text.rng, "Not a value of the type", "%s is compared with %s, which is not %s.",
			to.describe(), text.describe(), form)
	}
	return &out
}

func (c *compiler) mismatch(text, to *node) *node {
	hint := ""
	d, ok := parseDecimal(text.val.View())
	switch {
	case ok && d.class == finite && to.kind.Numeric() && !text.secret:
		hint = " Write " + shorten(text.val.View()) + " without quotes."
	case to.kind == pipeline.Bool:
		hint = " Write true or false without quotes."
	}
	return c.errorf(text.rng, "Types do not match", "%s compared with text: %s and %s.%s",
		kindName(to.kind), to.describe(), text.describe(), hint)
}

// labels checks text constants that are compared with an enum.
func (c *compiler) labels(mask uint8, l, r *node, rng hcl.Range) bool {
	enum, other := l, r
	if len(l.labels) == 0 {
		enum, other = r, l
	}
	if !equality(mask) {
		c.errorf(rng, "No order", "%s is an enum: databases order it by its labels, not as text; only == "+
			"and != are allowed.",
			enum.describe())
		return false
	}
	if !other.constant() || other.secret {
		return true
	}
	value := other.val.View()
	parts := []string{value}
	if enum.column != nil && strings.HasPrefix(enum.column.Type, "set(") {
		parts = strings.Split(value, ",")
	}
	for _, p := range parts {
		if p != "" && !slices.Contains(enum.labels, p) {
			c.errorf(other.rng, "Unknown label", "%s has no label %q.%s", enum.describe(), shorten(p),
				didYouMean(p, enum.labels))
			return false
		}
	}
	return true
}

// parseUUID returns the canonical form of a UUID, with or without hyphens and braces.
func parseUUID(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}"))
	if len(s) == 36 {
		if s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
			return "", false
		}
		s = s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	}
	if len(s) != 32 || strings.Trim(s, "0123456789abcdef") != "" {
		return "", false
	}
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:], true
}
