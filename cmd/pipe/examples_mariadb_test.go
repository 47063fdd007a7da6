package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/pipetest/registry"
)

// exchangeTables are the tables of the example's databases that it reads.
var exchangeTables = []string{"trading.t_deal", "trading.t_carrier", "finance.t_invoice", "finance.t_account", "live.t_user",
	"chat.t_message", "performance.t_metric", "concontrol.t_container", "claim.t_claim", "payment.t_payment"}

// The same row as both databases print it: the values by the type contract, a zero date as NULL.
const (
	exchangeSource = `SET time_zone = '+00:00'; SELECT CONCAT_WS('|', id, company_id, title, amount, state, active + 0, deleted,
		IFNULL(free_storage_days, '~'), IF(due IS NULL OR due = 0, '~', due), IFNULL(took, '~'),
		IFNULL(HEX(payload), '~'), created_at, IFNULL(updated_at, '~')) FROM exchange_%s`
	exchangeTarget = `SELECT concat_ws('|', id, company_id, title, amount, state, active::int, deleted::int,
		coalesce(free_storage_days::text, '~'), coalesce(due::text, '~'), coalesce(took::text, '~'),
		coalesce(upper(encode(payload, 'hex')), '~'), to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
		coalesce(to_char(updated_at, 'YYYY-MM-DD HH24:MI:SS.MS'), '~')) FROM mp_cdc.%s`
)

func TestExampleMariaDBToPostgres(t *testing.T) {
	maria, pg := pipetest.MariaDB(t), pipetest.Postgres(t)
	warehouse := pg.Database(t)
	env := []string{"MARIADB_URL=" + maria.DSN(""), "WAREHOUSE_URL=" + warehouse}
	maria.Exec(t, "", exampleText(t, "exchange.sql"))
	runUntilCaughtUp(t, example(t, "mariadb_to_pg.hcl"), env)
	maria.Exec(t, "", exampleText(t, "exchange_changes.sql"))
	runUntilCaughtUp(t, example(t, "mariadb_to_pg.hcl"), env)
	for _, table := range exchangeTables {
		var source []string
		for _, row := range maria.QueryText(t, "", fmt.Sprintf(exchangeSource, table)) {
			source = append(source, row[0])
		}
		slices.Sort(source)
		target := lines(t, warehouse, fmt.Sprintf(exchangeTarget, strings.ReplaceAll(table, ".", "_")))
		missing, extra := diffSorted(source, target)
		if len(missing)+len(extra) > 0 || len(source) < 7000 {
			t.Errorf("%s: %d rows, %d missing %.300q, %d extra %.300q", table, len(source),
				len(missing), first(missing, 2), len(extra), first(extra, 2))
		}
	}
}

func TestExampleMariaDBToKafkaAvro(t *testing.T) {
	maria, kafka, reg := pipetest.MariaDB(t), pipetest.Kafka(t), pipetest.Registry(t, registry.Config{})
	s := &shop{brokers: strings.Join(kafka.Addrs, ","), registry: reg.URL}
	env := []string{"MARIADB_URL=" + maria.DSN(""), "KAFKA_BROKERS=" + s.brokers, "SCHEMA_REGISTRY_URL=" + reg.URL,
		"PIPE_STATE=" + filepath.Join(t.TempDir(), "state")}
	maria.Exec(t, "", exampleText(t, "exchange.sql"))
	runUntilCaughtUp(t, example(t, "mariadb_to_kafka_avro.hcl"), env)
	maria.Exec(t, "", exampleText(t, "exchange_changes.sql"))
	runUntilCaughtUp(t, example(t, "mariadb_to_kafka_avro.hcl"), env)
	for _, table := range []string{"t_deal", "t_carrier"} {
		want := maria.QueryText(t, "", "SELECT COUNT(*) FROM exchange_trading."+table)[0][0]
		if got := len(s.fold(t, "exchange.exchange_trading."+table)); fmt.Sprint(got) != want {
			t.Errorf("%s: %d rows are left of the topic, the table has %s", table, got, want)
		}
	}
}

func exampleText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(example(t, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
