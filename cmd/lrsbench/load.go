package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/hub/xapi"
)

// load is one run of the command.
type load struct {
	endpoint, key, secret, version string
	allowRemote                    bool
	batch, clients, statements     int
	duration                       time.Duration
	gets                           bool
	requests, learners             int
	seed                           uint64
	output                         string
	out                            io.Writer

	store *store
	began time.Time // posting; zero: nothing is posted
}

func loadCommand(o *common) *cobra.Command {
	l := load{}
	c := &cobra.Command{
		Use:   "load --endpoint URL --key K --secret S",
		Short: "A client against any record store: how fast it takes statements and answers queries",
		Long: fmt.Sprintf(`load posts made-up statements, the same as limits stores, to any xAPI record store, and with --gets asks for them again. Each client
waits for its answer before it sends more. Nothing of the hub takes part, so stores can be measured side by side, one after another on the
same machine. It writes into the store that it is given: give it one that nobody needs.

Queries are measured with one client (p50, p95) and with --clients (requests a second), each for pages of %d: by agent, agent and verb,
activity, related activities, verb, and since in ascending order. Each asks for another of the agents or activities that were posted.`, pageSize),
		Example: `  lrsbench load --endpoint http://127.0.0.1:8080/xapi --key KEY --secret SECRET --statements 40000 --gets
  lrsbench load --endpoint http://127.0.0.1:8080/xapi --key KEY --secret SECRET --batch 1 --clients 1 --duration 30s -o json
  lrsbench load --endpoint http://127.0.0.1:8080/xapi --key KEY --secret SECRET --learners 100 --gets`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l.out, l.output = c.OutOrStdout(), o.output
			return l.run(c.Context())
		},
	}
	f := c.Flags()
	f.StringVar(&l.endpoint, "endpoint", "", "xAPI endpoint, to which /statements is added")
	f.StringVar(&l.key, "key", "", "user of Basic authentication")
	f.StringVar(&l.secret, "secret", "", "its password")
	f.StringVar(&l.version, "version", "1.0.3", "X-Experience-API-Version")
	f.BoolVar(&l.allowRemote, "allow-remote", false, "the endpoint may be on another machine")
	f.IntVar(&l.batch, "batch", 50, "statements a POST")
	f.IntVar(&l.clients, "clients", 8, "clients at a time")
	f.IntVar(&l.statements, "statements", 20_000, "statements to post; 0: none, or as many as --duration allows")
	f.DurationVar(&l.duration, "duration", 0, "post for so long, at most --statements if that is given")
	f.BoolVar(&l.gets, "gets", false, "ask for statements afterwards")
	f.IntVar(&l.requests, "requests", 100, "of each query, with one client; with --clients twice as many")
	f.IntVar(&l.learners, "learners", learners, "learners that the statements are about: the fewer, the longer the pages of a query by agent")
	f.Uint64Var(&l.seed, "seed", 0, "of the made-up statements; the same seed posts the same again (default: another each time)")
	_ = c.MarkFlagRequired("endpoint")
	c.PreRun = func(c *cobra.Command, _ []string) {
		if l.duration > 0 && !f.Changed("statements") {
			l.statements = 0
		}
	}
	return c
}

func (l *load) check() error {
	u, err := url.Parse(l.endpoint)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "":
		return errors.New("--endpoint must look like http://127.0.0.1:8080/xapi")
	case l.batch < 1 || l.clients < 1 || l.requests < 1 || l.learners < 1 || l.statements < 0 || l.duration < 0:
		return errors.New("--batch, --clients, --requests and --learners must be at least 1, --statements and --duration not negative")
	case l.statements == 0 && l.duration == 0 && !l.gets:
		return errors.New("nothing to do: give --statements, --duration or --gets")
	case l.output != "table" && l.output != "json":
		return errors.New("-o must be table or json")
	}
	if _, err := xapi.ParseVersion(l.version); err != nil {
		return fmt.Errorf("--version: %w", err)
	}
	ip := net.ParseIP(u.Hostname())
	if !l.allowRemote && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("the endpoint is not on this machine: its owner must want this load; --allow-remote if so")
	}
	return nil
}

