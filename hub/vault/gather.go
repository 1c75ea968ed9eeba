package vault

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
)

// maxGathered bounds how many subjects one change can reach. Claims that more than maxPerson subjects have are not followed, so real people never come near it.
const maxGathered = 50_000

// gathered is all the evidence that a change can reach, and what was made of it so far.
type gathered struct {
	evidence
	asked  map[claimKey]bool
	person map[uuid.UUID]uuid.UUID
	links  map[pair]storedLink
	full   bool // there is more than maxGathered
}

type storedLink struct {
	id  uuid.UUID
	key claimKey // zero: a decision
}

// gather reads the evidence about subjects, about those who share a claim, a decision or a link with them, and so on. The caller holds the identity lock.
func gather(ctx context.Context, tx *database.Tx, start []uuid.UUID, keys []claimKey) (*gathered, error) {
	g := &gathered{asked: map[claimKey]bool{}, person: map[uuid.UUID]uuid.UUID{}, links: map[pair]storedLink{}}
	g.decisions, g.ignored, g.wide = map[pair]bool{}, map[claimKey]bool{}, map[claimKey]bool{}
	seen := map[uuid.UUID]bool{}
	frontier := start
	for {
		var next []uuid.UUID
		for _, s := range frontier {
			if !seen[s] {
				seen[s] = true
				next = append(next, s)
			}
		}
		if len(seen) > maxGathered {
			g.full = true
			return g, nil
		}
		if len(next) == 0 && len(keys) == 0 {
			return g, g.readPersons(ctx, tx)
		}
		g.subjects = append(g.subjects, next...)
		frontier = nil
		claims, err := readClaims(ctx, tx, next)
		if err != nil {
			return nil, err
		}
		g.claims = append(g.claims, claims...)
		for _, c := range claims {
			if c.links {
				keys = append(keys, c.claimKey)
			}
		}
		for _, read := range []func() ([]uuid.UUID, error){
			func() ([]uuid.UUID, error) { return g.readHolders(ctx, tx, keys) },
			func() ([]uuid.UUID, error) { return g.readPairs(ctx, tx, next) },
		} {
			more, err := read()
			if err != nil {
				return nil, err
			}
			frontier = append(frontier, more...)
		}
		keys = nil
	}
}

// readClaims gives the claims of subjects.
func readClaims(ctx context.Context, tx *database.Tx, subjects []uuid.UUID) ([]claimed, error) {
	rows, err := tx.QueryContext(ctx, `
SELECT c.subject_id, c.connection_id, c.kind, c.issuer, c.blind, c.own,
    c.verified AND EXISTS (SELECT FROM identity_rule r WHERE r.tenant_id = $1 AND r.connection_id = c.connection_id AND r.kind = c.kind)
FROM unnest($2::uuid[]) AS n(id)
CROSS JOIN LATERAL (SELECT * FROM person_claim WHERE tenant_id = $1 AND subject_id = n.id OFFSET 0) AS c`, tx.Tenant, database.UUIDs(subjects))
	if err != nil {
		return nil, fmt.Errorf("identity: read claims: %w", err)
	}
	defer rows.Close()
	var list []claimed
	for rows.Next() {
		var c claimed
		var issuer, value []byte
		if err := rows.Scan(&c.subject, &c.connection, &c.kind, &issuer, &value, &c.own, &c.links); err != nil {
			return nil, err
		}
		c.issuer, c.blind = blind(issuer), blind(value)
		list = append(list, c)
	}
	return list, rows.Err()
}

