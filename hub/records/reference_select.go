package records

import (
	"context"
	"strconv"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
)

const (
	fromKeys    = `reference_key` + toStatement
	fromWide    = `reference_wide` + toStatement
	fromPending = `reference_pending` + toStatement
)

// OFFSET 0 keeps these to probes of the whole key, row by row, also where a table has no statistics yet.
var (
	keyTarget = around{` AND EXISTS (SELECT FROM statement s WHERE s.tenant_id = $1 AND s.id = o.target_id`, ` OFFSET 0)`}
	keyOnce   = around{` AND NOT EXISTS (SELECT FROM reference_key p CROSS JOIN LATERAL (SELECT FROM statement s WHERE s.tenant_id = $1 AND s.id = p.target_id`, ` OFFSET 0) t
    WHERE p.tenant_id = $1 AND p.key = o.key AND p.stored = o.stored AND p.statement_id = o.statement_id AND p.target_id < o.target_id`}
	wideOnce = around{` AND NOT EXISTS (SELECT FROM reference_wide p CROSS JOIN LATERAL (SELECT FROM statement s WHERE s.tenant_id = $1 AND s.id = p.target_id`, ` OFFSET 0) t
    WHERE p.tenant_id = $1 AND p.stored = o.stored AND p.statement_id = o.statement_id AND p.target_id < o.target_id OFFSET 0)`}
	chainTarget = around{` AND EXISTS (
    WITH RECURSIVE chain (path, next) AS (
        SELECT ARRAY[o.statement_id], o.target_id
        UNION ALL
        SELECT c.path || c.next, t.next
        FROM chain c CROSS JOIN LATERAL (SELECT CASE s.object_kind WHEN 4 THEN s.object END AS next FROM statement s
            WHERE s.tenant_id = $1 AND s.id = c.next OFFSET 0) t
        WHERE c.next <> ALL (c.path) AND cardinality(c.path) < 100
    ) SELECT FROM chain c CROSS JOIN LATERAL (SELECT FROM statement s WHERE s.tenant_id = $1 AND s.id = c.next`, ` OFFSET 0) t)`}
)

// rarest is the filter by which the index of references is read, and what is left to ask then.
func (q Query) rarest() (key uuid.UUID, places place, rest Query) {
	rest = q
	switch {
	case q.Agent != uuid.Nil:
		rest.Agent = uuid.Nil
		if q.RelatedAgents {
			return q.Agent, placeRelatedAgent | placeAuthority, rest
		}
		return q.Agent, placeAgent, rest
	case q.Registration != uuid.Nil:
		rest.Registration = uuid.Nil
		return q.Registration, placeRegistration, rest
	case q.Activity != uuid.Nil:
		rest.Activity = uuid.Nil
		if q.RelatedActivities {
			return q.Activity, placeRelatedActivity, rest
		}
		return q.Activity, placeActivity, rest
	}
	rest.Verb = ""
	return uuid.Nil, placeVerb, rest
}

// references are the sources of the statements that a target makes match. One look tells whether there are any for this key, and any whose keys are
// not all there.
func (q Query) references(ctx context.Context, tx *database.Tx) (list []source, err error) {
	if !q.Targets || q.Agent == uuid.Nil && q.Registration == uuid.Nil && q.Activity == uuid.Nil && q.Verb == "" {
		return nil, nil // without filters each is found by itself
	}
	key, places, rest := q.rarest()
	var there struct {
		Key                 uuid.NullUUID
		Kept, Wide, Pending bool
	}
	// MATERIALIZED: a key that is a subquery would not be looked up in the index, but compared row by row behind row-level security.
	err = tx.GetContext(ctx, &there, `
WITH n AS MATERIALIZED (SELECT coalesce($2::uuid, (SELECT verb_key(id) FROM verb WHERE tenant_id = $1 AND iri = $3)) AS key)
SELECT n.key, EXISTS (SELECT FROM reference_key WHERE tenant_id = $1 AND key = n.key OFFSET 0) AS kept,
    EXISTS (SELECT FROM reference_wide_key WHERE tenant_id = $1 AND key = n.key OFFSET 0) AS wide,
    EXISTS (SELECT FROM reference_pending WHERE tenant_id = $1 AND state <> 3) AS pending FROM n`, tx.Tenant, nilOr(key), q.Verb)
	if err != nil {
		return nil, err
	}
	if there.Kept {
		has := ` & ` + strconv.Itoa(int(places)) + ` <> 0`
		list = append(list, source{from: fromKeys, order: "o", where: ` AND o.tenant_id = $1 AND o.key = `, key: there.Key.UUID,
			and: ` AND o.places` + has, ask: rest, target: keyTarget, once: around{keyOnce.before, keyOnce.after + ` AND p.places` + has + ` OFFSET 0)`}})
	}
	if there.Wide {
		from, err := q.toWide(ctx, tx, there.Key.UUID, places, rest)
		if err != nil {
			return nil, err
		}
		list = append(list, from...)
	}
	if there.Pending {
		list = append(list, source{from: fromPending, order: "o", where: ` AND o.tenant_id = $1 AND o.state <> 3`, ask: q, target: chainTarget})
	}
	return list, nil
}

// maxEach bounds how many wide targets are looked up one by one, maxMeet how many are asked whether they meet the other filters. Where more have a key, its
// references are common: they are looked for in the order of stored. Variables for tests.
var maxEach, maxMeet = 200, 5000

// toWide is the source of the references to wide targets: of those targets that have the key and meet what is left to ask, or where these are too many, of all.
func (q Query) toWide(ctx context.Context, tx *database.Tx, key uuid.UUID, places place, rest Query) ([]source, error) {
	args := values{tx.Tenant, key, int(places), maxMeet + 1, maxEach + 1}
	policy, err := args.filter(q.numbers.in(q.Policy))
	if err != nil {
		return nil, err
	}
	asked, err := rest.asked(&args)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Many   bool
		Target uuid.NullUUID `db:"target_id"`
	}
	err = tx.SelectContext(ctx, &rows, `
WITH w AS MATERIALIZED (SELECT target_id FROM reference_wide_key WHERE tenant_id = $1 AND key = $2 AND places & $3::integer <> 0 LIMIT $4::bigint)
SELECT n.many, w.target_id FROM (SELECT count(*) = $4::bigint AS many FROM w) n
LEFT JOIN w ON NOT n.many AND EXISTS (SELECT FROM statement s WHERE s.tenant_id = $1 AND s.id = w.target_id`+policy+asked+` OFFSET 0) LIMIT $5`, args...)
	switch {
	case err != nil:
		return nil, err
	case rows[0].Many || len(rows) > maxEach:
		return []source{{from: fromWide, order: "o", where: ` AND o.tenant_id = $1`, ask: q, target: keyTarget, once: wideOnce}}, nil
	case !rows[0].Target.Valid:
		return nil, nil
	}
	targets := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		targets[i] = r.Target.UUID
	}
	return []source{{from: fromWide, order: "o", where: ` AND o.tenant_id = $1 AND o.target_id = n.key`, each: each{eachUUID, database.UUIDs(targets)}}}, nil
}
