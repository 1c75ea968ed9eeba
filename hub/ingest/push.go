package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/plugins/contract"
)

// Push is what a source pushed to a connection, verified and pruned.
type Push struct {
	Tenant         database.TenantID
	Connection     uuid.UUID
	ID             uuid.UUID // of the delivery; audit events and dead letters name it
	Purpose        string
	Mapping        *mapping.Mapping
	MappingVersion int
	Pages          []PushedPage // in the order of reading; they need no cursor
	// Whole stores nothing of a page unless all its records can be mapped: ErrUnmapped. Else those that cannot become dead letters.
	Whole bool
	// Done runs in the transaction that stores the last page, and in one of its own if there is none: what it says is true together with what was stored.
	Done func(ctx context.Context, tx *database.Tx) error
}

// PushedPage is the part of a push that belongs to one stream.
type PushedPage struct {
	Stream contract.Stream
	Page   contract.Page
}

// Push stores what was pushed, stream by stream, each in one transaction as Page does. It needs no lease and waits for no run: both see whether the other changed a record
// that they have in hand. While a snapshot is being read, what was pushed stands and the snapshot's own copy, which may be older, gives way; the next
// snapshot decides. Errors: connection.ErrUnknown, connection.ErrPaused; connection.ErrOvertaken when something else changed meanwhile: whoever asks again, with
// what is known then, may have it stored. What was stored of earlier streams is found unchanged then.
func (r *Road) Push(ctx context.Context, p Push) (Counts, error) {
	var sum Counts
	if len(p.Pages) == 0 {
		return sum, r.db.Tenant(ctx, p.Tenant, func(ctx context.Context, tx *database.Tx) error {
			if err := connection.HoldOpen(ctx, tx, p.Connection, p.MappingVersion); err != nil {
				return err
			}
			return p.Done(ctx, tx)
		})
	}
	for i, page := range p.Pages {
		run := Run{
			Tenant: p.Tenant, Connection: p.Connection, ID: p.ID, Purpose: p.Purpose, Mapping: p.Mapping, MappingVersion: p.MappingVersion, Stream: page.Stream,
			push: &pushing{whole: p.Whole},
		}
		if i == len(p.Pages)-1 {
			run.push.done = p.Done
		}
		counts, err := r.pushed(ctx, run, page.Page)
		if err != nil {
			return sum, err
		}
		sum.add(counts)
	}
	return sum, nil
}

// pushing makes a run one that is pushed.
type pushing struct {
	whole bool
	done  func(ctx context.Context, tx *database.Tx) error // nil: it is not the last page
}

func (r *Road) pushed(ctx context.Context, run Run, page contract.Page) (Counts, error) {
	err := r.db.ReadTenant(ctx, run.Tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		run.Generation, err = connection.PushGeneration(ctx, tx, run.Connection, run.Stream)
		return err
	})
	if err != nil {
		return Counts{}, err
	}
	page.Cursor, page.SnapshotComplete = nil, false // what is pushed says nothing of the rest
	d, err := r.draft(ctx, run, page)
	if err != nil {
		return Counts{}, err
	}
	if reason := d.unmapped(); run.push.whole && reason != "" {
		return Counts{}, fmt.Errorf("%w: %s", ErrUnmapped, reason)
	}
	counts, err := r.commit(ctx, run, page, d)
	if errors.Is(err, records.ErrConflict) { // its statements got the ids of another change of the same revision
		err = errors.Join(connection.ErrOvertaken, err)
	}
	return counts, err
}

// ErrUnmapped: a record of a push cannot be mapped. The text says why, and holds no value.
var ErrUnmapped = errors.New("the mapping of the connection cannot take this record")

// unmapped says why a record would become a dead letter; "": none would.
func (d *drafts) unmapped() string {
	for _, b := range d.bad {
		return b.Reason
	}
	for _, f := range d.list {
		if f.verdict == dead {
			return f.reason
		}
	}
	return ""
}

// hold keeps the connection for the transaction that writes.
func (r *Road) hold(ctx context.Context, tx *database.Tx, run Run) error {
	if run.push != nil {
		return connection.HoldOpen(ctx, tx, run.Connection, run.MappingVersion)
	}
	return connection.HoldLease(ctx, tx, run.Connection, run.ID, r.now().Add(run.Lease))
}

// notePush is progress for what was pushed.
func (d *drafts) notePush(ctx context.Context, tx *database.Tx, c Counts) error {
	changed := c.Changed+c.Statements+c.Voided+c.Skipped > 0
	if err := connection.NotePush(ctx, tx, d.run.Connection, d.run.ID, d.run.Stream.Name, d.run.MappingVersion, changed, d.road.now()); err != nil {
		return err
	}
	if d.run.push.done == nil {
		return nil
	}
	return d.run.push.done(ctx, tx)
}
