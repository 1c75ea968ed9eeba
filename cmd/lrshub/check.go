package main

import (
	"context"

	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command                          { return &cobra.Command{Use: "check"} }
func addDemo(context.Context, string, string, string) error { return nil }
