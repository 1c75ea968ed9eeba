package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// killsOptions are the flags of kills.
type killsOptions struct {
	times    int
	hubs     int
	students int
	seed     uint64
	root     string
	binary   string
	quiet    bool
}

// killsCommand is no measurement but a proof, too long for a test: the tests of cmd/lrshub do the same a dozen times.
func killsCommand() *cobra.Command {
	var o killsOptions
	c := &cobra.Command{
		Use:   "kills",
		Short: "Kill hubs, their Postgres and their connectors in the middle of syncs, and compare what is stored with the source each time",
		Long: `Kill -9 at random moments of syncs: in turns the hub's own process, the first process of its embedded Postgres, and the connector's.
After each kill the run must come to its end, what the hub exports must be what the source says, statement by statement and none twice,
and the audit log must be proved. Several hubs are killed side by side, since most of the time each waits for its next attempt.`,
		Example: `  lrsbench kills --times 300`,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return kills(c.Context(), o) },
	}
	c.Flags().IntVar(&o.times, "times", 300, "kills in all")
	c.Flags().IntVar(&o.hubs, "hubs", 4, "hubs at a time")
	c.Flags().IntVar(&o.students, "students", 1000, "learners in the made-up source, with five results each")
	c.Flags().Uint64Var(&o.seed, "seed", 0, "seed of the random moments (default: another each time, printed)")
	c.Flags().StringVar(&o.root, "root", ".", "folder of the module, to build lrshub from and for the csv connector's example")
	c.Flags().StringVar(&o.binary, "binary", "", "lrshub to kill (default: built from --root)")
	c.Flags().BoolVar(&o.quiet, "quiet", false, "print the totals only")
	return c
}

func kills(ctx context.Context, o killsOptions) error {
	if o.times < 1 || o.hubs < 1 || o.students < 10 {
		return errors.New("--times and --hubs must be at least 1, --students at least 10")
	}
	root, err := filepath.Abs(o.root)
	if err != nil {
		return err
	}
	dir, err := trial.Folder()
	if err != nil {
		return err
	}
	if o.binary == "" {
		if o.binary, err = trial.Build(ctx, root, dir); err != nil {
			return errors.Join(err, os.RemoveAll(dir))
		}
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	fmt.Printf("seed %d\n", o.seed)
	config := filepath.Join(root, "connectors", "csv", "examples", "oulad", "results.yaml")
	began := time.Now()
	reports, err := o.series(ctx, dir, config)
	printKills(reports, time.Since(began))
	if err != nil {
		return fmt.Errorf("%w; what is left is in %s", err, dir)
	}
	return os.RemoveAll(dir)
}

// series kills on several hubs at a time, and shares the kills out among them.
func (o killsOptions) series(ctx context.Context, dir, config string) ([]trial.KillReport, error) {
	reports := make([]trial.KillReport, min(o.hubs, o.times))
	var group errgroup.Group
	var printing sync.Mutex
	for i := range reports {
		group.Go(func() error {
			folder := filepath.Join(dir, fmt.Sprint("hub-", i+1))
			if err := errors.Join(os.Mkdir(folder, 0o711), os.Chmod(folder, 0o711)); err != nil { // whatever the umask
				return err
			}
			log := func(format string, args ...any) {
				printing.Lock()
				defer printing.Unlock()
				if !o.quiet {
					fmt.Printf("hub %d: %s\n", i+1, fmt.Sprintf(format, args...))
				}
			}
			k := trial.Kills{
				Binary: o.binary, Times: (o.times + i) / len(reports), First: i, Students: o.students, Config: config, Rand: rand.New(rand.NewPCG(o.seed, uint64(i))), Log: log,
			}
			var err error
			if reports[i], err = k.Run(ctx, folder); err != nil {
				return fmt.Errorf("hub %d: %w", i+1, err)
			}
			return nil
		})
	}
	return reports, group.Wait()
}

func printKills(reports []trial.KillReport, took time.Duration) {
	all := trial.KillReport{Killed: map[trial.Victim]int{}}
	total := 0
	for _, r := range reports {
		for victim, n := range r.Killed {
			all.Killed[victim] += n
			total += n
		}
		all.During, all.Syncs, all.Facts = all.During+r.During, all.Syncs+r.Syncs, all.Facts+r.Facts
		all.Slowest = max(all.Slowest, r.Slowest)
	}
	fmt.Printf("%d kills in %v: hub %d, postgres %d, connector %d; %d of them while the run was under way\n", total, took.Round(time.Second),
		all.Killed[trial.HubProcess], all.Killed[trial.PostgresProcess], all.Killed[trial.ConnectorProcess], all.During)
	fmt.Printf("after each: totals exact and no statement twice (%d runs, %d statements compared), audit log proved, no process left\n", all.Syncs, all.Facts)
	fmt.Printf("slowest from kill to the run's end: %v\n", all.Slowest.Round(time.Millisecond))
}
