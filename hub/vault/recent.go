package vault

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
)

// recent remembers where the subjects of late were found: their ids and wrapped keys, by blind index. Nothing of it is in clear that is not in clear
// in Postgres. It saves two probes of an index for each person of each batch, a third of all that Postgres does for them but writing.
//
// What is remembered holds while the tenant's subjects are unchanged, which every transaction that wants to use it asks first (see
// subject_change in the migrations). So an erasure counts for all hubs from the moment when it is committed, as if they had looked.
type recent struct {
	mu         sync.Mutex
	known      map[database.TenantID]era
	eras       uint64
	young, old map[place]found
}

// era is a time in which a tenant's subjects were unchanged.
type era struct {
	stamp  string
	number uint64
}

type place struct {
	tenant database.TenantID
	blind  [32]byte
}

// found is where a subject was found.
type found struct {
	era     uint64
	id      uuid.UUID
	epoch   int
	wrapped string
}

// maxRecent bounds both young and old. When young is full it becomes old, and what was old is forgotten. An entry takes about 250 bytes.
const maxRecent = 40_000

func newRecent() *recent {
	return &recent{known: map[database.TenantID]era{}, young: map[place]found{}}
}

// Stamp is SQL for a text that stays the same while what is remembered of the tenant ($1) holds. Beside the stamp of its subjects there is in it what tells one
// Postgres, database and table from another, for a hub that outlives a restore from a backup.
const Stamp = `concat_ws(' ', (SELECT stamp FROM subject_change WHERE tenant_id = $1), 'subject_index'::regclass::oid, 'subject_key'::regclass::oid,
    (SELECT oid FROM pg_database WHERE datname = current_database()), pg_postmaster_start_time())`

// now gives the era that a transaction sees; 0 when it must look for itself, because it has written: what it sees may be undone.
func (r *recent) now(ctx context.Context, tx *database.Tx) (number uint64, err error) {
	var stamp string
	var clean bool
	err = tx.QueryRowContext(ctx, "SELECT "+Stamp+", pg_current_xact_id_if_assigned() IS NULL", tx.Tenant).Scan(&stamp, &clean)
	if err != nil {
		return 0, fmt.Errorf("vault: ask for changed subjects: %w", err)
	}
	if !clean {
		return 0, nil
	}
	return r.at(tx.Tenant, stamp), nil
}

// at gives the era of a stamp.
func (r *recent) at(tenant database.TenantID, stamp string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, known := r.known[tenant]
	if !known || e.stamp != stamp {
		r.eras++
		e = era{stamp, r.eras}
		r.known[tenant] = e
	}
	return e.number
}

// fill fills in what is remembered of an era.
func (r *recent) fill(t *Tenant, number uint64, list []*wanted) error {
	if number == 0 {
		return nil
	}
	hits := r.hits(t.ID, number, list)
	for i, hit := range hits {
		if hit.era == 0 {
			continue
		}
		subject, err := t.Unwrap(hit.id, Learning, hit.epoch, []byte(hit.wrapped))
		if err != nil {
			return fmt.Errorf("subject %s: %w", hit.id, err)
		}
		list[i].subject = subject
	}
	return nil
}

// hits gives what is remembered, by the list's indexes; era 0: nothing.
func (r *recent) hits(tenant database.TenantID, number uint64, list []*wanted) []found {
	hits := make([]found, len(list))
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, w := range list {
		at := place{tenant, [32]byte(w.blind)}
		hit, there := r.young[at]
		if !there {
			if hit, there = r.old[at]; there && hit.era == number {
				r.put(at, hit)
			}
		}
		if there && hit.era == number {
			hits[i] = hit
		}
	}
	return hits
}

// keep remembers what was found in an era.
func (r *recent) keep(tenant database.TenantID, number uint64, list []*wanted) {
	if number == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range list {
		if w.found != nil {
			w.found.era = number
			r.put(place{tenant, [32]byte(w.blind)}, *w.found)
		}
	}
}

func (r *recent) put(at place, f found) {
	if len(r.young) >= maxRecent {
		r.old, r.young = r.young, make(map[place]found, maxRecent)
	}
	r.young[at] = f
}
