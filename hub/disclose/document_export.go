package disclose

import (
	"context"
	"encoding/json"
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
)

// ExportedDocument is a document with all that names it.
type ExportedDocument struct {
	Resource     string          `json:"resource"` // state, agent-profiles or activity-profiles
	ActivityID   string          `json:"activityId,omitempty"`
	Agent        json.RawMessage `json:"agent,omitempty"`
	Registration uuid.UUID       `json:"registration,omitzero"`
	ID           string          `json:"id"` // stateId or profileId
	ContentType  string          `json:"contentType"`
	Updated      time.Time       `json:"updated"`
	Content      []byte          `json:"content"` // base64 in JSON
}

// documentBatch is how many documents an export lists at a time; their contents it reads one by one.
const documentBatch = 200

// ExportDocuments gives emit every document of the caller's purpose, of the kinds that it may read, and how many there were. One audit event for each batch tells
// whose they are, before it goes out. Documents that change meanwhile come as they then are, or not at all. Errors: access.ErrDenied when it may read none of the kinds.
func (r *Road) ExportDocuments(ctx context.Context, caller access.Caller, emit func(ExportedDocument) error) (count int64, err error) {
	allowed, denied := 0, error(nil)
	for _, kind := range []records.DocumentKind{records.State, records.AgentProfile, records.ActivityProfile} {
		s, err := r.open(ctx, caller, kind.String())
		if errors.Is(err, access.ErrDenied) && !errors.Is(err, access.ErrUndecided) {
			denied = err
			continue
		}
		if err != nil {
			return count, err
		}
		allowed++
		n, err := s.exportDocuments(ctx, kind, emit)
		if count += n; err != nil {
			return count, err
		}
	}
	if allowed == 0 {
		return 0, denied
	}
	return count, nil
}

func (s *session) exportDocuments(ctx context.Context, kind records.DocumentKind, emit func(ExportedDocument) error) (count int64, err error) {
	after := records.DocumentKey{Kind: kind}
	for {
		var list []records.Document
		err := s.road.db.ReadTenant(ctx, s.caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
			purpose, err := people.FindPurpose(ctx, tx, s.caller.Purpose)
			if err != nil {
				return err
			}
			after.Purpose = purpose.ID
			list, err = records.DocumentsAfter(ctx, tx, after, documentBatch)
			return err
		})
		if err != nil || len(list) == 0 {
			return count, err
		}
		subjects := map[uuid.UUID]bool{}
		for _, d := range list {
			if d.Subject != uuid.Nil {
				subjects[d.Subject] = true
			}
		}
		err = s.record(ctx, audit.Event{Kind: audit.DocumentRead, Subjects: keys(subjects), Fields: map[string]any{
			"resource": kind.String(), "documents": len(list), "content": true, "grants": s.decision.Grants, "policy": s.decision.Revision,
		}})
		if err != nil {
			return count, err
		}
		for _, d := range list {
			shown, err := s.exportedDocument(ctx, d)
			if errors.Is(err, records.ErrNoDocument) {
				continue
			}
			if err == nil {
				err = emit(shown)
			}
			if err != nil {
				return count, err
			}
			count++
		}
		after = list[len(list)-1].DocumentKey
	}
}

// exportedDocument opens one document. records.ErrNoDocument when it, or whoever it belongs to, is gone.
func (s *session) exportedDocument(ctx context.Context, d records.Document) (out ExportedDocument, err error) {
	out = ExportedDocument{Resource: d.Kind.String(), Registration: d.Registration}
	err = s.road.db.ReadTenant(ctx, s.caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		owner, err := s.road.vault.Owner(ctx, tx, d.Subject)
		if errors.Is(err, vault.ErrShredded) {
			return records.ErrNoDocument
		}
		if err != nil {
			return err
		}
		stored, err := records.FindDocument(ctx, tx, d.DocumentKey, false)
		if err != nil {
			return err
		}
		label, err := openLabel(stored, owner)
		if err != nil {
			return err
		}
		out.ActivityID, out.ID, out.ContentType, out.Updated = label.Activity, label.ID, label.ContentType, stored.Updated
		if d.Subject != uuid.Nil {
			agents, err := s.road.vault.Identifiers(ctx, tx, []uuid.UUID{d.Subject})
			if err != nil {
				return err
			}
			out.Agent = agents[d.Subject]
		}
		out.Content, err = owner.Open(d.ContentContext(), stored.Content)
		return err
	})
	if err != nil && !errors.Is(err, records.ErrNoDocument) {
		err = fmt.Errorf("read document: %w", err)
	}
	return out, err
}
