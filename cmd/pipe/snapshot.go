package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/control"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

func snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot [FILE|DIR]",
		Short: "Read tables again, while the pipeline runs",
		Long: "Reads the rows of tables again. A running pipeline does it beside the stream of changes, which waits for\n" +
			"nothing; the request is saved, so a crash or a restart goes on with it. Where the pipeline does not run,\n" +
			"this command runs it until the tables are read and the stream has caught up.",
		Example: "  pipe snapshot --table public.orders shop.hcl\n" +
			"  pipe snapshot --table 'sales.*' --wait shop.hcl\n" +
			"  pipe snapshot --table orders --where 'row.id >= 1000' shop.hcl      a part of the table\n" +
			"  pipe snapshot --table orders --replace shop.hcl    delete downstream what is gone at the source\n" +
			"  pipe snapshot --table orders --cancel shop.hcl\n" +
			"  pipe snapshot --table orders --at https://db1:8080 --ca ca.pem shop.hcl      on another machine\n" +
			"  pipe snapshot --status shop.hcl",
		Args: cobra.MaximumNArgs(1),
		RunE: snapshotRun,
	}
	remoteFlags(withConfig(cmd))
	f := cmd.Flags()
	f.StringArray("table", nil, "a table, or a pattern as in tables = [...] (repeatable)")
	f.String("source", "", "the source's address, where several have the table")
	f.String("where", "", "a condition on the rows: only those for which it is true are read")
	f.Bool("replace", false, "delete downstream the rows that are not there any more")
	f.Bool("wait", false, "wait until the tables are read, and show how far that is")
	f.Bool("cancel", false, "give up the snapshots of the tables")
	f.Bool("status", false, "show the tables' snapshots; ask for nothing")
	return cmd
}

// wish is what the flags of pipe snapshot say.
type wish struct {
	request              control.SnapshotRequest
	wait, cancel, status bool
}

func wishOf(cmd *cobra.Command) (wish, error) {
	var w wish
	f := cmd.Flags()
	w.request.Tables, _ = f.GetStringArray("table")
	w.request.Source, _ = f.GetString("source")
	w.request.Where, _ = f.GetString("where")
	w.request.Replace, _ = f.GetBool("replace")
	w.wait, _ = f.GetBool("wait")
	w.cancel, _ = f.GetBool("cancel")
	w.status, _ = f.GetBool("status")
	w.request.By = whoAsks()
	reads := w.request.Where != "" || w.request.Replace || w.wait
	switch {
	case w.cancel && w.status:
		return w, usage("--cancel and --status exclude each other")
	case (w.cancel || w.status) && reads:
		return w, usage("--where, --replace and --wait are for reading tables, not for --cancel or --status")
	case len(w.request.Tables) == 0 && !w.status:
		return w, usage("which table? Say --table NAME; pipe tables --taken lists them")
	case f.Changed("where") && w.request.Where == "":
		return w, usage("--where is empty")
	}
	if err := checkRequest(&w.request); err != nil {
		return w, err
	}
	if w.request.Where == "" {
		return w, nil
	}
	_, diags := hclsyntax.ParseExpression([]byte(w.request.Where), "--where", hcl.InitialPos)
	if diags.HasErrors() {
		return w, usage("--where %s", problemText(diags))
	}
	return w, nil
}

func (w *wish) cancelRequest() control.CancelRequest {
	return control.CancelRequest{Tables: w.request.Tables, Source: w.request.Source}
}

func snapshotRun(cmd *cobra.Command, args []string) error {
	w, err := wishOf(cmd)
	if err != nil {
		return err
	}
	t, err := findTarget(cmd, args)
	if err != nil {
		return err
	}
	switch {
	case w.status:
		return snapshotStatus(cmd, t, w)
	case t.client == nil:
		return snapshotAlone(cmd, t, w)
	case w.cancel:
		return snapshotCancel(cmd, t, w)
	}
	accepted, err := t.client.Snapshot(cmd.Context(), w.request)
	if err != nil {
		return asked(err)
	}
	if w.wait {
		return followSnapshots(cmd, t, accepted)
	}
	summary := "asked for " + plural(len(accepted.Tables), "table")
	return outputOf(cmd).result(cmd, true, summary, accepted, func(w io.Writer) {
		printAccepted(w, accepted)
		fmt.Fprintln(w, "The running pipeline reads them; pipe snapshot --status shows how far it is.")
	})
}

func snapshotCancel(cmd *cobra.Command, t *target, w wish) error {
	accepted, err := t.client.Cancel(cmd.Context(), w.cancelRequest())
	if err != nil {
		return asked(err)
	}
	summary := "cancelled for " + plural(len(accepted.Tables), "table")
	return outputOf(cmd).result(cmd, true, summary, accepted, func(w io.Writer) {
		printAccepted(w, accepted)
		fmt.Fprintln(w, "What was read is there and stays; nothing more of these snapshots is read.")
	})
}

func printAccepted(w io.Writer, a control.Accepted) {
	for _, t := range a.Tables {
		fmt.Fprintf(w, "  %s  %s\n", printable(t.Source), printable(t.Table))
	}
	printLeft(w, a)
}

func printLeft(w io.Writer, a control.Accepted) {
	for _, t := range a.Left {
		fmt.Fprintf(w, "  %s  %s is left out: %s\n", printable(t.Source), printable(t.Table), printable(t.Why))
	}
}

