package disclose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
)

// Document is a state or profile document as it was sent.
type Document struct {
	Content     []byte
	ContentType string
	Updated     time.Time
}

// Document reads one document of the caller's purpose. Errors: access.ErrDenied, records.ErrNoDocument.
func (r *Road) Document(ctx context.Context, caller access.Caller, name records.DocumentName) (Document, error) {
	var d Document
	err := r.documents(ctx, caller, name, true, func(ctx context.Context, tx *database.Tx, key records.DocumentKey, owner vault.Sealer) (int, error) {
		stored, err := records.FindDocument(ctx, tx, key, false)
		if err != nil {
			return 0, err
		}
		label, err := openLabel(stored, owner)
		if err != nil {
			return 0, err
		}
		d = Document{ContentType: label.ContentType, Updated: stored.Updated}
		d.Content, err = owner.Open(key.ContentContext(), stored.Content)
		return 1, err
	})
	return d, err
}

// DocumentIDs gives the ids of the documents of the caller's purpose that have the name's agent, activity and registration (Nil: any) and were changed after since,
// sorted, and when the latest of them changed. Errors: access.ErrDenied.
func (r *Road) DocumentIDs(ctx context.Context, caller access.Caller, name records.DocumentName, since time.Time) (ids []string, updated time.Time, err error) {
	err = r.documents(ctx, caller, name, false, func(ctx context.Context, tx *database.Tx, key records.DocumentKey, owner vault.Sealer) (int, error) {
		ids = []string{}
		list, err := records.Labels(ctx, tx, key, since)
		if err != nil {
			return 0, err
		}
		for _, stored := range list {
			label, err := openLabel(stored, owner)
			if err != nil {
				return 0, err
			}
			ids = append(ids, label.ID)
			if stored.Updated.After(updated) {
				updated = stored.Updated
			}
		}
		return len(list), nil
	})
	if errors.Is(err, records.ErrNoDocument) {
		return []string{}, updated, nil
	}
	slices.Sort(ids)
	return slices.Compact(ids), updated, err // one id may have several registrations
}

// documents reads documents once the gate allows it, and tells of it. read gives how many it found.
func (r *Road) documents(ctx context.Context, caller access.Caller, name records.DocumentName, content bool,
	read func(context.Context, *database.Tx, records.DocumentKey, vault.Sealer) (int, error)) error {
	s, err := r.open(ctx, caller, name.Kind.String())
	if err != nil {
		return err
	}
	var found int
	var subject uuid.UUID
	err = r.db.ReadTenant(ctx, caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		key, err := s.documentKey(ctx, tx, name)
		if err != nil {
			return err
		}
		owner, err := r.vault.Owner(ctx, tx, key.Subject)
		if err != nil {
			return err
		}
		subject = key.Subject
		found, err = read(ctx, tx, key, owner)
		return err
	})
	if errors.Is(err, vault.ErrUnknownSubject) || errors.Is(err, vault.ErrShredded) { // nobody, or nobody any more
		err = records.ErrNoDocument
	}
	if err != nil && !errors.Is(err, records.ErrNoDocument) {
		return fmt.Errorf("read document: %w", err)
	}
	e := audit.Event{Kind: audit.DocumentRead, Fields: map[string]any{
		"resource": name.Kind.String(), "documents": found, "content": content, "grants": s.decision.Grants, "policy": s.decision.Revision,
	}}
	if subject != uuid.Nil {
		e.Subjects = []uuid.UUID{subject}
	}
	return errors.Join(s.record(ctx, e), err)
}

func (s *session) documentKey(ctx context.Context, tx *database.Tx, name records.DocumentName) (records.DocumentKey, error) {
	purpose, err := people.FindPurpose(ctx, tx, s.caller.Purpose)
	if err != nil {
		return records.DocumentKey{}, err
	}
	var subject uuid.UUID
	if !name.Agent.IsZero() {
		subject, err = s.road.vault.Find(ctx, tx, name.Agent)
	}
	return name.Key(s.tenant, purpose.ID, subject), err
}

func openLabel(stored records.Document, owner vault.Sealer) (records.Label, error) {
	var label records.Label
	text, err := owner.Open(stored.LabelContext(), stored.Label)
	if err == nil {
		err = json.Unmarshal(text, &label)
	}
	if err != nil {
		return label, fmt.Errorf("label of a document: %w", err)
	}
	return label, nil
}
