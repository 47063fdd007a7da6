package main

import (
	"io"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline/config"
)

// maxStdin bounds a configuration on standard input; package config refuses less.
const maxStdin = 16 << 20

// configFlags gives a command the flags that loading a configuration takes.
func configFlags(cmd *cobra.Command) {
	cmd.Flags().StringArray("var", nil, "value of a variable, NAME=VALUE (repeatable)")
	cmd.Flags().StringArray("var-file", nil, "file with values of variables, .hcl or .json (repeatable)")
}

// loadConfig loads the configuration that a command's first argument names: a file, a directory, or
// "-" for standard input; without one, the current directory.
func loadConfig(cmd *cobra.Command, args []string) (*config.Config, hcl.Diagnostics) {
	return loadWith(cmd, args, config.Options{Registry: components()})
}

// loadLoose is loadConfig where unset environment variables stay unknown. Standard input cannot be read
// twice and is an error.
func loadLoose(cmd *cobra.Command, args []string) (*config.Config, hcl.Diagnostics) {
	if len(args) > 0 && args[0] == "-" {
		return nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Standard input was read"}}
	}
	return loadWith(cmd, args, config.Options{Registry: components(), NoEnv: true})
}

func loadWith(cmd *cobra.Command, args []string, opt config.Options) (*config.Config, hcl.Diagnostics) {
	opt.Vars, _ = cmd.Flags().GetStringArray("var")
	opt.VarFiles, _ = cmd.Flags().GetStringArray("var-file")
	if noEnv, _ := cmd.Flags().GetBool("no-env"); noEnv {
		opt.NoEnv = true
	}
	path := "."
	if len(args) > 0 {
		path = args[0]
	}
	if path == "-" {
		text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxStdin))
		if err != nil {
			return &config.Config{}, hcl.Diagnostics{{
				Severity: hcl.DiagError, Summary: "Cannot read standard input", Detail: err.Error(),
			}}
		}
		opt.Stdin = text
	}
	return config.Load(path, opt)
}