func (l *load) run(ctx context.Context) error {
	if err := l.check(); err != nil {
		return err
	}
	if l.seed == 0 {
		l.seed = rand.Uint64()
	}
	l.store = newStore(l.endpoint, l.key, l.secret, l.version, l.clients)
	defer l.store.close()
	r := loadReport{Seed: l.seed, Clients: l.clients, Batch: l.batch, Learners: l.learners, Page: pageSize}
	if l.statements > 0 || l.duration > 0 {
		l.began = time.Now()
		posted, err := l.posts(ctx)
		if err != nil {
			return fmt.Errorf("POST: %w", err)
		}
		r.Posts = &posted
	}
	if l.gets {
		for _, q := range l.queries() {
			measured, err := l.query(ctx, q)
			if err != nil {
				return fmt.Errorf("GET by %s: %w", q.name, err)
			}
			r.Gets = append(r.Gets, measured)
		}
	}
	return r.print(l.out, l.output)
}

// posts sends statements. What a client makes up between its requests counts for the rate, not for the times of requests.
func (l *load) posts(ctx context.Context) (loadPosts, error) {
	makers := make([]*maker, l.clients)
	for i := range makers {
		makers[i] = newMaker(l.seed + uint64(i))
		makers[i].learners = l.learners
	}
	p := startProgress("posting", l.statements)
	defer p.end()
	requests := (l.statements + l.batch - 1) / l.batch
	t, err := closedLoop(ctx, l.clients, bounds{requests, l.duration}, func(ctx context.Context, client int) (int, time.Duration, error) {
		body := makers[client].body(l.batch)
		begun := time.Now()
		err := l.store.post(ctx, body)
		if err == nil {
			p.add(l.batch)
		}
		return l.batch, time.Since(begun), err
	})
	if err != nil {
		return loadPosts{}, err
	}
	return loadPosts{Statements: t.statements, PerSecond: t.perSecond(t.statements), P50: milliseconds(t.percentile(50)), P95: milliseconds(t.percentile(95)),
		P99: milliseconds(t.percentile(99)), Requests: len(t.times), Failures: t.failures}, nil
}

// loadQuery is a query, another each time.
type loadQuery struct {
	name       string
	parameters func(m *maker) url.Values
}

// pageSize is the limit that every query sets.
const pageSize = 100

