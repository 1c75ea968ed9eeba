// Command lrshub is the hub in one binary: server, worker and command line.
//
// It only composes: rooms.go opens the rooms of hub/, hub.go runs the parts of a hub process on them, up.go adds embedded Postgres and
// Temporal, settings.go reads the environment of the production commands. The files cli_*.go are the command line, which
// talks to a hub through its management API.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes. Part of the stable surface.
const (
	exitFailed   = 1
	exitUsage    = 2
	exitNotFound = 3
	exitDenied   = 4
	exitConflict = 5
	exitPartly   = 6
)

// exitError is an error that names its exit code.
type exitError struct {
	code int
	text string
}

func (e exitError) Error() string { return e.text }

func usage(format string, args ...any) error {
	return exitError{exitUsage, fmt.Sprintf(format, args...)}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends at once
	root := command()
	err := root.ExecuteContext(ctx)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "lrshub:", err)
	var exit exitError
	if errors.As(err, &exit) {
		os.Exit(exit.code)
	}
	os.Exit(exitFailed)
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "lrshub",
		Short: "Learner record hub: from source systems to audited xAPI records, and out again through one gate",
		Long: `lrshub pulls records from learning, HR and assessment systems, turns them into xAPI statements, keeps them where no
person stands in clear, and gives out only what policy allows.

Start one on this machine with:  lrshub up`,
		Args:          onlyCommands,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%v\nSee: %s --help", err, c.CommandPath())
	})
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run a hub:"}, &cobra.Group{ID: "use", Title: "Use a hub:"})
	for _, c := range []*cobra.Command{upCommand(), serveCommand(), workerCommand(), migrateCommand(), checkCommand(), versionCommand()} {
		c.GroupID = "run"
		root.AddCommand(c)
	}
	addUses(root)
	return root
}
