package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Exit codes.
const (
	exitOK          = 0
	exitUsage       = 2
	exitEnvironment = 3
)

// portBase is the first of the ports that are taken where no command is given.
const portBase = 15400

// services are what there is to start, in the order of their ports.
var services = [...]string{"postgres", "mariadb", "kafka", "registry"}

// options are the command line.
type options struct {
	dir     string   // "": a temporary one
	ports   int      // first port; 0: free ones
	only    []string // of services
	envFile string
	command []string
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "devstack:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	start := time.Now()
	s, err := up(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "devstack:", err)
		return exitEnvironment
	}
	fmt.Fprintf(os.Stderr, "devstack: up in %.1fs\n", time.Since(start).Seconds())
	code := use(ctx, s, o)
	if err := s.down(); err != nil {
		fmt.Fprintln(os.Stderr, "devstack:", err)
		return max(code, exitEnvironment)
	}
	return code
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("devstack", flag.ContinueOnError)
	only := f.String("only", "", "start only these, of "+strings.Join(services[:], ","))
	f.StringVar(&o.dir, "dir", "", "keep the data in this `directory` (default: a temporary one, removed)")
	f.IntVar(&o.ports, "port-base", portBase, "first `port` of four; 0 takes free ones, as does a command without this flag")
	f.StringVar(&o.envFile, "env-file", "", "write the addresses to this `file` for a shell to read; removed at the end")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.command = f.Args()
	o.only = services[:]
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	for _, name := range o.only {
		if !slices.Contains(services[:], name) {
			return o, fmt.Errorf("--only %s: want some of %s", name, strings.Join(services[:], ", "))
		}
	}
	given := false
	f.Visit(func(set *flag.Flag) { given = given || set.Name == "port-base" })
	if len(o.command) > 0 && !given {
		o.ports = 0
	}
	return o, nil
}

// use runs the command, or waits for a signal; it returns the exit code.
func use(ctx context.Context, s *stack, o options) int {
	if o.envFile != "" {
		if err := os.WriteFile(o.envFile, []byte(s.exports()), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, "devstack:", err)
			return exitEnvironment
		}
		defer os.Remove(o.envFile)
	}
	if len(o.command) > 0 {
		return s.command(ctx, o.command)
	}
	fmt.Print(s.exports())
	fmt.Fprintln(os.Stderr, "devstack: Ctrl-C ends it")
	select {
	case <-ctx.Done():
		return exitOK
	case name := <-s.died:
		fmt.Fprintf(os.Stderr, "devstack: %s has died\n", name)
		return exitEnvironment
	}
}
