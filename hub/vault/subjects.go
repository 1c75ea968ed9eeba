package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"database/sql"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/xapi"
)

// Vault opens tenants' key rings and finds subjects in Postgres.
type Vault struct {
	keys   *Keys
	recent *recent
}

// New makes a vault over a key ring.
func New(keys *Keys) *Vault { return &Vault{keys: keys, recent: newRecent()} }

// Tenant gives what the tenant's keys can do without a database.
func (v *Vault) Tenant(id database.TenantID) (*Tenant, error) { return v.keys.Tenant(id) }

// wanted is an identifier on its way to a subject.
type wanted struct {
	canonical  string
	blind      []byte // of the identifier
	alsoBlind  []byte // of its mbox_sha1sum, for a mailbox
	identifier xapi.Identifier
	subject    *Subject
	found      *found // where it is by blind; nil: not there
	fresh      *fresh // of a subject that is not stored yet
}

// Subjects holds subjects by canonical identifier.
type Subjects map[string]*Subject

// Of gives the subject of an identifier that was given to Recall or Resolve.
func (s Subjects) Of(id xapi.Identifier) *Subject { return s[id.Canonical()] }

// Recalled is what Recall found, and what Settle has to write.
type Recalled struct {
	Subjects  Subjects   // of every identifier: those that exist, and new ones
	Anonymous []*Subject // new ones that nothing identifies

	vault   *Vault
	era     uint64 // see recent
	tenant  *Tenant
	missing []*wanted // in the order of blind index
	unnamed []*wanted
}

// Resolve gives the subject of each identifier, with its learning key, and makes those that are new: Recall and Settle in one.
func (v *Vault) Resolve(ctx context.Context, tx *database.Tx, ids []xapi.Identifier) (Subjects, error) {
	r, err := v.Recall(ctx, tx, ids, 0)
	if err != nil {
		return nil, err
	}
	_, err = r.Settle(ctx, tx)
	return r.Subjects, err
}

// Recall gives the subject of each identifier, with its learning key, and writes nothing: for identifiers that have none it makes
// subjects, which count once Settle has stored them. It makes anonymous subjects as well, for anonymous groups: what those did
// is sealed, and erased, like a person's. So all that a batch says can be sealed before its transaction writes and others may have to wait for it.
func (v *Vault) Recall(ctx context.Context, tx *database.Tx, ids []xapi.Identifier, anonymous int) (*Recalled, error) {
	era, err := v.recent.now(ctx, tx)
	if err != nil {
		return nil, err
	}
	return v.recall(ctx, tx, era, ids, anonymous)
}

// RecallAt is Recall for a transaction that has read Stamp itself, before it wrote anything.
func (v *Vault) RecallAt(ctx context.Context, tx *database.Tx, stamp string, ids []xapi.Identifier, anonymous int) (*Recalled, error) {
	return v.recall(ctx, tx, v.recent.at(tx.Tenant, stamp), ids, anonymous)
}

func (v *Vault) recall(ctx context.Context, tx *database.Tx, era uint64, ids []xapi.Identifier, anonymous int) (*Recalled, error) {
	t, err := v.Tenant(tx.Tenant)
	if err != nil {
		return nil, err
	}
	list := t.wanted(ids)
	if err := v.find(ctx, tx, t, era, list); err != nil {
		return nil, err
	}
	r := &Recalled{vault: v, era: era, tenant: t, Subjects: make(Subjects, len(list)), Anonymous: make([]*Subject, anonymous)}
	for _, w := range list {
		if w.subject == nil {
			if err := t.newSubject(w); err != nil {
				return nil, err
			}
			r.missing = append(r.missing, w)
		}
		r.Subjects[w.canonical] = w.subject
	}
	for i := range r.Anonymous {
		w := &wanted{}
		if err := t.newSubject(w); err != nil {
			return nil, err
		}
		r.unnamed, r.Anonymous[i] = append(r.unnamed, w), w.subject
	}
	return r, nil
}

