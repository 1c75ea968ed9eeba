// Package postgres runs a Postgres server as a child process, with everything it keeps in one folder.
//
// Start makes the cluster when the folder is new, clears away what a killed hub left behind, starts the server and waits until
// it answers. The child dies with its parent (Linux), runs as an unprivileged user when the parent is root, and is started
// again when it dies on its own. Read Start first, then supervise; binaries.go finds Postgres, cluster.go makes the
// folder, leftover_linux.go recognises what an earlier run left running.
//
// The folder:
//
//	data/            the cluster (PGDATA), owned by the user that runs Postgres
//	postgresql.conf  written anew at each start; local.conf beside it, if there, is read after it
//	pg_hba.conf      written anew at each start
//	password         the owner's password, mode 0600
//	port             the port chosen at the first start
//	lock             held while a hub uses the folder
//	postgres.log     what the server prints; no statement, parameter or row value gets there
//	binaries/        Postgres itself, if it had to be fetched
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/lib/pq"
)

// Owner is the name of the cluster's superuser, which owns the hub's tables.
const Owner = "lrshub_owner"

var (
	// ErrNoBinaries means that no usable Postgres was found and none could be fetched.
	ErrNoBinaries = errors.New("no usable Postgres binaries")
	// ErrVersion means that the data folder belongs to another major version than the binaries found.
	ErrVersion = errors.New("data folder of another Postgres version")
	// ErrFolder means that the folder cannot be used: not writable, not reachable for the child's user, or not a cluster.
	ErrFolder = errors.New("data folder not usable")
	// ErrInUse means that another hub is running on the folder.
	ErrInUse = errors.New("data folder in use")
	// ErrPort means that the port asked for is taken.
	ErrPort = errors.New("port in use")
	// ErrDied means that the server ended, or kept ending, without having been told to.
	ErrDied = errors.New("postgres died")
)

// Options say where and how to run the server.
type Options struct {
	Dir     string       // folder that holds everything; made if absent
	BinDir  string       // folder of initdb and postgres; empty: search (see find)
	Port    int          // 0: a free port, kept in a file for the next start
	Logger  *slog.Logger // news of the child; nil: slog.Default()
	LogFile string       // what the server prints; empty: Dir/postgres.log
	Test    bool         // trades safety for speed (no fsync, no autovacuum); for tests only
}

// Server is a running Postgres. It restarts its child when that dies; Done tells when it has given up or was stopped.
type Server struct {
	options  Options
	binaries binaries
	user     *childUser // nil: the hub's own user
	port     int
	password string
	folder   *os.File // holds the lock
	output   *os.File

	done  chan struct{}
	ready chan struct{} // closed when the first start has succeeded

	mu       sync.Mutex
	pid      int
	stopping bool
	err      error
}

// Start starts Postgres on the folder and returns when it answers. Crash recovery may make that long; ctx bounds the wait,
// not the server's life. Errors wrap the Err values of this package and name the remedy.
func Start(ctx context.Context, options Options) (*Server, error) {
	s, err := prepare(ctx, options)
	if err != nil {
		return nil, err
	}
	go s.supervise()
	if err := s.awaitAnswer(ctx); err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return nil, errors.Join(err, s.Stop(stop))
	}
	close(s.ready)
	s.options.Logger.Info("postgres ready", "port", s.port, "version", s.binaries.version)
	return s, nil
}

// prepare does all that comes before the child: lock, binaries, cluster, leftovers, port, configuration.
func prepare(ctx context.Context, options Options) (_ *Server, err error) {
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	if options.Dir, err = filepath.Abs(options.Dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if options.LogFile == "" {
		options.LogFile = filepath.Join(options.Dir, "postgres.log")
	}
	s := &Server{options: options, done: make(chan struct{}), ready: make(chan struct{})}
	if s.folder, err = lockFolder(ctx, options.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	if s.output, err = openLog(options.LogFile); err != nil {
		return nil, err
	}
	if s.user, err = chooseUser(s.data()); err != nil {
		return nil, err
	}
	if s.binaries, err = find(ctx, options, s.data(), s.user); err != nil {
		return nil, err
	}
	if s.password, err = ownerPassword(options.Dir, s.data()); err != nil {
		return nil, err
	}
	if err = s.makeCluster(ctx); err != nil {
		return nil, err
	}
	if err = clearLeftovers(ctx, s.data(), options.Logger); err != nil {
		return nil, err
	}
	if s.port, err = choosePort(options.Dir, options.Port); err != nil {
		return nil, err
	}
	return s, s.writeConfiguration()
}

func (s *Server) data() string { return filepath.Join(s.options.Dir, "data") }

// URL is the owner's URL of a database of this server, password included: never log it.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(Owner, s.password),
		Host:     "127.0.0.1:" + strconv.Itoa(s.port),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// CreateDatabase makes a database of that name unless it is there.
func (s *Server) CreateDatabase(ctx context.Context, name string) error {
	db, err := sql.Open("postgres", s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	defer db.Close()
	var there bool
	if err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	if there {
		return nil
	}
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+pq.QuoteIdentifier(name)); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// Done is closed when the server has ended for good: stopped, or dead too often to be started again.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is nil while the server runs and after Stop; else it says why Done was closed.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Stop shuts the server down in order (Postgres' fast mode: transactions are rolled back, a checkpoint is written). When ctx
// ends first, it shuts down at once, and the next start recovers.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	pid := s.pid
	s.mu.Unlock()
	if pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGINT) // gone already: done tells
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	pid = s.pid
	s.mu.Unlock()
	if pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGQUIT)
	}
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
	}
	return fmt.Errorf("stop Postgres: shut down at once, the next start recovers: %w", ctx.Err())
}

// awaitAnswer polls until the server answers a query, has ended, or ctx ends.
func (s *Server) awaitAnswer(ctx context.Context) error {
	db, err := sql.Open("postgres", s.URL("postgres")+"&connect_timeout=5")
	if err != nil {
		return fmt.Errorf("reach Postgres: %w", err)
	}
	defer db.Close()
	ticker := time.NewTicker(25 * time.Millisecond)
	defer ticker.Stop()
	for {
		_, last := db.ExecContext(ctx, "SELECT 1")
		if last == nil {
			return nil
		}
		if bad := pq.As(last); bad != nil && bad.Code.Class() == "28" {
			return fmt.Errorf("%w: the password in %s is not the cluster's; restore that file: %w", ErrFolder, filepath.Join(s.options.Dir, "password"), last)
		}
		select {
		case <-s.done:
			return s.Err()
		case <-ctx.Done():
			return fmt.Errorf("postgres on port %d does not answer yet (see %s): %w", s.port, s.options.LogFile, errors.Join(ctx.Err(), last))
		case <-ticker.C:
		}
	}
}
