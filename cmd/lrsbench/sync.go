package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/connectors"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
)

//go:embed sync.yaml
var defaultConnection []byte

// lease is how long a run holds its connection from page to page.
const lease = 5 * time.Minute

// syncs is one run of the command.
type syncs struct {
	*common
	records int
	folder  string
	file    string

	server *server
	hub    *hub
	host   *host.Host
	spec   []byte
	stored int           // statements of the last round
	used   time.Duration // processor time of the last round's connectors
	memory *memory
}

func syncCommand(o *common) *cobra.Command {
	s := syncs{common: o}
	c := &cobra.Command{
		Use:   "sync",
		Short: "The whole road, from a connector's process to the commit, against raw COPY of the statements it makes",
		Long: `sync reads tables of results with the built-in csv connector in a process of its own, prunes, maps with two lookups a record, and stores
statements, source records, cursor and audit event page by page: all that a sync does but for Temporal, which sees no record. Each round is a new
connection. By turns the statements that it made go into the product's table by raw COPY. The ratio is source records read to rows copied in the same
time, starting the connector's processes included.

It also tells by how much the memory of hub and connector grows during a sync (in a round before those that are measured).`,
		Example: `  lrsbench sync
  lrsbench sync --folder shared/data/oulad --rounds 3
  lrsbench sync --folder shared/data/oulad --connection connectors/csv/examples/oulad/results.yaml -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { s.out = c.OutOrStdout(); return s.run(c.Context()) },
	}
	c.Flags().IntVar(&s.records, "records", 250_000, "made-up records, over all rounds")
	c.Flags().StringVar(&s.folder, "folder", "", "read the tables in this folder in every round, instead of made-up ones")
	c.Flags().StringVar(&s.file, "connection", "", "connection file, as for lrshub connection add (default: one for results of assessments)")
	return c
}

func (s *syncs) run(ctx context.Context) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	if s.spec = defaultConnection; s.file != "" {
		if s.spec, err = os.ReadFile(s.file); err != nil {
			return err
		}
	}
	if s.server, err = start(ctx, *s.common); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.server.stop()) }()
	if s.hub, err = s.server.open(ctx, "synced", false); err != nil {
		return err
	}
	defer s.hub.db.Close()
	s.host = host.New(host.Options{SocketDir: s.server.dir, Builtin: slices.Sorted(maps.Keys(connectors.Builtin())), AllowNoNamespace: true})
	defer s.host.Close()
	copies, end, err := s.openCopies(ctx, s.server, source{s.hub.owner, func() int { return s.stored }})
	if err != nil {
		return err
	}
	defer end()
	roads := append([]*road{{
		name: "connector to commit", owner: s.hub.owner, prepare: s.prepare, connector: func() time.Duration { return s.used },
	}}, copies...)
	if err := s.measure(ctx, roads); err != nil {
		return err
	}
	r, err := s.report(roads)
	if err != nil {
		return err
	}
	r.Memory = s.memory
	if r.Sizes, err = sizes(ctx, s.hub.owner); err != nil {
		return err
	}
	return r.print(s.out, s.output)
}

// prepare makes a round's tables and a new connection to them. The round is one task: a run has one reader.
func (s *syncs) prepare(ctx context.Context, round int) ([]task, error) {
	folder := s.folder
	if folder == "" {
		var err error
		if folder, err = os.MkdirTemp(s.server.dir, "tables-"); err != nil {
			return nil, err
		}
		if err := writeTables(folder, min(max(s.records/s.rounds, 1), learners*assessments), uint64(round)); err != nil {
			return nil, fmt.Errorf("make up tables: %w", err)
		}
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	spec, err := connection.ParseFile(s.spec, map[string]string{"folder": folder})
	if err != nil {
		return nil, err
	}
	if spec.Purpose == "" {
		spec.Purpose = purpose
	}
	r := &run{syncs: s, id: uuid.New(), watched: round == 0}
	if err := r.begin(ctx, spec); err != nil {
		return nil, err
	}
	return []task{func(ctx context.Context, _ int) (int, error) {
		err := r.all(ctx)
		return int(r.counts.Records), err
	}}, nil
}

// run is one sync.
type run struct {
	*syncs
	id         uuid.UUID
	connection connection.Connection
	settings   connection.Settings
	streams    []connection.MappedStream
	counts     ingest.Counts
	watched    bool // looking at memory costs time: only where time is not measured
	watch      *watch
}

// begin adds the connection and makes a run of it.
func (r *run) begin(ctx context.Context, spec connection.Spec) error {
	p, err := r.host.Start(ctx, host.Plugin{Connector: spec.Connector}, host.Session{Config: spec.Config})
	if err != nil {
		return err
	}
	defer p.Close()
	about, err := p.Describe(ctx, spec.Config)
	if err != nil {
		return err
	}
	good, err := connection.Check(spec, about)
	if err != nil {
		return err
	}
	r.streams = good.Streams()
	keys, err := r.hub.vault.Tenant(tenant)
	if err != nil {
		return err
	}
	now := time.Now()
	act := connection.Act{Actor: "lrsbench", Purpose: purpose, Now: now}
	return r.hub.db.Tenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
		var err error
		if r.connection, err = connection.Add(ctx, tx, keys, act, "c"+random(8), good); err != nil {
			return err
		}
		if r.settings, err = r.connection.Settings(keys); err != nil {
			return err
		}
		begun := connection.Run{ID: r.id, Connection: r.connection.ID, Kind: connection.Sync, Full: true, StartedBy: "lrsbench", StartedAt: now}
		return connection.Begin(ctx, tx, begun, now.Add(lease))
	})
}

// all reads the streams to their ends, each with a process of its own, as workflows/sync does.
func (r *run) all(ctx context.Context) error {
	r.used = 0
	if r.watched {
		if r.watch = startWatch(); r.watch != nil {
			defer r.remember()
		}
	}
	for _, s := range r.streams {
		if err := r.stream(ctx, s); err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
	}
	r.stored = int(r.counts.Statements)
	return r.hub.db.Tenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
		return connection.End(ctx, tx, r.id, connection.Outcome{State: connection.Succeeded}, time.Now())
	})
}

// remember keeps the round that grew most.
func (r *run) remember() {
	if m := r.watch.end(); r.memory == nil || m.Growth > r.memory.Growth {
		r.memory = &m
	}
}

// stream reads one stream.
func (r *run) stream(ctx context.Context, s connection.MappedStream) error {
	p, err := r.host.Start(ctx, host.Plugin{Connector: r.connection.Connector}, host.Session{Config: r.settings.Config})
	if err != nil {
		return err
	}
	defer p.Close()
	if r.watch != nil {
		r.watch.connector.Store(int64(p.PID()))
		defer r.watch.connector.Store(0)
	}
	about, err := p.Describe(ctx, r.settings.Config)
	if err != nil {
		return err
	}
	stream, there := about.Stream(s.Name)
	if !there {
		return errors.New("the connector does not bring it")
	}
	m, err := r.mapping(ctx, about.Streams)
	if err != nil {
		return err
	}
	at, err := r.start(ctx, stream, s.Lookups)
	if err != nil {
		return err
	}
	of := ingest.Run{Tenant: tenant, Connection: r.connection.ID, ID: r.id, Purpose: purpose, Mapping: m, MappingVersion: r.connection.Mapping,
		Stream: stream, Generation: at.Generation, Lease: lease}
	request := host.ReadRequest{Stream: stream, Fields: m.Fields(s.Name), Full: true}
	pages := r.hub.road.Pages(ctx, of, func(_ contract.Page, c ingest.Counts) error {
		r.counts.Records += c.Records
		r.counts.Statements += c.Statements
		return nil
	})
	err = p.Read(ctx, request, func(ctx context.Context, page host.Page) error { return pages.Add(ctx, page.Contract()) })
	err = errors.Join(err, pages.Wait())
	r.used += processCPU(p.PID())
	if err != nil {
		return err
	}
	return r.hub.db.Tenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
		return connection.CompleteStream(ctx, tx, r.connection.ID, r.id, s.Name, time.Now())
	})
}

func (r *run) mapping(ctx context.Context, streams []contract.Stream) (*mapping.Mapping, error) {
	var version connection.MappingVersion
	err := r.hub.db.ReadTenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		version, err = connection.GetMapping(ctx, tx, r.connection.ID, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return connection.LoadMapping(version.Document, r.settings.Params, streams)
}

func (r *run) start(ctx context.Context, stream contract.Stream, lookups []string) (at connection.Reading, err error) {
	keys, err := r.hub.vault.Tenant(tenant)
	if err != nil {
		return at, err
	}
	what := connection.Start{Stream: stream, Lookups: lookups, Mapping: r.connection.Mapping, Full: true}
	err = r.hub.db.Tenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
		at, err = connection.StartStream(ctx, tx, keys, r.connection.ID, r.id, what, time.Now())
		return err
	})
	return at, err
}
