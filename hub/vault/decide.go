package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
)

// Bounds of one decision.
const (
	maxDecided = 200    // subjects that are said to be one person
	maxApart   = 10_000 // pairs that are said to be two
)

// Link says that subjects are one person, and with them all that are one person with any of them. It lifts what was decided of these very subjects before.
// Errors: ErrUnknownSubject; ErrApart if somebody else of these people is kept apart from another: then nothing changes.
func (v *Vault) Link(ctx context.Context, tx *database.Tx, act Act, subjects []uuid.UUID) error {
	return v.link(ctx, tx, act, subjects, map[string]any{"decision": "link"})
}

func (v *Vault) link(ctx context.Context, tx *database.Tx, act Act, subjects []uuid.UUID, fields map[string]any) error {
	subjects = sorted(subjects)
	if len(subjects) > maxDecided {
		return fmt.Errorf("%w: %d, the limit is %d", ErrTooManySubjects, len(subjects), maxDecided)
	}
	if err := lockIdentity(ctx, tx); err != nil {
		return err
	}
	before, err := people(ctx, tx, subjects)
	if err != nil {
		return err
	}
	var pairs []pair
	for i := range subjects {
		for j := range i {
			pairs = append(pairs, newPair(subjects[i], subjects[j]))
		}
	}
	if err := v.decide(ctx, tx, act, pairs, true, subjects, fields); err != nil {
		return err
	}
	after, err := personsOf(ctx, tx, before)
	if err != nil {
		return err
	}
	for _, s := range before {
		if after[s] != after[subjects[0]] {
			return fmt.Errorf("%w: name subject %s too, to overrule it", ErrApart, s)
		}
	}
	return nil
}

// Split says that subjects of one person are not one with the rest of it. It holds against all evidence there is: what comes later and would join them opens
// a review. Errors: ErrUnknownSubject, ErrNotOnePerson.
func (v *Vault) Split(ctx context.Context, tx *database.Tx, act Act, subjects []uuid.UUID) error {
	subjects = sorted(subjects)
	if err := lockIdentity(ctx, tx); err != nil {
		return err
	}
	persons, err := personsOf(ctx, tx, subjects)
	if err != nil {
		return err
	}
	for _, s := range subjects {
		if _, there := persons[s]; !there {
			return ErrUnknownSubject
		}
		if persons[s] != persons[subjects[0]] {
			return fmt.Errorf("%w: these are of several people", ErrNotOnePerson)
		}
	}
	whole, err := people(ctx, tx, subjects)
	if err != nil {
		return err
	}
	var pairs []pair
	for _, other := range whole {
		if slices.Contains(subjects, other) {
			continue
		}
		for _, s := range subjects {
			pairs = append(pairs, newPair(s, other))
		}
	}
	switch {
	case len(pairs) == 0:
		return fmt.Errorf("%w: these are all of it", ErrNotOnePerson)
	case len(pairs) > maxApart:
		return fmt.Errorf("%w: split it in smaller steps", ErrTooManySubjects)
	}
	return v.decide(ctx, tx, act, pairs, false, whole, map[string]any{"decision": "split"})
}

func sorted(subjects []uuid.UUID) []uuid.UUID {
	list := slices.Clone(subjects)
	slices.SortFunc(list, compareIDs)
	return slices.Compact(list)
}

// people gives all subjects that are one person with any of these. ErrUnknownSubject if one is not there, or none is given.
func people(ctx context.Context, tx *database.Tx, subjects []uuid.UUID) ([]uuid.UUID, error) {
	persons, err := personsOf(ctx, tx, subjects)
	if err != nil {
		return nil, err
	}
	if len(persons) < len(subjects) || len(subjects) == 0 {
		return nil, ErrUnknownSubject
	}
	var list []uuid.UUID
	var ids []uuid.UUID
	for _, p := range persons {
		ids = append(ids, p)
	}
	err = tx.SelectContext(ctx, &list, `
SELECT s.id FROM unnest($2::uuid[]) AS n(person)
CROSS JOIN LATERAL (SELECT id FROM subject WHERE tenant_id = $1 AND person_id = n.person OFFSET 0) AS s ORDER BY 1`, tx.Tenant, database.UUIDs(sorted(ids)))
	if err != nil {
		return nil, fmt.Errorf("identity: subjects of people: %w", err)
	}
	return list, nil
}

