package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/blob"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/records"
)

// sweepEvery is how often a worker looks for blobs that nobody knows, on average: it waits for half as long to half as long again, so that workers do not all begin at once.
const sweepEvery = 6 * time.Hour

// sweep removes blobs that no row names, of requests that a crash cut off and of what was erased, until ctx ends.
func (p *process) sweep(ctx context.Context) {
	if p.blobs == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery/2 + rand.N(sweepEvery)):
		}
		n, err := p.blobs.Sweep(ctx, time.Now().Add(-blob.Age), p.knownBlobs)
		if err != nil && ctx.Err() == nil {
			slog.Error("sweep of blobs failed; it is tried again in some hours", "removed", n, "error", err)
		} else if n > 0 {
			slog.Info("blobs that nothing names were removed", "removed", n)
		}
	}
}

// knownBlobs tells which blobs any tenant names.
func (r *rooms) knownBlobs(ctx context.Context, names []uuid.UUID) (map[uuid.UUID]bool, error) {
	tenants, err := r.db.Tenants(ctx)
	if err == nil && len(tenants) == 0 {
		err = errors.New("there is no tenant")
	}
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	known := make(map[uuid.UUID]bool, len(names))
	for _, t := range tenants {
		var list []uuid.UUID
		err := r.db.ReadTenant(ctx, t.ID, func(ctx context.Context, tx *database.Tx) (err error) {
			list, err = records.KnownBlobs(ctx, tx, names)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("tenant %s: %w", t.Name, err)
		}
		for _, name := range list {
			known[name] = true
		}
	}
	return known, nil
}
