package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/lrshub/lrshub/connectors"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/host/installed"
	"github.com/lrshub/lrshub/workflows/codec"
	"github.com/lrshub/lrshub/workflows/sync"
)

// openTemporal connects to Temporal. What goes there is sealed, payloads and error texts alike.
func (r *rooms) openTemporal(ctx context.Context) (client.Client, error) {
	key, err := r.keys.Secret("temporal-codec")
	if err != nil {
		return nil, err
	}
	c, err := codec.New(key)
	if err != nil {
		return nil, err
	}
	data, failures := c.Converters()
	flow, err := client.DialContext(ctx, client.Options{
		HostPort: r.settings.Temporal, Namespace: r.settings.Namespace, Logger: sync.Logger(slog.Default()), DataConverter: data,
		FailureConverter: failures,
	})
	if err != nil {
		return nil, fmt.Errorf("no answer from Temporal at %s: %w", r.settings.Temporal, err)
	}
	return flow, nil
}

// builtin lists the built-in connectors.
func builtin() []string { return slices.Sorted(maps.Keys(connectors.Builtin())) }

// openHost makes the host of connectors.
func (r *rooms) openHost() (*host.Host, error) {
	if err := os.MkdirAll(r.settings.RunDir, 0o700); err != nil {
		return nil, fmt.Errorf("folder for connectors' sockets: %w", err)
	}
	return host.New(host.Options{
		SocketDir: r.settings.RunDir, Builtin: builtin(), Installed: installed.Folder(r.settings.Installed).Program, Logger: slog.Default(), AllowNoNamespace: r.settings.Connectors.AllowNoNamespace,
		Hide: append(r.settings.private(), r.settings.Connectors.Hide...), Show: r.settings.Connectors.Show,
	}), nil
}

// sequence puts audit events into the log's tree until ctx ends. It logs what is wrong with a tenant's log and goes on with the others.
func (p *process) sequence(ctx context.Context) {
	_ = p.sequencer().Run(ctx) // gives nil when ctx ends
}

// resolve settles, until ctx ends, what statements refer to that came after them.
func (p *process) resolve(ctx context.Context) {
	records.KeepResolving(ctx, p.db, resolveEvery, slog.Default())
}

// resolveEvery is how often pending references are looked at. Until then readers follow them by themselves.
const resolveEvery = 2 * time.Second

func (r *rooms) sequencer() *audit.Sequencer {
	return audit.NewSequencer(audit.SequencerOptions{DB: r.db, Signer: r.signer, Anchor: r.anchor})
}

// restartAudit lets a tenant's audit log go on after a restore, on this hub's anchor.
func (r *rooms) restartAudit(ctx context.Context, tenant database.TenantID, actor string) (audit.Checkpoint, error) {
	return r.sequencer().Restart(ctx, tenant, time.Now(), actor)
}

// work starts the workers of this process; end stops them.
func (p *process) work(ctx context.Context, stop func(cause error)) (end func(), err error) {
	workers := sync.NewWorkers(p.temporal, sync.Deps{DB: p.db, Vault: p.vault, Road: p.ingest, Host: p.host, Now: time.Now, Log: slog.Default(),
		Failed: func(err error) { stop(fmt.Errorf("%w: %w", errWorkerFailed, err)) }})
	if p.alone {
		if err := sync.TakeOver(ctx, p.temporal, p.settings.Namespace, p.db); err != nil {
			return nil, err
		}
	}
	if err := workers.Start(); err != nil {
		return nil, err
	}
	if err := sync.Reconcile(ctx, p.temporal, p.db); err != nil {
		workers.Stop()
		return nil, fmt.Errorf("bring schedules in line: %w", err)
	}
	if err := sync.EnsureHousekeeping(ctx, p.temporal); err != nil {
		workers.Stop()
		return nil, err
	}
	return workers.Stop, nil
}
