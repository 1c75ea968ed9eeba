// Package disclose is the road out: the one way in which stored statements reach a reader. It asks the gate, reads the rows that
// the decision allows, opens only what the decision's form names, writes the audit event, and only then answers.
//
// Start with Road.Page (this file) and Road.Export (export.go). A reader's Query is resolved to ids in resolve.go; the two forms are
// made in identified.go and pseudonymised.go; attachments are read in attachment.go; the opaque continuation of a page is in more.go. Richer queries and counts are in
// query.go, the feed of all that comes in feed.go.
package disclose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

var (
	// ErrRefused is the one answer of the pseudonymised form to a filter that is no pseudonym of the reader's audience,
	// whether or not such a person, registration or statement exists.
	ErrRefused = errors.New("disclose: this reader may filter only by pseudonyms that it was given")
	// ErrMore: a continuation that this hub did not give to this reader, or whose tenant's keys changed.
	ErrMore = errors.New("disclose: this continuation is not valid for this reader; start the query again")
)

// Road discloses statements. It is safe for concurrent use.
type Road struct {
	db         *database.DB
	vault      *vault.Vault
	dictionary *records.Dictionary
	gate       *access.Gate
	homePage   string
	now        func() time.Time
	blobs      Blobs // nil: no attachment has ever been too large for a row
}

// New makes the road out. homePage is the IRL of the hub's own accounts, as given to the road in: pseudonyms and tombstones are accounts on it.
func New(db *database.DB, v *vault.Vault, dictionary *records.Dictionary, gate *access.Gate, homePage string, now func() time.Time) *Road {
	return &Road{db: db, vault: v, dictionary: dictionary, gate: gate, homePage: homePage, now: now}
}

// Query is what a reader asks for, in xAPI's terms (Communication 2.1.3). Zero values ask for everything.
type Query struct {
	Agent             *xapi.Agent // actor or object; with RelatedAgents in any place
	Verb              string      // IRI
	Activity          string      // IRI of the object; with RelatedActivities in any place
	Registration      uuid.UUID
	RelatedAgents     bool
	RelatedActivities bool
	Since, Until      time.Time // stored after, stored at or before
	Ascending         bool      // oldest first
	Limit             int       // statements in a page; 0 or more than MaxLimit: MaxLimit
	EffectiveOnly     bool      // leave out voiding statements: what is left is what now holds
	Attachments       bool      // with the contents of the statements' attachments
}

// MaxLimit is how many statements a page has at most.
const MaxLimit = 500

// pageBytes is how large the sealed statements of a page are together before it ends, though its limit is not reached: a statement may have a megabyte.
const pageBytes = 8 << 20

// Page is a page of statements as the reader may see them.
type Page struct {
	Statements        [][]byte // JSON
	More              string   // continuation for Road.More; "" when there is nothing more
	ConsistentThrough time.Time
	Attachments       *Attachments // nil unless the query asked for them
}

// Page reads the first page of a query. Errors: access.ErrDenied, ErrRefused.
func (r *Road) Page(ctx context.Context, caller access.Caller, q Query) (Page, error) {
	s, err := r.open(ctx, caller, access.Statements)
	if err != nil {
		return Page{}, err
	}
	resolved, err := s.resolve(ctx, q)
	if err != nil {
		return Page{}, s.refuse(ctx, err)
	}
	return s.page(ctx, resolved)
}

// More reads the page after the one that gave this continuation. The reader is authorised anew. Errors: access.ErrDenied, ErrMore.
func (r *Road) More(ctx context.Context, caller access.Caller, more string) (Page, error) {
	s, err := r.open(ctx, caller, access.Statements)
	if err != nil {
		return Page{}, err
	}
	resolved, err := s.unsealMore(more)
	if err != nil {
		return Page{}, s.refuse(ctx, err)
	}
	return s.page(ctx, resolved)
}

// Statement reads one statement by its id, or with voided one that was voided. Errors: access.ErrDenied, records.ErrNotFound (also for
// a statement that the reader may not see).
func (r *Road) Statement(ctx context.Context, caller access.Caller, id uuid.UUID, voided bool) (Statement, error) {
	return r.statement(ctx, caller, id, voided, false)
}

// StatementWithAttachments is Statement with the contents of its attachments.
func (r *Road) StatementWithAttachments(ctx context.Context, caller access.Caller, id uuid.UUID, voided bool) (Statement, error) {
	return r.statement(ctx, caller, id, voided, true)
}

func (r *Road) statement(ctx context.Context, caller access.Caller, id uuid.UUID, voided, attachments bool) (Statement, error) {
	s, err := r.open(ctx, caller, access.Statements)
	if err != nil {
		return Statement{}, err
	}
	q, err := s.byID(id, voided)
	if err != nil {
		return Statement{}, err
	}
	q.Attachments = attachments
	shown, err := s.read(ctx, q)
	if err != nil {
		return Statement{}, err
	}
	if err := s.told(ctx, audit.StatementRead, shown); err != nil {
		return Statement{}, err
	}
	out := Statement{ConsistentThrough: shown.through, Attachments: shown.attachments}
	if len(shown.statements) == 0 {
		return out, records.ErrNotFound
	}
	out.JSON, out.Stored = shown.statements[0], shown.last.Stored
	if s.decision.Form == access.Pseudonymised {
		out.Stored = truncate(out.Stored)
	}
	return out, nil
}

