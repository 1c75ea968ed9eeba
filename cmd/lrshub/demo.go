package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/connection"
)

// demoFiles are an invented college's tables, and a connection's file and mapping that read them.
//
//go:embed demo
var demoFiles embed.FS

// demoName is the name of the demo's connection.
const demoName = "demo"

// demoTime bounds how long the hub's start waits for the demo; its sync goes on afterwards.
const demoTime = time.Minute

// addDemo adds the demo's connection to the hub at url and syncs it, as anyone would: through the management API. Where it is already,
// nothing changes. That it failed is told and keeps the hub from nothing; the error is ctx's.
func addDemo(ctx context.Context, url, token, folder string) error {
	r := &remote{url: url, token: token, quiet: true}
	within, cancel := context.WithTimeout(ctx, demoTime)
	defer cancel()
	if err := r.demo(within, folder); err != nil && ctx.Err() == nil {
		slog.Error("demo failed", "error", err)
		fmt.Fprintf(os.Stderr, "lrshub: the demo is not complete: %v\nThe hub runs all the same. See: lrshub sync status %s\n", err, demoName)
	}
	return ctx.Err()
}

func (r *remote) demo(ctx context.Context, folder string) error {
	if err := writeDemo(folder); err != nil {
		return err
	}
	var there connection.Connection
	var exit exitError
	err := r.call(ctx, http.MethodGet, connectionPath(demoName), nil, &there)
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.code == exitNotFound:
		if err := r.addDemoConnection(ctx, folder); err != nil {
			return err
		}
	default:
		return err
	}
	var runs listOf[connection.Run]
	if err := r.call(ctx, http.MethodGet, connectionPath(demoName)+"/syncs?limit=1", nil, &runs); err != nil || len(runs.Items) > 0 {
		return err // a run there was: whoever started it knows
	}
	var started struct{ Run uuid.UUID }
	if err := r.call(ctx, http.MethodPost, connectionPath(demoName)+"/syncs", map[string]bool{"full": false}, &started); err != nil {
		return err
	}
	return r.awaitDemo(ctx, started.Run)
}

func (r *remote) addDemoConnection(ctx context.Context, folder string) error {
	spec, err := readConnectionFile(filepath.Join(folder, "demo.yaml"), []string{"folder=" + folder})
	if err != nil {
		return err
	}
	return r.call(ctx, http.MethodPost, "/connections", map[string]any{"name": demoName, "spec": spec}, nil)
}

// awaitDemo waits for a run's end. Dead letters are part of the demo.
func (r *remote) awaitDemo(ctx context.Context, id uuid.UUID) error {
	for {
		var run connection.Run
		err := r.call(ctx, http.MethodGet, "/syncs/"+id.String(), nil, &run)
		var exit exitError
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("its sync has not ended within %s: it goes on", demoTime)
		case errors.As(err, &exit) && exit.code == exitNotFound: // not begun yet
		case err != nil:
			return err
		case run.State == connection.Succeeded:
			return nil
		case run.State != connection.Running:
			return fmt.Errorf("its sync has %s: %s", run.State, run.Error)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

// writeDemo writes the demo's files where they are not yet; what was changed there stays.
func writeDemo(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("folder for the demo: %w", err)
	}
	return fs.WalkDir(demoFiles, "demo", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		target := filepath.Join(folder, entry.Name())
		if _, err := os.Lstat(target); err == nil {
			return nil
		}
		content, err := demoFiles.ReadFile(path)
		if err != nil {
			return err
		}
		whole := target + ".new" // so that a start that was killed leaves no half a table
		if err := os.WriteFile(whole, content, 0o600); err != nil {
			return fmt.Errorf("folder for the demo: %w", err)
		}
		return os.Rename(whole, target)
	})
}
