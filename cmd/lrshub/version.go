package main

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by release builds: -ldflags "-X main.version=…".
var version = ""

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "development"
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: `  lrshub version`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if output := c.Flag("output").Value.String(); output == "json" || output == "jsonl" {
				return printJSON(os.Stdout, map[string]string{"version": versionText()})
			}
			fmt.Println("lrshub", versionText())
			return nil
		},
	}
}