// ConsistentThrough is the time of X-Experience-API-Consistent-Through for an answer that shows nothing, as exact as for one that does. It tells of no
// statement, so no event tells of it.
func (r *Road) ConsistentThrough(ctx context.Context, caller access.Caller) (through time.Time, err error) {
	decision, denied := r.gate.Decide(ctx, access.Request{Caller: caller, Action: access.Read, Resource: access.Statements})
	err = r.db.ReadTenant(ctx, caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		through, err = records.ConsistentThrough(ctx, tx)
		return err
	})
	if denied != nil || decision.Form != access.Identified {
		through = truncate(through)
	}
	return through, err
}

// Statement is one statement as the reader may see it.
type Statement struct {
	JSON              []byte
	Stored            time.Time // as exact as the form is
	ConsistentThrough time.Time
	Attachments       *Attachments // nil unless asked for
}

// session is one reader with one decision.
type session struct {
	road     *Road
	caller   access.Caller
	tenant   *vault.Tenant
	decision access.Decision
}

// open asks the gate. A refusal is told before the answer goes out.
func (r *Road) open(ctx context.Context, caller access.Caller, resource string) (*session, error) {
	t, err := r.vault.Tenant(caller.Tenant)
	if err != nil {
		return nil, err
	}
	s := &session{road: r, caller: caller, tenant: t}
	if err := s.own(ctx); err != nil {
		return nil, err
	}
	if s.decision, err = r.gate.Decide(ctx, access.Request{Caller: s.caller, Action: access.Read, Resource: resource}); err != nil {
		return nil, s.refuse(ctx, err)
	}
	return s, nil
}

// refuse tells of a refusal and gives its error back.
func (s *session) refuse(ctx context.Context, cause error) error {
	reason := "invalid"
	switch {
	case errors.Is(cause, access.ErrDenied):
		reason = "denied"
	case errors.Is(cause, ErrRefused):
		reason = "not_a_pseudonym"
	case errors.Is(cause, ErrMore):
		reason = "continuation"
	}
	err := s.record(ctx, audit.Event{Kind: audit.StatementRefused, Fields: map[string]any{"action": access.Read, "reason": reason, "policy": s.road.gate.Revision()}})
	if err != nil {
		return err
	}
	return cause
}

// shown is what a read found, opened as far as the decision says.
type shown struct {
	statements [][]byte
	positions  []int64     // of the statements, in the store
	subjects   []uuid.UUID // shown, for the audit log
	last       records.Position
	more       bool // there are rows after the last
	through    time.Time

	attachments *Attachments // nil unless the query asks for them
}

// read reads one page of rows and makes the decision's form of them.
func (s *session) read(ctx context.Context, q resolved) (shown, error) {
	var out shown
	err := s.road.db.ReadTenant(ctx, s.caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		out = shown{}
		if q.Attachments {
			out.attachments = &Attachments{session: s}
		}
		var err error
		if out.through, err = records.ConsistentThrough(ctx, tx); err != nil {
			return err
		}
		if s.decision.Form == access.Pseudonymised { // it may be the instant of somebody's statement
			out.through = truncate(out.through)
		}
		rows, more, err := records.Select(ctx, tx, s.query(q))
		if err != nil || len(rows) == 0 {
			return err
		}
		out.more = more
		out.last = rows[len(rows)-1].Position()
		return s.form(ctx, tx, rows, &out)
	})
	return out, err
}

// form makes the decision's form of rows.
func (s *session) form(ctx context.Context, tx *database.Tx, rows []records.Row, out *shown) error {
	switch s.decision.Form {
	case access.Identified:
		return s.identified(ctx, tx, rows, out)
	case access.Pseudonymised:
		return s.pseudonymised(ctx, tx, rows, out)
	}
	return fmt.Errorf("%w: the decision has the form %q", access.ErrDenied, s.decision.Form)
}

func (s *session) page(ctx context.Context, q resolved) (Page, error) {
	all, err := s.read(ctx, q)
	if err != nil {
		return Page{}, err
	}
	p := Page{Statements: all.statements, ConsistentThrough: all.through, Attachments: all.attachments}
	if all.more {
		q.After = all.last
		if p.More, err = s.sealMore(q); err != nil {
			return Page{}, err
		}
	}
	if err := s.told(ctx, audit.StatementRead, all); err != nil {
		return Page{}, err
	}
	return p, nil
}

// told writes the audit event of what is about to be shown, or several where it is of more people than one event can name: no audit, no answer.
func (s *session) told(ctx context.Context, kind string, what shown) error {
	e := audit.Event{Kind: kind, Fields: map[string]any{
		"form": string(s.decision.Form), "statements": len(what.statements), "grants": s.decision.Grants, "policy": s.decision.Revision,
	}}
	if what.attachments != nil {
		e.Fields["attachments"] = len(what.attachments.list)
	}
	if len(what.subjects) <= audit.MaxSubjects {
		e.Subjects = what.subjects
		return s.record(ctx, e)
	}
	var events []audit.Event
	for some := range slices.Chunk(what.subjects, audit.MaxSubjects) {
		e.Subjects = some
		events = append(events, e)
	}
	return s.record(ctx, events...)
}

func (s *session) record(ctx context.Context, events ...audit.Event) error {
	return s.road.db.Tenant(ctx, s.caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		for _, e := range events {
			e.Actor, e.Purpose = s.caller.Client.String(), s.caller.Purpose
			if err := audit.Record(ctx, tx, s.road.now(), e); err != nil {
				return err
			}
		}
		return nil
	})
}
