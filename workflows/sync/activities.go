package sync

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/workflows/codec"
)

// lease is how long a run holds its connection from its last sign of life.
const lease = 5 * time.Minute

type beginInput struct {
	codec.Tombstone
	Target
	Run  uuid.UUID          `json:"run"`
	Kind connection.RunKind `json:"kind"`
	Full bool               `json:"full"`
	By   string             `json:"by"`
}

// begun is what there is to read.
type begun struct {
	codec.Tombstone
	Streams []stream `json:"streams"`        // in order
	Slow    bool     `json:"slow,omitempty"` // the last run took long: see read.go
}

// begin makes the run and says what there is to read.
func (a *activities) begin(ctx context.Context, in beginInput) (begun, error) {
	if in.Destroyed {
		return begun{}, errDestroyed
	}
	var b begun
	err := a.DB.Tenant(ctx, in.Tenant, func(ctx context.Context, tx *database.Tx) error {
		now := a.Now()
		last, err := connection.History(ctx, tx, in.Connection, time.Time{}, 1)
		if err != nil {
			return err
		}
		run := connection.Run{ID: in.Run, Connection: in.Connection, Kind: in.Kind, Full: in.Full, StartedBy: in.By, StartedAt: now}
		if err := connection.Begin(ctx, tx, run, now.Add(lease)); err != nil {
			return err
		}
		m, err := connection.GetMapping(ctx, tx, in.Connection, 0)
		if err != nil {
			return err
		}
		b = begun{Streams: make([]stream, len(m.Streams)), Slow: tookLong(last)}
		for i, s := range m.Streams {
			b.Streams[i] = stream{Name: s.Name, Lookups: s.Lookups, Mapping: m.Version}
		}
		return nil
	})
	return b, a.settle(ctx, err)
}

type endInput struct {
	codec.Tombstone
	Target
	Run   uuid.UUID           `json:"run"`
	State connection.RunState `json:"state"`
	Class string              `json:"class,omitempty"`
	Error string              `json:"error,omitempty"`
}

// end records how the run ended and gives the connection free.
func (a *activities) end(ctx context.Context, in endInput) error {
	if in.Destroyed {
		return errDestroyed
	}
	return a.settle(ctx, a.DB.Tenant(ctx, in.Tenant, func(ctx context.Context, tx *database.Tx) error {
		return connection.End(ctx, tx, in.Run, connection.Outcome{State: in.State, Class: in.Class, Error: in.Error}, a.Now())
	}))
}

type progressInput struct {
	codec.Tombstone
	Target
	Run uuid.UUID `json:"run"`
}

// progress is how far a run is.
type progress struct {
	codec.Tombstone
	Records int64 `json:"records"` // received, in pages that were stored
}

func (a *activities) progress(ctx context.Context, in progressInput) (progress, error) {
	if in.Destroyed {
		return progress{}, errDestroyed
	}
	var p progress
	err := a.DB.ReadTenant(ctx, in.Tenant, func(ctx context.Context, tx *database.Tx) error {
		r, err := connection.GetRun(ctx, tx, in.Run)
		p.Records = r.Total.Records
		return err
	})
	return p, a.settle(ctx, err)
}

// housekeeping deletes old dead letters and runs, tenant by tenant.
func (a *activities) housekeeping(ctx context.Context) error {
	tenants, err := a.DB.Tenants(ctx)
	if err != nil {
		return a.settle(ctx, err)
	}
	for _, t := range tenants {
		activity.RecordHeartbeat(ctx)
		err := a.DB.Tenant(ctx, t.ID, func(ctx context.Context, tx *database.Tx) error {
			dead, err := connection.PurgeDeadLetters(ctx, tx, a.Now().Add(-a.KeepDead))
			if err != nil {
				return err
			}
			deliveries, err := connection.PurgeDeliveries(ctx, tx, a.Now().Add(-connection.DeliveryWindow))
			if err != nil {
				return err
			}
			runs, err := connection.PurgeRuns(ctx, tx, a.Now().Add(-a.KeepRuns))
			if dead+runs+deliveries > 0 {
				a.Log.Info("sync: purged", "tenant", t.ID, "dead_letters", dead, "runs", runs, "deliveries", deliveries)
			}
			return err
		})
		if err != nil {
			return a.settle(ctx, err)
		}
	}
	return nil
}
