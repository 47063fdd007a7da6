package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The jars of a broker.
const (
	apacheKafkaVersion = "4.0.0"
	slf4jVersion       = "1.7.36"
)

// apacheConfig is the configuration of one broker that is its own controller (KRaft).
const apacheConfig = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=%[3]s
num.partitions=3
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
`

// ApacheConfig says how to start an Apache Kafka broker. The zero value is ready to use.
type ApacheConfig struct {
	Settings []string // "name=value" as in server.properties; the last of a name counts
	Port     int      // 0: a free one
}

// Apache is a running private Apache Kafka broker. Not safe for concurrent use, but for Addr.
type Apache struct {
	*instance
	Addr string // bootstrap address

	java, classes string
}

// StartApache fetches Apache Kafka by Maven where that was not done yet, starts a broker in KRaft
// mode and waits until it answers.
func StartApache(ctx context.Context, c ApacheConfig) (*Apache, error) {
	bin, err := java()
	if err != nil {
		return nil, err
	}
	classes, err := classpath(ctx, "kafka-"+apacheKafkaVersion,
		artifact{Group: "org.apache.kafka", Name: "kafka_2.13", Version: apacheKafkaVersion},
		artifact{Group: "org.slf4j", Name: "slf4j-simple", Version: slf4jVersion})
	if err != nil {
		return nil, err
	}
	port, err := portOr(c.Port)
	if err != nil {
		return nil, err
	}
	controller, err := FreePort()
	if err != nil {
		return nil, err
	}
	in, err := newInstance("", "pipe-kafka-", nil)
	if err != nil {
		return nil, err
	}
	a := &Apache{instance: in, Addr: loopback(port), java: bin, classes: classes}
	if err = a.prepare(ctx, fmt.Sprintf(apacheConfig, port, controller, a.path("data")), c.Settings); err == nil {
		err = a.Start(ctx)
	}
	if err != nil {
		return nil, in.failed("Apache Kafka at "+a.Addr, err)
	}
	return a, nil
}

func (a *Apache) path(name string) string { return filepath.Join(a.dir, name) }

// prepare writes the configuration and formats the log directory.
func (a *Apache) prepare(ctx context.Context, config string, settings []string) error {
	for _, s := range settings {
		config += s + "\n"
	}
	if err := os.WriteFile(a.path("server.properties"), []byte(config), 0o644); err != nil {
		return err
	}
	cmd := a.command(ctx, "kafka.tools.StorageTool", "format", "-t", "cGlwZS1waXBlLXBpcGUtcA",
		"-c", a.path("server.properties"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kafka.tools.StorageTool format: %w\n%s", err, out)
	}
	return nil
}

// command is a Java program of the class path, with a small heap and a log of warnings.
func (a *Apache) command(ctx context.Context, main string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, a.java, slices.Concat(javaOptions[:], []string{
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", a.classes, main,
	}, args)...)
	cmd.Dir, cmd.Env = a.dir, javaEnv()
	return cmd
}

// Start starts a broker that was stopped or killed, on the same port, and waits until it answers.
func (a *Apache) Start(ctx context.Context) error {
	// The broker outlives ctx, which bounds the start only.
	cmd := a.command(context.WithoutCancel(ctx), "kafka.Kafka", a.path("server.properties"))
	proc, err := launch(cmd, a.as, syscall.SIGKILL, &a.log)
	if err != nil {
		return err
	}
	a.proc = proc
	client, err := kgo.NewClient(kgo.SeedBrokers(a.Addr), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer client.Close()
	return proc.ready(ctx, func(ctx context.Context) error {
		brokers, err := kadm.NewClient(client).ListBrokers(ctx)
		if err == nil && len(brokers) == 0 {
			err = errors.New("no broker is registered yet")
		}
		return err
	})
}

// Stop ends the broker in order. It may be started again.
func (a *Apache) Stop() error { return a.stop(syscall.SIGTERM) }

// Close ends the broker and removes its directory.
func (a *Apache) Close() error {
	a.Kill() // what it holds is not needed: no reason to wait for an orderly end
	return a.remove()
}
