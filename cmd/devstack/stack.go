package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/pipe-cdc/pipe/pipeline/pipetest/registry"
	"github.com/pipe-cdc/pipe/pipeline/pipetest/server"
)

// stack is what was started.
type stack struct {
	options
	died chan string // name of a server whose process ended by itself

	mu   sync.Mutex // guards the following while the servers start
	env  []string
	path string         // directory with the client programs of PostgreSQL
	stop []func() error // what ends each part
}

// up starts what the options ask for, all at once, and waits until everything is ready. On an error
// nothing is left.
func up(ctx context.Context, o options) (*stack, error) {
	s := &stack{options: o, died: make(chan string, len(services))}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	starters := map[string]func(context.Context, int) error{
		"postgres": s.postgres, "mariadb": s.mariadb, "kafka": s.kafka, "registry": s.registry,
	}
	errs := make([]error, len(services))
	var wg sync.WaitGroup
	for i, name := range services {
		if !slices.Contains(o.only, name) {
			continue
		}
		port := 0
		if o.ports != 0 {
			port = o.ports + i
		}
		wg.Go(func() {
			if err := starters[name](ctx, port); err != nil {
				errs[i] = fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, s.down())
	}
	return s, nil
}

// makeDir makes the directory that holds those of the servers, which must be able to reach theirs.
func (s *stack) makeDir() error {
	if s.dir != "" {
		abs, err := filepath.Abs(s.dir)
		if err != nil {
			return err
		}
		s.dir = abs
		return os.MkdirAll(abs, 0o755)
	}
	dir, err := os.MkdirTemp("", "devstack-")
	if err != nil {
		return err
	}
	s.dir = dir
	s.stop = append(s.stop, func() error { return os.RemoveAll(dir) })
	return os.Chmod(dir, 0o755)
}

// started records what ends a part and what a user needs to reach it.
func (s *stack) started(stop func() error, env ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop = append(s.stop, stop)
	s.env = append(s.env, env...)
}

// watch reports the end of a server's process.
func (s *stack) watch(name string, exited <-chan struct{}) {
	go func() {
		<-exited
		s.died <- name
	}()
}

func (s *stack) mariadb(ctx context.Context, port int) error {
	m, err := server.StartMariaDB(ctx, server.MariaDBConfig{Port: port, Dir: filepath.Join(s.dir, "mariadb")})
	if err != nil {
		return err
	}
	s.started(m.Close, "MARIADB_URL="+m.DSN("shop"))
	s.watch("MariaDB", m.Exited())
	_, err = m.Query(ctx, "", "CREATE DATABASE IF NOT EXISTS shop;")
	return err
}

func (s *stack) kafka(_ context.Context, port int) error {
	opts := []kfake.Opt{kfake.DataDir(filepath.Join(s.dir, "kafka"))}
	if port != 0 {
		opts = append(opts, kfake.Ports(port))
	}
	k, err := server.StartKafka(opts...)
	if err != nil {
		return err
	}
	s.started(func() error { k.Close(); return nil }, "KAFKA_BROKERS="+strings.Join(k.Addrs, ","))
	return nil
}

func (s *stack) registry(_ context.Context, port int) error {
	r, err := registry.New(registry.Config{File: filepath.Join(s.dir, "registry.json")})
	if err != nil {
		return err
	}
	h, err := server.StartHTTP(port, r)
	if err != nil {
		return err
	}
	s.started(h.Close, "SCHEMA_REGISTRY_URL="+h.URL)
	return nil
}

// down ends everything, the last first.
func (s *stack) down() error {
	var errs []error
	for _, stop := range slices.Backward(s.stop) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}
