package vault

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
)

// kindDecision is the kind of a link that somebody decided.
const kindDecision = "decision"

// settle works out anew who is one person among all that subjects and claims can reach, writes what is different, and tells the audit log.
// The caller holds the identity lock.
func (v *Vault) settle(ctx context.Context, tx *database.Tx, act Act, subjects []uuid.UUID, keys []claimKey) error {
	g, err := gather(ctx, tx, subjects, keys)
	if err != nil {
		return err
	}
	out := verdict{contested: map[claimKey]string{}}
	var moved []uuid.UUID
	var linked, ended int
	if g.full { // nothing is linked or taken back; somebody has to look at the claims that began it
		for _, key := range keys {
			out.contested[key] = IssueMany
		}
	} else {
		out = g.resolve()
		if linked, ended, err = g.storeLinks(ctx, tx, out, act.Now); err != nil {
			return err
		}
		if moved, err = g.storePersons(ctx, tx, out); err != nil {
			return err
		}
	}
	opened, err := g.storeReviews(ctx, tx, out, act.Now)
	if err != nil || len(moved)+linked+ended+opened == 0 {
		return err
	}
	return tell(ctx, tx, act, audit.PersonLinked, moved, map[string]any{"linked": linked, "ended": ended, "reviews": opened})
}

// storeLinks ends the links that hold no more, or for another reason, and stores the new ones.
func (g *gathered) storeLinks(ctx context.Context, tx *database.Tx, out verdict, now time.Time) (linked, ended int, err error) {
	var gone []uuid.UUID
	for p, l := range g.links {
		if key, holds := out.links[p]; !holds || key != l.key {
			gone = append(gone, l.id)
		}
	}
	var ids, lows, highs []uuid.UUID
	var names []string
	var blinds [][]byte
	for _, p := range slices.SortedFunc(maps.Keys(out.links), comparePairs) {
		key := out.links[p]
		if l, there := g.links[p]; there && l.key == key {
			continue
		}
		if ids, lows, highs, blinds = append(ids, uuid.New()), append(lows, p.low), append(highs, p.high), append(blinds, key.blind[:]); key.kind == "" {
			key.kind, blinds[len(blinds)-1] = kindDecision, []byte{}
		}
		names = append(names, key.kind)
	}
	if len(gone) > 0 {
		_, err := tx.ExecContext(ctx, `UPDATE person_link SET ended_at = greatest($3, linked_at) WHERE tenant_id = $1 AND id = ANY($2)`, tx.Tenant, database.UUIDs(gone), now)
		if err != nil {
			return 0, 0, fmt.Errorf("identity: take links back: %w", err)
		}
	}
	if len(ids) > 0 {
		_, err := tx.ExecContext(ctx, `
INSERT INTO person_link (tenant_id, id, low, high, kind, blind, linked_at) SELECT $1, n.*, $7 FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bytea[]) AS n`,
			tx.Tenant, database.UUIDs(ids), database.UUIDs(lows), database.UUIDs(highs), database.Texts(names), database.Byteas(blinds), now)
		if err != nil {
			return 0, 0, fmt.Errorf("identity: store links: %w", err)
		}
	}
	return len(ids), len(gone), nil
}

// storePersons writes the persons that are different, and gives their subjects.
func (g *gathered) storePersons(ctx context.Context, tx *database.Tx, out verdict) (moved []uuid.UUID, err error) {
	for _, s := range g.subjects {
		if g.person[s] != out.person[s] {
			moved = append(moved, s)
		}
	}
	if len(moved) == 0 {
		return nil, nil
	}
	slices.SortFunc(moved, compareIDs)
	persons := make([]uuid.UUID, len(moved))
	for i, s := range moved {
		persons[i] = out.person[s]
	}
	_, err = tx.ExecContext(ctx, `
UPDATE subject s SET person_id = n.person FROM unnest($2::uuid[], $3::uuid[]) AS n(id, person) WHERE s.tenant_id = $1 AND s.id = n.id`,
		tx.Tenant, database.UUIDs(moved), database.UUIDs(persons))
	if err != nil {
		return nil, fmt.Errorf("identity: store persons: %w", err)
	}
	return moved, nil
}

// storeReviews opens a review of each claim that is contested, and closes those that nobody has to decide any more. It gives how many it opened.
func (g *gathered) storeReviews(ctx context.Context, tx *database.Tx, out verdict, now time.Time) (opened int, err error) {
	var ids []uuid.UUID
	var names, issues, settledNames []string
	var blinds, settledBlinds [][]byte
	for key := range g.asked {
		if g.full || out.contested[key] != "" {
			continue
		}
		settledNames, settledBlinds = append(settledNames, key.kind), append(settledBlinds, key.blind[:])
	}
	for _, key := range slices.SortedFunc(maps.Keys(out.contested), claimKey.compare) {
		ids, names, blinds, issues = append(ids, uuid.New()), append(names, key.kind), append(blinds, key.blind[:]), append(issues, out.contested[key])
	}
	if len(ids) > 0 {
		// One that was decided is opened again: that somebody else has the claim by now was not part of the decision.
		result, err := tx.ExecContext(ctx, `
INSERT INTO person_review (tenant_id, id, kind, blind, issue, state, opened_at)
SELECT $1, n.id, n.kind, n.blind, n.issue, 'open', $6 FROM unnest($2::uuid[], $3::text[], $4::bytea[], $5::text[]) AS n(id, kind, blind, issue)
ON CONFLICT (tenant_id, kind, blind) DO UPDATE SET issue = excluded.issue, state = 'open',
    opened_at = CASE person_review.state WHEN 'open' THEN person_review.opened_at ELSE excluded.opened_at END, decided_by = '', decided_at = NULL
WHERE person_review.state <> 'open' OR person_review.issue <> excluded.issue`,
			tx.Tenant, database.UUIDs(ids), database.Texts(names), database.Byteas(blinds), database.Texts(issues), now)
		if err != nil {
			return 0, fmt.Errorf("identity: open reviews: %w", err)
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		opened = int(n)
	}
	if len(settledNames) > 0 {
		_, err = tx.ExecContext(ctx, `
UPDATE person_review r SET state = 'settled', decided_at = $4 FROM unnest($2::text[], $3::bytea[]) AS n(kind, blind)
WHERE r.tenant_id = $1 AND r.kind = n.kind AND r.blind = n.blind AND r.state = 'open'`,
			tx.Tenant, database.Texts(settledNames), database.Byteas(settledBlinds), now)
		if err != nil {
			return 0, fmt.Errorf("identity: close reviews: %w", err)
		}
	}
	return opened, nil
}
