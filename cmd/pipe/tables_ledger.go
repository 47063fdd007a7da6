package main

import (
	"context"

	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/control"
)

// addLedgers gives listed tables what the pipeline that runs, or its stored state, knows of their
// snapshots.
func addLedgers(ctx context.Context, c *config.Config, all []listedTable) error {
	t := &target{config: c}
	if err := t.find(ctx); err != nil {
		return err
	}
	sources := t.status.Sources
	if t.client == nil {
		stored, err := readStored(ctx, c)
		if err != nil {
			return err
		}
		sources = stored.Sources
	}
	for i := range all {
		known, ok := tableIn(sources, control.AcceptedTable{Source: all[i].Source, Table: all[i].Table})
		if ok {
			all[i].Ledger = &known
		}
	}
	return nil
}

// ledgerCells are the columns of a table's ledger: status, rows, when.
func ledgerCells(t *control.Table) []string {
	if t == nil {
		return []string{"-", "-", "-"}
	}
	cells := snapshotCells(t)
	return []string{cells[0], cells[1], cells[3]}
}
