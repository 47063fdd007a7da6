package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/control"
)

func statusCommand() *cobra.Command {
	return remoteFlags(withConfig(&cobra.Command{
		Use:   "status [FILE|DIR]",
		Short: "Show how a pipeline is doing",
		Long: "Asks the running pipeline how far it is: lag, rows, the snapshots of its tables, what fails. Of one that\n" +
			"does not run it shows what is stored. The exit code is 0 where the pipeline runs and is ready, 4 where it\n" +
			"does not run, stands still, fails, or is beyond its lag objective.",
		Example: "  pipe status shop.hcl\n" +
			"  pipe status --json shop.hcl\n" +
			"  pipe status --at https://db1:8080 --ca ca.pem shop.hcl      on another machine",
		Args: cobra.MaximumNArgs(1),
		RunE: status,
	}))
}

func withConfig(cmd *cobra.Command) *cobra.Command {
	configFlags(cmd)
	return cmd
}

// shownStatus is the result of pipe status.
type shownStatus struct {
	Running bool            `json:"running"`
	Socket  string          `json:"socket"`
	Holder  string          `json:"holder,omitempty"` // who has the state although nobody listens
	Status  *control.Status `json:"status,omitempty"`
	Stored  *storedState    `json:"stored,omitempty"` // where it does not run
}

func status(cmd *cobra.Command, args []string) error {
	t, err := findTarget(cmd, args)
	if err != nil {
		return err
	}
	o := outputOf(cmd)
	shown := shownStatus{Running: t.client != nil, Socket: controlSocket(t.config)}
	name := t.config.Settings.Name
	if shown.Running {
		shown.Status = &t.status
		summary := fmt.Sprintf("%s is %s", name, readiness(&t.status))
		err = o.result(cmd, t.status.Ready, summary, shown, func(w io.Writer) { printStatus(w, &t.status, time.Now()) })
		if err == nil && !t.status.Ready {
			err = &exit{code: exitDiffers}
		}
		return err
	}
	if shown.Holder, err = t.holder(cmd.Context()); err != nil {
		return asked(err)
	}
	if shown.Stored, err = readStored(cmd.Context(), t.config); err != nil {
		return asked(err)
	}
	summary := name + " does not run"
	if shown.Holder != "" {
		summary = fmt.Sprintf("%s is run by %s, which cannot be asked: nobody listens at %s", name,
			shown.Holder, shown.Socket)
	}
	err = o.result(cmd, false, summary, shown, func(w io.Writer) {
		fmt.Fprintln(w, printable(summary))
		printStored(w, shown.Stored)
	})
	if err != nil {
		return err
	}
	return &exit{code: exitDiffers}
}

func readiness(s *control.Status) string {
	if s.Ready {
		return "ready"
	}
	return "not ready: " + strings.Join(s.Reasons, "; ")
}

// printStatus shows a running pipeline.
func printStatus(w io.Writer, s *control.Status, now time.Time) {
	fmt.Fprintf(w, "%s  %s for %s (process %d, pipe %s)\n", s.Pipeline, s.Phase, short(now.Sub(s.Started)), s.PID,
		s.Version)
	if s.Ready {
		fmt.Fprintln(w, "ready")
	}
	for _, r := range s.Reasons {
		fmt.Fprintf(w, "not ready: %s\n", printable(r))
	}
	if f := s.Failure; f != nil {
		fmt.Fprintf(w, "%s, the last one %s: %s\n", plural(int(s.Restarts), "failure"), ago(now.Sub(f.At)),
			printable(f.Err().Error()))
	}
	saved := "nothing saved yet"
	if !s.LastSave.IsZero() {
		saved = "saved " + ago(now.Sub(s.LastSave))
	}
	flying := fmt.Sprintf("%d batches", s.InFlightBatches)
	if s.InFlightBatches == 1 {
		flying = "1 batch"
	}
	fmt.Fprintf(w, "%s, %s in flight (%s)\n\n", saved, flying, size(s.InFlightBytes))
	rows := [][]string{{"NODE", "ROWS", "SIZE", "ERRORS", "IS"}}
	for i := range s.Sources {
		rows = append(rows, append(nodeCells(&s.Sources[i].Node), sourceText(&s.Sources[i])))
	}
	for i := range s.Transforms {
		n := &s.Transforms[i]
		rows = append(rows, append(nodeCells(n), grouped(n.RowsIn)+" rows in"))
	}
	for i := range s.Sinks {
		rows = append(rows, nodeCells(&s.Sinks[i]))
	}
	table(w, rows)
	printLedger(w, s.Sources, false)
}

func nodeCells(n *control.Node) []string {
	bytes := "-"
	if n.Bytes > 0 {
		bytes = size(n.Bytes)
	}
	return []string{n.Address, grouped(n.Rows), bytes, grouped(n.Errors)}
}

// sourceText says what a source is at: "streaming, 1.2 MB and 3s behind, 16 MB retained upstream".
func sourceText(s *control.Source) string {
	parts := []string{dash(s.Phase)}
	lag := time.Duration(-1)
	if s.LagSeconds >= 0 {
		lag = time.Duration(s.LagSeconds * float64(time.Second))
	}
	switch {
	case s.LagBytes > 0 || lag > 0:
		parts = append(parts, behind(&pipeline.Report{LagBytes: s.LagBytes, LagTime: lag}))
	case s.LagBytes == 0:
		parts = append(parts, "nothing behind")
	}
	if s.RetainedBytes >= 0 {
		parts = append(parts, size(s.RetainedBytes)+" retained upstream")
	}
	return strings.Join(parts, ", ")
}

// printLedger shows what is known of the tables' snapshots.
func printLedger(w io.Writer, sources []control.Source, stored bool) {
	var all []listedSnapshot
	for i := range sources {
		for _, t := range sources[i].Tables {
			all = append(all, listedSnapshot{sources[i].Address, t})
		}
	}
	if len(all) == 0 {
		return
	}
	if stored {
		all = standing(all)
	}
	fmt.Fprintln(w)
	printSnapshots(w, all)
}

func printStored(w io.Writer, s *storedState) {
	if s.Note != "" {
		fmt.Fprintln(w, printable(s.Note))
	}
	if len(s.Positions) == 0 {
		fmt.Fprintln(w, "nothing is stored: it has never run")
		return
	}
	fmt.Fprintln(w)
	rows := [][]string{{"STREAM", "POSITION"}}
	for stream, position := range s.Positions {
		rows = append(rows, []string{stream, position})
	}
	slices.SortFunc(rows[1:], func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	table(w, rows)
	printLedger(w, s.Sources, true)
}
