package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/xapi"
)

// ErrNoDocument: no such document.
var ErrNoDocument = errors.New("records: no such document")

// DocumentKind is the resource that a document belongs to. The numbers are stored; never renumber.
type DocumentKind int16

const (
	State           DocumentKind = 1 // of an agent in an activity, and a registration
	AgentProfile    DocumentKind = 2
	ActivityProfile DocumentKind = 3
)

// String names the kind as its resource of the gate is called.
func (k DocumentKind) String() string {
	switch k {
	case State:
		return "state"
	case AgentProfile:
		return "agent-profiles"
	case ActivityProfile:
		return "activity-profiles"
	}
	return "unknown"
}

// DocumentName is how a client names a document, or several (Communication 2.3, 2.6, 2.7).
type DocumentName struct {
	Kind         DocumentKind
	Activity     string          // IRI; "" for an agent profile
	Agent        xapi.Identifier // zero for an activity profile
	Registration uuid.UUID       // Nil: none; where several are asked for: any
	ID           string          // stateId or profileId; "" where several are asked for
}

// DocumentKey is a DocumentName in the hub's own ids.
type DocumentKey struct {
	Kind         DocumentKind
	Purpose      int32
	Subject      uuid.UUID // Nil for an activity profile
	Activity     uuid.UUID // blind key; Nil for an agent profile
	Registration uuid.UUID
	Name         uuid.UUID // blind index of the id
}

// Blinder makes blind indexes: vault.Tenant.
type Blinder interface {
	ActivityKey(iri string) uuid.UUID
	DocumentName(id string) uuid.UUID
}

// Key gives the name's key for a purpose and for the subject of its agent.
func (n DocumentName) Key(b Blinder, purpose int32, subject uuid.UUID) DocumentKey {
	k := DocumentKey{Kind: n.Kind, Purpose: purpose, Subject: subject, Registration: n.Registration, Name: b.DocumentName(n.ID)}
	if n.Activity != "" {
		k.Activity = b.ActivityKey(n.Activity)
	}
	return k
}

// Label is what is sealed beside a document's content.
type Label struct {
	ID          string `json:"id"`
	Activity    string `json:"activity,omitempty"`
	ContentType string `json:"contentType"`
}

// LabelContext and ContentContext bind what is sealed to its document.
func (k DocumentKey) LabelContext() string   { return "document label|" + k.place() }
func (k DocumentKey) ContentContext() string { return "document content|" + k.place() }

func (k DocumentKey) place() string {
	return fmt.Sprintf("%d|%d|%s|%s|%s|%s", k.Kind, k.Purpose, k.Subject, k.Activity, k.Registration, k.Name)
}

// Document is a stored document, sealed.
type Document struct {
	DocumentKey
	Updated time.Time // UTC, microseconds
	Label   []byte
	Content []byte // nil where only labels were asked for
}

// FindDocument reads one document; with lock nobody changes it before the transaction ends. ErrNoDocument.
func FindDocument(ctx context.Context, tx *database.Tx, k DocumentKey, lock bool) (Document, error) {
	text := `SELECT updated, label, content FROM document
WHERE tenant_id = $1 AND kind = $2 AND purpose = $3 AND subject_id = $4 AND activity = $5 AND registration = $6 AND name = $7`
	if lock {
		text += ` FOR UPDATE`
	}
	d := Document{DocumentKey: k}
	err := tx.QueryRowContext(ctx, text, tx.Tenant, k.Kind, k.Purpose, k.Subject, k.Activity, k.Registration, k.Name).Scan(&d.Updated, &d.Label, &d.Content)
	if errors.Is(err, sql.ErrNoRows) {
		return d, ErrNoDocument
	}
	if err != nil {
		return d, fmt.Errorf("records: find document: %w", err)
	}
	d.Updated = d.Updated.UTC()
	return d, nil
}

