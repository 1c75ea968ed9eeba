package records

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/xapi"
)

// A StatementRef statement is found by what it targets too, along the whole chain (xAPI 1.0.3 Communication 2.1.3, Filter Conditions for StatementRefs).
// The keys of the statements in its chain are kept in reference_key when it is written, or once for all references in reference_wide_key; where the chain ends at a statement that is not there
// (yet), a row of reference_pending keeps that in mind, and Resolve takes it on. The migration says why no match is lost.

// place says where a statement has a key. The bits are stored (and written out in keepReferences); never renumber.
type place int16

const (
	placeAgent           place = 1 // as actor or direct agent: xAPI's agent
	placeRelatedAgent    place = 2 // in any place but that of the authority: with it, related_agents
	placeActivity        place = 4
	placeRelatedActivity place = 8
	placeRegistration    place = 16
	placeVerb            place = 32
	placeAuthority       place = 64
)

// maxKeys is how many keys of its chain are kept for one reference. A statement of the chain that has more, or comes behind those that use them up, is wide: for it one row is
// kept, and its keys once for all that refer to it, so that few bytes sent do not become many bytes stored. A variable for tests.
var maxKeys = 32

// keepReferences follows the chain of each reference, at most 100 statements far or to where it comes back to itself. Of the statements behind the first `keyed` ones it
// keeps the keys, or that they are wide; and a pending row where the chain is not complete. Which are wide depends on the chain alone, and not on how it arrived.
// It gives the references that are complete.
const keepReferences = `
WITH walk AS MATERIALIZED (
    SELECT n.id, n.target, n.stored, n.keyed, c.path, c.narrow, c.next, coalesce(c.next <> ALL (c.path), false) AND cardinality(c.path) <= 100 AS missing
    FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::smallint[]) AS n(id, target, stored, keyed)
    CROSS JOIN LATERAL (
        WITH RECURSIVE chain (path, next, keys, narrow) AS (
            SELECT ARRAY[n.id], n.target, 0::bigint, 0
            UNION ALL
            SELECT c.path || c.next, t.next, t.keys, CASE WHEN t.keys <= $6 THEN cardinality(c.path) ELSE c.narrow END
            FROM chain c CROSS JOIN LATERAL (
                SELECT CASE s.object_kind WHEN 4 THEN s.object END AS next, CASE WHEN c.keys > $6 THEN c.keys ELSE c.keys + 5
                    + (SELECT count(*) FROM (SELECT FROM statement_agent o WHERE o.tenant_id = $1 AND o.statement_id = c.next LIMIT $6) o)
                    + (SELECT count(*) FROM (SELECT FROM statement_activity u WHERE u.tenant_id = $1 AND u.statement_id = c.next LIMIT $6) u) END AS keys
                FROM statement s WHERE s.tenant_id = $1 AND s.id = c.next OFFSET 0) t
            WHERE c.next <> ALL (c.path) AND cardinality(c.path) <= 100
        ) SELECT path, next, narrow FROM chain ORDER BY cardinality(path) DESC LIMIT 1) c
), part AS MATERIALIZED (
    SELECT w.id, w.stored, t.target, w.keyed + t.place > w.narrow AS wide
    FROM walk w CROSS JOIN LATERAL unnest(w.path[w.keyed + 2:]) WITH ORDINALITY AS t(target, place)
), found AS MATERIALIZED (
    SELECT t.id, t.stored, t.target, x.key, bit_or(x.places) AS places
    FROM (SELECT id, stored, target FROM part WHERE NOT wide
        UNION ALL
        SELECT DISTINCT NULL::uuid, NULL::timestamptz, p.target FROM part p
        WHERE p.wide AND NOT EXISTS (SELECT FROM reference_wide_key r WHERE r.tenant_id = $1 AND r.target_id = p.target OFFSET 0)) t
    CROSS JOIN LATERAL (
        SELECT v.key, v.places
        FROM (SELECT * FROM statement WHERE tenant_id = $1 AND id = t.target OFFSET 0) s CROSS JOIN LATERAL (VALUES
            (s.actor, 3), (CASE s.object_kind WHEN 1 THEN s.object END, 12), (s.registration, 16), (verb_key(s.verb), 32), (s.authority, 64)) AS v(key, places)
        WHERE v.key IS NOT NULL
        UNION ALL
        SELECT o.subject_id, CASE WHEN o.direct THEN 3 ELSE 2 END FROM statement_agent o WHERE o.tenant_id = $1 AND o.statement_id = t.target
        UNION ALL
        SELECT u.key, 8 FROM statement_activity u WHERE u.tenant_id = $1 AND u.statement_id = t.target
    ) x
    GROUP BY t.id, t.stored, t.target, x.key
), kept AS (
    INSERT INTO reference_key (tenant_id, key, statement_id, target_id, places, stored)
    SELECT $1, key, id, target, places, stored FROM found WHERE id IS NOT NULL
), kept_once AS (
    INSERT INTO reference_wide_key (tenant_id, key, target_id, places) SELECT $1, key, target, places FROM found WHERE id IS NULL
), wide AS (
    INSERT INTO reference_wide (tenant_id, target_id, statement_id, stored) SELECT $1, target, id, stored FROM part WHERE wide
), pending AS (
    INSERT INTO reference_pending AS p (tenant_id, statement_id, target_id, stored, state, awaits, keyed)
    SELECT $1, id, target, stored, 1, next, cardinality(path) - 1 FROM walk WHERE missing
    ON CONFLICT (tenant_id, statement_id) DO UPDATE SET awaits = excluded.awaits, keyed = excluded.keyed,
        state = CASE WHEN p.awaits = excluded.awaits THEN 3 ELSE 1 END
)
SELECT id FROM walk WHERE NOT missing`

