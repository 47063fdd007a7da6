package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline"
)

func verifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [FILE|DIR|-]",
		Short: "Compare source and target, row by row",
		Long: "Reads the source's tables, passes the rows through the transforms and compares them with what the\n" +
			"target has, by the target's own types, while the pipeline runs or stands. Rows that differ are looked at\n" +
			"again once the target has reached the place in the stream at which they were read, so that what is only on\n" +
			"its way is no difference. It writes nothing to the source, and to the target temporary tables only.\n" +
			"It ends with exit code 4 where a row differs, or nothing could be compared.",
		Example: "  pipe verify shop.hcl\n" +
			"  pipe verify --table 'public.o*' --json shop.hcl\n" +
			"  pipe verify --repair shop.hcl               read what differs again",
		Args: cobra.MaximumNArgs(1),
		RunE: verify,
	}
	configFlags(cmd)
	cmd.Flags().StringArray("table", nil, "only the tables that this pattern names (repeatable)")
	cmd.Flags().Duration("wait", time.Minute, "how long to wait for the target to reach what was read")
	cmd.Flags().Bool("live", false, "the pipeline runs: what it has not delivered yet is undecided, never a difference")
	cmd.Flags().Bool("repair", false, "ask for a snapshot of the rows that are missing or differ")
	return cmd
}

// verified is what became of one table in one sink.
type verified struct {
	Source    string       `json:"source"`
	Table     string       `json:"table"`
	Sink      string       `json:"sink"`
	Skipped   string       `json:"skipped,omitempty"` // why it was not compared
	Rows      int64        `json:"rows"`              // compared
	Missing   int          `json:"missing"`
	Extra     int          `json:"extra"`
	Different int          `json:"different"`
	Undecided int          `json:"undecided"` // changed whenever it was looked at, or not delivered in time
	Found     []difference `json:"found,omitempty"`
	Notes     []string     `json:"notes,omitempty"`
	Seconds   float64      `json:"seconds"`

	schema *pipeline.Schema // at the source
	repair [][]string       // keys at the source of what is missing or differs
}

// difference is one row.
type difference struct {
	Kind    string   `json:"kind"` // "missing", "extra", "different"
	Key     string   `json:"key"`
	Columns []string `json:"columns,omitempty"`
}

func (v *verified) differs() int { return v.Missing + v.Extra + v.Different }

func verify(cmd *cobra.Command, args []string) error {
	o := outputOf(cmd)
	c, diags := loadConfig(cmd, args)
	if err := o.refused(cmd, c, diags); err != nil {
		return err
	}
	v := &verifier{config: c}
	v.patterns, _ = cmd.Flags().GetStringArray("table")
	v.wait, _ = cmd.Flags().GetDuration("wait")
	v.live, _ = cmd.Flags().GetBool("live")
	v.line = newWaitLine(o)
	all, err := v.run(cmd.Context())
	if err != nil {
		return asked(err)
	}
	if repair, _ := cmd.Flags().GetBool("repair"); repair {
		if err := v.repair(cmd.Context(), all); err != nil {
			return err
		}
	}
	differ := 0
	for i := range all {
		differ += all[i].differs()
	}
	compared := slices.ContainsFunc(all, func(v verified) bool { return v.Skipped == "" })
	err = o.result(cmd, compared && differ == 0, verifySummary(all), all, func(w io.Writer) { printVerified(w, all) })
	if err == nil && (differ > 0 || !compared) {
		return &exit{code: exitDiffers}
	}
	return err
}

func verifySummary(all []verified) string {
	var rows int64
	differ, undecided, compared := 0, 0, 0
	for i := range all {
		rows += all[i].Rows
		differ += all[i].differs()
		undecided += all[i].Undecided
		if all[i].Skipped == "" {
			compared++
		}
	}
	out := fmt.Sprintf("%s, %s rows compared: ", plural(compared, "table"), grouped(rows))
	switch {
	case compared == 0:
		return "nothing was compared"
	case differ == 0:
		out += "equal"
	case differ == 1:
		out += "1 row differs"
	default:
		out += plural(differ, "row") + " differ"
	}
	if undecided > 0 {
		out += fmt.Sprintf(", %s undecided", plural(undecided, "row"))
	}
	return out
}

func printVerified(w io.Writer, all []verified) {
	rows := [][]string{{"TABLE", "SOURCE", "SINK", "ROWS", "MISSING", "EXTRA", "DIFFERENT", "UNDECIDED", "TOOK"}}
	for i := range all {
		v := &all[i]
		if v.Skipped != "" {
			rows = append(rows, []string{v.Table, v.Source, v.Sink, "-", "-", "-", "-", "-", "not compared: " + v.Skipped})
			continue
		}
		took := time.Duration(v.Seconds * float64(time.Second)).Round(time.Millisecond)
		rows = append(rows, []string{v.Table, v.Source, v.Sink, grouped(v.Rows), fmt.Sprint(v.Missing), fmt.Sprint(v.Extra),
			fmt.Sprint(v.Different), fmt.Sprint(v.Undecided), took.String()})
	}
	table(w, rows)
	for i := range all {
		printFound(w, &all[i])
	}
	fmt.Fprintf(w, "\n%s\n", verifySummary(all))
}

func printFound(w io.Writer, v *verified) {
	if len(v.Found)+len(v.Notes) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s in %s\n", v.Table, v.Sink)
	for _, d := range v.Found {
		line := "  " + d.Kind + " " + d.Key
		if len(d.Columns) > 0 {
			line += ": " + strings.Join(d.Columns, ", ")
		}
		fmt.Fprintln(w, printable(line))
	}
	if more := v.differs() - len(v.Found); more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
	for _, note := range v.Notes {
		fmt.Fprint(w, wrap(printable(note), "  ", 100))
	}
}
