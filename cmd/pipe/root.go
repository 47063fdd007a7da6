package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The exit codes; every command keeps to them.
const (
	exitOK          = 0
	exitRuntime     = 1 // failed while running, or a bug
	exitInput       = 2 // the configuration or the command line is wrong
	exitEnvironment = 3 // a server could not be reached or refused
	// fmt --check: not formatted; plan --exit-code: something to do; verify: rows differ; status: not
	// running, or not ready
	exitDiffers = 4
)

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// exit is an error that knows its exit code. Without a cause everything was said already.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// usage marks an error of the command line.
func usage(format string, args ...any) error {
	return &exit{code: exitInput, err: fmt.Errorf(format, args...)}
}

// exitCode returns the exit code that an error stands for.
func exitCode(err error) int {
	var e *exit
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return e.code
	}
	switch pipeline.ClassOf(err) {
	case pipeline.Input:
		return exitInput
	case pipeline.Environment:
		return exitEnvironment
	}
	return exitRuntime
}

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string, s streams) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	var e *exit
	if errors.As(err, &e) && e.err == nil {
		return e.code
	}
	outputOf(cmd).failed(cmd, err)
	return exitCode(err)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "pipe",
		Short: "Change data capture as HCL",
		Long: "pipe moves table changes from databases to logs and databases. HCL files say what flows where:\n" +
			"existing rows first, then every change, in order, without loss.",
		Example: "  pipe validate shop.hcl          check a configuration\n" +
			"  pipe graph shop.hcl             draw it\n" +
			"  pipe run shop.hcl               run it\n" +
			"  pipe explain source.postgres    what a block takes",
		Version:           buildOf().Version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.PersistentFlags().Bool("json", false, "print one JSON object {command, ok, summary, result, error}")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w (see %s --help)", err, cmd.CommandPath())
	})
	root.AddCommand(commands()...)
	for _, cmd := range root.Commands() {
		cmd.Args = usageArgs(cmd.Args)
	}
	root.Args = usageArgs(noSuchCommand)
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return root
}

// commands are the subcommands, in the order of a session.
func commands() []*cobra.Command {
	return []*cobra.Command{
		runCommand(), planCommand(), validateCommand(), fmtCommand(), graphCommand(), tablesCommand(),
		snapshotCommand(), statusCommand(), verifyCommand(),
		explainCommand(), listCommand(), completionCommand(), versionCommand(),
	}
}

// usageArgs gives errors about arguments the exit code of wrong input.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		if err := check(cmd, args); err != nil {
			return usage("%w (see %s --help)", err, cmd.CommandPath())
		}
		return nil
	}
}

// oneOfValid refuses arguments that are not among the command's.
func oneOfValid(cmd *cobra.Command, args []string) error {
	for _, a := range args {
		if !slices.Contains(cmd.ValidArgs, a) {
			return fmt.Errorf("%q is not one of %s%s", a, strings.Join(cmd.ValidArgs, ", "), didYouMean(a, cmd.ValidArgs))
		}
	}
	return nil
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return fmt.Errorf("there is no command %q%s", args[0], didYouMean(args[0], names))
}
