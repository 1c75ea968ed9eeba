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

	onceAgent    = ` AND NOT EXISTS (SELECT FROM statement_agent p WHERE p.tenant_id = $1 AND p.statement_id = o.statement_id AND p.subject_id = o.subject_id AND p.slot < o.slot`
	onceActivity = ` AND NOT EXISTS (SELECT FROM statement_activity p WHERE p.tenant_id = $1 AND p.statement_id = o.statement_id AND p.key = o.key AND p.role < o.role)`
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
