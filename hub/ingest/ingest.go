// Package ingest is the road in. Every statement that the hub stores, whoever sends it, is split and sealed here and
// stored with its audit event in one transaction.
//
// Start with Road. Statements (statements.go) takes what an xAPI client posts; Page (page.go) takes a page of a source's
// records, maps it and stores statements, source records, dead letters, cursor and progress together. Both end in
// write (this file): resolve the subjects, seal (seal.go), store.
package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// Road stores what comes in. It is safe for concurrent use.
type Road struct {
	db         *database.DB
	vault      *vault.Vault
	dictionary *records.Dictionary
	homePage   string
	now        func() time.Time

	numbers sync.Map // streamName to int16
	cached  atomic.Int64
}

// New makes the road in. homePage is the IRL under which the hub itself, as an authority, has its accounts.
func New(db *database.DB, v *vault.Vault, dictionary *records.Dictionary, homePage string, now func() time.Time) *Road {
	return &Road{db: db, vault: v, dictionary: dictionary, homePage: homePage, now: now}
}

// Authority is the agent that vouches for what a credential or a connection (kind) with this id writes: an account on the hub's home page.
func (r *Road) Authority(kind string, id uuid.UUID) xapi.Agent {
	return xapi.Agent{Identifier: xapi.Identifier{Kind: xapi.Account, HomePage: r.homePage, Name: kind + "/" + id.String()}}
}

// origin is what all statements of one transaction have in common.
type origin struct {
	authority  xapi.Agent
	purpose    int32
	connection uuid.UUID             // Nil for an xAPI client
	catalogue  func(iri string) bool // may this activity stand in clear?
	verbs      map[string]int32
	seq        int64 // first position, from records.Clock
}

// Incoming is a valid statement and the id under which it is stored.
type Incoming struct {
	ID        uuid.UUID
	Statement *xapi.Statement
}

// written is what write did.
type written struct {
	stored   map[uuid.UUID]bool
	subjects vault.Subjects // of all agents of the statements, and of what else was asked for
	digest   string         // SHA-256 over the stored statements' ids and keyed digests, in order: the audit event holds it
}

// write seals and stores statements with distinct ids. It gives which were new; a repeat is left alone, a conflict is records.ErrConflict.
// It resolves the identifiers in also at the same time.
func (r *Road) write(ctx context.Context, tx *database.Tx, o origin, list []Incoming, also []xapi.Identifier) (written, error) {
	t, err := r.vault.Tenant(tx.Tenant)
	if err != nil {
		return written{}, err
	}
	s := sealer{tenant: t, origin: o, catalogue: map[uuid.UUID]records.Activity{}}
	if err := s.resolve(ctx, tx, r.vault, list, also); err != nil {
		return written{}, err
	}
	rows := make([]records.Statement, len(list))
	for i, in := range list {
		if rows[i], err = s.seal(in, o.seq+int64(i)); err != nil {
			return written{}, fmt.Errorf("seal statement %s: %w", in.ID, err)
		}
	}
	if err := records.Catalogue(ctx, tx, s.catalogue); err != nil {
		return written{}, err
	}
	stored, err := records.Insert(ctx, tx, rows)
	if err != nil {
		return written{}, err
	}
	sum := sha256.New()
	for i := range rows {
		if stored[rows[i].ID] {
			sum.Write(rows[i].ID[:])
			sum.Write(rows[i].Digest)
		}
	}
	return written{stored: stored, subjects: s.subjects, digest: hex.EncodeToString(sum.Sum(nil))}, nil
}

// verbs numbers the verbs of statements before their transaction.
func (r *Road) verbs(ctx context.Context, tenant database.TenantID, list []Incoming) (map[string]int32, error) {
	iris := make([]string, len(list))
	for i := range list {
		iris[i] = list[i].Statement.Verb
	}
	return r.dictionary.Verbs(ctx, tenant, iris)
}

// record writes the audit event of what write did.
func (r *Road) record(ctx context.Context, tx *database.Tx, kind, actor, purpose string, w written, o origin, fields map[string]any) error {
	fields["stored"] = len(w.stored)
	fields["position"] = o.seq
	fields["digest"] = w.digest
	return audit.Record(ctx, tx, r.now(), audit.Event{Kind: kind, Actor: actor, Purpose: purpose, Fields: fields})
}
