package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/pipetest/registry"
)

// shop is what the examples need: two databases, a broker and a registry.
type shop struct {
	pg                *pipetest.PG
	source, warehouse string
	brokers           string
	registry          string
	env               []string
}

func openShop(t *testing.T) *shop {
	t.Helper()
	pg := pipetest.Postgres(t)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	reg := pipetest.Registry(t, registry.Config{})
	s := &shop{pg: pg, source: pg.Database(t), warehouse: pg.Database(t),
		brokers: strings.Join(cluster.ListenAddrs(), ","), registry: reg.URL}
	s.env = []string{"DATABASE_URL=" + s.source, "WAREHOUSE_URL=" + s.warehouse, "KAFKA_BROKERS=" + s.brokers,
		"SCHEMA_REGISTRY_URL=" + s.registry, "PIPE_STATE=" + filepath.Join(t.TempDir(), "state")}
	s.psql(t, "shop.sql")
	return s
}

// psql runs one of the examples' SQL files.
func (s *shop) psql(t *testing.T, file string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.pg.BinDir, "psql"), "-X", "-q", s.source, "-f", example(t, file))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("psql -f %s: %v\n%s", file, err, out)
	}
}

func example(t *testing.T, file string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "examples", file))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// runTwice runs an example on what is there, changes the shop, and runs it again.
func (s *shop) runTwice(t *testing.T, file string) {
	t.Helper()
	runUntilCaughtUp(t, example(t, file), s.env)
	s.psql(t, "shop_changes.sql")
	runUntilCaughtUp(t, example(t, file), s.env)
}

func TestExamplePostgresToPostgres(t *testing.T) {
	s := openShop(t)
	s.runTwice(t, "pg_to_pg.hcl")
	for _, table := range []string{"countries", "customers", "products", "orders", "order_items", "sessions", "audit_log"} {
		s.sameInWarehouse(t, table)
	}
}

func TestExampleFanOut(t *testing.T) {
	s := openShop(t)
	s.runTwice(t, "fan_out.hcl")
	for _, table := range []string{"countries", "customers", "products", "orders", "order_items"} {
		s.sameInWarehouse(t, table)
		s.sameCount(t, table, "TRUE", s.fold(t, "shop."+table))
	}
	for _, row := range s.fold(t, "shop.customers") {
		if email := fmt.Sprint(row["email"]); strings.Contains(email, "@") {
			t.Fatalf("an email address reached Kafka: %s", email)
		}
	}
}

func TestExamplePostgresToKafkaAvro(t *testing.T) {
	s := openShop(t)
	s.runTwice(t, "pg_to_kafka_avro.hcl")
	for _, table := range []string{"customers", "products", "order_items"} {
		s.sameCount(t, table, "TRUE", s.fold(t, "shop.shop."+table))
	}
	s.sameCount(t, "countries", "TRUE", s.fold(t, "shop.shop.countries"))
	s.sameCount(t, "orders", "amount > 100 AND status <> 'draft'", s.fold(t, "shop.shop.orders"))
	s.sameCount(t, "audit_log", "message = 'changes made'", s.fold(t, "shop.shop.audit_log"))
	for _, row := range s.fold(t, "shop.shop.customers") {
		if _, there := row["password_hash"]; there {
			t.Fatal("a column that is omitted reached Kafka")
		}
	}
}

// sameInWarehouse compares a table of both databases, row by row.
func (s *shop) sameInWarehouse(t *testing.T, table string) {
	t.Helper()
	query := fmt.Sprintf("SELECT t::text FROM shop.%s t", table)
	source, target := lines(t, s.source, query), lines(t, s.warehouse, query)
	missing, extra := diffSorted(source, target)
	if len(missing)+len(extra) > 0 || len(source) == 0 {
		t.Errorf("shop.%s: %d rows, %d missing %.200q, %d extra %.200q", table, len(source),
			len(missing), first(missing, 2), len(extra), first(extra, 2))
	}
}

// sameCount compares the rows that are left of a topic with those of a table.
func (s *shop) sameCount(t *testing.T, table, where string, rows map[string]map[string]any) {
	t.Helper()
	want := lines(t, s.source, fmt.Sprintf("SELECT count(*)::text FROM shop.%s WHERE %s", table, where))[0]
	if got := fmt.Sprint(len(rows)); got != want {
		t.Errorf("shop.%s: %s rows are left of the topic, the table has %s", table, got, want)
	}
}

// fold applies a topic's events and returns the rows that are left, by key. Every event is decoded
// with the schema that the registry holds for it, by a library that pipe does not use for it.
func (s *shop) fold(t *testing.T, topic string) map[string]map[string]any {
	t.Helper()
	d := avroReader{registry: s.registry, schemas: map[int]*avro.Schema{}}
	rows := map[string]map[string]any{}
	for _, r := range consume(t, s.brokers, topic) {
		key := d.text(t, r.Key)
		row := d.decode(t, r.Value)
		if row["op"] != nil && row["source"] != nil {
			row = debeziumAfter(row)
		}
		if row == nil {
			delete(rows, key)
			continue
		}
		rows[key] = row
	}
	return rows
}

// debeziumAfter returns the row after an event of Debezium's envelope, nil after a delete.
func debeziumAfter(event map[string]any) map[string]any {
	row, _ := event["after"].(map[string]any)
	return row
}

// avroReader decodes Confluent's wire format.
type avroReader struct {
	registry string
	schemas  map[int]*avro.Schema
}

func (d *avroReader) decode(t *testing.T, b []byte) map[string]any {
	t.Helper()
	if b == nil {
		return nil
	}
	if b[0] != 0 {
		t.Fatalf("the first byte is %d, want 0", b[0])
	}
	id := int(binary.BigEndian.Uint32(b[1:5]))
	if d.schemas[id] == nil {
		d.schemas[id] = d.fetch(t, id)
	}
	var out map[string]any
	if _, err := d.schemas[id].Decode(b[5:], &out); err != nil {
		t.Fatalf("decode by schema %d: %v", id, err)
	}
	return out
}

func (d *avroReader) text(t *testing.T, b []byte) string {
	t.Helper()
	fields := d.decode(t, b)
	out, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func (d *avroReader) fetch(t *testing.T, id int) *avro.Schema {
	t.Helper()
	client, err := sr.NewClient(sr.URLs(d.registry))
	if err != nil {
		t.Fatal(err)
	}
	found, err := client.SchemaByID(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	s, err := avro.Parse(found.Schema)
	if err != nil {
		t.Fatalf("schema %d: %v", id, err)
	}
	return s
}