// listedSnapshot is what is known of one table's snapshot, with its source.
type listedSnapshot struct {
	Source string `json:"source"`
	control.Table
}

// same reports whether it is of the same table.
func (l listedSnapshot) same(o listedSnapshot) bool {
	return o.Source == l.Source && o.Table.Table == l.Table.Table
}

// snapshotStatus shows the ledger, of the process that runs or as it is stored.
func snapshotStatus(cmd *cobra.Command, t *target, w wish) error {
	sources := t.status.Sources
	if t.client == nil {
		stored, err := readStored(cmd.Context(), t.config)
		if err != nil {
			return asked(err)
		}
		sources = stored.Sources
	}
	all, err := chosenSnapshots(sources, w)
	if err != nil {
		return err
	}
	summary := plural(len(all), "table")
	if t.client == nil {
		summary += "; the pipeline does not run"
	}
	return outputOf(cmd).result(cmd, true, summary, all, func(out io.Writer) {
		if t.client == nil {
			fmt.Fprintln(out, "The pipeline does not run; this is what is stored.")
			all = standing(all)
		}
		printSnapshots(out, all)
	})
}

// chosenSnapshots returns the tables that the flags name, all without any.
func chosenSnapshots(sources []control.Source, w wish) ([]listedSnapshot, error) {
	all := []listedSnapshot{}
	var names []string
	for i := range sources {
		s := &sources[i]
		if w.request.Source != "" && s.Address != w.request.Source {
			continue
		}
		for _, t := range s.Tables {
			names = append(names, t.Table)
			all = append(all, listedSnapshot{s.Address, t})
		}
	}
	if len(w.request.Tables) == 0 {
		return all, nil
	}
	chosen := []listedSnapshot{}
	for _, pattern := range w.request.Tables {
		found := false
		for _, t := range all {
			hit, err := namesTable(pattern, t.Table.Table)
			if err != nil {
				return nil, usage("--table %w", err)
			}
			found = found || hit
			if hit && !slices.ContainsFunc(chosen, t.same) {
				chosen = append(chosen, t)
			}
		}
		if !found {
			near := didYouMean(pattern, names)
			if near == "" {
				near = didYouMean(pattern, lastParts(names))
			}
			return nil, usage("--table %s: nothing is known of such a table%s", pattern, near)
		}
	}
	return chosen, nil
}

// standing makes what is stored of snapshots that nobody reads a text for people.
func standing(all []listedSnapshot) []listedSnapshot {
	out := slices.Clone(all)
	for i := range out {
		if out[i].Status == snapshot.Running {
			out[i].Status = "unfinished"
		}
	}
	return out
}

func printSnapshots(w io.Writer, all []listedSnapshot) {
	if len(all) == 0 {
		fmt.Fprintln(w, "no tables")
		return
	}
	rows := [][]string{{"SOURCE", "TABLE", "STATUS", "ROWS", "CHUNKS", "WHEN", "WHY"}}
	for i := range all {
		t := &all[i].Table
		rows = append(rows, append([]string{all[i].Source, t.Table}, snapshotCells(t)...))
	}
	table(w, rows)
	for i := range all {
		if t := &all[i].Table; t.Error != "" {
			fmt.Fprintf(w, "%s: %s\n", printable(t.Table), printable(strings.TrimPrefix(t.Error, t.Table+": ")))
		}
	}
}

// snapshotCells are a snapshot's status, rows, chunks, time and reason.
func snapshotCells(t *control.Table) []string {
	status, why := string(t.Status), string(t.Reason)
	if share := t.Share(); t.Status.Open() && share >= 0 {
		status = fmt.Sprintf("%s %.0f%%", status, 100*share)
	}
	if len(t.Queue) > 0 {
		status += fmt.Sprintf(", %d waiting", len(t.Queue))
	}
	if t.By != "" {
		why += " by " + t.By
	}
	if t.Where != "" {
		why += " where " + t.Where
	}
	if t.Replace {
		why += ", replacing"
	}
	when := t.Ended
	if when.IsZero() {
		when = t.Started
	}
	if when.IsZero() {
		when = t.Asked
	}
	return []string{status, grouped(t.Rows), grouped(int64(t.ChunksDone)), moment(when), dash(why)}
}

// moment writes a time for people, in UTC as logs have it.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// finished ends a command that waited for snapshots: the exit code says whether all of them are done.
func finished(cmd *cobra.Command, all []listedSnapshot) error {
	ok := true
	for i := range all {
		ok = ok && all[i].Status == snapshot.Done
	}
	summary := "done: " + plural(len(all), "table")
	if !ok {
		summary = "not every table was read"
	}
	if err := outputOf(cmd).result(cmd, ok, summary, all, func(w io.Writer) { printSnapshots(w, all) }); err != nil {
		return err
	}
	if ok {
		return nil
	}
	return &exit{code: exitRuntime}
}

// gone says that a pipeline ended while somebody waited for it.
func gone() error {
	return &pipeline.Error{Node: "control", Class: pipeline.Environment,
		Err:  errors.New("the pipeline has ended, and what was asked for is not finished"),
		Hint: "The request is saved: it goes on when the pipeline runs again."}
}
