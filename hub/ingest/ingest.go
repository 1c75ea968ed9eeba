// Package ingest is the road in. Every statement that the hub stores, whoever sends it, is split and sealed here and
// stored with its audit event in one transaction.
//
// Start with Road. Statements (statements.go) takes what an xAPI client posts, Delivery (attachment.go) what it posts with attachments; Page (page.go), or Pages (pages.go) for one after another, takes a page of a source's
// records, maps it and stores statements, source records, dead letters, cursor and progress together. Both end in
// the same two steps (this file): seal, which finds the subjects and makes rows that name nobody (seal.go), and store. What clients post in small portions has a shorter way
// (small.go) and goes together with what comes at the same time (turns.go).
package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
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
	blobs      Blobs // nil: attachments have to fit into rows

	turns   turns    // of small deliveries
	numbers sync.Map // streamName to int16
	cached  atomic.Int64
}

// New makes the road in. homePage is the IRL under which the hub itself, as an authority, has its accounts.
func New(db *database.DB, v *vault.Vault, dictionary *records.Dictionary, homePage string, now func() time.Time) *Road {
	return &Road{db: db, vault: v, dictionary: dictionary, homePage: homePage, now: now}
}

// UseBlobs gives the road a place for attachments that are too large for a row. It is called before the road is used.
func (r *Road) UseBlobs(b Blobs) { r.blobs = b }

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
	imported   bool                // statements keep the authority and the stored time that they have
	contents   map[string]*content // what was sent of the attachments, by sha2 in lower case
}

// Incoming is a valid statement and the id under which it is stored.
type Incoming struct {
	ID        uuid.UUID
	Statement *xapi.Statement
}

// written is what store did.
type written struct {
	stored   map[uuid.UUID]bool
	position int64  // of the first statement
	digest   string // SHA-256 over the stored statements' ids and keyed digests, in order: the audit event holds it
}

// batch is statements that are sealed and not stored yet.
type batch struct {
	sealer
	list    []Incoming
	rows    []records.Statement
	defined [][]records.Activity // by statement: those that may stand in clear
	moved   vault.Subjects       // since they were sealed; filled by store
}

// seal makes the rows of statements with distinct ids, and finds the subjects of also at the same time. It only reads: the transaction
// has not called statement_clock yet, and nobody waits for it.
func (r *Road) seal(ctx context.Context, tx *database.Tx, o origin, list []Incoming, also []xapi.Identifier) (*batch, error) {
	t, err := r.vault.Tenant(tx.Tenant)
	if err != nil {
		return nil, err
	}
	b := newBatch(sealer{tenant: t, origin: o, keys: map[string]uuid.UUID{}}, list)
	b.name(list)
	return b, b.seal(also, func(ids []xapi.Identifier, anonymous int) (*vault.Recalled, error) {
		return r.vault.Recall(ctx, tx, ids, anonymous)
	})
}

func newBatch(s sealer, list []Incoming) *batch {
	return &batch{sealer: s, list: list, rows: make([]records.Statement, len(list)), defined: make([][]records.Activity, len(list))}
}

// seal makes the rows, once their activities are named.
func (b *batch) seal(also []xapi.Identifier, recall recall) error {
	if err := b.recall(b.list, also, recall); err != nil {
		return err
	}
	return each(len(b.list), b.row)
}

func (b *batch) row(i int) (err error) {
	if b.rows[i], b.defined[i], err = b.statement(b.list[i], b.anonymous[i]); err != nil {
		return fmt.Errorf("seal statement %s: %w", b.list[i].ID, err)
	}
	return nil
}

// store stores the batch from a position on, which records.Clock gave. It gives which statements were new; a repeat is left alone, a conflict
// is records.ErrConflict.
func (b *batch) store(ctx context.Context, tx *database.Tx, position int64) (written, error) {
	if err := b.settle(ctx, tx); err != nil {
		return written{}, err
	}
	b.at(position)
	if err := records.Catalogue(ctx, tx, b.catalogue()); err != nil {
		return written{}, err
	}
	stored, err := records.Insert(ctx, tx, b.rows)
	if err != nil {
		return written{}, err
	}
	return b.written(stored, position), nil
}

// at gives the statements their positions, from the first on.
func (b *batch) at(position int64) {
	for i := range b.rows {
		b.rows[i].At(position + int64(i))
	}
}

// written says which statements were stored, from a position on.
func (b *batch) written(stored map[uuid.UUID]bool, position int64) written {
	sum := sha256.New()
	for i := range b.rows {
		if stored[b.rows[i].ID] {
			sum.Write(b.rows[i].ID[:])
			sum.Write(b.rows[i].Digest)
		}
	}
	return written{stored: stored, position: position, digest: hex.EncodeToString(sum.Sum(nil))}
}

// catalogue gives the activities that may stand in clear, each with all that the batch says of it.
func (b *batch) catalogue() map[uuid.UUID]records.Activity {
	all := map[uuid.UUID]records.Activity{}
	for _, list := range b.defined {
		for _, a := range list {
			known, there := all[a.Key]
			if !there {
				known = a
			}
			all[a.Key] = known.With(a)
		}
	}
	return all
}

// settle stores the new subjects, and seals again what was sealed for one that another transaction was the first to store.
func (b *batch) settle(ctx context.Context, tx *database.Tx) (err error) {
	if b.moved, err = b.recalled.Settle(ctx, tx); err != nil || len(b.moved) == 0 {
		return err
	}
	if b.moved.Of(b.origin.authority.Identifier) != nil {
		ours := b.authority
		b.authority = b.moved.Of(b.origin.authority.Identifier).ID
		for i := range b.rows {
			if b.rows[i].Authority == ours {
				b.rows[i].Authority = b.authority
			}
		}
	}
	for i, in := range b.list {
		if slices.ContainsFunc(in.Statement.Agents, func(a xapi.Occurrence) bool { return b.moved.Of(a.Agent.Identifier) != nil }) {
			if err := b.row(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// verbs numbers the verbs of statements before their transaction.
func (r *Road) verbs(ctx context.Context, tenant database.TenantID, list []Incoming) (map[string]int32, error) {
	iris := make([]string, len(list))
	for i := range list {
		iris[i] = list[i].Statement.Verb
	}
	return r.dictionary.Verbs(ctx, tenant, iris)
}

// event is the audit event of what was written.
func (w written) event(kind, actor, purpose string, fields map[string]any) audit.Event {
	fields["stored"] = len(w.stored)
	fields["position"] = w.position
	fields["digest"] = w.digest
	return audit.Event{Kind: kind, Actor: actor, Purpose: purpose, Fields: fields}
}
