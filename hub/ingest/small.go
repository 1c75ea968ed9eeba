package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// What a transaction of few statements takes is mostly the way to Postgres and back. So small deliveries have a way of their own in four: begin (with its settings),
// arrive (all that must be known), records.InsertNew (all that is written, if nothing is unusual), commit. And those that come while one is on its way go together (turns.go).

// maxSmall is up to how many statements a delivery is small.
const maxSmall = 16

// delivered is a small delivery on its way.
type delivered struct {
	list  []Incoming
	verbs map[string]int32
	waiting
}

// terms are what deliveries must have in common to be stored together.
type terms struct {
	tenant  database.TenantID
	client  uuid.UUID
	purpose string
	define  bool
}

// origin is that of deliveries on these terms.
func (t terms) origin(r *Road, verbs map[string]int32) origin {
	return origin{authority: r.Authority("client", t.client), catalogue: func(string) bool { return t.define }, verbs: verbs}
}

// arrived is what a transaction has to know before it writes.
type arrived struct {
	position    int64
	purpose     int32
	stamp       string               // vault.Stamp
	met         map[uuid.UUID]bool   // ids that are stored, or were erased
	definitions map[uuid.UUID][]byte // of the activities that the catalogue has
}

// arrive is the transaction's first statement and takes its id: records.Clock is in it. It gives one row for each activity that the catalogue has, or one.
const arrive = `
WITH clock AS MATERIALIZED (SELECT statement_clock($2) AS position)
SELECT clock.position, ` + vault.Stamp + `, (SELECT id FROM purpose WHERE tenant_id = $1 AND name = $3),
    (SELECT string_agg(n.id::text, ' ') FROM unnest($4::uuid[]) AS n(id)
        WHERE EXISTS (SELECT FROM statement WHERE tenant_id = $1 AND id = n.id OFFSET 0) OR EXISTS (SELECT FROM statement_tombstone WHERE tenant_id = $1 AND id = n.id OFFSET 0)),
    known.key, known.definition
FROM clock LEFT JOIN (SELECT n.key, a.definition FROM unnest($5::uuid[]) AS n(key)
    CROSS JOIN LATERAL (SELECT definition FROM activity WHERE tenant_id = $1 AND key = n.key LIMIT 1) AS a) AS known ON true`

func (s *sealer) arrive(ctx context.Context, tx *database.Tx, purpose string, list []Incoming) (arrived, error) {
	ids := make([]uuid.UUID, len(list))
	for i, in := range list {
		ids[i] = in.ID
	}
	var keys []uuid.UUID
	for iri, key := range s.keys {
		if s.origin.catalogue(iri) {
			keys = append(keys, key)
		}
	}
	a := arrived{met: map[uuid.UUID]bool{}, definitions: map[uuid.UUID][]byte{}}
	rows, err := tx.QueryContext(ctx, arrive, tx.Tenant, len(list), purpose, database.UUIDs(ids), database.UUIDs(keys))
	if err != nil {
		return a, fmt.Errorf("look before statements are stored: %w", err)
	}
	defer rows.Close()
	var number *int32
	var met *string
	for rows.Next() {
		var key uuid.NullUUID
		var definition []byte
		if err := rows.Scan(&a.position, &a.stamp, &number, &met, &key, &definition); err != nil {
			return a, err
		}
		if key.Valid {
			a.definitions[key.UUID] = definition
		}
	}
	if err := rows.Err(); err != nil {
		return a, err
	}
	if number == nil {
		_, err := people.FindPurpose(ctx, tx, purpose)
		return a, errors.Join(err, rows.Close())
	}
	a.purpose = *number
	if met != nil {
		for text := range strings.FieldsSeq(*met) {
			id, err := uuid.Parse(text)
			if err != nil {
				return a, err
			}
			a.met[id] = true
		}
	}
	return a, nil
}

// errAlone: a delivery must be stored by itself.
var errAlone = errors.New("ingest: a delivery must be stored by itself")

// together stores small deliveries with distinct ids in one transaction, and gives an error for each. One of several with a statement that is not new has errAlone; so have all, when
// the transaction failed for what may be the fault of one. It calls wrote when nothing remains but to commit, which is mostly waiting for the disk.
func (r *Road) together(ctx context.Context, t terms, group []*delivered, wrote func()) []error {
	errs := make([]error, len(group))
	var recalled *vault.Recalled
	err := r.db.Tenant(ctx, t.tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		clear(errs)
		if recalled, err = r.write(ctx, tx, t, group, errs); err == nil {
			wrote()
		}
		return err
	})
	switch {
	case err == nil && recalled != nil:
		recalled.Remember()
	case err != nil && len(group) > 1 && !errors.Is(err, database.ErrUnavailable):
		err = errAlone
	}
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
	}
	return errs
}

// write is the transaction of together. Of those that must be stored alone it notes so in errs.
func (r *Road) write(ctx context.Context, tx *database.Tx, t terms, group []*delivered, errs []error) (*vault.Recalled, error) {
	keys, err := r.vault.Tenant(t.tenant)
	if err != nil {
		return nil, err
	}
	var list []Incoming
	verbs := map[string]int32{}
	for _, d := range group {
		list = append(list, d.list...)
		maps.Copy(verbs, d.verbs)
	}
	s := sealer{tenant: keys, origin: t.origin(r, verbs), keys: map[string]uuid.UUID{}}
	s.name(list)
	known, err := s.arrive(ctx, tx, t.purpose, list)
	if err != nil {
		return nil, err
	}
	if len(known.met) > 0 && len(group) > 1 {
		if list = fresh(group, known.met, errs); len(list) == 0 {
			return nil, nil
		}
	}
	s.origin.purpose = known.purpose
	b := newBatch(s, list)
	err = b.seal(nil, func(ids []xapi.Identifier, anonymous int) (*vault.Recalled, error) {
		return r.vault.RecallAt(ctx, tx, known.stamp, ids, anonymous)
	})
	if err != nil {
		return nil, err
	}
	tell := func(w written) audit.Event {
		return w.event(audit.IngestStatements, t.client.String(), t.purpose, map[string]any{"statements": len(list), "imported": false})
	}
	if len(known.met) == 0 || len(group) > 1 {
		return b.recalled, b.storeNew(ctx, tx, r.now(), known, tell)
	}
	w, err := b.store(ctx, tx, known.position)
	if err != nil {
		return nil, err
	}
	return b.recalled, audit.Record(ctx, tx, r.now(), tell(w))
}

// fresh lists the statements of the deliveries that have none that is known already. The others must be stored alone.
func fresh(group []*delivered, met map[uuid.UUID]bool, errs []error) (list []Incoming) {
	for i, d := range group {
		if slices.ContainsFunc(d.list, func(in Incoming) bool { return met[in.ID] }) {
			errs[i] = errAlone
		} else {
			list = append(list, d.list...)
		}
	}
	return list
}

// storeNew is store for a batch of which all is new, and the event that tells of it.
func (b *batch) storeNew(ctx context.Context, tx *database.Tx, now time.Time, known arrived, tell func(written) audit.Event) error {
	if err := b.settle(ctx, tx); err != nil {
		return err
	}
	b.at(known.position)
	if err := records.Amend(ctx, tx, b.catalogue(), known.definitions); err != nil {
		return err
	}
	all := make(map[uuid.UUID]bool, len(b.rows))
	for i := range b.rows {
		all[b.rows[i].ID] = true
	}
	event, err := audit.Prepare(tx.Tenant, now, tell(b.written(all, known.position)))
	if err != nil {
		return err
	}
	return records.InsertNew(ctx, tx, b.rows, event)
}
