package disclose

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/google/uuid"

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

// Definitions gives the definitions that the catalogue has of activities, by IRI, for statements that the caller is shown. None to a caller who may not read the
// catalogue; no audit event tells of it, since one tells of the statements.
func (r *Road) Definitions(ctx context.Context, caller access.Caller, iris []string) (map[string]json.RawMessage, error) {
	_, err := r.gate.Decide(ctx, access.Request{Caller: caller, Action: access.Read, Resource: access.Activities})
	if errors.Is(err, access.ErrDenied) && !errors.Is(err, access.ErrUndecided) || len(iris) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := r.vault.Tenant(caller.Tenant)
	if err != nil {
		return nil, err
	}
	keys := make([]uuid.UUID, len(iris))
	for i, iri := range iris {
		keys[i] = t.ActivityKey(iri)
	}
	definitions := map[string]json.RawMessage{}
	err = r.db.ReadTenant(ctx, caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		clear(definitions)
		known, err := records.Definitions(ctx, tx, keys)
		for i, key := range keys {
			if known[key] != nil {
				definitions[iris[i]] = known[key]
			}
		}
		return err
	})
	return definitions, err
}
