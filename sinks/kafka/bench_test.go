package kafka

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pipe-cdc/pipe/pipeline"
)

// blackhole answers produce requests without looking at their records, so that the client is measured.
func blackhole(b *testing.B) *cluster {
	c := newCluster(b, kfake.SeedTopics(4, "t"))
	c.fake.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		return refuse(req.(*kmsg.ProduceRequest), 0), nil, true
	})
	return c
}

func BenchmarkWrite(b *testing.B) {
	for _, linger := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond} {
		for _, compression := range []string{"none", "snappy", "lz4"} {
			b.Run(fmt.Sprint(linger, " ", compression), func(b *testing.B) { benchmark(b, linger, compression) })
		}
	}
}

func benchmark(b *testing.B, linger time.Duration, compression string) {
	c := blackhole(b)
	config := c.config(b, "topic = \"t\"\nformat \"avro\" {\nREGISTRY\n}")
	config.Linger, config.Compression = linger, compression
	s := openSink(b, config)
	const rows = 8192
	var list []pipeline.Row
	sch := items()
	for i := range int64(rows) {
		list = append(list, insert(sch, i, fmt.Sprint(strings.Repeat("some text ", 8), i)))
	}
	bt := batch(list...)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if err := s.Write(context.Background(), bt); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
}
