package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// writers is no measurement but a proof, too long for a test: the tests of cmd/lrshub do a little of the same.
type writers struct {
	clients, seconds, nodes, kills int
	seed                           uint64
	root, binary                   string
	out                            io.Writer
}

func writersCommand() *cobra.Command {
	w := &writers{}
	c := &cobra.Command{
		Use:   "writers",
		Short: "Have many clients write the same statements at once, kill hubs in the middle of it, and check what is stored",
		Long: `Many clients send a hub overlapping batches: equal statements, other contents under the same ids, voidings and references of each other's
statements, shared activities and agents, attachments, by POST and by PUT, invalid batches between; and they merge documents. No answer may be 5xx,
Postgres may tell of no deadlock, and afterwards every statement must be what some serial order of the acknowledged requests would have left.

With --kills the hub or its Postgres is killed at a random moment, so many times, each with 16 of the clients: what was acknowledged must be there, and of what was
not, all of a request or nothing. At the end the audit log must be proved.`,
		Example: `  lrsbench writers --writers 64 --seconds 60
  lrsbench writers --nodes 2 --seconds 60
  lrsbench writers --seconds 10 --kills 200`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { w.out = c.OutOrStdout(); return w.run(c.Context()) },
	}
	f := c.Flags()
	f.IntVar(&w.clients, "writers", 64, "clients at a time")
	f.IntVar(&w.seconds, "seconds", 60, "how long they write")
	f.IntVar(&w.nodes, "nodes", 1, "hubs on one database")
	f.IntVar(&w.kills, "kills", 0, "kills afterwards, of the hub and of its Postgres in turns")
	f.Uint64Var(&w.seed, "seed", 0, "seed of what is written and when (default: another each time, printed)")
	f.StringVar(&w.root, "root", ".", "folder of the module, to build lrshub from")
	f.StringVar(&w.binary, "binary", "", "lrshub to run (default: built from --root)")
	return c
}

func (w *writers) run(ctx context.Context) (err error) {
	if w.clients < 2 || w.seconds < 1 || w.nodes < 1 || w.kills < 0 {
		return errors.New("--writers must be at least 2, --seconds and --nodes at least 1, --kills not negative")
	}
	if w.seed == 0 {
		w.seed = rand.Uint64()
	}
	fmt.Fprintf(w.out, "seed %d\n", w.seed)
	dir, err := trial.Folder()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w; what is left is in %s", err, dir)
			return
		}
		err = os.RemoveAll(dir)
	}()
	if w.binary == "" {
		if w.binary, err = trial.Build(ctx, w.root, dir); err != nil {
			return err
		}
	}
	hub, err := trial.New(w.binary, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, hub.Stop(stop), hub.AwaitGone(stop, nil))
	}()
	if err := hub.Up(ctx); err != nil {
		return err
	}
	return w.on(ctx, hub)
}

// on has a hub that runs written to, and killed.
func (w *writers) on(ctx context.Context, hub *trial.Hub) error {
	var client struct{ Key, Secret string }
	if err := hub.JSON(ctx, &client, "client", "create", "writers", "--scope", "all", "--scope", "define"); err != nil {
		return err
	}
	many := trial.Writers{Nodes: []string{hub.URL()}, Key: client.Key, Secret: client.Secret, Clients: w.clients, Time: time.Duration(w.seconds) * time.Second, Seed: w.seed}
	if err := w.together(ctx, hub, many); err != nil {
		return err
	}
	many.Clients, many.Time = min(16, w.clients), 4*time.Second
	log := func(format string, args ...any) { fmt.Fprintf(w.out, format+"\n", args...) }
	sum, err := trial.KilledWriters{Hub: hub, Writers: many, Times: w.kills, Rand: rand.New(rand.NewPCG(w.seed, 1)), Log: log}.Run(ctx)
	if err != nil {
		return err
	}
	if w.kills > 0 {
		fmt.Fprintf(w.out, "%d kills: %v\n", w.kills, sum)
	}
	out, err := hub.Must(ctx, "audit", "verify")
	fmt.Fprintln(w.out, strings.TrimSpace(out))
	return err
}

// together has all clients write through all nodes.
func (w *writers) together(ctx context.Context, hub *trial.Hub, many trial.Writers) (err error) {
	for len(many.Nodes) < w.nodes {
		n, err := hub.Serve(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, n.Stop()) }()
		many.Nodes = append(many.Nodes, n.URL)
	}
	report, err := many.Run(ctx, nil)
	fmt.Fprintf(w.out, "%d clients, %d nodes: %v\n", w.clients, w.nodes, report)
	if err != nil {
		return err
	}
	deadlocks, err := hub.Deadlocks()
	if err == nil && deadlocks > 0 {
		err = fmt.Errorf("%d deadlocks in the log of Postgres", deadlocks)
	}
	return err
}
