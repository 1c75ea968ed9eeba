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
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/xapi"
)

// Vault opens tenants' key rings and finds subjects in Postgres.
type Vault struct{ keys *Keys }

// New makes a vault over a key ring.
func New(keys *Keys) *Vault { return &Vault{keys: keys} }

// Tenant gives what the tenant's keys can do without a database.
func (v *Vault) Tenant(id database.TenantID) (*Tenant, error) { return v.keys.Tenant(id) }

// wanted is an identifier on its way to a subject.
type wanted struct {
	canonical  string
	blind      []byte // of the identifier
	alsoBlind  []byte // of its mbox_sha1sum, for a mailbox
	identifier xapi.Identifier
	subject    *Subject
}

// Subjects holds the subjects that Resolve found, by canonical identifier.
type Subjects map[string]*Subject

// Of gives the subject of an identifier that was given to Resolve.
func (s Subjects) Of(id xapi.Identifier) *Subject { return s[id.Canonical()] }

// Resolve gives the subject of each identifier, with its learning key, and makes those that are new. It writes in one order (by
// blind index), so concurrent transactions that share people wait for each other and do not deadlock. The
// caller's transaction must have called statement_clock before, if it stores statements.
func (v *Vault) Resolve(ctx context.Context, tx *database.Tx, ids []xapi.Identifier) (Subjects, error) {
	t, err := v.Tenant(tx.Tenant)
	if err != nil {
		return nil, err
	}
	list := t.wanted(ids)
	if err := t.find(ctx, tx, list); err != nil {
		return nil, err
	}
	missing := slices.DeleteFunc(slices.Clone(list), func(w *wanted) bool { return w.subject != nil })
	if len(missing) > 0 {
		if err := t.create(ctx, tx, missing); err != nil {
			return nil, err
		}
	}
	found := make(Subjects, len(list))
	for _, w := range list {
		found[w.canonical] = w.subject
	}
	return found, nil
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

// findSubjects probes both primary keys, one identifier at a time (LIMIT keeps the planner from joining tables whole): the guesses
// about a table that was just filled would make it read all subjects for each batch.
const findSubjects = `
SELECT n.blind, i.subject_id, k.epoch, k.wrapped
FROM unnest($2::bytea[]) AS n(blind)
CROSS JOIN LATERAL (SELECT subject_id FROM subject_index WHERE tenant_id = $1 AND blind = n.blind LIMIT 1) AS i
LEFT JOIN LATERAL (SELECT epoch, wrapped FROM subject_key WHERE tenant_id = $1 AND subject_id = i.subject_id AND class = $3 LIMIT 1) AS k ON true`

// find fills in the subjects that exist. A mailbox known only by its mbox_sha1sum is that subject.
func (t *Tenant) find(ctx context.Context, tx *database.Tx, list []*wanted) error {
	var blinds [][]byte
	for _, w := range list {
		blinds = append(blinds, w.blind)
		if w.alsoBlind != nil {
			blinds = append(blinds, w.alsoBlind)
		}
	}
	rows, err := tx.QueryContext(ctx, findSubjects, t.ID, database.Byteas(blinds), Learning)
	if err != nil {
		return fmt.Errorf("vault: find subjects: %w", err)
	}
	defer rows.Close()
	known := make(map[string]*Subject, len(list))
	for rows.Next() {
		var blind, wrapped []byte
		var id uuid.UUID
		var epoch sql.NullInt32
		if err := rows.Scan(&blind, &id, &epoch, &wrapped); err != nil {
			return err
		}
		subject, err := t.Unwrap(id, Learning, int(epoch.Int32), wrapped)
		if err != nil {
			return fmt.Errorf("subject %s: %w", id, err)
		}
		known[string(blind)] = subject
	}
	for _, w := range list {
		if w.subject = known[string(w.blind)]; w.subject == nil && w.alsoBlind != nil {
			w.subject = known[string(w.alsoBlind)]
		}
	}
	return rows.Err()
}

// create makes subjects. The index decides: whoever inserts an identifier's row first makes the subject, all others take it.
func (t *Tenant) create(ctx context.Context, tx *database.Tx, list []*wanted) error {
	made, err := t.claim(ctx, tx, list)
	if err != nil {
		return err
	}
	var lost []*wanted
	var won []*wanted
	for _, w := range list {
		if made[string(w.blind)] == w.subject.ID && (w.alsoBlind == nil || made[string(w.alsoBlind)] == w.subject.ID) {
			won = append(won, w)
		} else {
			w.subject = nil
			lost = append(lost, w)
		}
	}
	if err := t.store(ctx, tx, won); err != nil {
		return err
	}
	if len(lost) == 0 {
		return nil
	}
	if err := t.adopt(ctx, tx, lost, made); err != nil {
		return err
	}
	if err := t.find(ctx, tx, lost); err != nil {
		return err
	}
	for _, w := range lost {
		if w.subject == nil { // erased between our insert and our look: the caller's transaction starts anew
			return fmt.Errorf("vault: a subject vanished while it was looked up: %w", ErrUnknownSubject)
		}
	}
	return nil
}

// claim inserts index rows for new random subjects and gives the rows that were really inserted.
func (t *Tenant) claim(ctx context.Context, tx *database.Tx, list []*wanted) (map[string]uuid.UUID, error) {
	type row struct {
		blind []byte
		id    uuid.UUID
	}
	var index []row
	for _, w := range list {
		subject, err := newSubject()
		if err != nil {
			return nil, err
		}
		w.subject = subject
		index = append(index, row{w.blind, subject.ID})
		if w.alsoBlind != nil {
			index = append(index, row{w.alsoBlind, subject.ID})
		}
	}
	slices.SortFunc(index, func(a, b row) int { return bytes.Compare(a.blind, b.blind) })
	blinds, ids := make([][]byte, len(index)), make([]uuid.UUID, len(index))
	for i, r := range index {
		blinds[i], ids[i] = r.blind, r.id
	}
	rows, err := tx.QueryContext(ctx, `
INSERT INTO subject_index (tenant_id, blind, subject_id)
SELECT $1, b, s FROM unnest($2::bytea[], $3::uuid[]) AS n(b, s)
ON CONFLICT (tenant_id, blind) DO NOTHING
RETURNING blind, subject_id`, t.ID, database.Byteas(blinds), database.UUIDs(ids))
	if err != nil {
		return nil, fmt.Errorf("vault: index subjects: %w", err)
	}
	defer rows.Close()
	made := make(map[string]uuid.UUID, len(index))
	for rows.Next() {
		var blind []byte
		var id uuid.UUID
		if err := rows.Scan(&blind, &id); err != nil {
			return nil, err
		}
		made[string(blind)] = id
	}
	return made, rows.Err()
}

// adopt points the half that we inserted of a mailbox at the subject that has its other half.
func (t *Tenant) adopt(ctx context.Context, tx *database.Tx, lost []*wanted, made map[string]uuid.UUID) error {
	for _, w := range lost {
		if w.alsoBlind == nil {
			continue
		}
		ours, theirs := w.blind, w.alsoBlind
		if _, ok := made[string(ours)]; !ok {
			ours, theirs = theirs, ours
		}
		if _, ok := made[string(ours)]; !ok {
			continue
		}
		_, err := tx.ExecContext(ctx, `
UPDATE subject_index SET subject_id = (SELECT o.subject_id FROM subject_index o WHERE o.tenant_id = $1 AND o.blind = $3)
WHERE tenant_id = $1 AND blind = $2`, t.ID, ours, theirs)
		if err != nil {
			return fmt.Errorf("vault: join a mailbox and its digest: %w", err)
		}
	}
	return nil
}

// newSubject makes a random subject with a random key, which store wraps.
func newSubject() (*Subject, error) {
	key := randomBytes(32)
	aead, err := subtle.NewAESGCM(key)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, err
	}
	return &Subject{ID: id, aead: aead, fresh: key}, nil
}

