package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// limits is one run of the command.
type limits struct {
	*common
	statements int
	define     bool

	server *server
	direct *hub    // stored by the road in
	posted *hub    // stored by HTTP
	bytes  float64 // of a statement as sent
	made   uint64  // pieces of work
}

func limitsCommand(o *common) *cobra.Command {
	l := limits{common: o}
	c := &cobra.Command{
		Use:   "limits",
		Short: "The road in and HTTP against raw COPY of the same rows",
		Long: fmt.Sprintf(`limits stores made-up statements, in turns and each way in a database of its own on the same Postgres: by the road in
(hub/ingest to hub/records: subjects, sealing, row-level security and the audit event in each transaction), by HTTP POST to the xAPI face
over loopback with Basic authentication, and, by raw COPY, the very rows that the road in made.

The statements have 600 to 800 bytes, %d learners (three of ten known by mailbox), %d activities, a score and a registration; six of ten
name a parent activity and two of ten an instructor.`, learners, activities),
		Example: `  lrsbench limits
  lrsbench limits --statements 20000 --rounds 3 -o json
  lrsbench limits --database-owner-url 'postgres://postgres:secret@127.0.0.1:5432/postgres?sslmode=disable'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { l.out = c.OutOrStdout(); return l.run(c.Context()) },
	}
	c.Flags().IntVar(&l.statements, "statements", 100_000, "statements stored each way, over all rounds")
	c.Flags().BoolVar(&l.define, "define", true, "the client holds the scope define: activities go into the catalogue as well")
	return c
}

func (l *limits) run(ctx context.Context) (err error) {
	if err := l.check(); err != nil {
		return err
	}
	if l.server, err = start(ctx, *l.common); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.server.stop()) }()
	if l.direct, err = l.server.open(ctx, "direct", l.define); err != nil {
		return err
	}
	defer l.direct.db.Close()
	if l.posted, err = l.server.open(ctx, "posted", l.define); err != nil {
		return err
	}
	defer l.posted.db.Close()
	url, end, err := serve(l.posted.handler())
	if err != nil {
		return err
	}
	defer end()
	copies, closeCopies, err := l.openCopies(ctx, l.server, source{l.direct.owner, l.perRound})
	if err != nil {
		return err
	}
	defer closeCopies()
	roads := append([]*road{
		{name: "through records", owner: l.direct.owner, prepare: l.ingest},
		{name: "through HTTP", owner: l.posted.owner, prepare: l.post(url)},
	}, copies...)
	if err := l.measure(ctx, roads); err != nil {
		return err
	}
	r, err := l.report(roads)
	if err != nil {
		return err
	}
	r.Statement = l.bytes
	if r.Sizes, err = sizes(ctx, l.direct.owner); err != nil {
		return err
	}
	return r.print(l.out, l.output)
}

// batches is how many batches a round stores, perRound how many statements.
func (l *limits) batches() int  { return max(l.statements/l.rounds/l.batch, 1) }
func (l *limits) perRound() int { return l.batches() * l.batch }

// seed gives each piece of work other statements.
func (l *limits) seed(round int) uint64 {
	l.made++
	return uint64(round)<<32 | l.made
}

// ingest gives parsed statements to the road in.
func (l *limits) ingest(_ context.Context, round int) (list []task, err error) {
	m := newMaker(l.seed(round))
	for range l.batches() {
		batch, err := m.parsed(l.batch)
		if err != nil {
			return nil, err
		}
		list = append(list, func(ctx context.Context, _ int) (int, error) {
			ids, err := l.direct.road.Statements(ctx, l.direct.caller, l.define, batch)
			return len(ids), err
		})
	}
	return list, nil
}

// post sends statements to the xAPI face.
func (l *limits) post(url string) func(context.Context, int) ([]task, error) {
	store := newStore(url+"/xapi", l.posted.client.Key, l.posted.client.Secret, "1.0.3", l.writers)
	return func(_ context.Context, round int) (list []task, err error) {
		m := newMaker(l.seed(round))
		bytes := 0
		for range l.batches() {
			body := m.body(l.batch)
			bytes += len(body)
			list = append(list, func(ctx context.Context, _ int) (int, error) { return l.batch, store.post(ctx, body) })
		}
		l.bytes = float64(bytes)/float64(l.perRound()) - 1 // the comma
		return list, nil
	}
}

// serve serves a handler on a free port of loopback.
func serve(h http.Handler) (url string, end func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener) // ends with Close
	return "http://" + listener.Addr().String(), func() { server.Close() }, nil
}
