package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/lrshub/lrshub/hub/api"
	"github.com/lrshub/lrshub/hub/console"
	"github.com/lrshub/lrshub/hub/entry"
	"github.com/lrshub/lrshub/hub/lrs"
	"github.com/lrshub/lrshub/hub/oauth"
	"github.com/lrshub/lrshub/hub/receive"
	"github.com/lrshub/lrshub/plugins/host/installed"
)

// process is one hub process: what serves, what works, or both.
type process struct {
	*rooms
	listener net.Listener
	serves   bool
	works    bool
	alone    bool                            // no other process works on this database and this Temporal
	ready    func(ctx context.Context) error // when all answers
}

// errChildDied ends a process whose embedded server gave up.
var errChildDied = errors.New("an embedded server ended; its log in the data folder says why")

// errWorkerFailed ends a process whose worker Temporal no longer wants.
var errWorkerFailed = errors.New("this worker was refused by Temporal")

// Timeouts of the server. A response may take long (an export); a request's header may not.
const (
	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 20 * time.Second
)

// run runs the process until ctx ends (which is no error) or a part fails. Parts stop in the order: requests, workflows, audit log.
func (p *process) run(ctx context.Context, died ...<-chan struct{}) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	for _, d := range died {
		go func() {
			select {
			case <-d:
				stop(errChildDied)
			case <-ctx.Done():
			}
		}()
	}
	if p.works {
		background, stopBackground := context.WithCancel(context.WithoutCancel(ctx)) // it outlives the requests and workflows that it serves
		var keepers sync.WaitGroup
		for _, keep := range []func(context.Context){p.sequence, p.sweep, p.resolve, p.watch} {
			keepers.Go(func() { keep(background) })
		}
		defer func() {
			stopBackground()
			keepers.Wait()
		}()
		endWork, err := p.work(background, stop)
		if err != nil {
			return err
		}
		defer endWork()
	}
	if p.serves {
		if err := p.serve(ctx); err != nil {
			return err
		}
	} else if err := p.announce(ctx); err != nil {
		return err
	} else {
		<-ctx.Done()
	}
	if cause := context.Cause(ctx); errors.Is(cause, errChildDied) || errors.Is(cause, errWorkerFailed) {
		return cause
	}
	return nil
}

// announce says that the process is ready.
func (p *process) announce(ctx context.Context) error {
	if p.ready == nil {
		return nil
	}
	return p.ready(ctx)
}

// serve answers requests until ctx ends, and then lets those that run finish.
func (p *process) serve(ctx context.Context) error {
	stopping := make(chan struct{})
	pushes := receive.Handler(receive.Rooms{
		DB: p.db, Vault: p.vault, Ingest: p.ingest, Host: p.host, Authenticate: authenticator{p.rooms}.Request, Gate: p.gate, PublicURL: p.settings.PublicURL, Now: time.Now,
	})
	defer pushes.Close()
	handler, err := p.handler(stopping, pushes)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: patient(handler, patience), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	server.RegisterOnShutdown(func() { close(stopping) })
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(p.listener) }()
	if err := p.announce(ctx); err != nil && ctx.Err() == nil {
		return errors.Join(err, server.Close())
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return server.Close()
	}
	return nil
}

// handler puts the faces together. Answers without an end do end when stopping is closed.
func (p *process) handler(stopping <-chan struct{}, pushes http.Handler) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle(receive.HooksPath, pushes)
	mux.Handle(receive.SCIMPath, pushes)
	desk := &entry.Desk{DB: p.db, Vault: p.vault, Road: p.ingest, Host: p.host, Now: time.Now}
	mux.Handle(lrs.Path, lrs.Handler(authenticator{p.rooms}, p.gate, p.ingest, p.disclose))
	management := api.Rooms{
		DB: p.db, Vault: p.vault, Gate: p.gate, Clients: p.clients, Ingest: p.ingest, Disclose: p.disclose, Desk: desk, Host: p.host, Temporal: p.temporal,
		Signer: p.signer, Anchor: p.anchor, Now: time.Now, Version: versionText(), Connectors: builtin(), Installed: installed.Folder(p.settings.Installed),
		PrepareTenant: p.prepareTenant, RestartAudit: p.restartAudit, Stopping: stopping,
	}
	mux.Handle(api.Path, api.Handler(management))
	mux.Handle("GET "+api.MetricsPath, api.Metrics(management))
	tokens := oauth.Handler(oauth.Rooms{DB: p.db, Clients: p.clients, PublicURL: p.settings.PublicURL})
	mux.Handle(oauth.Path, tokens)
	mux.Handle(oauth.MetadataPath, tokens)
	pages, err := console.Handler(console.Rooms{
		DB: p.db, Desk: desk, Auth: authenticator{p.rooms}, Gate: p.gate, Signer: p.signer, Anchor: p.anchor, Now: time.Now, Version: versionText(),
	})
	if err != nil {
		return nil, err
	}
	mux.Handle(console.Path, pages)
	mux.Handle("GET /{$}", http.RedirectHandler(console.Path, http.StatusFound))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", p.readiness)
	return mux, nil
}

// readiness says whether requests can be answered: whether Postgres answers.
func (p *process) readiness(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	if err := p.db.PingContext(ctx); err != nil {
		http.Error(w, "database: no answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