// Settle stores the new subjects. Of those that another transaction stored first it takes that one's, puts it into Subjects and gives it
// back: what was sealed for it must be sealed again. It writes in one order (by blind index), so concurrent transactions that make
// the same subjects wait for each other and do not deadlock. If the transaction stores statements, it must have called statement_clock before.
func (r *Recalled) Settle(ctx context.Context, tx *database.Tx) (moved Subjects, err error) {
	if len(r.missing) == 0 {
		return nil, r.tenant.store(ctx, tx, r.unnamed)
	}
	lost, err := r.tenant.create(ctx, tx, r.missing, r.unnamed)
	if err != nil {
		return nil, err
	}
	moved = make(Subjects, len(lost))
	for _, w := range lost {
		r.Subjects[w.canonical], moved[w.canonical] = w.subject, w.subject
	}
	return moved, nil
}

// wanted lists each identifier once, in the order of blind index.
func (t *Tenant) wanted(ids []xapi.Identifier) []*wanted {
	list := make([]*wanted, 0, len(ids))
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		canonical := id.Canonical()
		if seen[canonical] {
			continue
		}
		seen[canonical] = true
		w := &wanted{canonical: canonical, blind: t.blind(canonical), identifier: id}
		if sha1, ok := id.MboxSHA1(); ok {
			w.alsoBlind = t.blind(sha1.Canonical())
		}
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b *wanted) int { return bytes.Compare(a.blind, b.blind) })
	return list
}

// findSubjects probes both primary keys (LIMIT and LATERAL: see package database).
const findSubjects = `
SELECT n.at, i.subject_id, k.epoch, k.wrapped
FROM unnest($2::bytea[]) WITH ORDINALITY AS n(blind, at)
CROSS JOIN LATERAL (SELECT subject_id FROM subject_index WHERE tenant_id = $1 AND blind = n.blind LIMIT 1) AS i
LEFT JOIN LATERAL (SELECT epoch, wrapped FROM subject_key WHERE tenant_id = $1 AND subject_id = i.subject_id AND class = $3 LIMIT 1) AS k ON true`

// Remember may be called once the transaction is committed: the subjects that Settle stored need not be looked for when they come again.
func (r *Recalled) Remember() { r.vault.recent.keep(r.tenant.ID, r.era, r.missing) }

// find is Tenant.find, with the help of what is remembered of an era.
func (v *Vault) find(ctx context.Context, tx *database.Tx, t *Tenant, era uint64, list []*wanted) error {
	if err := v.recent.fill(t, era, list); err != nil {
		return err
	}
	if err := t.find(ctx, tx, list); err != nil {
		return err
	}
	v.recent.keep(t.ID, era, list)
	return nil
}

// find fills in the subjects that exist. A mailbox known only by its mbox_sha1sum is that subject.
func (t *Tenant) find(ctx context.Context, tx *database.Tx, list []*wanted) error {
	if err := t.probe(ctx, tx, list, func(w *wanted) []byte { return w.blind }); err != nil {
		return err
	}
	return t.probe(ctx, tx, list, func(w *wanted) []byte { return w.alsoBlind })
}

