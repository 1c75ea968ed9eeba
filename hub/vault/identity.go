package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
)

// One person, many accounts. A person is the set of subjects with one person_id. Which those are follows from evidence alone: what source
// records claim (person_claim), on which kinds of claim their connections may link (identity_rule), and what people decided
// (person_decision, and person_review for a claim that is no evidence). Claim and Decide change evidence; then settle works out anew who is
// one person among all that the change can reach (evidence.go), and writes what is different: person_id, links with why they
// are, reviews. Statements name subjects, so they are never touched.
//
// Whoever changes evidence holds the tenant's identity lock until its transaction ends, and takes no other lock before that but those of its own rows: it comes after
// the statement clock, the lease, new subjects and source records.

var (
	// ErrInvalidRule: not a kind of claim that a connection could link on.
	ErrInvalidRule = errors.New("identity: people are not recognised by this")
	// ErrApart: somebody decided that some of these subjects are two people.
	ErrApart = errors.New("identity: these subjects are kept apart by an earlier decision")
	// ErrNotOnePerson: subjects that are to be split are of several people, or all of one.
	ErrNotOnePerson = errors.New("identity: give some, not all, of the subjects of one person")
	// ErrUnknownReview: no review has that id.
	ErrUnknownReview = errors.New("identity: no such review")
	// ErrDecided: the review is not open any more.
	ErrDecided = errors.New("identity: this review is not open")
	// ErrTooManySubjects: a decision about more subjects than one takes at a time.
	ErrTooManySubjects = errors.New("identity: too many subjects for one decision")
)

// Act is who changes something, and when.
type Act struct {
	Actor   string // id of the credential or run
	Purpose string // "" for the hub's own work
	Now     time.Time
}

// Claim is an identifier that a source gives to a subject. Of mailboxes only those that are verified are evidence.
type Claim struct {
	Kind     string // one of LinkKinds
	Issuer   string
	Value    string
	Verified bool
	Mailbox  uuid.UUID // of a mailbox on which the connection may link: the subject that it is itself
}

// Claims is all that one source record claims of its subject.
type Claims struct {
	Stream  int16
	Record  []byte // vault.Tenant.RecordKey
	Subject uuid.UUID
	List    []Claim
}

// LinkKinds lists the kinds of claim that connections can link on, the strongest first.
func LinkKinds() []string { return slices.Clone(kinds) }

// claimKey gives a claim's blind indexes. Each kind has a key of its own.
func (t *Tenant) claimKey(c Claim) (key claimKey, issuer blind, err error) {
	h, known := t.claims.Load(c.Kind)
	if !known {
		k, err := t.derive("claim|" + c.Kind)
		if err != nil {
			return key, issuer, err
		}
		h, _ = t.claims.LoadOrStore(c.Kind, newKeyedHash(k))
	}
	sum := h.(*keyedHash).sum("claim", []byte(c.Issuer), []byte(c.Value))
	by := h.(*keyedHash).sum("issuer", []byte(c.Issuer))
	return claimKey{c.Kind, blind(sum[:16])}, blind(by[:16]), nil
}

// LinksOn gives the kinds of claim on which a connection's records may link.
func LinksOn(ctx context.Context, tx *database.Tx, connection uuid.UUID) ([]string, error) {
	list := []string{}
	err := tx.SelectContext(ctx, &list, `SELECT kind FROM identity_rule WHERE tenant_id = $1 AND connection_id = $2 ORDER BY kind`, tx.Tenant, connection)
	if err != nil {
		return nil, fmt.Errorf("identity: read rules: %w", err)
	}
	return list, nil
}

// LinkOn sets the kinds of claim on which a connection's records may link, and links and takes back links accordingly. Errors: ErrInvalidRule.
func (v *Vault) LinkOn(ctx context.Context, tx *database.Tx, act Act, connection uuid.UUID, on []string) error {
	if err := lockIdentity(ctx, tx); err != nil {
		return err
	}
	if err := SetRules(ctx, tx, connection, on); err != nil {
		return err
	}
	if err := tell(ctx, tx, act, audit.RuleSet, nil, map[string]any{"connection": connection, "kinds": on}); err != nil {
		return err
	}
	var known []uuid.UUID
	err := tx.SelectContext(ctx, &known, `SELECT DISTINCT subject_id FROM person_claim WHERE tenant_id = $1 AND connection_id = $2 ORDER BY subject_id`, tx.Tenant, connection)
	if err != nil {
		return fmt.Errorf("identity: subjects of a connection: %w", err)
	}
	for batch := range slices.Chunk(known, 1000) {
		if err := v.settle(ctx, tx, act, batch, nil); err != nil {
			return err
		}
	}
	return nil
}

