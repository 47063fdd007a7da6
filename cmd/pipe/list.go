package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// listed is one component type.
type listed struct {
	Kind string `json:"kind"`
	Type string `json:"type"`
	Doc  string `json:"doc"`
}

func listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list [KIND]",
		Short: "List the types of sources, transforms, sinks and connections",
		Long:  "Lists the component types that a configuration may name. KIND is source, transform, sink or connection.",
		Example: "  pipe list\n" +
			"  pipe list sink\n" +
			"  pipe list --json",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), oneOfValid),
		ValidArgs: config.Kinds(),
		RunE:      list,
	}
}

func list(cmd *cobra.Command, args []string) error {
	kinds := config.Kinds()
	if len(args) == 1 {
		kinds = args
	}
	r := components()
	all := []listed{}
	for _, kind := range kinds {
		for _, typ := range r.Types(kind) {
			b := withMeta(kind, spec.Describe(typ, r.Definition(kind, typ)))
			all = append(all, listed{Kind: kind, Type: typ, Doc: b.Text})
		}
	}
	return outputOf(cmd).result(cmd, true, plural(len(all), "type"), all, func(w io.Writer) {
		rows := [][]string{}
		for _, l := range all {
			rows = append(rows, []string{l.Kind + "." + l.Type, firstSentence(l.Doc)})
		}
		table(w, rows)
		fmt.Fprintln(w, "\nWhat one takes: pipe explain "+sampleType(all))
	})
}

func sampleType(all []listed) string {
	if len(all) == 0 {
		return "KIND.TYPE"
	}
	return all[0].Kind + "." + all[0].Type
}

// firstSentence cuts a text after its first sentence.
func firstSentence(text string) string {
	if i := strings.Index(text, ". "); i >= 0 {
		return text[:i+1]
	}
	return text
}
