package vault

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
)

// Sealer seals and opens what belongs to somebody: a Subject, or the Tenant where it is nobody's.
type Sealer interface {
	Seal(context string, plain []byte) ([]byte, error)
	Open(context string, sealed []byte) ([]byte, error)
}

// Owner gives the sealer of what belongs to a subject, and of what belongs to none (uuid.Nil). ErrShredded when the subject's key was destroyed.
func (v *Vault) Owner(ctx context.Context, tx *database.Tx, subject uuid.UUID) (Sealer, error) {
	if subject == uuid.Nil {
		return v.Tenant(tx.Tenant)
	}
	keys, err := v.Keys(ctx, tx, []uuid.UUID{subject}, Learning)
	if err != nil {
		return nil, err
	}
	if keys[subject] == nil {
		return nil, ErrShredded
	}
	return keys[subject], nil
}

// DocumentName is the blind index of a document's id (stateId, profileId) within its resource.
func (t *Tenant) DocumentName(id string) uuid.UUID {
	return first16(t.index.sum("document", []byte(id)))
}

// maxLinked bounds how many subjects Person gives.
const maxLinked = 1000

// Person gives the subjects that are linked to one person with this one, itself included, in one order.
func (v *Vault) Person(ctx context.Context, tx *database.Tx, subject uuid.UUID) ([]uuid.UUID, error) {
	var list []uuid.UUID
	err := tx.SelectContext(ctx, &list, `
SELECT s.id FROM subject o JOIN subject s ON s.tenant_id = o.tenant_id AND s.person_id = o.person_id
WHERE o.tenant_id = $1 AND o.id = $2 ORDER BY s.id LIMIT $3`, tx.Tenant, subject, maxLinked)
	if err != nil {
		return nil, fmt.Errorf("vault: subjects of a person: %w", err)
	}
	return list, nil
}
