package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline/config"
)

func fmtCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fmt [FILE|DIR|-]...",
		Short: "Format configuration files",
		Long: "Writes files in the canonical form: two spaces of indent, = aligned. Comments stay. A directory stands\n" +
			"for its .hcl files, - for standard input. A file that does not parse is left alone and reported.",
		Example: "  pipe fmt shop.hcl          rewrite it\n" +
			"  pipe fmt --check --diff .   show what would change; exit code 4 if anything would\n" +
			"  pipe fmt - < shop.hcl       to standard output",
		RunE: format,
	}
	cmd.Flags().Bool("check", false, "write nothing; exit with 4 if a file is not formatted")
	cmd.Flags().Bool("diff", false, "print what changes")
	return cmd
}

// formatted is the result of fmt.
type formatted struct {
	Changed []string `json:"changed"`
}

// formatter formats files one after another.
type formatter struct {
	out         output
	check, diff bool
	changed     []string
	text        strings.Builder
	files       map[string][]byte
	diags       hcl.Diagnostics
}

func format(cmd *cobra.Command, args []string) error {
	f := &formatter{out: outputOf(cmd), files: make(map[string][]byte)}
	f.check, _ = cmd.Flags().GetBool("check")
	f.diff, _ = cmd.Flags().GetBool("diff")
	if len(args) == 0 {
		args = []string{"."}
	}
	for _, arg := range args {
		if err := f.argument(cmd, arg); err != nil {
			return err
		}
	}
	if len(f.diags) > 0 {
		return f.out.refused(cmd, &config.Config{Files: f.files}, f.diags)
	}
	ok := !f.check || len(f.changed) == 0
	summary := plural(len(f.changed), "file") + " changed"
	if f.check {
		summary = plural(len(f.changed), "file") + " not formatted"
	}
	result := formatted{Changed: append([]string{}, f.changed...)}
	err := f.out.result(cmd, ok, summary, result, func(w io.Writer) { io.WriteString(w, f.text.String()) })
	if err == nil && !ok {
		return &exit{code: exitDiffers}
	}
	return err
}

func (f *formatter) argument(cmd *cobra.Command, arg string) error {
	if arg == "-" {
		text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxStdin))
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
		return f.one("<stdin>", text, nil)
	}
	names, err := hclFiles(arg)
	if err != nil {
		return usage("%w", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return usage("%w", err)
		}
		if err := f.one(name, text, func(text []byte) error { return rewrite(name, text) }); err != nil {
			return err
		}
	}
	return nil
}

// hclFiles returns the files that an argument of fmt stands for. Tests and values of variables are
// formatted too; JSON has no canonical form here.
func hclFiles(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if strings.HasSuffix(arg, ".json") {
			return nil, errors.New(arg + " is JSON; fmt formats .hcl files")
		}
		return []string{arg}, nil
	}
	return filepath.Glob(filepath.Join(arg, "*.hcl"))
}

// one formats one text; write replaces the file, nil for standard input.
func (f *formatter) one(name string, text []byte, write func([]byte) error) error {
	f.files[name] = text
	if _, diags := config.Parse(name, text); diags.HasErrors() {
		f.diags = append(f.diags, diags...)
		return nil
	}
	better := hclwrite.Format(text)
	same := bytes.Equal(text, better)
	if !same {
		f.changed = append(f.changed, name)
	}
	if f.diff && !same {
		f.text.WriteString(lineDiff(name, text, better))
	}
	switch {
	case write == nil && !f.check && !f.diff:
		f.text.Write(better)
	case same:
	case f.check || write == nil:
		if !f.diff {
			f.text.WriteString(name + "\n")
		}
	default:
		if !f.diff {
			f.text.WriteString(name + "\n")
		}
		return write(better)
	}
	return nil
}

// rewrite replaces a file at once, so that no crash leaves half of it.
func rewrite(name string, text []byte) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".pipe-fmt-")
	if err != nil {
		return fmt.Errorf("rewrite %s: %w", name, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Chmod(info.Mode().Perm()), tmp.Close())
	if err != nil {
		return fmt.Errorf("rewrite %s: %w", name, err)
	}
	return os.Rename(tmp.Name(), name)
}

// lineDiff renders changed lines. Formatting changes spaces within lines, never their number.
func lineDiff(name string, before, after []byte) string {
	old, next := strings.Split(string(before), "\n"), strings.Split(string(after), "\n")
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", name, name)
	for i := 0; i < max(len(old), len(next)); {
		if i < len(old) && i < len(next) && old[i] == next[i] {
			i++
			continue
		}
		end := i
		for end < max(len(old), len(next)) && !(end < len(old) && end < len(next) && old[end] == next[end]) {
			end++
		}
		gone, came := old[min(i, len(old)):min(end, len(old))], next[min(i, len(next)):min(end, len(next))]
		fmt.Fprintf(&b, "@@ -%d,%d +%d,%d @@\n", i+1, len(gone), i+1, len(came))
		for _, line := range gone {
			b.WriteString("-" + line + "\n")
		}
		for _, line := range came {
			b.WriteString("+" + line + "\n")
		}
		i = end
	}
	return b.String()
}
