package postgres

import (
	"os"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

var pg *pipetest.PG

func TestMain(m *testing.M) {
	os.Exit(pipetest.RunWithPostgres(m, &pg, "max_wal_senders=80", "max_replication_slots=80", "max_connections=300",
		"max_prepared_transactions=5", "logical_decoding_work_mem=64kB"))
}
