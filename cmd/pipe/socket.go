package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/checkpoint"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/control"
)

// statusWithin bounds how long a running pipeline may take to tell its status.
const statusWithin = 5 * time.Second

// controlSocket is where a pipeline listens while it runs: beside the state file, else beside the
// configuration.
func controlSocket(c *config.Config) string {
	s := c.Settings
	if s.State.Kind == "file" {
		return checkpoint.FilePath(s.State.Path, s.Name) + ".sock"
	}
	return filepath.Join(c.Dir, ".pipe", fileName(s.Name)+".sock")
}

// target is a pipeline that a command is about, running or not.
type target struct {
	config *config.Config
	client *control.Client // nil: it does not run
	status control.Status  // where it runs
}

// findTarget loads the configuration and looks for the process that runs it. A running pipeline is
// found without the environment that it was started with, as long as that does not say where its state
// is.
func findTarget(cmd *cobra.Command, args []string) (*target, error) {
	o := outputOf(cmd)
	c, diags := loadConfig(cmd, args)
	client, err := remote(cmd, c)
	if err != nil {
		return nil, err
	}
	if client != nil {
		if err := o.refused(cmd, c, diags); err != nil {
			return nil, err
		}
		t := &target{config: c}
		if err := t.reach(cmd.Context(), client); err != nil {
			return nil, asked(err)
		}
		return t, nil
	}
	if !diags.HasErrors() {
		t := &target{config: c}
		if err := t.find(cmd.Context()); err != nil {
			return nil, err
		}
		return t, o.refused(cmd, c, diags)
	}
	if loose, problems := loadLoose(cmd, args); !problems.HasErrors() {
		t := &target{config: loose}
		if t.find(cmd.Context()) == nil && t.client != nil {
			return t, nil
		}
	}
	return nil, o.refused(cmd, c, diags)
}

// find asks whoever listens at the socket for the status.
func (t *target) find(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	client := control.Dial(controlSocket(t.config))
	status, err := client.Status(ctx)
	if errors.Is(err, control.ErrNotRunning) {
		return nil
	}
	if err == nil {
		t.client, t.status = client, status
	}
	return err
}

// holder says who holds the state of a pipeline whose socket does not answer, "" where nobody does or
// the state does not tell.
func (t *target) holder(ctx context.Context) (string, error) {
	s := t.config.Settings
	switch s.State.Kind {
	case "file":
		return checkpoint.Holder(s.State.Path, s.Name)
	case "postgres":
		h, ok, err := checkpoint.PeekHolder(ctx, stateServer(s, discardLog()))
		if err != nil || !ok {
			return "", err
		}
		return "process " + h.Owner, nil
	}
	return "", nil
}

// free refuses to begin a second process where one has the state, but cannot be asked.
func (t *target) free(ctx context.Context) error {
	holder, err := t.holder(ctx)
	if err != nil || holder == "" {
		return err
	}
	return &pipeline.Error{Node: "control", Class: pipeline.Environment,
		Err: fmt.Errorf("%s runs this pipeline, but nobody listens at its control socket %s", holder,
			controlSocket(t.config)),
		Hint: "It may be starting; or it runs on another host, where this command is to be run; or it is an older version " +
			"of pipe: restart it."}
}

// whoAsks names the user and the host, for people.
func whoAsks() string {
	name := "somebody"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	by := name + "@" + host
	return by[:min(len(by), maxBy)]
}
