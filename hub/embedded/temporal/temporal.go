// Package temporal runs a Temporal server inside the hub's process, on the hub's own Postgres.
//
// It is the only package that imports the Temporal server, which is heavy to link; everything else talks to it through the
// SDK, at Address and in Namespace. Read Start first: schema.go makes the databases, settings.go configures the server for one small machine,
// logger.go turns its fatal errors, which would end the process, into an error of ours.
//
// The server has one frontend, one history, one matching and one worker service, each on a port of 127.0.0.1. Who is on this
// machine can reach them without a password: what workflows carry is encrypted by the hub's payload codec.
package temporal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	server "go.temporal.io/server/temporal"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Namespace is where the hub's workflows run.
const Namespace = "lrshub"

// DefaultRetention is how long closed workflows stay readable. The truth is in the hub's tables, so a day is plenty.
const DefaultRetention = 24 * time.Hour

var (
	// ErrFailed means that the server met an error that it cannot go on from.
	ErrFailed = errors.New("embedded Temporal failed")
	// ErrPort means that the ports asked for are not usable.
	ErrPort = errors.New("ports for embedded Temporal not usable")
	// ErrFolder means that the folder cannot be used.
	ErrFolder = errors.New("folder for embedded Temporal not usable")
)

// Options say where and how to run the server.
type Options struct {
	PostgresURL string        // of a role that may create databases: postgres://user:password@host:port/any?...
	Dir         string        // keeps the port file and the log; made if absent
	PortBase    int           // first of four consecutive ports, below 32768; 0: free ones, kept in a file for the next start
	Logger      *slog.Logger  // the server's own news, which are many; nil: errors only, to Dir/temporal.log
	Retention   time.Duration // of closed workflows, at least an hour; 0: DefaultRetention
}

// Server is a running Temporal server.
type Server struct {
	ports  int
	log    io.Closer // nil if the logger is the caller's
	inner  server.Server
	done   chan struct{}
	fail   func(error)
	mu     sync.Mutex
	err    error
	closed bool
}

// Start makes or updates the databases temporal and temporal_visibility, starts the server and returns when workflows can run
// in Namespace. ctx bounds the wait, not the server's life.
func Start(ctx context.Context, options Options) (*Server, error) {
	if options.Retention == 0 {
		options.Retention = DefaultRetention
	}
	if err := os.MkdirAll(options.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	s := &Server{done: make(chan struct{})}
	s.fail = func(err error) { s.end(fmt.Errorf("%w: %w", ErrFailed, err)) }
	var err error
	if s.ports, err = choosePorts(options.Dir, options.PortBase); err != nil {
		return nil, err
	}
	if options.Logger == nil {
		file, err := os.OpenFile(filepath.Join(options.Dir, "temporal.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("%w: cannot write the log: %w", ErrFolder, err)
		}
		s.log = file
		options.Logger = slog.New(slog.NewTextHandler(file, &slog.HandlerOptions{Level: slog.LevelError}))
	}
	if err := s.boot(ctx, options); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// boot starts the server in a goroutine of its own, since a fatal error ends the goroutine that met it.
func (s *Server) boot(ctx context.Context, options Options) error {
	started := make(chan error, 1)
	go func() { started <- s.run(ctx, options) }()
	select {
	case err := <-started:
		if err != nil {
			return err
		}
	case <-s.done:
		return s.Err()
	case <-ctx.Done():
		return fmt.Errorf("start embedded Temporal: %w", ctx.Err())
	}
	return s.awaitNamespace(ctx, options.Retention)
}

func (s *Server) run(ctx context.Context, options Options) error {
	logger := &logger{out: options.Logger, fatal: s.fail}
	stores, err := newStores(options.PostgresURL)
	if err != nil {
		return err
	}
	if err := stores.prepare(ctx, options.PostgresURL, logger); err != nil {
		return err
	}
	inner, err := server.NewServer(
		server.WithConfig(newConfig(stores, s.ports)),
		server.ForServices(server.DefaultServices),
		server.WithStaticHosts(staticHosts(s.ports)),
		server.WithDynamicConfigClient(dynamicSettings),
		server.WithLogger(logger),
	)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	if err := inner.Start(); err != nil {
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed { // the wait for us was given up
		return errors.Join(context.Canceled, inner.Stop())
	}
	s.inner = inner
	return nil
}

// awaitNamespace registers the namespace if need be, and returns when every service knows it.
func (s *Server) awaitNamespace(ctx context.Context, retention time.Duration) error {
	c, err := client.NewLazyClient(client.Options{HostPort: s.Address(), Namespace: Namespace, Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	defer c.Close()
	service := c.WorkflowService()
	for {
		err := ensureNamespace(ctx, service, retention)
		if err == nil {
			// Answered by matching, through the namespace caches, unlike a description of the namespace.
			_, err = c.DescribeTaskQueue(ctx, "ready", 0)
		}
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return s.Err()
		case <-ctx.Done():
			return fmt.Errorf("embedded Temporal on %s does not answer yet: %w", s.Address(), errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func ensureNamespace(ctx context.Context, service workflowservice.WorkflowServiceClient, retention time.Duration) error {
	there, err := service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: Namespace})
	var missing *serviceerror.NamespaceNotFound
	if errors.As(err, &missing) {
		_, err = service.RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace: Namespace, Description: "lrshub's workflows", WorkflowExecutionRetentionPeriod: durationpb.New(retention)})
		return err
	}
	if err != nil || there.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration() == retention {
		return err
	}
	config := there.GetConfig()
	config.WorkflowExecutionRetentionTtl = durationpb.New(retention)
	_, err = service.UpdateNamespace(ctx, &workflowservice.UpdateNamespaceRequest{Namespace: Namespace, Config: config})
	return err
}

// Address is the host and port for an SDK client.
func (s *Server) Address() string { return address(s.ports) }

// Done is closed when the server has ended: stopped or failed.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is nil while the server runs and after Stop; else it says why Done was closed.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// end closes done once; the first reason counts.
func (s *Server) end(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed, s.err = true, reason
	close(s.done)
}

// stopTime bounds a stop. What the server did not finish by then it takes up at the next start.
const stopTime = 15 * time.Second

// Stop stops the server in order. Stop the workers and clients first.
func (s *Server) Stop() {
	s.end(nil)
	s.mu.Lock()
	inner, log := s.inner, s.log
	s.inner, s.log = nil, nil
	s.mu.Unlock()
	if inner != nil {
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			_ = inner.Stop() // the server logs what it could not stop
		}()
		select {
		case <-stopped:
		case <-time.After(stopTime):
		}
	}
	if log != nil {
		log.Close()
	}
}
