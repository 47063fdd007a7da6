package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/config/diag"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// output is how a command speaks: text for people, or with --json one envelope.
type output struct {
	out, err io.Writer
	json     bool
	log      *slog.Logger // of --log-format=json: what is wrong is logged as well; nil
	github   bool         // diagnostics as annotations of a GitHub workflow
	colour   bool
}

// envelope is what every command prints with --json. Findings are part of the result; error is
// set only where the command could not do its work.
type envelope struct {
	Command string         `json:"command"`
	OK      bool           `json:"ok"`
	Summary string         `json:"summary"`
	Result  any            `json:"result"`
	Error   *envelopeError `json:"error"`
}

type envelopeError struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Node    string `json:"node,omitempty"`
	Code    int    `json:"exit_code"`
}

// outputOf returns how a command was asked to speak.
func outputOf(cmd *cobra.Command) output {
	o := output{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
	o.json, _ = cmd.Flags().GetBool("json")
	if f := cmd.Flags().Lookup("format"); f != nil {
		o.github = f.Value.String() == "github"
	}
	if f := cmd.Flags().Lookup("log-format"); f != nil && f.Value.String() == "json" {
		o.log = slog.New(slog.NewJSONHandler(o.err, nil))
	}
	o.colour = coloured(o.err)
	return o
}

// coloured reports whether w is a terminal whose user has not asked for plain text.
func coloured(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// result prints what a command found: the envelope, or what text prints.
func (o output) result(cmd *cobra.Command, ok bool, summary string, result any, text func(w io.Writer)) error {
	if !o.json {
		var b strings.Builder
		text(&b)
		_, err := io.WriteString(o.out, b.String())
		return err
	}
	return o.envelope(envelope{Command: cmd.Name(), OK: ok, Summary: summary, Result: result})
}

func (o output) envelope(e envelope) error {
	enc := json.NewEncoder(o.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(e)
}

// failed says why a command could not do its work.
func (o output) failed(cmd *cobra.Command, err error) {
	if o.json {
		e := &envelopeError{Message: err.Error(), Hint: pipeline.HintOf(err), Node: nodeOf(err),
			Code: exitCode(err)}
		o.envelope(envelope{Command: cmd.Name(), Summary: "failed", Error: e})
		return
	}
	if o.log != nil {
		o.log.Error("failed", "error", err.Error(), "node", nodeOf(err), "exit_code", exitCode(err))
		return
	}
	label := "error"
	if o.colour {
		label = "\x1b[1;31merror\x1b[0m"
	}
	fmt.Fprintf(o.err, "%s: %s\n", label, printable(err.Error()))
}

// nodeOf returns the address of the component that an error is of, or "".
func nodeOf(err error) string {
	for err != nil {
		if e, ok := err.(*pipeline.Error); ok && e.Node != "" {
			return e.Node
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return ""
		}
		err = u.Unwrap()
	}
	return ""
}

// printable keeps text from outside from driving the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}

// diagnostics prints what is wrong with a configuration to the error stream; without --json only.
func (o output) diagnostics(c *config.Config, diags hcl.Diagnostics) {
	all := diag.From(diags, c.Files)
	switch {
	case o.json || len(all) == 0:
	case o.github:
		diag.GitHub(o.out, all)
	case o.log != nil:
		logDiagnostics(o.log, all)
	default:
		diag.Text(o.err, all, o.colour)
		fmt.Fprintln(o.err)
	}
}

// logDiagnostics writes one line for each problem.
func logDiagnostics(log *slog.Logger, all []diag.Diagnostic) {
	for _, d := range all {
		level, where := slog.LevelError, ""
		if d.Severity == "warning" {
			level = slog.LevelWarn
		}
		if d.Range != nil {
			where = fmt.Sprintf("%s:%d:%d", d.Range.File, d.Range.Start.Line, d.Range.Start.Column)
		}
		log.Log(context.Background(), level, d.Summary, "detail", d.Detail, "at", where)
	}
}

// findings is the result of a command whose configuration is wrong.
type findings struct {
	Diagnostics []diag.Diagnostic `json:"diagnostics"`
}

// refused ends a command whose configuration is wrong, having printed why; nil without errors
// (warnings are printed all the same).
func (o output) refused(cmd *cobra.Command, c *config.Config, diags hcl.Diagnostics) error {
	o.diagnostics(c, diags)
	if !diags.HasErrors() {
		return nil
	}
	summary := countText(diags)
	if o.json {
		all := diag.From(diags, c.Files)
		if err := o.envelope(envelope{Command: cmd.Name(), Summary: summary, Result: findings{all}}); err != nil {
			return err
		}
	} else if o.log == nil {
		fmt.Fprintln(o.err, summary)
	}
	return &exit{code: exitInput}
}

// countText counts diagnostics: "2 errors, 1 warning".
func countText(diags hcl.Diagnostics) string {
	var errors, warnings int
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			errors++
		} else {
			warnings++
		}
	}
	text := plural(errors, "error")
	if warnings > 0 {
		text += ", " + plural(warnings, "warning")
	}
	return text
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// maxNamed bounds how many names a message lists.
const maxNamed = 12

// orOneOf is didYouMean, or where nothing is near, what there is.
func orOneOf(name string, names []string) string {
	near := didYouMean(name, names)
	if near != "" || len(names) == 0 || len(names) > maxNamed {
		return near
	}
	return "; there is " + strings.Join(names, ", ")
}

// didYouMean suggests a name, as the end of a sentence.
func didYouMean(name string, names []string) string {
	if best := spec.Nearest(name, names); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return ""
}