// decide stores what somebody said of pairs, and does it. subjects are those that it is about.
func (v *Vault) decide(ctx context.Context, tx *database.Tx, act Act, pairs []pair, same bool, subjects []uuid.UUID, fields map[string]any) error {
	lows, highs := make([]uuid.UUID, len(pairs)), make([]uuid.UUID, len(pairs))
	for i, p := range pairs {
		lows[i], highs[i] = p.low, p.high
	}
	_, err := tx.ExecContext(ctx, `
INSERT INTO person_decision (tenant_id, low, high, same, actor, at) SELECT $1, n.low, n.high, $4, $5, $6 FROM unnest($2::uuid[], $3::uuid[]) AS n(low, high)
ON CONFLICT (tenant_id, low, high) DO UPDATE SET same = excluded.same, actor = excluded.actor, at = excluded.at`,
		tx.Tenant, database.UUIDs(lows), database.UUIDs(highs), same, act.Actor, act.Now)
	if err != nil {
		return fmt.Errorf("identity: store a decision: %w", err)
	}
	if err := tell(ctx, tx, act, audit.PersonDecided, subjects, fields); err != nil {
		return err
	}
	return v.settle(ctx, tx, act, subjects, nil)
}

// Review is a claim that reaches more than one person.
type Review struct {
	ID       uuid.UUID `json:"id"`
	Kind     string    `json:"kind"`  // of claim
	Issue    string    `json:"issue"` // shared, disagree, apart or many
	State    string    `json:"state"` // open, same, different or settled
	OpenedAt time.Time `json:"opened_at"`
	Holders  []Holder  `json:"holders"` // at most 50

	key claimKey
}

// Holder is a subject that has a claim.
type Holder struct {
	Subject    uuid.UUID `json:"subject"`
	Person     uuid.UUID `json:"person"`
	Connection uuid.UUID `json:"connection"` // that says so
}

const maxHolders = 50

