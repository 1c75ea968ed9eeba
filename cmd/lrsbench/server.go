package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/lib/pq"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/embedded/postgres"
)

// server is the Postgres of one run, and a folder for all else; both go when the run ends, unless they are kept.
type server struct {
	dir      string
	kept     bool
	owner    string           // a superuser's URL
	embedded *postgres.Server // nil: somebody else's
	role     database.AppRole
	names    []string // of databases made
}

// start starts a Postgres in a temporary folder, as lrshub up does, or takes the one that ownerURL names.
func start(ctx context.Context, o common) (*server, error) {
	dir, err := os.MkdirTemp("", "lrsbench-")
	if err != nil {
		return nil, err
	}
	return startIn(ctx, o, &server{dir: dir, owner: o.ownerURL, role: database.AppRole{Name: "lrsbench_" + random(4), Password: random(16)}})
}

// startKept starts a Postgres in a folder that stays, with what an earlier run left in it.
func startKept(ctx context.Context, o common, dir string) (*server, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, err
	}
	return startIn(ctx, o, &server{dir: dir, kept: true, role: database.AppRole{Name: "lrsbench", Password: random(16)}})
}

func startIn(ctx context.Context, o common, s *server) (_ *server, err error) {
	if err := os.Chmod(s.dir, 0o711); err != nil { // Postgres may run as another user
		return nil, errors.Join(err, s.stop())
	}
	if s.owner != "" {
		return s, nil
	}
	quiet := slog.New(slog.DiscardHandler)
	s.embedded, err = postgres.Start(ctx, postgres.Options{Dir: filepath.Join(s.dir, "postgres"), BinDir: o.postgresBin, Logger: quiet})
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.owner = s.embedded.URL("postgres")
	return s, nil
}

func random(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails: crypto/rand
	return hex.EncodeToString(b)
}

// database makes a migrated database and gives its owner's and its application's URL.
func (s *server) database(ctx context.Context, name string) (owner, app string, err error) {
	name = s.role.Name + "_" + name
	db, err := sql.Open("postgres", s.owner)
	if err != nil {
		return "", "", err
	}
	defer db.Close()
	there := false
	if s.kept {
		if err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
			return "", "", err
		}
	}
	if !there {
		if _, err := db.ExecContext(ctx, "CREATE DATABASE "+pq.QuoteIdentifier(name)); err != nil {
			return "", "", fmt.Errorf("create database %s: %w", name, err)
		}
	}
	s.names = append(s.names, name)
	u, err := url.Parse(s.owner)
	if err != nil {
		return "", "", errors.New("the database owner's URL is not a URL")
	}
	u.Path = "/" + name
	owner = u.String()
	if err := database.Migrate(ctx, owner, s.role); err != nil {
		return "", "", err
	}
	u.User = url.UserPassword(s.role.Name, s.role.Password)
	return owner, u.String(), nil
}

// stop takes everything away that the run made, or stops what is kept.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	switch {
	case s.embedded != nil:
		err = s.embedded.Stop(ctx)
	case s.owner != "":
		err = s.drop(ctx)
	}
	if s.kept {
		return err
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

func (s *server) drop(ctx context.Context) error {
	db, err := sql.Open("postgres", s.owner)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, name := range s.names {
		_, failed := db.ExecContext(ctx, "DROP DATABASE "+pq.QuoteIdentifier(name)+" WITH (FORCE)")
		err = errors.Join(err, failed)
	}
	_, failed := db.ExecContext(ctx, "DROP ROLE IF EXISTS "+pq.QuoteIdentifier(s.role.Name))
	return errors.Join(err, failed)
}
