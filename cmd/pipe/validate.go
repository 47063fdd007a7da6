package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/config/diag"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

func validateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate [FILE|DIR|-]",
		Short: "Check a configuration, offline or against the servers it names",
		Long: "Checks a configuration and reports everything that is wrong with it in one run. Without --connect\n" +
			"nothing is contacted. With it, servers, grants, settings, tables, keys and topics are checked too, and\n" +
			"nothing is changed.",
		Example: "  pipe validate shop.hcl\n" +
			"  pipe validate --connect shop.hcl\n" +
			"  pipe validate --no-env --format=github .     in a workflow, without the environment",
		Args: cobra.MaximumNArgs(1),
		RunE: validate,
	}
	configFlags(cmd)
	cmd.Flags().Bool("connect", false, "also connect to the servers and check what is there")
	cmd.Flags().Bool("no-env", false, "let unset environment variables pass")
	cmd.Flags().Bool("strict", false, "take warnings as errors")
	cmd.Flags().String("format", "text", "how problems are printed: text or github")
	cmd.MarkFlagsMutuallyExclusive("connect", "no-env")
	return cmd
}

// verdict is the result of validate.
type verdict struct {
	Diagnostics []diag.Diagnostic `json:"diagnostics"`
	Findings    []finding         `json:"findings,omitempty"` // of --connect
	Nodes       []string          `json:"nodes"`
}

func validate(cmd *cobra.Command, args []string) error {
	if f := cmd.Flag("format").Value.String(); f != "text" && f != "github" {
		return usage("--format is text or github, not %q", f)
	}
	o := outputOf(cmd)
	c, diags := loadConfig(cmd, args)
	v := verdict{Nodes: []string{}}
	connect, _ := cmd.Flags().GetBool("connect")
	if connect && !diags.HasErrors() {
		stop := o.asks()
		v.Findings = checkNodes(cmd.Context(), c)
		stop()
		for _, f := range v.Findings {
			diags = append(diags, f.diagnostics(c)...)
		}
	}
	for _, n := range c.Nodes {
		v.Nodes = append(v.Nodes, n.Address)
	}
	v.Diagnostics = diag.From(diags, c.Files)
	code := verdictCode(cmd, diags, v.Findings)
	o.diagnostics(c, diags)
	summary := summaryOf(c, diags, code == exitOK)
	err := o.result(cmd, code == exitOK, summary, v, func(w io.Writer) {
		for _, f := range v.Findings {
			if f.Severity == "info" {
				fmt.Fprintf(w, "%s: %s\n", f.Node, printable(f.Summary))
			}
		}
		switch {
		case code == exitOK:
			fmt.Fprintln(w, summary)
		case !o.github:
			fmt.Fprintln(o.err, summary)
		}
	})
	if err != nil || code == exitOK {
		return err
	}
	return &exit{code: code}
}

// verdictCode is the exit code: 3 where a server could not be asked, 2 where something is wrong.
func verdictCode(cmd *cobra.Command, diags hcl.Diagnostics, found []finding) int {
	strict, _ := cmd.Flags().GetBool("strict")
	if !diags.HasErrors() && !(strict && len(diags) > 0) {
		return exitOK
	}
	for _, f := range found {
		if f.Unreachable && f.Severity == "error" {
			return exitEnvironment
		}
	}
	return exitInput
}

func summaryOf(c *config.Config, diags hcl.Diagnostics, ok bool) string {
	counts := ""
	if len(diags) > 0 {
		counts = countText(diags)
	}
	if !ok {
		return counts
	}
	summary := fmt.Sprintf("valid: %s, %s, %s", plural(len(c.Kind("source")), "source"),
		plural(len(c.Kind("transform")), "transform"), plural(len(c.Kind("sink")), "sink"))
	if counts != "" {
		summary += " (" + strings.TrimPrefix(counts, "0 errors, ") + ")"
	}
	return summary
}

// finding is one result of --connect, as JSON has it.
type finding struct {
	Node        string `json:"node"`
	Severity    string `json:"severity"`
	Code        string `json:"code,omitempty"`
	Summary     string `json:"summary"`
	Detail      string `json:"detail,omitempty"`
	Fix         string `json:"fix,omitempty"`
	Unreachable bool   `json:"unreachable,omitempty"`

	attr string
	at   *hcl.Range // nil: at attr
}

func findingOf(n *config.Node, f spec.Finding) finding {
	severity := map[spec.Severity]string{spec.Info: "info", spec.Warning: "warning",
		spec.Error: "error"}[f.Severity]
	return finding{Node: n.Address, Severity: severity, Code: f.Code, Summary: f.Summary, Detail: f.Detail,
		Fix: f.Fix, Unreachable: f.Unreachable, attr: f.Attr}
}

// diagnostics turns a finding into one at the attribute that it is about; nothing for information.
func (f finding) diagnostics(c *config.Config) hcl.Diagnostics {
	n := c.Node(f.Node)
	if f.Severity == "info" || n == nil {
		return nil
	}
	rng := n.Range
	if a := n.Block.Attribute(f.attr); a != nil && a.IsSet() {
		rng = a.AttrRange()
	}
	if f.at != nil {
		rng = *f.at
	}
	detail := f.Node + ": " + strings.TrimPrefix(f.Detail, f.Node+": ")
	if f.Detail == "" {
		detail = f.Node
	}
	if f.Fix != "" {
		detail += "\nFix: " + f.Fix
	}
	summary := f.Summary
	if f.Code != "" {
		summary += " [" + f.Code + "]"
	}
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &rng}
	if f.Severity == "warning" {
		d.Severity = hcl.DiagWarning
	}
	return hcl.Diagnostics{d}
}