// Reviews lists reviews in one state, the oldest first.
func (v *Vault) Reviews(ctx context.Context, tx *database.Tx, state string, limit int) ([]Review, error) {
	rows, err := tx.QueryContext(ctx, `
SELECT id, kind, blind, issue, state, opened_at FROM person_review WHERE tenant_id = $1 AND state = $2 ORDER BY opened_at, id LIMIT $3`, tx.Tenant, state, limit)
	if err != nil {
		return nil, fmt.Errorf("identity: list reviews: %w", err)
	}
	defer rows.Close()
	list := []Review{}
	for rows.Next() {
		r, err := scanReview(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Holders, err = holders(ctx, tx, list[i].key, maxHolders); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func scanReview(row interface{ Scan(...any) error }) (r Review, err error) {
	var value []byte
	if err = row.Scan(&r.ID, &r.Kind, &value, &r.Issue, &r.State, &r.OpenedAt); err == nil {
		r.key = claimKey{r.Kind, blind(value)}
	}
	return r, err
}

func holders(ctx context.Context, tx *database.Tx, key claimKey, limit int) ([]Holder, error) {
	rows, err := tx.QueryContext(ctx, `
SELECT DISTINCT c.subject_id, s.person_id, c.connection_id FROM person_claim c JOIN subject s ON s.tenant_id = c.tenant_id AND s.id = c.subject_id
WHERE c.tenant_id = $1 AND c.kind = $2 AND c.blind = $3 AND c.verified ORDER BY c.subject_id, c.connection_id LIMIT $4`, tx.Tenant, key.kind, key.blind[:], limit)
	if err != nil {
		return nil, fmt.Errorf("identity: who has a claim: %w", err)
	}
	defer rows.Close()
	var list []Holder
	for rows.Next() {
		var h Holder
		if err := rows.Scan(&h.Subject, &h.Person, &h.Connection); err != nil {
			return nil, err
		}
		list = append(list, h)
	}
	return list, rows.Err()
}

// Decide decides a review: those who have the claim are the same person, or the claim is no evidence of that and never links anybody again. Errors:
// ErrUnknownReview, ErrDecided, ErrApart, ErrTooManySubjects.
func (v *Vault) Decide(ctx context.Context, tx *database.Tx, act Act, review uuid.UUID, same bool) error {
	if err := lockIdentity(ctx, tx); err != nil {
		return err
	}
	r, err := scanReview(tx.QueryRowContext(ctx, `SELECT id, kind, blind, issue, state, opened_at FROM person_review WHERE tenant_id = $1 AND id = $2`, tx.Tenant, review))
	if errors.Is(err, sql.ErrNoRows) {
		return ErrUnknownReview
	}
	if err != nil {
		return fmt.Errorf("identity: read a review: %w", err)
	}
	if r.State != "open" {
		return fmt.Errorf("%w: it is %s", ErrDecided, r.State)
	}
	found, err := holders(ctx, tx, r.key, 2*maxDecided)
	if err != nil {
		return err
	}
	var subjects []uuid.UUID
	for _, h := range found {
		subjects = append(subjects, h.Subject)
	}
	subjects = sorted(subjects)
	state := "different"
	if same && len(subjects) > maxPerson {
		return fmt.Errorf("%w: more than %d have this claim; link those who are one person by themselves", ErrTooManySubjects, maxPerson)
	}
	if same {
		state = "same"
		if err := v.link(ctx, tx, act, subjects, map[string]any{"decision": state, "review": review}); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE person_review SET state = $3, decided_by = $4, decided_at = $5 WHERE tenant_id = $1 AND id = $2`,
		tx.Tenant, review, state, act.Actor, act.Now)
	if err != nil || same {
		return err
	}
	if err := tell(ctx, tx, act, audit.PersonDecided, subjects, map[string]any{"decision": state, "review": review}); err != nil {
		return err
	}
	return v.settle(ctx, tx, act, subjects, nil)
}

// Linked is a link between two subjects, with its evidence.
type Linked struct {
	Low     uuid.UUID   `json:"low"`
	High    uuid.UUID   `json:"high"`
	Kind    string      `json:"kind"` // of the claim that both have; decision: somebody said so
	At      time.Time   `json:"linked_at"`
	EndedAt *time.Time  `json:"ended_at,omitempty"`
	Sources []uuid.UUID `json:"sources,omitempty"` // connections that give the claim to either
}

// Links gives the links of subjects, those that were taken back too, the oldest first.
func (v *Vault) Links(ctx context.Context, tx *database.Tx, subjects []uuid.UUID) ([]Linked, error) {
	rows, err := tx.QueryContext(ctx, `
SELECT DISTINCT l.id, l.low, l.high, l.kind, l.linked_at, l.ended_at, c.connection_id FROM unnest($2::uuid[]) AS n(id)
CROSS JOIN LATERAL (SELECT * FROM person_link WHERE tenant_id = $1 AND low = n.id UNION ALL SELECT * FROM person_link WHERE tenant_id = $1 AND high = n.id OFFSET 0) AS l
LEFT JOIN LATERAL (SELECT connection_id FROM person_claim WHERE tenant_id = $1 AND kind = l.kind AND blind = l.blind AND subject_id IN (l.low, l.high) OFFSET 0) AS c ON true
ORDER BY l.linked_at, l.id, c.connection_id`, tx.Tenant, database.UUIDs(subjects))
	if err != nil {
		return nil, fmt.Errorf("identity: read links: %w", err)
	}
	defer rows.Close()
	list := []Linked{}
	var last uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		var l Linked
		var source uuid.NullUUID
		if err := rows.Scan(&id, &l.Low, &l.High, &l.Kind, &l.At, &l.EndedAt, &source); err != nil {
			return nil, err
		}
		if id != last {
			list, last = append(list, l), id
		}
		if source.Valid {
			at := &list[len(list)-1]
			at.Sources = append(at.Sources, source.UUID)
		}
	}
	return list, rows.Err()
}
