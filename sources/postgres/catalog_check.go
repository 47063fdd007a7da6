package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// The codes of what the catalogue's check finds.
const (
	codeRowSecurity = "PG-101"
	codeIgnored     = "PG-102"
	codeNoIdentity  = "PG-103"
	codeUnreadable  = "PG-104"
	codeNoColumns   = "PG-105"
	codeTextOnly    = "PG-106"
	codeBigBytea    = "PG-107"
	codeGenerated   = "PG-108"
	codeInherited   = "PG-109"
	codePartitions  = "PG-110"
)

// bigRow is the average size of a row, in bytes, from which a bytea column is warned about.
const bigRow = 1 << 20

// check returns what stands in the way of reading the tables, or should be known.
func (c *catalog) check(picks []pick, settingsOf func(*relation) tableSettings) []spec.Finding {
	var out []spec.Finding
	for _, p := range picks {
		if !p.Taken {
			out = append(out, p.ignored()...)
			continue
		}
		out = append(out, c.checkAccess(p.relation)...)
		out = append(out, p.checkIdentity(settingsOf(p.relation))...)
		out = append(out, c.checkColumns(p.relation, settingsOf(p.relation))...)
	}
	return out
}

// ignored reports a relation that a pattern names although it cannot be read.
func (p *pick) ignored() []spec.Finding {
	if p.Stored() && !p.Unlogged || strings.HasPrefix(p.Why, "not ") || strings.HasPrefix(p.Why, "exclude") {
		return nil
	}
	f := spec.Finding{Severity: spec.Warning, Code: codeIgnored, Attr: "tables",
		Summary: fmt.Sprintf("%s is not read", p.relation), Detail: p.Why,
		Fix: fmt.Sprintf("exclude = [%q]", p.relation)}
	if p.Stored() && p.Unlogged {
		f.Fix = fmt.Sprintf("ALTER TABLE %s SET LOGGED", p.Quoted())
	}
	return []spec.Finding{f}
}

func (c *catalog) checkAccess(r *relation) []spec.Finding {
	var out []spec.Finding
	for _, leaf := range r.Leaves() {
		if leaf.Kind == kindForeign {
			out = append(out, spec.Finding{Severity: spec.Warning, Code: codeIgnored,
				Summary: fmt.Sprintf("partition %s of %s is not read", leaf, r),
				Detail:  "it is a foreign table: its changes are not in this server's WAL"})
		}
		// The snapshot reads the leaves, so theirs are the policies that count.
		if leaf.RowSecured && !c.Bypass && (leaf.Forced || !leaf.Owned) {
			out = append(out, spec.Finding{Severity: spec.Error, Code: codeRowSecurity,
				Summary: fmt.Sprintf("%s has row level security and role %s does not bypass it", leaf, c.Role),
				Detail:  "the snapshot would miss the rows that a policy hides, the stream would carry them",
				Fix:     fmt.Sprintf("ALTER ROLE %s BYPASSRLS", quoteName(c.Role))})
		}
		if !leaf.Readable {
			out = append(out, spec.Finding{Severity: spec.Error, Code: codeUnreadable,
				Summary: fmt.Sprintf("role %s may not read %s", c.Role, leaf),
				Detail:  "the snapshot needs SELECT on the table and USAGE on its schema",
				Fix: fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s; GRANT SELECT ON %s TO %s",
					quoteName(leaf.Namespace), quoteName(c.Role), leaf.Quoted(), quoteName(c.Role))})
		}
	}
	return out
}

func (p *pick) checkIdentity(s tableSettings) []spec.Finding {
	var out []spec.Finding
	for _, leaf := range p.Leaves() {
		why := leaf.noIdentity()
		if why == "" || leaf.Kind != kindTable {
			continue
		}
		out = append(out, spec.Finding{Severity: spec.Error, Code: codeNoIdentity,
			Summary: fmt.Sprintf("%s has no replica identity", leaf),
			Detail: why + "; once it is published, UPDATE and DELETE on it fail in the application. " +
				"Give it a primary key, or let its whole row identify it",
			Fix: fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL", leaf.Quoted())})
	}
	for _, name := range s.Key {
		a := p.Attribute(name)
		if a != nil && p.Identity != identityFull && !slices.Contains(p.keyNames(), name) {
			out = append(out, spec.Finding{Severity: spec.Error, Code: codeNoIdentity, Attr: "key",
				Summary: fmt.Sprintf("key column %s of %s is not in its replica identity", name, p.relation),
				Detail:  "updates and deletes would arrive without it",
				Fix:     fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL", p.Quoted())})
		}
	}
	return out
}

// noIdentity says why updates and deletes of the table cannot be published; "" if they can.
func (r *relation) noIdentity() string {
	switch {
	case r.Identity == identityNothing:
		return "it is set to REPLICA IDENTITY NOTHING"
	case r.Identity == identityDefault && len(r.Primary) == 0:
		return "it has no primary key"
	case r.Identity == identityIndex && len(r.Index) == 0:
		return "the index of its replica identity was dropped"
	}
	return ""
}

func (c *catalog) checkColumns(r *relation, s tableSettings) []spec.Finding {
	schema, err := c.schema(r, s)
	if err != nil {
		return []spec.Finding{{Severity: spec.Error, Code: codeNoColumns, Summary: err.Error()}}
	}
	var out []spec.Finding
	add := func(level spec.Severity, code, summary, detail, fix string) {
		out = append(out, spec.Finding{Severity: level, Code: code, Summary: summary, Detail: detail, Fix: fix})
	}
	if len(schema.Columns) == 0 {
		add(spec.Error, codeNoColumns, fmt.Sprintf("%s has no columns to read", r), "", "")
	}
	for i := range r.Columns {
		if a := &r.Columns[i]; a.Generated {
			add(spec.Info, codeGenerated, fmt.Sprintf("generated column %s.%s is left out", r, a.Name),
				"neither the snapshot nor the stream carries it", "")
		}
	}
	if r.Inherited {
		add(spec.Info, codeInherited, fmt.Sprintf("%s inherits from another table", r),
			"its rows come under its own name only", "")
	}
	if r.Kind == kindPartitioned {
		add(spec.Info, codePartitions, fmt.Sprintf("%s is partitioned", r),
			"the server sends nothing when a partition is truncated, dropped, attached or detached", "")
	}
	for i := range schema.Columns {
		col := &schema.Columns[i]
		if col.Kind == pipeline.Other {
			add(spec.Info, codeTextOnly, fmt.Sprintf("%s.%s of type %s is carried as text", r, col.Name, col.Type),
				"exactly as the server prints it", "")
		}
		if col.Kind == pipeline.Bytes && r.Rows > 0 && r.Bytes/r.Rows > bigRow {
			add(spec.Warning, codeBigBytea, fmt.Sprintf("%s.%s is a bytea and the rows are large", r, col.Name),
				"a value above 500 MB cannot be sent as text: such a row would stop the slot for ever",
				`binary = "on"`)
		}
	}
	return out
}
