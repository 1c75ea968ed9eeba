package sync

import (
	"context"
	"errors"
	"time"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
)

// replay maps the open dead letters of one stream again. The connector is started to say what the stream looks like; its source is not read.
func (a *activities) replay(ctx context.Context, in readInput) error {
	if in.Destroyed {
		return errDestroyed
	}
	r, err := a.open(ctx, in)
	if err != nil {
		return a.trouble(ctx, in, err)
	}
	r.process.Close()
	err = r.replay(ctx)
	if errors.Is(err, errEnough) { // what was mapped is stored; the letters that are left are open still
		return failure{class: ClassDied, text: "the worker was stopped", retry: true, after: time.Second}.error()
	}
	return a.trouble(ctx, in, err)
}

func (r *reader) replay(ctx context.Context) error {
	run := ingest.Run{
		Tenant: r.in.Tenant, Connection: r.in.Connection, ID: r.in.Run, Purpose: r.purpose, Mapping: r.mapping, MappingVersion: r.in.Stream.Mapping,
		Stream: r.stream, Lease: lease,
	}
	err := r.transaction(ctx, func(ctx context.Context, tx *database.Tx) (err error) {
		run.Generation, err = connection.Generation(ctx, tx, r.in.Connection, r.stream)
		return err
	})
	if err != nil {
		return err
	}
	whole := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go r.beat(whole, ctx, cancel)
	_, err = r.Road.Replay(ctx, run)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}
