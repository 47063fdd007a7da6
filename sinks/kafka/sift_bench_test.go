package kafka

import (
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkSiftKeys is the cost of a key that a topic holds, in time and in memory.
func BenchmarkSiftKeys(b *testing.B) {
	const each = 2_000_000
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		k := newKeys(b.TempDir(), 0)
		key := []byte(`{"id":12345678}`)
		for n := range uint64(each) {
			binary.BigEndian.PutUint64(key[6:], n)
			if err := k.add(key, 3); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/each, "B/key")
		k.close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/each, "ns/key")
}

// BenchmarkSiftJudge is the cost of a record that is read of a topic.
func BenchmarkSiftJudge(b *testing.B) {
	shapes := map[string]string{
		"json": "topic = \"t\"\nformat \"json\" {}", "avro": "topic = \"t\"\nformat \"avro\" { REGISTRY }",
		"apart": "topic = \"${table.schema}.${table.name}\"\nformat \"avro\" { REGISTRY }",
	}
	for name, shape := range shapes {
		b.Run(name, func(b *testing.B) {
			c := newCluster(b)
			s := openSink(b, c.config(b, "create_topics {}\n"+shape))
			write(b, s, insert(items(), 7, "some text of a usual length, with a \" in it"))
			t, err := s.table(b.Context(), items())
			if err != nil {
				b.Fatal(err)
			}
			j := newJudge(s, t.topic, s.config.newMark(t, bounds{}))
			rec := &kgo.Record{}
			*rec = *c.consume(b, t.topic, 1)[0]
			b.SetBytes(int64(len(rec.Value)))
			b.ReportAllocs()
			for b.Loop() {
				if v, err := j.of(b.Context(), rec); v != alive || err != nil {
					b.Fatal(v, err)
				}
			}
		})
	}
}