// readHolders gives the subjects that have a claim on which their connection may link. Of more than maxPerson none: the claim is wide.
func (g *gathered) readHolders(ctx context.Context, tx *database.Tx, keys []claimKey) ([]uuid.UUID, error) {
	var names []string
	var blinds [][]byte
	var fresh []claimKey
	for _, key := range keys {
		if !g.asked[key] {
			g.asked[key] = true
			fresh, names, blinds = append(fresh, key), append(names, key.kind), append(blinds, key.blind[:])
		}
	}
	rows, err := tx.QueryContext(ctx, `
SELECT n.at, h.subject_id, r.state = 'different'
FROM unnest($2::text[], $3::bytea[]) WITH ORDINALITY AS n(kind, blind, at)
CROSS JOIN LATERAL (SELECT DISTINCT c.subject_id FROM person_claim c JOIN identity_rule r ON r.tenant_id = c.tenant_id AND r.connection_id = c.connection_id AND r.kind = c.kind
    WHERE c.tenant_id = $1 AND c.kind = n.kind AND c.blind = n.blind AND c.verified LIMIT $4) AS h
LEFT JOIN LATERAL (SELECT state FROM person_review WHERE tenant_id = $1 AND kind = n.kind AND blind = n.blind LIMIT 1) AS r ON true`,
		tx.Tenant, database.Texts(names), database.Byteas(blinds), maxPerson+1)
	if err != nil {
		return nil, fmt.Errorf("identity: who has a claim: %w", err)
	}
	defer rows.Close()
	holders := make(map[claimKey][]uuid.UUID, len(fresh))
	for rows.Next() {
		var at int
		var subject uuid.UUID
		var different *bool
		if err := rows.Scan(&at, &subject, &different); err != nil {
			return nil, err
		}
		key := fresh[at-1]
		holders[key] = append(holders[key], subject)
		if different != nil && *different {
			g.ignored[key] = true
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	var found []uuid.UUID
	for key, subjects := range holders {
		switch {
		case len(subjects) > maxPerson:
			g.wide[key] = true
			linked, err := linkedBy(ctx, tx, key)
			if err != nil {
				return nil, err
			}
			found = append(found, linked...)
		case !g.ignored[key]:
			found = append(found, subjects...)
		}
	}
	return found, nil
}

// linkedBy gives the subjects that a claim linked while few had it.
func linkedBy(ctx context.Context, tx *database.Tx, key claimKey) (list []uuid.UUID, err error) {
	err = tx.SelectContext(ctx, &list, `SELECT unnest(ARRAY[low, high]) FROM person_link WHERE tenant_id = $1 AND kind = $2 AND blind = $3 AND ended_at IS NULL`,
		tx.Tenant, key.kind, key.blind[:])
	if err != nil {
		return nil, fmt.Errorf("identity: read links: %w", err)
	}
	return list, nil
}

// readPairs reads decisions and links of subjects, and gives those at their other ends.
func (g *gathered) readPairs(ctx context.Context, tx *database.Tx, subjects []uuid.UUID) ([]uuid.UUID, error) {
	rows, err := tx.QueryContext(ctx, `
SELECT d.low, d.high, d.same, NULL::uuid, '', ''::bytea FROM unnest($2::uuid[]) AS n(id)
CROSS JOIN LATERAL (SELECT low, high, same FROM person_decision WHERE tenant_id = $1 AND low = n.id
    UNION ALL SELECT low, high, same FROM person_decision WHERE tenant_id = $1 AND high = n.id OFFSET 0) AS d
UNION ALL
SELECT l.low, l.high, NULL::boolean, l.id, l.kind, l.blind FROM unnest($2::uuid[]) AS n(id)
CROSS JOIN LATERAL (SELECT low, high, id, kind, blind FROM person_link WHERE tenant_id = $1 AND low = n.id AND ended_at IS NULL
    UNION ALL SELECT low, high, id, kind, blind FROM person_link WHERE tenant_id = $1 AND high = n.id AND ended_at IS NULL OFFSET 0) AS l`,
		tx.Tenant, database.UUIDs(subjects))
	if err != nil {
		return nil, fmt.Errorf("identity: read links and decisions: %w", err)
	}
	defer rows.Close()
	var ends []uuid.UUID
	for rows.Next() {
		var p pair
		var same *bool
		var link storedLink
		var value []byte
		if err := rows.Scan(&p.low, &p.high, &same, &link.id, &link.key.kind, &value); err != nil {
			return nil, err
		}
		if same == nil {
			if link.key.kind == kindDecision {
				link.key = claimKey{}
			} else {
				link.key.blind = blind(value)
			}
			g.links[p] = link
		} else {
			g.decisions[p] = *same
		}
		ends = append(ends, p.low, p.high)
	}
	return ends, rows.Err()
}

// readPersons reads the persons that the subjects have so far, and leaves out subjects that are not there any more.
func (g *gathered) readPersons(ctx context.Context, tx *database.Tx) error {
	persons, err := personsOf(ctx, tx, g.subjects)
	if err != nil {
		return err
	}
	there := g.subjects[:0]
	for _, s := range g.subjects {
		if _, ok := persons[s]; ok {
			there = append(there, s)
		}
	}
	g.subjects, g.person = there, persons
	return nil
}

// personsOf gives the person_id of subjects; those that are not there are absent.
func personsOf(ctx context.Context, tx *database.Tx, subjects []uuid.UUID) (map[uuid.UUID]uuid.UUID, error) {
	rows, err := tx.QueryContext(ctx, `
SELECT s.id, s.person_id FROM unnest($2::uuid[]) AS n(id)
CROSS JOIN LATERAL (SELECT id, person_id FROM subject WHERE tenant_id = $1 AND id = n.id LIMIT 1) AS s`, tx.Tenant, database.UUIDs(subjects))
	if err != nil {
		return nil, fmt.Errorf("identity: read persons: %w", err)
	}
	defer rows.Close()
	persons := make(map[uuid.UUID]uuid.UUID, len(subjects))
	for rows.Next() {
		var id, person uuid.UUID
		if err := rows.Scan(&id, &person); err != nil {
			return nil, err
		}
		persons[id] = person
	}
	return persons, rows.Err()
}
