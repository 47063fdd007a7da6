package main

import (
	"errors"
	"io"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"runtime/pprof"

	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/engine"
)

func runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [FILE|DIR|-]",
		Short: "Run a pipeline",
		Long: "Runs a pipeline: snapshots what is there, then follows what changes, until it is stopped.\n" +
			"SIGINT or SIGTERM finishes and saves what is in flight; a second one stops at once. What fails for\n" +
			"a while (a server restarting, a broker away) is begun again from what was saved.",
		Example: "  pipe run shop.hcl\n" +
			"  pipe run --until-caught-up shop.hcl     end once everything committed so far is delivered\n" +
			"  pipe run --dry-run shop.hcl             print events instead of sending them; save nothing\n" +
			"  pipe run --only source.shop shop.hcl    one leg: a source with everything behind it",
		Args: cobra.MaximumNArgs(1),
		RunE: run,
	}
	configFlags(cmd)
	cmd.Flags().StringArray("only", nil, "run only the legs of this source, transform or sink (repeatable)")
	cmd.Flags().Bool("dry-run", false, "print what the sinks would get; save no position, move no slot")
	cmd.Flags().Bool("until-caught-up", false, "end once everything committed before the start is delivered")
	cmd.Flags().String("plan", "", "start only if what plan --out wrote to this file is still the plan")
	cmd.Flags().String("log-format", "text", "how log lines are written: text or json")
	cmd.Flags().String("cpu-profile", "", "write a CPU profile of the run to this file")
	_ = cmd.Flags().MarkHidden("cpu-profile") // the flag was added a line above
	return cmd
}

// gcPercent is how far the heap may grow over what is live, in percent. Batches are reused, so there
// is little to collect, and a small heap costs no time.
const gcPercent = 25

func run(cmd *cobra.Command, args []string) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	format := cmd.Flag("log-format").Value.String()
	if format != "text" && format != "json" {
		return usage("--log-format is text or json, not %q", format)
	}
	o := outputOf(cmd)
	c, diags := loadConfig(cmd, args)
	if err := o.refused(cmd, c, diags); err != nil {
		return err
	}
	if err := checkPlan(cmd, c); err != nil {
		return err
	}
	only, _ := cmd.Flags().GetStringArray("only")
	nodes, err := legs(c, only)
	if err != nil {
		return usage("%w", err)
	}
	r := newRunner(o, c, format)
	r.nodes = nodes
	r.dryRun, _ = cmd.Flags().GetBool("dry-run")
	r.untilCaughtUp, _ = cmd.Flags().GetBool("until-caught-up")
	ctx, stop := untilSignal(cmd.Context(), r.log)
	defer stop()
	endProfile, err := profile(cmd.Flag("cpu-profile").Value.String())
	if err != nil {
		return usage("%w", err)
	}
	defer endProfile()
	if err := r.runScratched(ctx); err != nil {
		return err
	}
	if o.json {
		return o.envelope(envelope{Command: cmd.Name(), OK: true, Summary: "stopped"})
	}
	return nil
}

// profile starts a CPU profile, "" none, and returns what ends it.
func profile(path string) (end func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // a profile that was cut short says so when it is read
	}, nil
}

// newRunner returns a runner that logs to the error stream: JSON lines, or text with progress drawn in
// place where that is a terminal.
func newRunner(o output, c *config.Config, format string) *runner {
	r := &runner{policy: retryPolicy(c.Settings.Retry)}
	r.config, r.out = c, o.out
	switch {
	case format == "json":
		r.log = slog.New(slog.NewJSONHandler(o.err, nil))
	case o.colour:
		r.terminal = o.err
		r.log = slog.New(slog.NewTextHandler(clearing{o.err}, nil))
	default:
		r.log = slog.New(slog.NewTextHandler(o.err, nil))
	}
	return r
}

// clearing wipes the progress line before a log line is written over it.
type clearing struct{ w io.Writer }

func (c clearing) Write(p []byte) (int, error) {
	if _, err := io.WriteString(c.w, "\r\x1b[K"); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

func retryPolicy(r config.Retry) engine.Retry {
	p := engine.Retry{First: r.Wait, Max: r.MaxWait, Attempts: r.Attempts}
	if p.Attempts == 0 {
		p.Attempts = math.MaxInt
	}
	return p
}
