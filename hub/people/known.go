package people

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/vault"
)

// Fact is something that holds of a subject from From until, but not at, Until, and was believed from RecordedFrom until RecordedUntil.
type Fact struct {
	Subject       uuid.UUID  `json:"subject"`
	Kind          string     `json:"kind"`
	Value         string     `json:"value,omitempty"`
	Manager       uuid.UUID  `json:"manager,omitzero"`         // the subject that the fact names, instead of a value
	From          *time.Time `json:"from,omitempty"`           // nil: since before it was known
	Until         *time.Time `json:"until,omitempty"`          // nil: until further notice
	RecordedFrom  time.Time  `json:"recorded_from"`            // since when it was known
	RecordedUntil *time.Time `json:"recorded_until,omitempty"` // nil: it is believed still
	Connection    uuid.UUID  `json:"connection"`               // that said so
	Purpose       int32      `json:"-"`                        // for which it is kept
}

// held keeps rows to what held at $2 as it was known at $3; null: as it is known now.
const held = ` tenant_id = $1 AND valid_from <= $2 AND valid_until > $2
    AND CASE WHEN $3::timestamptz IS NULL THEN recorded_until = 'infinity' ELSE recorded_from <= $3 AND recorded_until > $3 END`

// FactsAt gives what held of subjects at a time, as it was known at another (zero: as it is known now), by subject. It knows subjects, not people: see PersonFactsAt.
// Facts of a subject whose key was destroyed are absent.
func FactsAt(ctx context.Context, tx *database.Tx, v *vault.Vault, subjects []uuid.UUID, asOf, knownAt time.Time) (map[uuid.UUID][]Fact, error) {
	return facts(ctx, tx, v, `
SELECT `+factColumns+`, f.recorded_from, nullif(f.recorded_until, 'infinity'), f.connection_id, f.purpose FROM unnest($4::uuid[]) AS n(id)
CROSS JOIN LATERAL (SELECT * FROM person_fact WHERE subject_id = n.id AND`+held+` OFFSET 0) AS f
ORDER BY f.subject_id, f.kind, f.valid_from, f.id`, subjects, asOf, orNull(knownAt))
}

// History gives all that was ever believed of subjects, by subject, the oldest first.
func History(ctx context.Context, tx *database.Tx, v *vault.Vault, subjects []uuid.UUID) (map[uuid.UUID][]Fact, error) {
	return facts(ctx, tx, v, `
SELECT `+factColumns+`, f.recorded_from, nullif(f.recorded_until, 'infinity'), f.connection_id, f.purpose FROM unnest($4::uuid[]) AS n(id)
CROSS JOIN LATERAL (SELECT * FROM person_fact WHERE tenant_id = $1 AND subject_id = n.id AND $2::timestamptz IS NULL AND $3::timestamptz IS NULL OFFSET 0) AS f
ORDER BY f.subject_id, f.recorded_from, f.kind, f.valid_from, f.id`, subjects, nil, nil)
}

func orNull(at time.Time) sql.NullTime { return sql.NullTime{Time: at, Valid: !at.IsZero()} }

// facts reads and opens facts.
func facts(ctx context.Context, tx *database.Tx, v *vault.Vault, query string, subjects []uuid.UUID, asOf, knownAt any) (map[uuid.UUID][]Fact, error) {
	keys, err := v.Keys(ctx, tx, subjects, vault.Learning)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, query, tx.Tenant, asOf, knownAt, database.UUIDs(subjects))
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	defer rows.Close()
	found := map[uuid.UUID][]Fact{}
	for rows.Next() {
		var row factRow
		var f Fact
		targets, done := row.targets()
		if err := rows.Scan(append(targets, &f.RecordedFrom, &f.RecordedUntil, &f.Connection, &f.Purpose)...); err != nil {
			return nil, err
		}
		done()
		if keys[row.subject] == nil {
			continue
		}
		f.Subject, f.Kind, f.Manager, f.From, f.Until = row.subject, row.kind, row.manager, orNil(row.from), orNil(row.until)
		if row.manager == uuid.Nil {
			value, err := keys[row.subject].Open(factContext(row.key), row.sealed)
			if err != nil {
				return nil, fmt.Errorf("fact %s: %w", row.id, err)
			}
			f.Value = string(value)
		}
		found[row.subject] = append(found[row.subject], f)
	}
	return found, rows.Err()
}

func orNil(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

// PersonFactsAt is FactsAt of all that is one person with each subject, as the vault links them now: for each subject the facts of its whole person.
func PersonFactsAt(ctx context.Context, tx *database.Tx, v *vault.Vault, subjects []uuid.UUID, asOf, knownAt time.Time) (map[uuid.UUID][]Fact, error) {
	people, err := v.People(ctx, tx, subjects)
	if err != nil {
		return nil, err
	}
	var all []uuid.UUID
	for _, linked := range people {
		all = append(all, linked...)
	}
	found, err := FactsAt(ctx, tx, v, all, asOf, knownAt)
	if err != nil {
		return nil, err
	}
	whole := make(map[uuid.UUID][]Fact, len(people))
	for subject, linked := range people {
		for _, other := range linked {
			whole[subject] = append(whole[subject], found[other]...)
		}
	}
	return whole, nil
}

// WithFact lists the subjects of whom a fact of that kind and value held at a time, as it was known at another (zero: as it is known now).
func WithFact(ctx context.Context, tx *database.Tx, t *vault.Tenant, kind, value string, asOf, knownAt time.Time) ([]uuid.UUID, error) {
	list := []uuid.UUID{}
	err := tx.SelectContext(ctx, &list, `
SELECT DISTINCT subject_id FROM person_fact WHERE kind = $4 AND value_key = $5 AND`+held+` ORDER BY subject_id`,
		tx.Tenant, asOf, orNull(knownAt), kind, t.FactKey(kind, value))
	if err != nil {
		return nil, fmt.Errorf("who has a fact: %w", err)
	}
	return list, nil
}

// ManagedBy lists the subjects whose manager was one of these at a time, as it was known at another (zero: as it is known now).
func ManagedBy(ctx context.Context, tx *database.Tx, managers []uuid.UUID, asOf, knownAt time.Time) ([]uuid.UUID, error) {
	list := []uuid.UUID{}
	err := tx.SelectContext(ctx, &list, `
SELECT DISTINCT f.subject_id FROM unnest($4::uuid[]) AS n(id)
CROSS JOIN LATERAL (SELECT subject_id FROM person_fact WHERE manager_id = n.id AND kind = 'manager' AND`+held+` OFFSET 0) AS f ORDER BY 1`,
		tx.Tenant, asOf, orNull(knownAt), database.UUIDs(managers))
	if err != nil {
		return nil, fmt.Errorf("whom somebody manages: %w", err)
	}
	return list, nil
}