// insertReferences keeps what the batch's StatementRef statements are found by.
func insertReferences(ctx context.Context, tx *database.Tx, batch []*Statement, stored map[uuid.UUID]bool) error {
	var list []reference
	for _, s := range batch {
		if stored[s.ID] && s.ObjectKind == xapi.ObjectStatementRef && s.Object != uuid.Nil {
			list = append(list, reference{ID: s.ID, Target: s.Object, Stored: s.Stored})
		}
	}
	if len(list) == 0 {
		return nil
	}
	if _, err := keep(ctx, tx, list); err != nil {
		return fmt.Errorf("records: insert references: %w", err)
	}
	return nil
}

// wake sets the references that await a statement of the batch back to fresh. Whether any wait at all is asked first: mostly none do, and
// the ids need not be sent again.
func wake(ctx context.Context, tx *database.Tx, batch []*Statement) error {
	var some bool
	if err := tx.GetContext(ctx, &some, "SELECT "+someAwait, tx.Tenant); err != nil {
		return fmt.Errorf("records: ask for references that wait: %w", err)
	}
	if !some {
		return nil
	}
	return wakeThose(ctx, tx, batch)
}

// someAwait is asked by a statement that is sent after the one in which the transaction took its id: see the migration of reference_pending.
const someAwait = "EXISTS (SELECT FROM reference_pending WHERE tenant_id = $1 AND awaits IS NOT NULL)"

func wakeThose(ctx context.Context, tx *database.Tx, batch []*Statement) error {
	ids := make([]uuid.UUID, len(batch))
	for i := range batch {
		ids[i] = batch[i].ID
	}
	_, err := tx.ExecContext(ctx, `
UPDATE reference_pending p SET state = 1 FROM unnest($2::uuid[]) AS n(id)
CROSS JOIN LATERAL (SELECT statement_id FROM reference_pending WHERE tenant_id = $1 AND awaits = n.id OFFSET 0) AS w
WHERE p.tenant_id = $1 AND p.statement_id = w.statement_id AND p.awaits = n.id`, tx.Tenant, database.UUIDs(ids))
	if err != nil {
		return fmt.Errorf("records: wake references: %w", err)
	}
	return nil
}

// reference is a StatementRef statement.
type reference struct {
	ID     uuid.UUID `db:"statement_id"`
	Target uuid.UUID `db:"target_id"`
	Stored time.Time `db:"stored"`
	Keyed  int16     `db:"keyed"` // statements of its chain that have their keys
}

// keep runs keepReferences and gives the references whose chain is complete.
func keep(ctx context.Context, tx *database.Tx, list []reference) (complete []uuid.UUID, err error) {
	ids, targets := make([]uuid.UUID, len(list)), make([]uuid.UUID, len(list))
	stored, keyed := make([]time.Time, len(list)), make([]int16, len(list))
	for i, r := range list {
		ids[i], targets[i], stored[i], keyed[i] = r.ID, r.Target, r.Stored, r.Keyed
	}
	err = tx.SelectContext(ctx, &complete, keepReferences, tx.Tenant, database.UUIDs(ids), database.UUIDs(targets), database.Times(stored), database.Int2s(keyed), maxKeys)
	return complete, err
}