// page gives the parameters of a query: names and values in turns.
func page(pairs ...string) url.Values {
	v := url.Values{"limit": {fmt.Sprint(pageSize)}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func (l *load) queries() []loadQuery {
	passed, since := verbIRI("passed"), l.began
	if since.IsZero() {
		since = time.Unix(0, 0)
	}
	return []loadQuery{
		{"agent", func(m *maker) url.Values { return page("agent", m.learner()) }},
		{"agent and verb", func(m *maker) url.Values { return page("agent", m.learner(), "verb", passed) }},
		{"activity", func(m *maker) url.Values { return page("activity", quizIRI(m.random.IntN(activities))) }},
		{"related activities", func(m *maker) url.Values {
			return page("activity", courseIRI(m.random.IntN(activities)), "related_activities", "true")
		}},
		{"verb", func(*maker) url.Values { return page("verb", passed) }},
		{"since, ascending", func(*maker) url.Values { return page("since", xapi.FormatTime(since), "ascending", "true") }},
	}
}

// query measures one query with one client, then with all.
func (l *load) query(ctx context.Context, q loadQuery) (loadGets, error) {
	makers := make([]*maker, l.clients)
	for i := range makers {
		makers[i] = newMaker(l.seed + uint64(i) + 1<<32)
		makers[i].learners = l.learners
	}
	get := func(ctx context.Context, client int) (int, time.Duration, error) {
		parameters := q.parameters(makers[client])
		begun := time.Now()
		body, err := l.store.get(ctx, parameters)
		took := time.Since(begun)
		if err != nil {
			return 0, took, err
		}
		n, err := countStatements(body)
		return n, took, err
	}
	one, err := closedLoop(ctx, 1, bounds{requests: l.requests}, get)
	if err != nil {
		return loadGets{}, err
	}
	all, err := closedLoop(ctx, l.clients, bounds{requests: 2 * l.requests}, get)
	if err != nil {
		return loadGets{}, err
	}
	for what, n := range all.failures {
		one.failures[what] += n
	}
	return loadGets{Query: q.name, P50: milliseconds(one.percentile(50)), P95: milliseconds(one.percentile(95)), PerSecond: all.perSecond(len(all.times)),
		Statements: float64(one.statements) / float64(len(one.times)), Failures: one.failures}, nil
}

// countStatements counts those of a StatementResult.
func countStatements(body []byte) (int, error) {
	var result struct {
		Statements []json.RawMessage `json:"statements"`
	}
	if err := json.Unmarshal(body, &result); err != nil {
		return 0, fmt.Errorf("the answer is no StatementResult: %w", err)
	}
	return len(result.Statements), nil
}

// loadReport is what a run found. Times are milliseconds a request.
type loadReport struct {
	Seed     uint64     `json:"seed"`
	Clients  int        `json:"clients"`
	Batch    int        `json:"batch"`
	Learners int        `json:"learners"`
	Page     int        `json:"page"` // limit of every query
	Posts    *loadPosts `json:"posts,omitempty"`
	Gets     []loadGets `json:"gets,omitempty"`
}

type loadPosts struct {
	Statements int            `json:"statements"`
	Requests   int            `json:"requests"` // that went well
	PerSecond  float64        `json:"statements_per_second"`
	P50        float64        `json:"p50_ms"`
	P95        float64        `json:"p95_ms"`
	P99        float64        `json:"p99_ms"`
	Failures   map[string]int `json:"failures"` // by status; timeout and connection beside
}

type loadGets struct {
	Query      string         `json:"query"`
	P50        float64        `json:"p50_ms"`     // with one client
	P95        float64        `json:"p95_ms"`     // with one client
	PerSecond  float64        `json:"per_second"` // requests, with all clients
	Statements float64        `json:"statements"` // a page, on average
	Failures   map[string]int `json:"failures"`
}

func (r *loadReport) print(w io.Writer, format string) error {
	return show(w, format, r, func(t *tabwriter.Writer) {
		fmt.Fprintf(t, "%d clients, %d statements a POST, %d learners, pages of %d; seed %d.\n\n", r.Clients, r.Batch, r.Learners, r.Page, r.Seed)
		if p := r.Posts; p != nil {
			fmt.Fprintln(t, "POST\tSTATEMENTS/S\tP50 MS\tP95 MS\tP99 MS\tSTATEMENTS\tFAILED")
			fmt.Fprintf(t, "\t%.0f\t%.1f\t%.1f\t%.1f\t%d\t%s\n\n", p.PerSecond, p.P50, p.P95, p.P99, p.Statements, counted(p.Failures))
		}
		if len(r.Gets) > 0 {
			fmt.Fprintln(t, "GET BY\tP50 MS\tP95 MS\tREQUESTS/S\tA PAGE\tFAILED")
		}
		for _, g := range r.Gets {
			fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.0f\t%.1f\t%s\n", g.Query, g.P50, g.P95, g.PerSecond, g.Statements, counted(g.Failures))
		}
	})
}

// counted words failures, "none" if there are none.
func counted(failures map[string]int) string {
	if len(failures) == 0 {
		return "none"
	}
	var list []string
	for _, what := range slices.Sorted(maps.Keys(failures)) {
		list = append(list, fmt.Sprintf("%d of %s", failures[what], what))
	}
	return strings.Join(list, ", ")
}
