package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// latency is one run of the command.
type latency struct {
	*common
	clients []int
	each    time.Duration

	server *server
	hub    *hub
	url    string // of the xAPI face
	made   uint64 // makers
}

func latencyCommand(o *common) *cobra.Command {
	l := latency{common: o}
	c := &cobra.Command{
		Use:   "latency",
		Short: "A POST of one statement against a commit of one row",
		Long: fmt.Sprintf(`latency posts made-up statements one by one to the xAPI face over loopback with Basic authentication, with as many clients at a time as
--clients says, each waiting for its answer. By turns, with as many clients and on the same Postgres, the same bytes go as one row into a plain table
without an index, by the table's owner, prepared, each row a commit of its own, fsync on. The ratio is the median time of a POST to the median
time of such a commit. The goal is %.0f or less with one client.`, latencyGoal),
		Example: `  lrsbench latency
  lrsbench latency --clients 1 --each 10s --cpuprofile post.prof
  lrsbench latency --rounds 9 -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { l.out = c.OutOrStdout(); return l.run(c.Context()) },
	}
	c.Flags().IntSliceVar(&l.clients, "clients", []int{1, 8, 64}, "clients at a time, one measurement each")
	c.Flags().DurationVar(&l.each, "each", 3*time.Second, "how long each way is measured in each round")
	return c
}

// latencyGoal is the most that a POST with one client should take, in commits of a row.
const latencyGoal = 2.0

// mostClients leaves room on a Postgres with its default of 100 connections.
const mostClients = 64

func (l *latency) run(ctx context.Context) (err error) {
	if err := l.check(); err != nil {
		return err
	}
	if len(l.clients) == 0 || slices.Min(l.clients) < 1 || slices.Max(l.clients) > mostClients || l.each <= 0 {
		return fmt.Errorf("--clients must be from 1 to %d each, --each more than 0", mostClients)
	}
	if l.server, err = start(ctx, *l.common); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.server.stop()) }()
	if l.hub, err = l.server.open(ctx, "posted", true); err != nil {
		return err
	}
	defer l.hub.db.Close()
	url, end, err := serve(l.hub.handler())
	if err != nil {
		return err
	}
	defer end()
	l.url = url + "/xapi"
	r := latencyReport{Rounds: l.rounds, Each: l.each.String(), Goal: latencyGoal}
	err = l.profiled(func() error {
		for _, n := range l.clients {
			entry, err := l.compare(ctx, n)
			if err != nil {
				return err
			}
			r.Clients = append(r.Clients, entry)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.print(l.out, l.output)
}

// compare measures both ways in turns: a round that does not count, then the rounds, each beginning with the other way.
func (l *latency) compare(ctx context.Context, clients int) (latencyEntry, error) {
	e := latencyEntry{Clients: clients}
	ways := []func(context.Context, int) (tally, error){l.posts, l.commits}
	found := make([][]tally, len(ways)) // by way
	for round := range l.rounds + 1 {
		for i := range ways {
			way := (i + round) % len(ways)
			t, err := ways[way](ctx, clients)
			if err == nil && len(t.failures) > 0 {
				err = fmt.Errorf("%s of requests failed: %w", counted(t.failures), t.first)
			}
			if err != nil {
				return e, fmt.Errorf("%d clients, %s: %w", clients, []string{"POST", "commit of a row"}[way], err)
			}
			if round > 0 {
				found[way] = append(found[way], t)
			}
		}
		say("latency: %d clients, round %d of %d", clients, round, l.rounds)
	}
	e.Post, e.Commit = timesOf(found[0]), timesOf(found[1])
	ratios := make([]float64, l.rounds)
	for i := range ratios {
		ratios[i] = float64(found[0][i].percentile(50)) / float64(found[1][i].percentile(50))
	}
	e.Ratio, e.Lowest, e.Highest = median(ratios, itself), slices.Min(ratios), slices.Max(ratios)
	return e, nil
}

// makers gives each client statements that nobody has posted.
func (l *latency) makers(clients int) []*maker {
	list := make([]*maker, clients)
	for i := range list {
		l.made++
		list[i] = newMaker(l.made)
	}
	return list
}

func (l *latency) posts(ctx context.Context, clients int) (tally, error) {
	s := newStore(l.url, l.hub.client.Key, l.hub.client.Secret, "1.0.3", clients)
	defer s.close()
	makers := l.makers(clients)
	return closedLoop(ctx, clients, bounds{time: l.each}, func(ctx context.Context, client int) (int, time.Duration, error) {
		statement := makers[client].statement()
		begun := time.Now()
		err := s.post(ctx, statement)
		return 1, time.Since(begun), err
	})
}

// commits inserts rows, each client over a connection of its own.
func (l *latency) commits(ctx context.Context, clients int) (t tally, err error) {
	db, err := sql.Open("postgres", l.hub.owner)
	if err != nil {
		return t, err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS lrsbench_row (statement bytea NOT NULL)"); err != nil {
		return t, err
	}
	inserts := make([]*sql.Stmt, clients)
	for i := range inserts {
		conn, err := db.Conn(ctx)
		if err != nil {
			return t, err
		}
		defer conn.Close()
		if inserts[i], err = conn.PrepareContext(ctx, "INSERT INTO lrsbench_row (statement) VALUES ($1)"); err != nil {
			return t, err
		}
	}
	makers := l.makers(clients)
	return closedLoop(ctx, clients, bounds{time: l.each}, func(ctx context.Context, client int) (int, time.Duration, error) {
		statement := makers[client].statement()
		begun := time.Now()
		_, err := inserts[client].ExecContext(ctx, statement)
		return 1, time.Since(begun), err
	})
}

// latencyReport is what a run found.
type latencyReport struct {
	Rounds  int            `json:"rounds"`
	Each    string         `json:"each"` // way and round
	Goal    float64        `json:"goal"` // of the ratio with one client
	Clients []latencyEntry `json:"clients"`
}

// latencyEntry is one number of clients.
type latencyEntry struct {
	Clients int     `json:"clients"`
	Ratio   float64 `json:"ratio"` // of the p50 of a POST to that of a commit: median of the rounds
	Lowest  float64 `json:"lowest"`
	Highest float64 `json:"highest"`
	Post    times   `json:"post"`
	Commit  times   `json:"commit"`
}

// times are medians of the rounds, in milliseconds.
type times struct {
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	PerSecond float64 `json:"per_second"`
	Requests  int     `json:"requests"` // in all rounds
}

func timesOf(rounds []tally) times {
	t := times{
		P50:       milliseconds(median(rounds, func(t tally) time.Duration { return t.percentile(50) })),
		P99:       milliseconds(median(rounds, func(t tally) time.Duration { return t.percentile(99) })),
		PerSecond: median(rounds, func(t tally) float64 { return t.perSecond(t.statements) }),
	}
	for _, r := range rounds {
		t.Requests += len(r.times)
	}
	return t
}

func (r *latencyReport) print(w io.Writer, format string) error {
	return show(w, format, r, func(t *tabwriter.Writer) {
		fmt.Fprintf(t, "%d rounds, %s each way. Ratio: p50 of a POST of one statement to p50 of a commit of one row; goal with one client: %.1f.\n\n", r.Rounds, r.Each, r.Goal)
		fmt.Fprintln(t, "CLIENTS\tRATIO\tLOWEST\tHIGHEST\tPOST P50 MS\tP99 MS\tPER S\tCOMMIT P50 MS\tP99 MS\tPER S")
		for _, e := range r.Clients {
			fmt.Fprintf(t, "%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t%.2f\t%.2f\t%.0f\n", e.Clients, e.Ratio, e.Lowest, e.Highest,
				e.Post.P50, e.Post.P99, e.Post.PerSecond, e.Commit.P50, e.Commit.P99, e.Commit.PerSecond)
		}
	})
}
