package pipetest

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

func TestKafkaKeepsWhatWasProduced(t *testing.T) {
	EachKafka(t, func(t *testing.T, addrs []string) {
		client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.TransactionalID("t"), kgo.ConsumeTopics("words"),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, "words"); err != nil {
			t.Fatal(err)
		}
		for word, end := range map[string]kgo.TransactionEndTry{"kept": kgo.TryCommit, "dropped": kgo.TryAbort} {
			if err := client.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			r := client.ProduceSync(t.Context(), &kgo.Record{Topic: "words", Value: []byte(word)})
			if err := r.FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := client.EndTransaction(t.Context(), end); err != nil {
				t.Fatal(err)
			}
		}
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			if string(r.Value) != "kept" {
				t.Errorf("got %q", r.Value)
			}
		}
	})
}

func TestRegistryServes(t *testing.T) {
	EachRegistry(t, func(t *testing.T, url string) {
		client, err := sr.NewClient(sr.URLs(url))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.CreateSchema(t.Context(), "pipetest-words", sr.Schema{Schema: `"string"`}); err != nil {
			t.Error(err)
		}
	})
}
