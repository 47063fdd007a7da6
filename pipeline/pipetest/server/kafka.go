package server

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Kafka is a Kafka-compatible broker in this process.
type Kafka struct {
	*kfake.Cluster
	Addrs []string // bootstrap addresses

	once sync.Once
}

// StartKafka starts one broker on the loopback: on a free port and in memory, unless the options
// say otherwise (kfake.Ports, kfake.DataDir).
func StartKafka(opts ...kfake.Opt) (*Kafka, error) {
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		return nil, err
	}
	return &Kafka{Cluster: c, Addrs: c.ListenAddrs()}, nil
}

// Close stops the broker; with kfake.DataDir it saves its state. More calls do nothing.
func (k *Kafka) Close() { k.once.Do(k.Cluster.Close) }
