package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// oracleEvent is what the oracle reads of an event.
type oracleEvent struct {
	After *struct {
		ID  int   `json:"id"`
		Ver int64 `json:"ver"`
		N   int64 `json:"n"`
	} `json:"after"`
	Op     string `json:"op"`
	Source struct {
		LSN  uint64 `json:"lsn"`
		File string `json:"file"`
		Pos  int64  `json:"pos"`
		GTID string `json:"gtid"`
	} `json:"source"`
}

// oracleKey is what a topic says of a key: what it said first, in order, and where in it what it said last is.
type oracleKey struct {
	index map[string]int // of versions, and of deletes by where they are in the log
	vers  []int64        // the version by then; a delete leaves it as it is
	at    int
	ver   int64 // by now
	row   string
	life  int
}

// targetKafka reads its topics while they are written.
type targetKafka struct {
	t       *testing.T
	brokers string
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu     sync.Mutex                   // guards the following
	life   map[string]map[int32][]int64 // offsets at which lives ended
	keys   map[string]map[string]*oracleKey
	offset map[string]map[int32]int64 // read up to here
	last   int64
	faults []string
	events int
}

func newTargetKafka(t *testing.T) oracleSink {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "t0", "t1", "t2", "t3", "t4", "beat"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	s := &targetKafka{t: t, brokers: strings.Join(cluster.ListenAddrs(), ","), life: map[string]map[int32][]int64{},
		keys: map[string]map[string]*oracleKey{}, offset: map[string]map[int32]int64{}}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeTopics("t0", "t1", "t2", "t3", "t4", "beat"), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.done.Go(func() {
		defer client.Close()
		for ctx.Err() == nil {
			fetches := client.PollFetches(ctx)
			s.mu.Lock()
			fetches.EachRecord(s.record)
			s.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		cancel()
		s.done.Wait()
	})
	return s
}

func (s *targetKafka) block() string {
	return `sink "kafka" "topics" {
  from     = source.load
  brokers  = split(",", env("BROKERS"))
  topic    = table.name
  envelope = "debezium"
  format "json" {}
}`
}

func (s *targetKafka) env() []string { return []string{"BROKERS=" + s.brokers} }

func (s *targetKafka) beat() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// lifeEnds notes up to where the process that has ended has written.
func (s *targetKafka) lifeEnds() {
	time.Sleep(faultPoll) // what it had sent is there then
	ends := endOffsets(s.t, s.brokers)
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, parts := range ends {
		if s.life[topic] == nil {
			s.life[topic] = map[int32][]int64{}
		}
		for p, o := range parts {
			s.life[topic][p] = append(s.life[topic][p], o.Offset)
		}
	}
}

// lifeOf returns in which process's life a record was written.
func (s *targetKafka) lifeOf(rec *kgo.Record) int {
	n, exact := slices.BinarySearch(s.life[rec.Topic][rec.Partition], rec.Offset)
	for exact && n < len(s.life[rec.Topic][rec.Partition]) && s.life[rec.Topic][rec.Partition][n] == rec.Offset {
		n++
	}
	return n
}

func (s *targetKafka) fault(rec *kgo.Record, format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf("%s %s at %d/%d: ", rec.Topic, rec.Key, rec.Partition, rec.Offset)+fmt.Sprintf(format, args...))
}

// record follows one record. While a process lives the versions of a key only rise. A new one goes back at
// most, to something that was said before, and then goes on from there without leaving anything out.
func (s *targetKafka) record(rec *kgo.Record) {
	if s.offset[rec.Topic] == nil {
		s.offset[rec.Topic], s.keys[rec.Topic] = map[int32]int64{}, map[string]*oracleKey{}
	}
	s.offset[rec.Topic][rec.Partition] = rec.Offset + 1
	if rec.Value == nil {
		return // a tombstone, for those who compact
	}
	var e oracleEvent
	if err := json.Unmarshal(rec.Value, &e); err != nil || (e.After == nil) != (e.Op == "d") {
		s.fault(rec, "%s: %v", rec.Value, err)
		return
	}
	s.events++
	if rec.Topic == "beat" {
		s.last = max(s.last, e.After.N)
		return
	}
	k := s.keys[rec.Topic][string(rec.Key)]
	if k == nil {
		k = &oracleKey{index: map[string]int{}, at: -1, ver: -1, life: -1}
		s.keys[rec.Topic][string(rec.Key)] = k
	}
	s.follow(rec, k, &e)
}

func (s *targetKafka) follow(rec *kgo.Record, k *oracleKey, e *oracleEvent) {
	life := s.lifeOf(rec)
	id := ""
	if e.After == nil {
		id = fmt.Sprint("d", e.Source)
	} else {
		id = fmt.Sprint(e.After.Ver)
	}
	i, known := k.index[id]
	if !known {
		i = len(k.index)
		k.index[id] = i
		ver := k.ver
		if e.After != nil {
			ver = e.After.Ver
		}
		k.vers = append(k.vers, ver)
	}
	back := e.After != nil && (e.After.Ver < k.ver || e.After.Ver == k.ver && k.row == "")
	switch {
	case back && k.life == life:
		s.fault(rec, "version %d (%s) comes after %d in one life", e.After.Ver, e.Op, k.ver)
	case back && !known:
		s.fault(rec, "version %d (%s), which was never said, comes after %d", e.After.Ver, e.Op, k.ver)
	case i > k.at+1 && rec.Topic != fmt.Sprintf("t%d", comesAndGoes):
		s.fault(rec, "what is number %d of the key (%s) comes after number %d", i, e.Op, k.at)
	}
	k.at, k.ver, k.life, k.row = i, k.vers[i], life, ""
	if e.After != nil {
		k.row = fmt.Sprintf("%d|%d", e.After.ID, e.After.Ver)
	}
}

// reached reports whether everything was read.
func (s *targetKafka) reached() bool {
	ends := endOffsets(s.t, s.brokers)
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, parts := range ends {
		for p, o := range parts {
			if s.offset[topic][p] < o.Offset {
				return false
			}
		}
	}
	return true
}

// check compares what the topics say last of each key with the tables.
func (s *targetKafka) check(o *oracleRun) {
	o.Helper()
	for end := time.Now().Add(oraclePatience); !s.reached(); time.Sleep(faultPoll) {
		if time.Now().After(end) {
			o.Fatal("the topics cannot be read to their ends")
		}
	}
	s.stop()
	s.done.Wait()
	for _, text := range first(s.faults, 10) {
		o.Errorf("seed %d: %s", o.seed, text)
	}
	for i := range oracleRows() {
		var source, held []string
		for _, row := range o.db.rows(o.T, i) {
			source = append(source, row[:strings.LastIndexByte(row, '|')])
		}
		for _, k := range s.keys[fmt.Sprintf("t%d", i)] {
			if k.row != "" {
				held = append(held, k.row)
			}
		}
		slices.Sort(source)
		slices.Sort(held)
		if missing, extra := diffSorted(source, held); len(missing)+len(extra) > 0 {
			o.Errorf("seed %d: t%d differs: %d rows missing %.300q, %d extra %.300q", o.seed, i, len(missing), first(missing, 3),
				len(extra), first(extra, 3))
		}
	}
	o.Logf("%d events", s.events)
}
