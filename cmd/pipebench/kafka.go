package main

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/pipe-cdc/pipe/pipeline/pipetest/registry"
)

// kafkaStream measures PostgreSQL -> Kafka in Avro; broker and registry run in this process.
func kafkaStream(ctx context.Context, b *bench) error {
	if err := b.writeOrders(ctx, b.rows, 10_000); err != nil {
		return err
	}
	workload := fmt.Sprintf("%d rows, tx of 10000", b.rows)
	least := target{reader: "pg_recvlogical", rate: 0.75, rss: rssMax}
	for range b.rounds {
		if err := b.recvlogical(ctx, workload, b.rows, "text"); err != nil {
			return err
		}
		for _, binary := range []string{"off", "on"} {
			if err := b.kafkaRun(ctx, workload, binary, least); err != nil {
				return err
			}
		}
	}
	return b.dropWorkload(ctx)
}

func (b *bench) kafkaRun(ctx context.Context, workload, binary string, least target) error {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BlackholeProduce())
	if err != nil {
		return err
	}
	defer cluster.Close()
	schemas, err := registry.New(registry.Config{})
	if err != nil {
		return err
	}
	reg := httptest.NewServer(schemas)
	defer reg.Close()
	slot, err := b.slot(ctx)
	if err != nil {
		return err
	}
	reader := "pipe -> kafka avro, text"
	if binary == "on" {
		reader = "pipe -> kafka avro, binary"
	}
	say("%s: %s", workload, reader)
	s, err := b.pipe(ctx, kafkaConfig(binary, ""), "SLOT="+slot, "BROKER="+cluster.ListenAddrs()[0], "REGISTRY="+reg.URL)
	if err != nil {
		return err
	}
	b.results.add(workload, reader, b.rows, s, least)
	return b.dropSlot(ctx, slot)
}
