package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/control"
)

// remoteFlags gives a command the flags by which it asks a pipeline over TCP.
func remoteFlags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("at", "", "ask the pipeline that listens there, as its control block says: https://host:port")
	cmd.Flags().String("ca", "", "with --at: file with the certificate authorities to trust, PEM")
	return cmd
}

// remote is the client of --at, nil without that flag. The token is the one in the configuration.
func remote(cmd *cobra.Command, c *config.Config) (*control.Client, error) {
	at, ca := "", ""
	if f := cmd.Flags().Lookup("at"); f != nil {
		at, ca = f.Value.String(), cmd.Flag("ca").Value.String()
	}
	if at == "" {
		if ca != "" {
			return nil, usage("--ca is for --at")
		}
		return nil, nil
	}
	client, err := control.DialTCP(at, c.Settings.Control.Token, ca)
	if err != nil {
		return nil, usage("--at %s: %w", at, err)
	}
	return client, nil
}

// reach asks a pipeline over TCP: one that does not answer there is an error, since nothing else is known
// of it here.
func (t *target) reach(ctx context.Context, client *control.Client) error {
	ctx, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if name := t.config.Settings.Name; status.Pipeline != name {
		return &pipeline.Error{Node: "control", Class: pipeline.Input,
			Err:  fmt.Errorf("pipeline %q runs there, not %q", status.Pipeline, name),
			Hint: "Name the file of the one that is meant, or the address of the other one."}
	}
	t.client, t.status = client, status
	return nil
}
