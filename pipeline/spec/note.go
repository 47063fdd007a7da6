package spec

import "github.com/hashicorp/hcl/v2"

// Note is a second place that a diagnostic points to: "first defined here", one edge of a cycle.
type Note struct {
	Range hcl.Range
	Text  string
}

// Extra is what diagnostics carry beyond hcl's own fields, in hcl.Diagnostic.Extra.
type Extra struct {
	Notes []Note
	// Hide lists parts of the file that no output may show: a password written as a literal.
	Hide []hcl.Range
	// Missing names the attribute that is missing, so that a misspelt one can explain it.
	Missing string
	// Suggested is the name that the diagnostic suggests instead of the one found.
	Suggested string
}

// ExtraOf returns what d carries beyond hcl's own fields; an empty Extra where there is nothing.
func ExtraOf(d *hcl.Diagnostic) Extra {
	if e, ok := d.Extra.(*Extra); ok {
		return *e
	}
	return Extra{}
}

// errorAt makes an error diagnostic.
func errorAt(rng hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &rng}
}
