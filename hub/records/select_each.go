package records

import (
	"context"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/xapi"
)

// each leads from a list of keys to the rows of each: the first of every key, from its own index, are read and then sorted, never all that match.
type each struct {
	from around // a table n(key) around the list
	keys any    // nil: none
}

var (
	eachUUID = around{`(SELECT DISTINCT key FROM unnest(`, `::uuid[]) AS key) AS n`}
	eachVerb = around{`(SELECT id AS key FROM verb WHERE tenant_id = $1 AND iri = ANY (`, `::text[]) OFFSET 0) AS n`}
	eachType = around{`(SELECT key FROM activity WHERE tenant_id = $1 AND type = ANY (`, `::text[]) OFFSET 0) AS n`}
)

// maxOfType bounds how many activities of a type are looked up one by one. Statements of a type that has more are common: the page is read in the order of stored.
const maxOfType = 1000

func (q Query) areCommon(ctx context.Context, tx *database.Tx) (common bool, err error) {
	if len(q.Types) > 0 {
		err = tx.GetContext(ctx, &common, `SELECT count(*) > $3 FROM (SELECT FROM activity WHERE tenant_id = $1 AND type = ANY ($2::text[]) LIMIT $3 + 1) a`,
			tx.Tenant, database.Texts(q.Types), maxOfType)
	}
	return common, err
}

// eachSources are the sources by the list that is likely the rarest; nil where there is none.
func (q Query) eachSources() []source {
	rest := q
	own := source{from: fromStatements, order: "s"}
	switch {
	case len(q.Registrations) > 0:
		rest.Registrations = nil
		own.where, own.each = ` AND s.registration = n.key`, each{eachUUID, database.UUIDs(q.Registrations)}
	case len(q.Activities) > 0:
		rest.Activities = nil
		own.where, own.each = ` AND s.object = n.key AND s.object_kind = 1`, each{eachUUID, database.UUIDs(q.Activities)}
	case len(q.Types) > 0 && !q.common:
		rest.Types = nil
		own.where, own.each = ` AND s.object = n.key AND s.object_kind = 1`, each{eachType, database.Texts(q.Types)}
	case len(q.Verbs) > 0:
		rest.Verbs = nil
		own.where, own.each = ` AND s.verb = n.key`, each{eachVerb, database.Texts(q.Verbs)}
	default:
		return nil
	}
	own.ask = rest
	if len(q.Registrations) > 0 || len(q.Activities) == 0 || !q.RelatedActivities {
		return []source{own}
	}
	return []source{own, {from: fromActivities, order: "o", where: ` AND o.tenant_id = $1 AND o.key = n.key`, each: own.each, once: around{before: onceActivity}, ask: rest}}
}

// text reads the first rows of each key, and of those the first of all; a statement that several keys have counts once. where, order and limit are those of a source with one key.
func (e each) text(where, order, down, limit string, args *values) string {
	return `SELECT s.* FROM (SELECT DISTINCT f.stored, f.seq, f.id FROM ` + e.table(args) + ` CROSS JOIN LATERAL (
    SELECT s.id, s.stored, s.seq` + where + order + limit + `) f ORDER BY f.stored` + down + `, f.seq` + down + limit + `) f
CROSS JOIN LATERAL (SELECT * FROM statement WHERE tenant_id = $1 AND id = f.id OFFSET 0) s ORDER BY f.stored` + down + `, f.seq` + down
}

func (e each) table(args *values) string { return e.from.filters(args.add(e.keys)) }

// lists writes the lists as conditions on columns.
func (q Query) lists() (all query.And) {
	in(&all, "verb", q.Verbs)
	in(&all, "registration", q.Registrations)
	if len(q.Activities) > 0 && !q.RelatedActivities {
		in(&all, "object", q.Activities)
		all = append(all, query.Compare{Column: "object_kind", Op: query.Equal, Value: int64(xapi.ObjectActivity)})
	}
	return all
}

func in[T any](all *query.And, column string, list []T) {
	if len(list) == 0 {
		return
	}
	values := make([]any, len(list))
	for i, v := range list {
		values[i] = v
	}
	*all = append(*all, query.In{Column: column, Values: values})
}

// places writes those lists that no column of the statement answers.
func (q Query) places(args *values) (text string) {
	if len(q.Activities) > 0 && q.RelatedActivities {
		keys := args.add(database.UUIDs(q.Activities)) + `::uuid[]`
		text = ` AND (s.object = ANY (` + keys + `) AND s.object_kind = 1
    OR EXISTS (SELECT FROM statement_activity u WHERE u.tenant_id = $1 AND u.statement_id = s.id AND u.key = ANY (` + keys + `) OFFSET 0))`
	}
	if len(q.Types) > 0 {
		text += ` AND s.object_kind = 1 AND EXISTS (SELECT FROM activity t WHERE t.tenant_id = $1 AND t.key = s.object AND t.type = ANY (` +
			args.add(database.Texts(q.Types)) + `::text[]) OFFSET 0)`
	}
	return text
}