// SetRules sets the kinds of claim on which the records of a connection that claimed nothing yet may link: see LinkOn. Errors: ErrInvalidRule.
func SetRules(ctx context.Context, tx *database.Tx, connection uuid.UUID, on []string) error {
	for _, kind := range on {
		if !slices.Contains(kinds, kind) {
			return fmt.Errorf("%w: %q; there are %v", ErrInvalidRule, kind, kinds)
		}
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM identity_rule WHERE tenant_id = $1 AND connection_id = $2 AND kind <> ALL($3)`, tx.Tenant, connection, database.Texts(on))
	if err != nil {
		return fmt.Errorf("identity: set rules: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO identity_rule (tenant_id, connection_id, kind) SELECT DISTINCT $1::integer, $2::uuid, k FROM unnest($3::text[]) AS n(k)
ON CONFLICT DO NOTHING`, tx.Tenant, connection, database.Texts(on))
	if err != nil {
		return fmt.Errorf("identity: set rules: %w", err)
	}
	return nil
}

// lockIdentity lets one transaction at a time change who is who in a tenant.
func lockIdentity(ctx context.Context, tx *database.Tx) error {
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(7723019, $1)`, int32(tx.Tenant)); err != nil {
		return fmt.Errorf("identity: wait for others: %w", err)
	}
	return nil
}

// claimRow is a row of person_claim.
type claimRow struct {
	claimed
	stream   int16
	record   string
	verified bool
}

// Claim puts what source records of a connection claim in the place of what they claimed before, and links accordingly. A record of which nothing is given keeps its claims.
func (v *Vault) Claim(ctx context.Context, tx *database.Tx, act Act, connection uuid.UUID, list []Claims) error {
	t, err := v.Tenant(tx.Tenant)
	if err != nil {
		return err
	}
	known, err := knownClaims(ctx, tx, connection, list)
	if err != nil {
		return err
	}
	var fresh []claimRow
	for _, record := range list {
		for _, c := range record.List {
			key, issuer, err := t.claimKey(c)
			if err != nil {
				return err
			}
			row := claimRow{stream: record.Stream, record: string(record.Record), verified: c.Verified || c.Kind != kindMailbox}
			row.claimed = claimed{claimKey: key, subject: record.Subject, connection: connection, issuer: issuer}
			fresh = append(fresh, row)
			if c.Mailbox != uuid.Nil && c.Mailbox != record.Subject {
				row.subject, row.own = c.Mailbox, true
				fresh = append(fresh, row)
			}
		}
	}
	gone, came := changes(known, fresh)
	if len(gone)+len(came) == 0 {
		return nil
	}
	if err := lockIdentity(ctx, tx); err != nil {
		return err
	}
	if err := storeClaims(ctx, tx, connection, gone, came, act.Now); err != nil {
		return err
	}
	var touched []uuid.UUID
	var keys []claimKey
	for _, row := range append(gone, came...) {
		touched, keys = append(touched, row.subject), append(keys, row.claimKey)
	}
	return v.settle(ctx, tx, act, touched, keys)
}

// changes tells what is known and not said any more, and what is new.
func changes(known, said []claimRow) (gone, came []claimRow) {
	index := make(map[claimRow]bool, len(known))
	for _, row := range known {
		index[row] = true
	}
	for _, row := range said {
		if _, there := index[row]; !there {
			came = append(came, row)
		}
		index[row] = false // said, perhaps twice
	}
	for _, row := range known {
		if index[row] {
			gone = append(gone, row)
		}
	}
	return gone, came
}

func knownClaims(ctx context.Context, tx *database.Tx, connection uuid.UUID, list []Claims) ([]claimRow, error) {
	streams, records := make([]int16, len(list)), make([][]byte, len(list))
	for i, r := range list {
		streams[i], records[i] = r.Stream, r.Record
	}
	rows, err := tx.QueryContext(ctx, `
SELECT n.stream, n.record, c.subject_id, c.kind, c.issuer, c.blind, c.verified, c.own
FROM unnest($3::smallint[], $4::bytea[]) AS n(stream, record)
CROSS JOIN LATERAL (SELECT * FROM person_claim WHERE tenant_id = $1 AND connection_id = $2 AND stream = n.stream AND record = n.record OFFSET 0) AS c`,
		tx.Tenant, connection, database.Int2s(streams), database.Byteas(records))
	if err != nil {
		return nil, fmt.Errorf("identity: read claims: %w", err)
	}
	defer rows.Close()
	var known []claimRow
	for rows.Next() {
		row := claimRow{claimed: claimed{connection: connection}}
		var record, issuer, value []byte
		if err := rows.Scan(&row.stream, &record, &row.subject, &row.kind, &issuer, &value, &row.verified, &row.own); err != nil {
			return nil, err
		}
		row.record, row.issuer, row.blind = string(record), blind(issuer), blind(value)
		known = append(known, row)
	}
	return known, rows.Err()
}

func storeClaims(ctx context.Context, tx *database.Tx, connection uuid.UUID, gone, came []claimRow, now time.Time) error {
	if err := dropClaims(ctx, tx, connection, gone); err != nil {
		return err
	}
	streams, records, subjects, names, issuers, blinds, verified, own := columnsOf(came)
	_, err := tx.ExecContext(ctx, `
INSERT INTO person_claim (tenant_id, connection_id, stream, record, subject_id, kind, issuer, blind, verified, own, since)
SELECT $1, $2, n.*, $11 FROM unnest($3::smallint[], $4::bytea[], $5::uuid[], $6::text[], $7::bytea[], $8::bytea[], $9::boolean[], $10::boolean[]) AS n
ON CONFLICT (tenant_id, connection_id, stream, record, subject_id, kind, blind) DO UPDATE SET verified = excluded.verified, own = excluded.own`,
		tx.Tenant, connection, streams, records, subjects, names, issuers, blinds, verified, own, now)
	if err != nil {
		return fmt.Errorf("identity: store claims: %w", err)
	}
	return nil
}

func dropClaims(ctx context.Context, tx *database.Tx, connection uuid.UUID, gone []claimRow) error {
	streams, records, subjects, names, _, blinds, _, _ := columnsOf(gone)
	_, err := tx.ExecContext(ctx, `
DELETE FROM person_claim c USING unnest($3::smallint[], $4::bytea[], $5::uuid[], $6::text[], $7::bytea[]) AS n(stream, record, subject_id, kind, blind)
WHERE c.tenant_id = $1 AND c.connection_id = $2 AND c.stream = n.stream AND c.record = n.record AND c.subject_id = n.subject_id AND c.kind = n.kind AND c.blind = n.blind`,
		tx.Tenant, connection, streams, records, subjects, names, blinds)
	if err != nil {
		return fmt.Errorf("identity: take claims back: %w", err)
	}
	return nil
}

func columnsOf(list []claimRow) (streams, records, subjects, names, issuers, blinds, verified, own database.Array) {
	n := len(list)
	s, r, u, k := make([]int16, n), make([][]byte, n), make([]uuid.UUID, n), make([]string, n)
	i, b, ok, o := make([][]byte, n), make([][]byte, n), make([]bool, n), make([]bool, n)
	for at, row := range list {
		s[at], r[at], u[at], k[at] = row.stream, []byte(row.record), row.subject, row.kind
		i[at], b[at], ok[at], o[at] = row.issuer[:], row.blind[:], row.verified, row.own
	}
	return database.Int2s(s), database.Byteas(r), database.UUIDs(u), database.Texts(k), database.Byteas(i), database.Byteas(b), database.Bools(ok), database.Bools(o)
}

// tell writes the audit event of a change of who is who.
func tell(ctx context.Context, tx *database.Tx, act Act, kind string, subjects []uuid.UUID, fields map[string]any) error {
	return audit.Record(ctx, tx, act.Now, audit.Event{Kind: kind, Actor: act.Actor, Purpose: act.Purpose, Subjects: subjects, Fields: fields})
}

// FactKey is the blind index of a fact's value among those of its kind; 16 bytes.
func (t *Tenant) FactKey(kind, value string) []byte {
	s := t.index.sum("fact", []byte(kind), []byte(value))
	return s[:16]
}