// probe looks up those that have no subject yet by one of their blind indexes; nil: not that one.
func (t *Tenant) probe(ctx context.Context, tx *database.Tx, list []*wanted, by func(*wanted) []byte) error {
	var open []*wanted
	var blinds [][]byte
	for _, w := range list {
		if blind := by(w); w.subject == nil && blind != nil {
			open, blinds = append(open, w), append(blinds, blind)
		}
	}
	if len(open) == 0 {
		return nil
	}
	rows, err := tx.QueryContext(ctx, findSubjects, t.ID, database.Byteas(blinds), Learning)
	if err != nil {
		return fmt.Errorf("vault: find subjects: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var at int
		var wrapped sql.RawBytes
		var id uuid.UUID
		var epoch sql.NullInt32
		if err := rows.Scan(&at, &id, &epoch, &wrapped); err != nil {
			return err
		}
		w := open[at-1]
		if w.subject, err = t.Unwrap(id, Learning, int(epoch.Int32), wrapped); err != nil {
			return fmt.Errorf("subject %s: %w", id, err)
		}
		if bytes.Equal(blinds[at-1], w.blind) {
			w.found = &found{id: id, epoch: int(epoch.Int32), wrapped: string(wrapped)}
		}
	}
	return rows.Err()
}

func identifierContext(id uuid.UUID) string { return "identifier|" + id.String() }

// Identifiers gives the identifier of each subject as an xAPI agent in JSON. Subjects that were erased, and anonymous ones, are absent.
func (v *Vault) Identifiers(ctx context.Context, tx *database.Tx, ids []uuid.UUID) (map[uuid.UUID][]byte, error) {
	keys, err := v.Keys(ctx, tx, ids, Learning)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `
SELECT n.id, s.identifier FROM unnest($2::uuid[]) AS n(id)
CROSS JOIN LATERAL (SELECT identifier FROM subject WHERE tenant_id = $1 AND id = n.id AND identifier IS NOT NULL LIMIT 1) AS s`, tx.Tenant, database.UUIDs(ids))
	if err != nil {
		return nil, fmt.Errorf("vault: read identifiers: %w", err)
	}
	defer rows.Close()
	agents := make(map[uuid.UUID][]byte, len(ids))
	for rows.Next() {
		var id uuid.UUID
		var sealed []byte
		if err := rows.Scan(&id, &sealed); err != nil {
			return nil, err
		}
		if keys[id] == nil {
			continue
		}
		if agents[id], err = keys[id].Open(identifierContext(id), sealed); err != nil {
			return nil, fmt.Errorf("subject %s: %w", id, err)
		}
	}
	return agents, rows.Err()
}

// Find gives the subject of an identifier, or ErrUnknownSubject. It makes nothing.
func (v *Vault) Find(ctx context.Context, tx *database.Tx, id xapi.Identifier) (uuid.UUID, error) {
	t, err := v.Tenant(tx.Tenant)
	if err != nil {
		return uuid.Nil, err
	}
	list := t.wanted([]xapi.Identifier{id})
	if err := t.find(ctx, tx, list); err != nil {
		return uuid.Nil, err
	}
	if list[0].subject == nil {
		return uuid.Nil, ErrUnknownSubject
	}
	return list[0].subject.ID, nil
}

// Keys gives the subjects with their keys of a class. One that was shredded is absent from the result.
func (v *Vault) Keys(ctx context.Context, tx *database.Tx, ids []uuid.UUID, class Class) (map[uuid.UUID]*Subject, error) {
	t, err := v.Tenant(tx.Tenant)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `
SELECT n.id, k.epoch, k.wrapped FROM unnest($2::uuid[]) AS n(id)
CROSS JOIN LATERAL (SELECT epoch, wrapped FROM subject_key WHERE tenant_id = $1 AND subject_id = n.id AND class = $3 LIMIT 1) AS k`,
		t.ID, database.UUIDs(ids), class)
	if err != nil {
		return nil, fmt.Errorf("vault: read keys: %w", err)
	}
	defer rows.Close()
	keys := make(map[uuid.UUID]*Subject, len(ids))
	for rows.Next() {
		var id uuid.UUID
		var epoch int
		var wrapped []byte
		if err := rows.Scan(&id, &epoch, &wrapped); err != nil {
			return nil, err
		}
		subject, err := t.Unwrap(id, class, epoch, wrapped)
		if errors.Is(err, ErrShredded) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("subject %s: %w", id, err)
		}
		keys[id] = subject
	}
	return keys, rows.Err()
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand
	return b
}
