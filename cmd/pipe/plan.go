package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// planMode is that of a plan's file: it names tables and statements.
const planMode = 0o600

func planCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan [FILE|DIR|-]",
		Short: "Show what a start would do",
		Long: "Connects and shows what a start would do, before anything is changed: which tables are read and why,\n" +
			"which slots, publications, topics and tables are created or altered, with the statements, and where the\n" +
			"streams of changes go on. It needs no right to write, and takes no lock: the pipeline may be running.",
		Example: "  pipe plan shop.hcl\n" +
			"  pipe plan --exit-code shop.hcl                    exit code 4 where something would be done\n" +
			"  pipe plan --out shop.plan shop.hcl\n" +
			"  pipe run --plan shop.plan shop.hcl                start only if this is still the plan",
		Args: cobra.MaximumNArgs(1),
		RunE: plan,
	}
	configFlags(cmd)
	cmd.Flags().Bool("exit-code", false, "end with exit code 4 where something would be done")
	cmd.Flags().String("out", "", "write the plan to this file, for run --plan")
	return cmd
}

func plan(cmd *cobra.Command, args []string) error {
	o := outputOf(cmd)
	c, diags := loadConfig(cmd, args)
	if err := o.refused(cmd, c, diags); err != nil {
		return err
	}
	stop := o.asks()
	p, err := makePlan(cmd.Context(), c)
	stop()
	if err != nil {
		return asked(err)
	}
	if path := cmd.Flag("out").Value.String(); path != "" {
		if err := writePlan(path, p); err != nil {
			return err
		}
	}
	if err := o.result(cmd, p.Refused == 0, p.summary(), p, p.print); err != nil {
		return err
	}
	differs, _ := cmd.Flags().GetBool("exit-code")
	switch {
	case p.Refused > 0:
		return &exit{code: exitEnvironment}
	case differs && p.Changes > 0:
		return &exit{code: exitDiffers}
	}
	return nil
}

func writePlan(path string, p *planned) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(text, '\n'), planMode); err != nil {
		return usage("--out: %w", err)
	}
	return nil
}

// checkPlan refuses to go on where the plan that --plan names is not the plan any more.
func checkPlan(cmd *cobra.Command, c *config.Config) error {
	path := cmd.Flag("plan").Value.String()
	if path == "" {
		return nil
	}
	before, err := readPlan(path)
	if err != nil {
		return err
	}
	now, err := makePlan(cmd.Context(), c)
	if err != nil {
		return asked(err)
	}
	return now.check(before)
}

// summary says the plan in one line.
func (p *planned) summary() string {
	if p.Refused > 0 {
		return "the start would be refused: " + plural(p.Refused, "reason")
	}
	if p.Changes == 0 {
		return "nothing to do"
	}
	counts := map[spec.Verb]int{}
	var rows int64
	for _, n := range p.Nodes {
		for _, s := range n.Steps {
			if s.Later {
				continue
			}
			counts[s.Verb]++
			switch {
			case s.Size == nil || rows < 0:
			case s.Size.Rows < 0:
				rows = -1
			default:
				rows += s.Size.Rows
			}
		}
	}
	var parts []string
	for _, v := range []struct {
		verb spec.Verb
		text string
	}{{spec.Create, "to create"}, {spec.Alter, "to alter"}, {spec.Drop, "to drop"}, {spec.Forget, "to forget"}} {
		if n := counts[v.verb]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v.text))
		}
	}
	if n := counts[spec.Read] + counts[spec.Finish]; n > 0 {
		parts = append(parts, fmt.Sprintf("%s to read (%s rows)", plural(n, "table"), estimate(rows)))
	}
	return strings.Join(parts, ", ")
}

// print writes the plan for people.
func (p *planned) print(w io.Writer) {
	for _, n := range p.Nodes {
		if len(n.Steps) == 0 && n.Was == "" {
			continue
		}
		fmt.Fprintf(w, "%s (%s)\n", n.Address, n.Type)
		if n.Was != "" {
			fmt.Fprintf(w, "  = moved from %s: its positions go with it\n", n.Was)
		}
		for i := range n.Steps {
			printStep(w, &n.Steps[i])
		}
		fmt.Fprintln(w)
	}
	for _, r := range p.Removed {
		fmt.Fprintf(w, "%s\n  = removed from the configuration: its saved positions stay, and so does what it has at its server; "+
			"a replication slot that nobody reads keeps the log: drop it\n\n", r)
	}
	fmt.Fprintln(w, p.summary())
}

// sign stands for a verb in front of a line.
func sign(v spec.Verb) string {
	switch v {
	case spec.Create:
		return "+"
	case spec.Alter:
		return "~"
	case spec.Drop, spec.Forget:
		return "-"
	case spec.Read, spec.Finish:
		return ">"
	case spec.Refuse:
		return "!"
	}
	return "="
}

func printStep(w io.Writer, s *spec.Step) {
	line := fmt.Sprintf("  %s %s", sign(s.Verb), s.Verb)
	if s.Later {
		line = fmt.Sprintf("  = %s, when a first row comes,", s.Verb)
	}
	for _, part := range []string{s.What, s.Name} {
		if part != "" {
			line += " " + part
		}
	}
	if s.Place != "" {
		line += " at " + s.Place
	}
	if s.Size != nil {
		line += fmt.Sprintf(" (%s rows, %s)", estimate(s.Size.Rows), sizeText(s.Size.Bytes))
	}
	if s.Why != "" {
		line += ": " + s.Why
	}
	fmt.Fprintln(w, printable(line))
	if s.SQL != "" {
		fmt.Fprint(w, wrap(printable(s.SQL), "      ", 100))
	}
}