// AddDocument stores a document that is not there yet. added is false where it is: another transaction was first.
func AddDocument(ctx context.Context, tx *database.Tx, d Document) (added bool, err error) {
	result, err := tx.ExecContext(ctx, `
INSERT INTO document (content, tenant_id, kind, purpose, subject_id, activity, registration, name, updated, label)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
		d.Content, tx.Tenant, d.Kind, d.Purpose, d.Subject, d.Activity, d.Registration, d.Name, d.Updated, d.Label)
	if err != nil {
		return false, fmt.Errorf("records: add document: %w", err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// ReplaceDocument replaces a document that FindDocument has locked. Its time moves on, even where the clock does not.
func ReplaceDocument(ctx context.Context, tx *database.Tx, d Document) error {
	_, err := tx.ExecContext(ctx, `
UPDATE document SET content = $1, updated = greatest($9, updated + interval '1 microsecond'), label = $10
WHERE tenant_id = $2 AND kind = $3 AND purpose = $4 AND subject_id = $5 AND activity = $6 AND registration = $7 AND name = $8`,
		d.Content, tx.Tenant, d.Kind, d.Purpose, d.Subject, d.Activity, d.Registration, d.Name, d.Updated, d.Label)
	if err != nil {
		return fmt.Errorf("records: replace document: %w", err)
	}
	return nil
}

// DeleteDocument deletes one document.
func DeleteDocument(ctx context.Context, tx *database.Tx, k DocumentKey) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM document
WHERE tenant_id = $1 AND kind = $2 AND purpose = $3 AND subject_id = $4 AND activity = $5 AND registration = $6 AND name = $7`,
		tx.Tenant, k.Kind, k.Purpose, k.Subject, k.Activity, k.Registration, k.Name)
	if err != nil {
		return fmt.Errorf("records: delete document: %w", err)
	}
	return nil
}

// DeleteDocuments deletes all documents of a key without regard to its name, and of any registration where it has none. It gives how many there were.
func DeleteDocuments(ctx context.Context, tx *database.Tx, k DocumentKey) (int64, error) {
	result, err := tx.ExecContext(ctx, `DELETE FROM document
WHERE tenant_id = $1 AND kind = $2 AND purpose = $3 AND subject_id = $4 AND activity = $5 AND ($6::uuid IS NULL OR registration = $6)`,
		tx.Tenant, k.Kind, k.Purpose, k.Subject, k.Activity, nilOr(k.Registration))
	if err != nil {
		return 0, fmt.Errorf("records: delete documents: %w", err)
	}
	return result.RowsAffected()
}

// MaxDocuments is how many documents Labels gives.
const MaxDocuments = 100_000

// Labels gives the documents of a key without regard to its name, and of any registration where it has none, that were changed after since, without their
// content. At most MaxDocuments.
func Labels(ctx context.Context, tx *database.Tx, k DocumentKey, since time.Time) ([]Document, error) {
	rows, err := tx.QueryContext(ctx, `SELECT registration, name, updated, label FROM document
WHERE tenant_id = $1 AND kind = $2 AND purpose = $3 AND subject_id = $4 AND activity = $5 AND ($6::uuid IS NULL OR registration = $6) AND updated > $7
ORDER BY registration, name LIMIT $8`,
		tx.Tenant, k.Kind, k.Purpose, k.Subject, k.Activity, nilOr(k.Registration), since, MaxDocuments)
	if err != nil {
		return nil, fmt.Errorf("records: list documents: %w", err)
	}
	defer rows.Close()
	var list []Document
	for rows.Next() {
		d := Document{DocumentKey: k}
		if err := rows.Scan(&d.Registration, &d.Name, &d.Updated, &d.Label); err != nil {
			return nil, err
		}
		d.Updated = d.Updated.UTC()
		list = append(list, d)
	}
	return list, rows.Err()
}

// DocumentsAfter gives documents of one kind and purpose in the order of their keys, from after a key on (its kind and purpose are those wanted), without their content.
func DocumentsAfter(ctx context.Context, tx *database.Tx, after DocumentKey, limit int) ([]Document, error) {
	rows, err := tx.QueryContext(ctx, `SELECT subject_id, activity, registration, name, updated, label FROM document
WHERE tenant_id = $1 AND kind = $2 AND purpose = $3 AND (subject_id, activity, registration, name) > ($4::uuid, $5::uuid, $6::uuid, $7::uuid)
ORDER BY subject_id, activity, registration, name LIMIT $8`,
		tx.Tenant, after.Kind, after.Purpose, after.Subject, after.Activity, after.Registration, after.Name, limit)
	if err != nil {
		return nil, fmt.Errorf("records: page through documents: %w", err)
	}
	defer rows.Close()
	var list []Document
	for rows.Next() {
		d := Document{DocumentKey: DocumentKey{Kind: after.Kind, Purpose: after.Purpose}}
		if err := rows.Scan(&d.Subject, &d.Activity, &d.Registration, &d.Name, &d.Updated, &d.Label); err != nil {
			return nil, err
		}
		d.Updated = d.Updated.UTC()
		list = append(list, d)
	}
	return list, rows.Err()
}
