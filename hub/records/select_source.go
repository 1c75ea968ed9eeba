package records

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/xapi"
)

// source is one of the places where a page's rows come from. Each is read in the order of its own index, and Select merges them: one query with OR
// would have to read all that matches before it could sort it. In its texts $1 is the tenant, s the statement found and o the row that leads to it.
type source struct {
	from   string
	order  string    // alias of the table in whose index the order of stored is
	where  string    // ends before the value of key
	key    uuid.UUID // Nil: none
	and    string    // after key
	each   each      // of several keys instead of one
	ask    Query     // whose filters are left to ask of the statement found
	target around    // or of one that it targets
	once   around    // keeps to the first of several rows that lead to the same statement: else a page's rows would run out before its statements do
}

// around is a condition in which the policy and xAPI's filters may be asked of another statement s.
type around struct{ before, after string }

func (a around) filters(text string) string {
	if a.after == "" {
		return a.before
	}
	return a.before + text + a.after
}

const (
	fromStatements = `statement s`
	toStatement    = ` o JOIN statement s ON s.tenant_id = o.tenant_id AND s.id = o.statement_id`
	fromAgents     = `statement_agent` + toStatement
	fromActivities = `statement_activity` + toStatement
	fromKeys       = `reference_key` + toStatement
	fromPending    = `reference_pending` + toStatement

	onceAgent    = ` AND NOT EXISTS (SELECT FROM statement_agent p WHERE p.tenant_id = $1 AND p.statement_id = o.statement_id AND p.subject_id = o.subject_id AND p.slot < o.slot`
	onceActivity = ` AND NOT EXISTS (SELECT FROM statement_activity p WHERE p.tenant_id = $1 AND p.statement_id = o.statement_id AND p.key = o.key AND p.role < o.role)`
)

