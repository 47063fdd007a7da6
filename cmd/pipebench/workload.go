package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// How long a slot may stay in use after its reader ended.
const (
	dropAttempts = 100
	dropPause    = 50 * time.Millisecond
)

// ordersTable has ten columns and rows of about 200 bytes.
const ordersTable = `CREATE TABLE orders (
	id         bigint PRIMARY KEY,
	customer   integer NOT NULL,
	kind       integer NOT NULL,
	quantity   integer NOT NULL,
	amount     numeric(12,2) NOT NULL,
	code       varchar(20) NOT NULL,
	note       text,
	placed_at  timestamptz NOT NULL,
	express    boolean NOT NULL,
	attributes jsonb
)`

// orderRows selects the rows of orders from one id to another, which are SQL expressions.
func orderRows(first, last string) string {
	return fmt.Sprintf(`SELECT i, i %% 50000, i %% 7, i %% 13, (i %% 1000000) / 100.0, 'C' || i,
		'a note of about a hundred bytes, so that the row has the size that rows have: ' || md5(i::text),
		timestamptz '2024-01-01 00:00:00+00' + i * interval '1.000001 seconds', i %% 3 = 0,
		jsonb_build_object('n', i, 'x', i %% 10)
		FROM generate_series(%s, %s) i`, first, last)
}

// prepareOrders creates the table, its publication and the slot that the readers' slots are copied
// from, so that each of them reads the same WAL.
func (b *bench) prepareOrders(ctx context.Context) error {
	return b.exec(ctx, "source", ordersTable, "CREATE PUBLICATION bench FOR TABLE orders",
		"SELECT pg_create_logical_replication_slot('base', 'pgoutput')")
}

// insertOrders writes rows in transactions of the given size; each transaction is one statement.
func (b *bench) insertOrders(ctx context.Context, rows, perTx int) error {
	say("writing %d rows in transactions of %d", rows, perTx)
	return b.exec(ctx, "source", "SET synchronous_commit = off", fmt.Sprintf(`DO $do$
		BEGIN
			FOR f IN 1..%d BY %d LOOP
				INSERT INTO orders %s;
				COMMIT;
			END LOOP;
		END $do$`, rows, perTx, orderRows("f", fmt.Sprintf("f + %d", perTx-1))), "SELECT pg_switch_wal()", "CHECKPOINT")
}

// slot copies the base slot for one run and returns the copy's name.
func (b *bench) slot(ctx context.Context) (string, error) {
	b.runs++
	name := fmt.Sprintf("run_%d", b.runs)
	return name, b.exec(ctx, "source", fmt.Sprintf("SELECT pg_copy_logical_replication_slot('base', '%s')", name))
}

// dropSlot drops a slot once the server has noticed that its reader is gone.
func (b *bench) dropSlot(ctx context.Context, name string) error {
	var err error
	for range dropAttempts {
		err = b.exec(ctx, "source", fmt.Sprintf("SELECT pg_drop_replication_slot('%s')", name))
		var pe *pgconn.PgError
		if err == nil || !errors.As(err, &pe) || pe.Code != "55006" { // in use
			return err
		}
		time.Sleep(dropPause)
	}
	return err
}

// dropWorkload forgets the rows and the WAL of a workload, for the next one.
func (b *bench) dropWorkload(ctx context.Context) error {
	return b.exec(ctx, "source", "SELECT pg_drop_replication_slot('base')", "DROP PUBLICATION bench",
		"DROP TABLE orders", "CHECKPOINT")
}
