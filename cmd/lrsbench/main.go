// Command lrsbench measures how near the hub's roads come to what Postgres itself can take. Every figure is a ratio to something measured on
// the same Postgres in the same run, so it means the same on any machine; load alone has no yardstick, since it measures whatever store it is given.
//
// Start with limits.go (what is stored by the road in, by HTTP and by COPY, in turns) and sync.go (the whole road from a connector's
// process to the commit). server.go starts the Postgres of a run, hub.go composes the rooms on a database of it, rawcopy.go is
// the yardstick, statements.go and tables.go make up what is stored, report.go prints. latency.go, and load.go, talk HTTP by client.go, which
// knows nothing of the hub. reads.go asks queries of a store that corpus.go makes up and fill.go fills. stream.go watches a
// hub's process, started by cmd/internal/trial, while all that it holds streams out.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/connectors"
	"github.com/lrshub/lrshub/plugins/sdk"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lrsbench:", err)
		os.Exit(1)
	}
}

// common are the flags that both measurements have.
type common struct {
	ownerURL    string
	postgresBin string
	output      string
	profile     string
	rounds      int
	writers     int
	batch       int
	out         io.Writer // of the report
}

func command() *cobra.Command {
	var o common
	root := &cobra.Command{
		Use:   "lrsbench",
		Short: "Measure the hub's roads against what Postgres itself can take",
		Long: `lrsbench measures the hub's roads against what Postgres itself can take, in turns on the same Postgres, so that what else the
machine does weighs on all alike. What is stored in bulk is held against raw COPY, which is: table owner, no row-level security, the
product's statement table with its indexes, the same bytes, 2 writers, 500 rows a commit, fsync on.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	f := root.PersistentFlags()
	f.StringVar(&o.ownerURL, "database-owner-url", "", "measure on this Postgres (a superuser's URL; databases of its own are made and dropped) instead of one in a temporary folder")
	f.StringVar(&o.postgresBin, "postgres-bin", "", "folder of the Postgres binaries (default: PATH, then /usr/lib/postgresql/*/bin)")
	f.StringVarP(&o.output, "output", "o", "table", "table or json")
	f.StringVar(&o.profile, "cpuprofile", "", "write a pprof profile of what is measured to this file")
	f.IntVar(&o.rounds, "rounds", 5, "rounds; the medians of their ratios are printed")
	f.IntVar(&o.writers, "writers", 2, "writers at a time; 2 by the definition of raw COPY")
	f.IntVar(&o.batch, "batch", 500, "statements or rows a commit; 500 by the definition of raw COPY")
	root.AddCommand(limitsCommand(&o), syncCommand(&o), latencyCommand(&o), loadCommand(&o), readsCommand(&o), streamCommand(&o), connectionsCommand(&o), killsCommand(), writersCommand(), conformanceCommand(), connectorCommand())
	return root
}

// check refuses flags that measure nothing.
func (o *common) check() error {
	if o.rounds < 1 || o.writers < 1 || o.batch < 1 {
		return fmt.Errorf("--rounds, --writers and --batch must be at least 1")
	}
	if o.output != "table" && o.output != "json" {
		return fmt.Errorf("-o must be table or json")
	}
	return nil
}

// profiled runs a measurement and writes its profile, if one is asked for.
func (o *common) profiled(measure func() error) error {
	if o.profile == "" {
		return measure()
	}
	f, err := os.Create(o.profile)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return measure()
}

// connectorCommand is how plugins/host starts a built-in connector: this program anew.
func connectorCommand() *cobra.Command {
	c := &cobra.Command{Use: "connector", Hidden: true}
	c.AddCommand(&cobra.Command{
		Use: "serve NAME", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			make, known := connectors.Builtin()[args[0]]
			if !known {
				return fmt.Errorf("there is no built-in connector %q", args[0])
			}
			sdk.Serve(make())
			return nil
		},
	})
	return c
}
