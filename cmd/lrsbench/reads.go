package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// reads is one run of the command.
type reads struct {
	*common
	sizes    []int
	requests int
	each     time.Duration
	keep     string

	server *server
	hub    *hub
	filled *filled
	url    string // of the hub's HTTP face
}

func readsCommand(o *common) *cobra.Command {
	r := reads{common: o}
	c := &cobra.Command{
		Use:   "reads",
		Short: "Queries of xAPI at growing sizes of the store, with and without a policy filter",
		Long: fmt.Sprintf(`reads fills a store to each of --sizes in turn, by the road in, and at each size asks queries of xAPI over loopback, one client, limit %d. It tells
how much longer the median answer takes at the last size than at the first. The goal is less than %.1f times.

What is asked for is comparable at every size: learners, activities, tutors and registrations of a hundred statements each, spread over
what was stored since the size before, and others that have a fixed share of the store. So are those who ask: one who sees nearly all, one for another
purpose, one who sees what it wrote itself, one who sees pseudonyms, and one who may see only %d statements, the oldest. A request to
/xapi/about, which reads nothing, tells how much the machine itself has changed meanwhile.

Before each measurement the database is vacuumed and analyzed, as autovacuum does, and each page is read once. A size needs about %d bytes a
statement on disk; the folder is --keep, or else a temporary one (TMPDIR). What is kept is used again, and a fill that was stopped goes on.`,
			pageSize, readsGoal, fewSize, bytesOfStatement),
		Example: `  lrsbench reads
  lrsbench reads --sizes 10000,100000,1000000,10000000 --keep /srv/lrsbench --writers 4
  lrsbench reads --sizes 10000,100000 -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { r.out = c.OutOrStdout(); return r.run(c.Context()) },
	}
	c.Flags().IntSliceVar(&r.sizes, "sizes", []int{10_000, 100_000}, "statements in the store, growing")
	c.Flags().IntVar(&r.requests, "requests", 100, "of each query of each reader at each size")
	c.Flags().DurationVar(&r.each, "each", 10*time.Second, "the most that a query of a reader is measured at a size")
	c.Flags().StringVar(&r.keep, "keep", "", "fill in this folder and leave it, or go on with what an earlier run left there")
	return c
}

const (
	// readsGoal is how many times longer the median answer may take at the last size than at the first.
	readsGoal = 1.5
	// bytesOfStatement is what a stored statement takes with all its indexes, generously; spareRoom what the write-ahead log and sorting take.
	bytesOfStatement = 2600
	spareRoom        = 4 << 30
	// leastStage is how many statements a stage must have to be like the others.
	leastStage = 1000
)

func (r *reads) check() error {
	if err := r.common.check(); err != nil {
		return err
	}
	if len(r.sizes) == 0 || r.requests < 1 || r.each <= 0 {
		return errors.New("--sizes must have a size, --requests and --each must be more than 0")
	}
	if r.keep != "" && r.ownerURL != "" {
		return errors.New("--keep keeps a Postgres of its own: leave --database-owner-url out")
	}
	for i, size := range r.sizes {
		if size < leastStage || i > 0 && size < r.sizes[i-1]+leastStage {
			return fmt.Errorf("--sizes must grow, by at least %d statements each", leastStage)
		}
	}
	return nil
}

func (r *reads) run(ctx context.Context) (err error) {
	if err := r.check(); err != nil {
		return err
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.server.stop()) }()
	if r.hub, err = r.server.open(ctx, "filled", true); err != nil {
		return err
	}
	defer r.hub.db.Close()
	if err := r.filled.clients(ctx, r.hub); err != nil {
		return err
	}
	url, end, err := serve(r.hub.handler())
	if err != nil {
		return err
	}
	defer end()
	r.url = url
	report := readsReport{Page: pageSize, Goal: readsGoal, Requests: r.requests}
	err = r.profiled(func() error {
		for _, size := range r.sizes {
			if err := r.at(ctx, size, &report); err != nil {
				return fmt.Errorf("%d statements: %w", size, err)
			}
		}
		return nil
	})
	if len(report.Sizes) == 0 {
		return err
	}
	report.compare()
	return errors.Join(err, report.print(r.out, r.output)) // what was measured before it was stopped, too
}

// open starts the Postgres, in a folder with room enough.
func (r *reads) open(ctx context.Context) (err error) {
	folder := os.TempDir()
	r.filled = &filled{}
	if r.keep != "" {
		if folder = r.keep; r.ownerURL == "" {
			if err := os.MkdirAll(folder, 0o711); err != nil {
				return err
			}
		}
		if r.filled, err = openFilled(folder); err != nil {
			return err
		}
	}
	if err := r.fits(folder); err != nil {
		return err
	}
	if r.keep != "" {
		r.server, err = startKept(ctx, *r.common, r.keep)
	} else if r.server, err = start(ctx, *r.common); err == nil {
		r.filled, err = openFilled(r.server.dir)
	}
	if err == nil && r.filled.Batch == 0 {
		r.filled.Batch = r.batch
	}
	return err
}

// fits refuses sizes that cannot be reached from what is there, or for which there is no room.
func (r *reads) fits(folder string) error {
	there := r.filled.size()
	if half := r.filled.Next; half > 0 && r.sizes[0] != half {
		return fmt.Errorf("%s is half filled to %d statements: ask for that first, or take another folder", folder, half)
	}
	for i, size := range r.sizes {
		if !slices.Contains(r.filled.Sizes, size) && size < there+leastStage {
			return fmt.Errorf("%s holds %d statements already, in the sizes %v: ask for these, or for more", folder, there, r.filled.Sizes)
		}
		if i < len(r.sizes)-1 && there > size {
			return fmt.Errorf("%s holds %d statements already: of what is smaller nothing can be measured; ask for %d, or take another folder", folder, there, there)
		}
	}
	if r.ownerURL != "" {
		return nil // on a machine that may be another
	}
	need := int64(max(r.sizes[len(r.sizes)-1]-there, 0))*bytesOfStatement + spareRoom
	free, err := freeSpace(folder)
	if err != nil {
		say("reads: needs about %d GiB in %s", need>>30, folder)
		return nil
	}
	say("reads: needs about %d GiB in %s, which has %d free", need>>30, folder, free>>30)
	if need > free {
		return fmt.Errorf("%d statements need about %d GiB, and %s has %d: take a larger disk with --keep, or smaller --sizes",
			r.sizes[len(r.sizes)-1], need>>30, folder, free>>30)
	}
	return nil
}

// at fills to a size and asks every query of every reader.
func (r *reads) at(ctx context.Context, size int, report *readsReport) error {
	took, err := r.filled.fill(ctx, r.hub, size, r.writers)
	if err != nil {
		return err
	}
	if err := settle(ctx, r.hub.owner); err != nil {
		return err
	}
	s, _ := r.filled.stage(size)
	list, err := meetAll(ctx, r.filled, s, r.url+"/xapi")
	if err != nil {
		return err
	}
	entry := readsSize{Statements: size, Stage: s.statements, Filled: took.Seconds()}
	if entry.Tables, err = sizes(ctx, r.hub.owner); err != nil {
		return err
	}
	if entry.About, err = about(ctx, list[0].store, r.requests); err != nil {
		return err
	}
	var found readsReport
	for _, reader := range list {
		defer reader.close()
		for _, q := range readQueries {
			if !reader.asks(q) {
				continue
			}
			measured, err := reader.measure(ctx, q, bounds{requests: r.requests, time: r.each})
			if err != nil {
				return err
			}
			found.add(reader.name, q.name, measured)
		}
		say("reads: %d statements, reader %s done", size, reader.name)
	}
	report.Sizes = append(report.Sizes, entry)
	for _, q := range found.Queries {
		report.add(q.Reader, q.Query, q.At[0])
	}
	return nil
}

// settle does at once what autovacuum would do soon, in the middle of the measurement.
func settle(ctx context.Context, owner string) error {
	db, err := sql.Open("postgres", owner)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, text := range []string{"VACUUM (ANALYZE)", "CHECKPOINT"} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return awaitVisible(ctx, db)
}

// patience is how long a transaction of somebody else, in whatever database of the cluster, may keep readers from the newest statements.
const patience = time.Minute

// awaitVisible waits until pages show the newest statement (records.Select).
func awaitVisible(ctx context.Context, db *sql.DB) error {
	for begun := time.Now(); time.Since(begun) < patience; {
		var visible bool
		err := db.QueryRowContext(ctx, `
SELECT xid < pg_snapshot_xmin(pg_current_snapshot()) FROM statement WHERE tenant_id = $1 ORDER BY stored DESC, seq DESC LIMIT 1`, tenant).Scan(&visible)
		if err != nil || visible {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("the newest statements are not visible after %v: a transaction is open in the same Postgres; end it, or measure on another one", patience)
}

// about measures a request that reads nothing.
func about(ctx context.Context, s *store, requests int) (float64, error) {
	t, err := closedLoop(ctx, 1, bounds{requests: requests}, func(ctx context.Context, _ int) (int, time.Duration, error) {
		begun := time.Now()
		_, err := s.do(ctx, "GET", s.endpoint+"/about", nil)
		return 0, time.Since(begun), err
	})
	if err != nil {
		return 0, err
	}
	return milliseconds(t.percentile(50)), nil
}
