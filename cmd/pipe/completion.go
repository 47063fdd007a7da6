package main

import (
	"github.com/spf13/cobra"
)

func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script that completes commands in a shell",
		Long:  "Prints a completion script for bash, zsh, fish or powershell.",
		Example: "  source <(pipe completion bash)\n" +
			"  pipe completion zsh > \"${fpath[1]}/_pipe\"\n" +
			"  pipe completion fish > ~/.config/fish/completions/pipe.fish",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), oneOfValid),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, w := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(w, true)
			case "zsh":
				return root.GenZshCompletion(w)
			case "fish":
				return root.GenFishCompletion(w, true)
			}
			return root.GenPowerShellCompletionWithDesc(w)
		},
	}
}
