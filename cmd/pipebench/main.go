package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

// options are the flags that every measurement shares.
type options struct {
	pipe    string // the binary under test
	rows    int
	rounds  int
	dir     string // temporary files
	socket  bool
	profile string // CPU profiles of pipe are written to this name with the run's number
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "pipebench:", err)
		os.Exit(1)
	}
}

// measurements is the one table of what can be measured.
var measurements = []struct {
	name, short string
	run         func(context.Context, *bench) error
}{
	{"stream", "PostgreSQL's WAL to nowhere, beside pg_recvlogical, for transactions of 1, 100 and 10,000 rows", streamAll},
	{"kafka", "PostgreSQL's WAL to Kafka in Avro, beside pg_recvlogical", kafkaStream},
	{"apply", "PostgreSQL's WAL to PostgreSQL, beside the best single statement", applyStream},
	{"snapshot", "a snapshot from PostgreSQL to PostgreSQL, beside COPY piped into COPY", snapshotAll},
	{"resnapshot", "a large snapshot that is killed half way, and one on a running pipeline", resnapshotAll},
	{"share", "a snapshot shared by one, two and three processes, as far as the cores and as far as a network allow", shareAll},
	{"bigtx", "one transaction of five times the rows, for its memory", bigTransaction},
	{"mariadb", "MariaDB's rows and binary log to nowhere, beside mariadb -q and mariadb-binlog", mariaSource},
	{"load", "MariaDB to PostgreSQL: a first load with indexes, beside mariadb -q piped into COPY", mariaLoad},
	{"changes", "MariaDB to PostgreSQL: changes, beside the best single statement", mariaChanges},
}

func command() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:           "pipebench",
		Short:         "Measure pipe beside what it is to be compared with",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&o.pipe, "pipe", "bin/pipe", "the pipe binary to measure")
	flags.IntVar(&o.rows, "rows", 1_000_000, "rows of the workload")
	flags.IntVar(&o.rounds, "rounds", 3, "times that each reader runs; medians are printed")
	flags.BoolVar(&o.socket, "socket", false, "connect over a Unix socket rather than TCP")
	flags.StringVar(&o.profile, "profile", "", "write CPU profiles of pipe to FILE.1, FILE.2, ...")
	all := &cobra.Command{Use: "all", Short: "Everything, in turn", RunE: func(cmd *cobra.Command, _ []string) error {
		for _, m := range measurements {
			if err := measured(cmd.Context(), o, m.run); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		return nil
	}}
	root.AddCommand(all)
	for _, m := range measurements {
		root.AddCommand(&cobra.Command{Use: m.name, Short: m.short, RunE: func(cmd *cobra.Command, _ []string) error {
			return measured(cmd.Context(), o, m.run)
		}})
	}
	return root
}

// measured runs one measurement on fresh servers and prints its table.
func measured(ctx context.Context, o options, run func(context.Context, *bench) error) error {
	path, err := filepath.Abs(o.pipe)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("no pipe binary: %w; run make build", err)
	}
	o.pipe = path
	o.dir, err = os.MkdirTemp("", "pipebench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(o.dir)
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	if err := run(ctx, b); err != nil {
		return err
	}
	b.print(os.Stdout)
	return nil
}
