package disclose

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/records"
)

// Activity is an activity as the catalogue has it (Communication 2.5).
type Activity struct {
	ObjectType string          `json:"objectType"`
	ID         string          `json:"id"`
	Definition json.RawMessage `json:"definition,omitempty"`
}

// Activity gives the activity of an IRI with the definition of the catalogue. One that is not there, or whose writers may not define, is its IRI alone.
// Errors: access.ErrDenied.
func (r *Road) Activity(ctx context.Context, caller access.Caller, iri string) (Activity, error) {
	s, err := r.open(ctx, caller, access.Activities)
	if err != nil {
		return Activity{}, err
	}
	a := Activity{ObjectType: "Activity", ID: iri}
	err = r.db.ReadTenant(ctx, caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		known, err := records.FindActivity(ctx, tx, s.tenant.ActivityKey(iri))
		if errors.Is(err, records.ErrNoActivity) {
			return nil
		}
		a.Definition = known.Definition
		return err
	})
	if err != nil {
		return Activity{}, err
	}
	return a, s.record(ctx, audit.Event{Kind: audit.ActivityRead, Fields: map[string]any{"grants": s.decision.Grants, "policy": s.decision.Revision}})
}
