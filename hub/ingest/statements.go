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
	return d.store(ctx, caller, define, false)
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
	return d.store(ctx, caller, define, true)
}

// store stores the batch under the authority of the caller's credential, unless it is imported.
func (d *Delivery) store(ctx context.Context, caller access.Caller, define, imported bool) (ids []uuid.UUID, err error) {
	if len(d.batch) == 0 {
		return nil, nil
	}
	if err := d.complete(); err != nil {
		return nil, err
	}
	list := make([]Incoming, len(d.batch))
	ids = make([]uuid.UUID, len(d.batch))
	for i, st := range d.batch {
		if ids[i] = st.ID; !st.HasID {
			ids[i] = uuid.New()
		}
		list[i] = Incoming{ID: ids[i], Statement: st}
	}
	verbs, err := d.road.verbs(ctx, d.tenant, list)
	if err != nil {
		return nil, err
	}
	t := terms{tenant: d.tenant, client: caller.Client, purpose: caller.Purpose, define: define}
	if d.small() && !imported {
		err = d.road.inTurn(ctx, t, &delivered{list: list, verbs: verbs})
	} else {
		o := t.origin(d.road, verbs)
		o.imported, o.contents = imported, d.contents
		var stored map[uuid.UUID]bool
		if stored, err = d.large(ctx, t, o, list); err == nil {
			d.settle(ids, stored)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("store statements: %w", err)
	}
	return ids, nil
}

// large stores what is not small, and gives the ids that were new.
func (d *Delivery) large(ctx context.Context, t terms, o origin, list []Incoming) (map[uuid.UUID]bool, error) {
	r := d.road
	var b *batch
	var w written
	err := r.db.Tenant(ctx, t.tenant, func(ctx context.Context, tx *database.Tx) error {
		d.unsure = false
		purpose, err := people.FindPurpose(ctx, tx, t.purpose)
		if err != nil {
			return err
		}
		o.purpose = purpose.ID
		if b, err = r.seal(ctx, tx, o, list, nil); err != nil {
			return err
		}
		position, err := records.Clock(ctx, tx, len(list))
		if err != nil {
			return err
		}
		if w, err = b.store(ctx, tx, position); err != nil {
			return err
		}
		err = audit.Record(ctx, tx, r.now(), w.event(audit.IngestStatements, t.client.String(), t.purpose, map[string]any{"statements": len(list), "imported": o.imported}))
		d.unsure = err == nil // until the commit's answer is here
		return err
	})
	if err != nil {
		return nil, err
	}
	d.unsure = false
	b.recalled.Remember()
	return w.stored, nil
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
