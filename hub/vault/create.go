package vault

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/xapi"
)

// create stores new subjects, and unnamed ones with them. The index decides: whoever inserts an identifier's row first makes the subject,
// all others take it. It gives those for which another transaction was first.
func (t *Tenant) create(ctx context.Context, tx *database.Tx, list, unnamed []*wanted) (lost []*wanted, err error) {
	made, err := t.claim(ctx, tx, list)
	if err != nil {
		return nil, err
	}
	won := slices.Clone(unnamed)
	for _, w := range list {
		if made[string(w.blind)] == w.subject.ID && (w.alsoBlind == nil || made[string(w.alsoBlind)] == w.subject.ID) {
			won = append(won, w)
		} else {
			w.subject, w.fresh = nil, nil
			lost = append(lost, w)
		}
	}
	if err := t.store(ctx, tx, won); err != nil {
		return nil, err
	}
	if len(lost) == 0 {
		return nil, nil
	}
	if err := t.adopt(ctx, tx, lost, made); err != nil {
		return nil, err
	}
	if err := t.find(ctx, tx, lost); err != nil {
		return nil, err
	}
	for _, w := range lost {
		w.found = nil         // by rows that may be our own
		if w.subject == nil { // erased between our insert and our look: the caller's transaction starts anew
			return nil, fmt.Errorf("vault: a subject vanished while it was looked up: %w", ErrUnknownSubject)
		}
	}
	return lost, nil
}

// claim inserts index rows for new subjects and gives the rows that were really inserted.
func (t *Tenant) claim(ctx context.Context, tx *database.Tx, list []*wanted) (map[string]uuid.UUID, error) {
	type row struct {
		blind []byte
		id    uuid.UUID
	}
	var index []row
	for _, w := range list {
		index = append(index, row{w.blind, w.subject.ID})
		if w.alsoBlind != nil {
			index = append(index, row{w.alsoBlind, w.subject.ID})
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

// fresh is what the rows of a new subject hold.
type fresh struct {
	identifier []byte // sealed; nil for an anonymous subject
	wrapped    []byte // the subject's learning key
}

// newSubject gives an identifier a random subject with a random key.
func (t *Tenant) newSubject(w *wanted) error {
	id, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	key := randomBytes(32)
	aead, err := subtle.NewAESGCM(key)
	if err != nil {
		return err
	}
	w.subject, w.fresh = &Subject{ID: id, aead: aead}, &fresh{}
	if w.canonical != "" {
		if w.fresh.identifier, err = w.subject.Seal(identifierContext(id), xapi.Agent{Identifier: w.identifier}.JSON()); err != nil {
			return err
		}
	}
	w.fresh.wrapped, err = t.epochs[t.epoch].Encrypt(key, t.keyContext(id, Learning))
	return err
}

// store writes new subjects, with their wrapped keys and sealed identifiers.
func (t *Tenant) store(ctx context.Context, tx *database.Tx, list []*wanted) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(list))
	identifiers, wrapped := make([][]byte, len(list)), make([][]byte, len(list))
	for i, w := range list {
		ids[i], identifiers[i], wrapped[i] = w.subject.ID, w.fresh.identifier, w.fresh.wrapped
		w.found = &found{id: ids[i], epoch: t.epoch, wrapped: string(wrapped[i])}
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
