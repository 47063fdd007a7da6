package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/control"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

func tablesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tables [FILE|DIR|-]",
		Short: "Show the tables of the sources: which are taken, and why",
		Long: "Connects to the sources and shows every table: whether it is taken and by which pattern, when its\n" +
			"existing rows are read, its key, its size as the server estimates it, what identifies its rows, and what\n" +
			"is known of its last snapshot: status, rows, time.",
		Example: "  pipe tables shop.hcl\n" +
			"  pipe tables --source source.shop --taken shop.hcl\n" +
			"  pipe tables --json shop.hcl",
		Args: cobra.MaximumNArgs(1),
		RunE: tables,
	}
	configFlags(cmd)
	cmd.Flags().StringArray("source", nil, "only this source, by address (repeatable)")
	cmd.Flags().Bool("taken", false, "only the tables that are taken")
	return cmd
}

// listedTable is one table, as JSON has it.
type listedTable struct {
	Source   string   `json:"source"`
	Table    string   `json:"table"`
	Taken    bool     `json:"taken"`
	Why      string   `json:"why"`
	Snapshot string   `json:"snapshot,omitempty"`
	Key      []string `json:"key"`
	Rows     int64    `json:"rows"`  // -1: not known
	Bytes    int64    `json:"bytes"` // -1: not known
	Omitted  []string `json:"omitted,omitempty"`
	Identity string   `json:"identity,omitempty"`
	// Ledger is what is known of its last snapshot; nil where nothing is.
	Ledger *control.Table `json:"ledger,omitempty"`
}

func tables(cmd *cobra.Command, args []string) error {
	o := outputOf(cmd)
	c, diags := loadConfig(cmd, args)
	if err := o.refused(cmd, c, diags); err != nil {
		return err
	}
	only, _ := cmd.Flags().GetStringArray("source")
	taken, _ := cmd.Flags().GetBool("taken")
	nodes, err := chosenSources(c, only)
	if err != nil {
		return err
	}
	all := []listedTable{}
	defer o.asks()()
	for _, n := range nodes {
		found, err := tablesOf(cmd.Context(), c, n)
		if err != nil {
			return asked(err)
		}
		for _, t := range found {
			if t.Taken || !taken {
				all = append(all, t)
			}
		}
	}
	if err := addLedgers(cmd.Context(), c, all); err != nil {
		fmt.Fprintf(o.err, "what was read of the tables is not known: %s\n", printable(err.Error()))
	}
	return o.result(cmd, true, plural(len(all), "table"), all, func(w io.Writer) { printTables(w, all) })
}

func chosenSources(c *config.Config, only []string) ([]*config.Node, error) {
	if len(only) == 0 {
		return c.Kind("source"), nil
	}
	var out []*config.Node
	for _, address := range only {
		n := c.Node(address)
		if n == nil || n.Kind != "source" {
			return nil, usage("--source %s: there is no such source%s", address, orOneOf(address, addresses(c.Kind("source"))))
		}
		out = append(out, n)
	}
	return out, nil
}

func tablesOf(ctx context.Context, c *config.Config, n *config.Node) ([]listedTable, error) {
	l, ok := n.Def.(spec.Lister)
	if !ok {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	in := &inspector{config: c}
	found, err := l.Tables(ctx, in.env(n))
	if err != nil {
		return nil, err
	}
	var out []listedTable
	for _, t := range found {
		out = append(out, listedTable{
			Source: n.Address, Table: t.Schema.Name(), Taken: t.Taken, Why: t.Why, Snapshot: t.Snapshot,
			Key: keyOf(t.Schema), Rows: t.Rows, Bytes: t.Bytes, Omitted: t.Omitted, Identity: t.Identity,
		})
	}
	return out, nil
}

func keyOf(s *pipeline.Schema) []string {
	key := []string{}
	for _, i := range s.Key {
		key = append(key, s.Columns[i].Name)
	}
	return key
}

func printTables(w io.Writer, all []listedTable) {
	source := ""
	var rows [][]string
	flush := func() {
		if len(rows) > 0 {
			table(w, rows)
		}
	}
	for _, t := range all {
		if t.Source != source {
			flush()
			if source != "" {
				fmt.Fprintln(w)
			}
			source = t.Source
			fmt.Fprintln(w, source)
			rows = [][]string{{"  TABLE", "TAKEN", "WHY", "SNAPSHOT", "KEY", "ROWS", "SIZE", "IDENTITY",
				"STATUS", "READ", "WHEN"}}
		}
		taken := map[bool]string{true: "yes", false: "no"}[t.Taken]
		rows = append(rows, append([]string{"  " + t.Table, taken, t.Why, dash(t.Snapshot),
			dash(strings.Join(t.Key, ", ")),
			estimate(t.Rows), sizeText(t.Bytes), dash(t.Identity)}, ledgerCells(t.Ledger)...))
	}
	flush()
	if len(all) == 0 {
		fmt.Fprintln(w, "no tables")
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// estimate renders a number of rows that the server guesses: "~12,300".
func estimate(n int64) string {
	if n < 0 {
		return "?"
	}
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return "~" + digits
}

// sizeText renders bytes in the largest unit with a whole part: "1.4 GiB".
func sizeText(n int64) string {
	if n < 0 {
		return "?"
	}
	value, unit := float64(n), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}
