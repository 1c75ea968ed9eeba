package ingest

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// Statements stores a batch that an xAPI client sent, whole or not at all, and gives the ids in the batch's order. A statement without an id gets
// one. The store sets authority from the credential; one that was sent is not kept. With define the batch's activities go into the catalogue, where they stand in
// clear. Errors: records.ErrConflict, people.ErrUnknownPurpose.
func (r *Road) Statements(ctx context.Context, caller access.Caller, define bool, batch []*xapi.Statement) ([]uuid.UUID, error) {
	list := make([]Incoming, len(batch))
	ids := make([]uuid.UUID, len(batch))
	for i, st := range batch {
		if ids[i] = st.ID; !st.HasID {
			ids[i] = uuid.New()
		}
		list[i] = Incoming{ID: ids[i], Statement: st.WithoutAuthority()} // no agent is kept that is not needed
	}
	verbs, err := r.verbs(ctx, caller.Tenant, list)
	if err != nil {
		return nil, err
	}
	var recalled *vault.Recalled
	err = r.db.Tenant(ctx, caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		purpose, err := people.FindPurpose(ctx, tx, caller.Purpose)
		if err != nil {
			return err
		}
		b, err := r.seal(ctx, tx, origin{
			authority: r.Authority("client", caller.Client), purpose: purpose.ID, verbs: verbs,
			catalogue: func(string) bool { return define },
		}, list, nil)
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
		return r.record(ctx, tx, audit.IngestStatements, caller.Client.String(), caller.Purpose, w, map[string]any{"statements": len(list)})
	})
	if err != nil {
		return nil, fmt.Errorf("store statements: %w", err)
	}
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
