package records

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/lrshub/lrshub/hub/database"
)

// Dictionary numbers the verbs of each tenant. A number is never reused or changed, so the cache of one process needs
// no word from another.
type Dictionary struct {
	db *database.DB

	mu   sync.RWMutex
	byID map[verbKey]string
	ids  map[verbName]int32
}

type verbKey struct {
	tenant database.TenantID
	id     int32
}

type verbName struct {
	tenant database.TenantID
	iri    string
}

// maxCachedVerbs bounds the cache; past it, it starts anew.
const maxCachedVerbs = 100_000

// NewDictionary makes a dictionary over a database.
func NewDictionary(db *database.DB) *Dictionary {
	return &Dictionary{db: db, byID: map[verbKey]string{}, ids: map[verbName]int32{}}
}

// Verbs gives the numbers of verb IRIs and numbers those that are new, in a transaction of its own: a verb names
// no person, and a number that a failed batch leaves behind does no harm. Call it before the batch's transaction.
func (d *Dictionary) Verbs(ctx context.Context, tenant database.TenantID, iris []string) (map[string]int32, error) {
	out := make(map[string]int32, 4)
	var missing []string
	d.mu.RLock()
	for _, iri := range iris {
		if id, ok := d.ids[verbName{tenant, iri}]; ok {
			out[iri] = id
		} else if !slices.Contains(missing, iri) {
			missing = append(missing, iri)
		}
	}
	d.mu.RUnlock()
	if len(missing) == 0 {
		return out, nil
	}
	slices.Sort(missing) // one order, so that two batches cannot deadlock
	type row struct {
		ID  int32
		IRI string
	}
	var rows []row
	err := d.db.Tenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
		rows = rows[:0]
		_, err := tx.ExecContext(ctx, `
INSERT INTO verb (tenant_id, iri) SELECT $1, n.iri FROM unnest($2::text[]) AS n(iri)
WHERE NOT EXISTS (SELECT 1 FROM verb v WHERE v.tenant_id = $1 AND v.iri = n.iri) ON CONFLICT DO NOTHING`, tenant, database.Texts(missing))
		if err != nil {
			return err
		}
		return tx.SelectContext(ctx, &rows, `SELECT id, iri FROM verb WHERE tenant_id = $1 AND iri = ANY($2::text[])`, tenant, database.Texts(missing))
	})
	if err != nil {
		return nil, fmt.Errorf("records: number verbs: %w", err)
	}
	if len(rows) != len(missing) {
		return nil, fmt.Errorf("records: %d of %d verbs have no number", len(missing)-len(rows), len(missing))
	}
	for _, r := range rows {
		out[r.IRI] = r.ID
		d.remember(tenant, r.ID, r.IRI)
	}
	return out, nil
}

// VerbIRI gives the IRI of a verb's number.
func (d *Dictionary) VerbIRI(ctx context.Context, tx *database.Tx, id int32) (string, error) {
	d.mu.RLock()
	iri, ok := d.byID[verbKey{tx.Tenant, id}]
	d.mu.RUnlock()
	if ok {
		return iri, nil
	}
	if err := tx.GetContext(ctx, &iri, `SELECT iri FROM verb WHERE tenant_id = $1 AND id = $2`, tx.Tenant, id); err != nil {
		return "", fmt.Errorf("records: verb %d: %w", id, err)
	}
	d.remember(tx.Tenant, id, iri)
	return iri, nil
}

func (d *Dictionary) remember(tenant database.TenantID, id int32, iri string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.ids) >= maxCachedVerbs {
		clear(d.ids)
		clear(d.byID)
	}
	d.ids[verbName{tenant, iri}] = id
	d.byID[verbKey{tenant, id}] = iri
}