// OFFSET 0 keeps these to probes of the whole key, row by row.
var (
	keyTarget = around{` AND EXISTS (SELECT FROM statement s WHERE s.tenant_id = $1 AND s.id = o.target_id`, ` OFFSET 0)`}
	keyOnce   = around{` AND NOT EXISTS (SELECT FROM reference_key p CROSS JOIN LATERAL (SELECT FROM statement s WHERE s.tenant_id = $1 AND s.id = p.target_id`, ` OFFSET 0) t
    WHERE p.tenant_id = $1 AND p.key = o.key AND p.stored = o.stored AND p.statement_id = o.statement_id AND p.target_id < o.target_id`}
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

// sources are those of the statements that meet the filters themselves.
func (q Query) sources() []source {
	rest := q
	switch {
	case q.Agent != uuid.Nil:
		rest.Agent = uuid.Nil
		other := source{from: fromAgents, order: "o", where: ` AND o.tenant_id = $1 AND o.subject_id = `, key: q.Agent, once: around{before: onceAgent + `)`}, ask: rest}
		actor := source{from: fromStatements, order: "s", where: ` AND s.actor = `, key: q.Agent, ask: rest}
		if !q.RelatedAgents {
			other.and, other.once.before = ` AND o.direct`, onceAgent+` AND p.direct)`
			return []source{actor, other}
		}
		return []source{actor, other, {from: fromStatements, order: "s", where: ` AND s.authority = `, key: q.Agent, ask: rest}}
	case q.Activity != uuid.Nil && q.RelatedActivities:
		rest.Activity = uuid.Nil
		return []source{
			{from: fromStatements, order: "s", where: ` AND s.object = `, key: q.Activity, and: ` AND s.object_kind = 1`, ask: rest},
			{from: fromActivities, order: "o", where: ` AND o.tenant_id = $1 AND o.key = `, key: q.Activity, once: around{before: onceActivity}, ask: rest},
		}
	}
	if list := q.eachSources(); list != nil {
		return list
	}
	return []source{{from: fromStatements, order: "s", ask: rest}}
}

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

// references are the sources of the statements that a target makes match. One look tells whether there are any for this key, and any whose keys are not all there.
func (q Query) references(ctx context.Context, tx *database.Tx) (list []source, err error) {
	if !q.Targets || q.Agent == uuid.Nil && q.Registration == uuid.Nil && q.Activity == uuid.Nil && q.Verb == "" {
		return nil, nil // without filters each is found by itself
	}
	key, places, rest := q.rarest()
	var there struct {
		Key           uuid.NullUUID
		Kept, Pending bool
	}
	// MATERIALIZED: a key that is a subquery would not be looked up in the index, but compared row by row behind row-level security.
	err = tx.GetContext(ctx, &there, `
WITH n AS MATERIALIZED (SELECT coalesce($2::uuid, (SELECT verb_key(id) FROM verb WHERE tenant_id = $1 AND iri = $3)) AS key)
SELECT n.key, EXISTS (SELECT FROM reference_key WHERE tenant_id = $1 AND key = n.key OFFSET 0) AS kept,
    EXISTS (SELECT FROM reference_pending WHERE tenant_id = $1 AND state <> 3) AS pending FROM n`, tx.Tenant, nilOr(key), q.Verb)
	if err != nil {
		return nil, err
	}
	if there.Kept {
		has := ` & ` + strconv.Itoa(int(places)) + ` <> 0`
		list = append(list, source{from: fromKeys, order: "o", where: ` AND o.tenant_id = $1 AND o.key = `, key: there.Key.UUID,
			and: ` AND o.places` + has, ask: rest, target: keyTarget, once: around{keyOnce.before, keyOnce.after + ` AND p.places` + has + `)`}})
	}
	if there.Pending {
		list = append(list, source{from: fromPending, order: "o", where: ` AND o.tenant_id = $1 AND o.state <> 3`, ask: q, target: chainTarget})
	}
	return list, nil
}

func nilOr(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id
}

// Around a source's rows. Only those within the page's limit are joined to the actor's key and to the catalogue; a frame that comes after $2 bytes
// of others is left where it is. The window has no order of its own: it takes the rows as they come, which is in the order of the page.
const selectColumns = `
SELECT s.id, s.seq, s.stored, s."timestamp", s.actor, s.authority, s.verb, s.object_kind, s.object, s.registration,
    s.score_scaled, s.score_raw, s.score_min, s.score_max, s.success, s.completion, s.duration, s.version, s.purpose, s.connection_id,
    CASE WHEN s.before < $2 THEN s.frame END, s.digest, k.epoch, k.wrapped, a.iri
FROM (SELECT s.*, coalesce(sum(octet_length(s.frame)) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before FROM (`

const selectJoins = `) s) s
LEFT JOIN LATERAL (SELECT epoch, wrapped FROM subject_key WHERE tenant_id = $1 AND subject_id = s.actor AND class = 1 LIMIT 1) k ON true
LEFT JOIN LATERAL (SELECT iri FROM activity WHERE tenant_id = $1 AND key = s.object AND s.object_kind = 1 LIMIT 1) a ON true`

// read appends the first rows of a source.
func (from source) read(ctx context.Context, tx *database.Tx, q Query, list []Row) ([]Row, error) {
	text, args, err := from.text(tx.Tenant, q)
	if err != nil {
		return nil, err
	}
	return appendRows(ctx, tx, list, text, args)
}

func appendRows(ctx context.Context, tx *database.Tx, list []Row, text string, args []any) ([]Row, error) {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// values are a query's parameters.
type values []any

func (v *values) add(value any) string {
	*v = append(*v, value)
	return "$" + strconv.Itoa(len(*v))
}

func (v *values) filter(n query.Node) (string, error) {
	text, args, err := query.SQL(n, columns, len(*v)+1)
	*v = append(*v, args...)
	if err != nil {
		return "", fmt.Errorf("filter: %w", err)
	}
	return ` AND ` + text, nil
}

func (from source) text(tenant database.TenantID, q Query) (string, []any, error) {
	args := values{tenant, q.bytes()}
	policy, err := args.filter(q.numbers.in(q.Policy))
	if err != nil {
		return "", nil, err
	}
	own, err := args.filter(q.numbers.in(q.Filter))
	if err != nil {
		return "", nil, err
	}
	asked, err := from.ask.asked(&args)
	if err != nil {
		return "", nil, err
	}
	where := from.where
	if from.key != uuid.Nil {
		where += args.add(from.key) + from.and
	}
	if from.target != (around{}) {
		asked = from.target.filters(policy+asked) + from.once.filters(policy+asked)
	} else {
		asked += from.once.before
	}
	stored, down := from.order+`.stored`, ` DESC`
	if q.Ascending {
		down = ``
	}
	where = ` FROM ` + from.from + ` WHERE s.tenant_id = $1` + where + q.span(stored, &args) + policy + own + asked
	order, limit := ` ORDER BY `+stored+down+`, s.seq`+down, ` LIMIT `+args.add(q.Limit+1)
	if q.ID != uuid.Nil { // without an order: the planner would walk the index of that to find the row
		where, order = where+` AND s.id = `+args.add(q.ID), ``
	}
	if from.each.keys != nil {
		return selectColumns + from.each.text(where, order, down, limit, &args) + selectJoins, args, nil
	}
	return selectColumns + `SELECT s.*` + where + order + limit + selectJoins, args, nil
}

// span keeps to the part of the order of stored that is asked for.
func (q Query) span(stored string, args *values) (text string) {
	if !q.Fresh {
		text = ` AND s.xid < pg_snapshot_xmin(pg_current_snapshot())`
	}
	if !q.Since.IsZero() {
		text += ` AND ` + stored + ` > ` + args.add(q.Since) + `::timestamptz`
	}
	if !q.Until.IsZero() {
		text += ` AND ` + stored + ` <= ` + args.add(q.Until) + `::timestamptz`
	}
	if !q.within.IsZero() && q.Ascending {
		text += ` AND ` + stored + ` <= ` + args.add(q.within) + `::timestamptz`
	} else if !q.within.IsZero() {
		text += ` AND ` + stored + ` >= ` + args.add(q.within) + `::timestamptz`
	}
	if q.After == (Position{}) {
		return text
	}
	at, seq := args.add(q.After.Stored)+`::timestamptz`, args.add(q.After.Seq)+`::bigint`
	if q.Ascending {
		return text + ` AND ` + stored + ` >= ` + at + ` AND (s.stored, s.seq) > (` + at + `, ` + seq + `)`
	}
	return text + ` AND ` + stored + ` <= ` + at + ` AND (s.stored, s.seq) < (` + at + `, ` + seq + `)`
}

// asked writes xAPI's filters about the statement s.
func (q Query) asked(args *values) (string, error) {
	var all query.And
	equal := func(column string, value any) {
		all = append(all, query.Compare{Column: column, Op: query.Equal, Value: value})
	}
	if q.Verb != "" {
		equal("verb", q.Verb)
	}
	if q.Registration != uuid.Nil {
		equal("registration", q.Registration)
	}
	if q.Activity != uuid.Nil && !q.RelatedActivities {
		equal("object", q.Activity)
		equal("object_kind", int64(xapi.ObjectActivity))
	}
	all = append(all, q.lists()...)
	text, err := args.filter(q.numbers.in(all))
	if err != nil {
		return "", err
	}
	if q.Activity != uuid.Nil && q.RelatedActivities {
		key := args.add(q.Activity)
		text += ` AND (s.object = ` + key + ` AND s.object_kind = 1 OR EXISTS (SELECT FROM statement_activity u WHERE u.tenant_id = $1 AND u.statement_id = s.id AND u.key = ` + key + `))`
	}
	text += q.places(args)
	if q.Agent == uuid.Nil {
		return text, nil
	}
	subject := args.add(q.Agent)
	authority, direct := ` OR s.authority = `+subject, ``
	if !q.RelatedAgents {
		authority, direct = ``, ` AND p.direct`
	}
	return text + ` AND (s.actor = ` + subject + authority + ` OR EXISTS (SELECT FROM statement_agent p WHERE p.tenant_id = $1 AND p.statement_id = s.id AND p.subject_id = ` + subject + direct + `))`, nil
}