// store writes the subjects that claim won, with their wrapped keys and sealed identifiers.
func (t *Tenant) store(ctx context.Context, tx *database.Tx, list []*wanted) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(list))
	identifiers, wrapped := make([][]byte, len(list)), make([][]byte, len(list))
	for i, w := range list {
		var err error
		ids[i] = w.subject.ID
		if w.canonical != "" {
			if identifiers[i], err = w.subject.Seal(identifierContext(ids[i]), xapi.Agent{Identifier: w.identifier}.JSON()); err != nil {
				return err
			}
		}
		if wrapped[i], err = t.epochs[t.epoch].Encrypt(w.subject.fresh, t.keyContext(ids[i], Learning)); err != nil {
			return err
		}
		w.subject.fresh = nil
	}
	_, err := tx.ExecContext(ctx, `
WITH new AS (SELECT * FROM unnest($2::uuid[], $3::bytea[], $4::bytea[]) AS n(id, identifier, wrapped)),
made AS (INSERT INTO subject (tenant_id, id, person_id, identifier) SELECT $1, id, id, identifier FROM new)
INSERT INTO subject_key (tenant_id, subject_id, class, epoch, wrapped) SELECT $1, id, $5, $6, wrapped FROM new`,
		t.ID, database.UUIDs(ids), database.Byteas(identifiers), database.Byteas(wrapped), Learning, t.epoch)
	if err != nil {
		return fmt.Errorf("vault: store subjects: %w", err)
	}
	return nil
}

func identifierContext(id uuid.UUID) string { return "identifier|" + id.String() }

// Identifiers gives the identifier of each subject as an xAPI agent in JSON. Subjects that were erased, and anonymous ones, are absent.
func (v *Vault) Identifiers(ctx context.Context, tx *database.Tx, ids []uuid.UUID) (map[uuid.UUID][]byte, error) {
	keys, err := v.Keys(ctx, tx, ids, Learning)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `
SELECT id, identifier FROM subject WHERE tenant_id = $1 AND id = ANY($2) AND identifier IS NOT NULL`, tx.Tenant, database.UUIDs(ids))
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

// Anonymous makes n subjects that nothing identifies, for anonymous groups: what they did is sealed, and erased, like a person's.
func (v *Vault) Anonymous(ctx context.Context, tx *database.Tx, n int) ([]*Subject, error) {
	t, err := v.Tenant(tx.Tenant)
	if err != nil {
		return nil, err
	}
	list, out := make([]*wanted, n), make([]*Subject, n)
	for i := range list {
		subject, err := newSubject()
		if err != nil {
			return nil, err
		}
		list[i], out[i] = &wanted{subject: subject}, subject
	}
	return out, t.store(ctx, tx, list)
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
SELECT subject_id, epoch, wrapped FROM subject_key WHERE tenant_id = $1 AND subject_id = ANY($2) AND class = $3`,
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
