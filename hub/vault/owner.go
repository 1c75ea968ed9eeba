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

// People gives, for each of these subjects that is there, all that are one person with it, itself included, in one order.
func (v *Vault) People(ctx context.Context, tx *database.Tx, subjects []uuid.UUID) (map[uuid.UUID][]uuid.UUID, error) {
	rows, err := tx.QueryContext(ctx, `
SELECT n.id, s.id FROM unnest($2::uuid[]) AS n(id)
CROSS JOIN LATERAL (SELECT person_id FROM subject WHERE tenant_id = $1 AND id = n.id LIMIT 1) AS o
CROSS JOIN LATERAL (SELECT id FROM subject WHERE tenant_id = $1 AND person_id = o.person_id ORDER BY id LIMIT $3) AS s
ORDER BY n.id, s.id`, tx.Tenant, database.UUIDs(sorted(subjects)), maxLinked)
	if err != nil {
		return nil, fmt.Errorf("vault: subjects of people: %w", err)
	}
	defer rows.Close()
	people := make(map[uuid.UUID][]uuid.UUID, len(subjects))
	for rows.Next() {
		var of, linked uuid.UUID
		if err := rows.Scan(&of, &linked); err != nil {
			return nil, err
		}
		people[of] = append(people[of], linked)
	}
	return people, rows.Err()
}
