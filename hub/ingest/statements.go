package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// ErrFuture: a statement of another store says that it was stored at a time that is still to come.
var ErrFuture = errors.New("ingest: a statement's stored is in the future")

// ErrStored: a statement of another store says that it was stored at the first moment of the year 1, which is what no time looks like, or before.
var ErrStored = errors.New("ingest: a statement's stored is not after the first moment of the year 1")

// Statements stores a batch that an xAPI client sent without attachments beside it; see Delivery.Store.
func (r *Road) Statements(ctx context.Context, caller access.Caller, define bool, batch []*xapi.Statement) ([]uuid.UUID, error) {
	d, err := r.Delivery(caller.Tenant, batch)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Store(ctx, caller, define)
}

// Store stores the batch with its attachments, whole or not at all, and gives the ids in the batch's order. A statement without an id gets
// one. The store sets authority from the credential; one that was sent is not kept. With define the batch's activities go into the catalogue, where they stand in
// clear. Errors: records.ErrConflict, people.ErrUnknownPurpose, AttachmentError.
func (d *Delivery) Store(ctx context.Context, caller access.Caller, define bool) ([]uuid.UUID, error) {
	for i, st := range d.batch {
		d.batch[i] = st.WithoutAuthority() // no agent is kept that is not needed
	}
	return d.store(ctx, caller, origin{catalogue: func(string) bool { return define }})
}

// Import is Store for statements of another store: they keep the authority and the stored time that they have. What lacks one gets it as in Store. Errors: those of
// Store, ErrFuture and ErrStored.
func (d *Delivery) Import(ctx context.Context, caller access.Caller, define bool) ([]uuid.UUID, error) {
	for _, st := range d.batch {
		if !st.StoredSpan.IsZero() && !st.Stored.After(time.Time{}) {
			return nil, ErrStored
		}
		if st.Stored.After(d.road.now()) {
			return nil, ErrFuture
		}
	}
	return d.store(ctx, caller, origin{catalogue: func(string) bool { return define }, imported: true})
}

// store stores the batch under the authority of the caller's credential, unless it is imported.
func (d *Delivery) store(ctx context.Context, caller access.Caller, o origin) ([]uuid.UUID, error) {
	if len(d.batch) == 0 {
		return nil, nil
	}
	if err := d.complete(); err != nil {
		return nil, err
	}
	r := d.road
	list := make([]Incoming, len(d.batch))
	ids := make([]uuid.UUID, len(d.batch))
	for i, st := range d.batch {
		if ids[i] = st.ID; !st.HasID {
			ids[i] = uuid.New()
		}
		list[i] = Incoming{ID: ids[i], Statement: st}
	}
	verbs, err := r.verbs(ctx, d.tenant, list)
	if err != nil {
		return nil, err
	}
	o.authority, o.verbs, o.contents = r.Authority("client", caller.Client), verbs, d.contents
	var recalled *vault.Recalled
	var stored map[uuid.UUID]bool
	err = r.db.Tenant(ctx, d.tenant, func(ctx context.Context, tx *database.Tx) error {
		d.unsure = false
		purpose, err := people.FindPurpose(ctx, tx, caller.Purpose)
		if err != nil {
			return err
		}
		o.purpose = purpose.ID
		b, err := r.seal(ctx, tx, o, list, nil)
		if err != nil {
			return err
		}
		recalled = b.recalled
		position, err := records.Clock(ctx, tx, len(list))
		if err != nil {
			return err
		}
		w, err := b.store(ctx, tx, position)
		if err != nil {
			return err
		}
		stored = w.stored
		err = r.record(ctx, tx, audit.IngestStatements, caller.Client.String(), caller.Purpose, w, map[string]any{"statements": len(list), "imported": o.imported})
		d.unsure = err == nil // until the commit's answer is here
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store statements: %w", err)
	}
	d.unsure = false
	d.settle(ids, stored)
	recalled.Remember()
	return ids, nil
}

// Refused tells of a write that was refused, before that is answered. reason is a code.
func (r *Road) Refused(ctx context.Context, caller access.Caller, reason string) error {
	return r.db.Tenant(ctx, caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		return audit.Record(ctx, tx, r.now(), audit.Event{
			Kind: audit.IngestRefused, Actor: caller.Client.String(), Purpose: caller.Purpose,
			Fields: map[string]any{"action": access.Write, "reason": reason},
		})
	})
}
