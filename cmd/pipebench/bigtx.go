package main

import (
	"context"
	"fmt"
	"strconv"
)

// bigTransaction measures one transaction of five times the rows: its memory must not grow with it.
func bigTransaction(ctx context.Context, b *bench) error {
	if err := b.prepareOrders(ctx); err != nil {
		return err
	}
	rows := 5 * b.rows
	say("writing %d rows in one transaction", rows)
	if err := b.exec(ctx, "source", "INSERT INTO orders "+orderRows("1", strconv.Itoa(rows)), "CHECKPOINT"); err != nil {
		return err
	}
	workload := fmt.Sprintf("one tx of %d rows", rows)
	if err := b.recvlogical(ctx, workload, rows, "text"); err != nil {
		return err
	}
	least := target{reader: "pg_recvlogical", rate: 0.95, rss: rssMax}
	if err := b.pipeRun(ctx, workload, "pipe -> discard", rows, least, discardConfig("auto")); err != nil {
		return err
	}
	if err := b.resetTarget(ctx, "new keys", nil); err != nil {
		return err
	}
	return b.pipeRun(ctx, workload, "pipe -> postgres", rows, target{rss: rssMax}, applyConfig("auto"))
}
