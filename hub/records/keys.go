package records

import (
	"context"
	"fmt"
	"maps"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/query"
)

// Filters name verbs and purposes, rows have their numbers. The numbers are looked up before a query is written: the planner then knows how rare the very verb and the
// very purpose are, and takes the index of the rarest. Of a subquery it would know nothing.

// columns are those of the statement table for filters of names, and beside them those of the numbers.
var columns = func() query.Columns {
	c := maps.Clone(query.Statements)
	c["verb_key"] = query.Column{Expr: "s.verb", Type: query.Integer}
	c["purpose_key"] = query.Column{Expr: "s.purpose", Type: query.Integer}
	return c
}()

// named is a verb or a purpose by its column and name.
type named struct{ Column, Name string }

// numbers are those of the names in a query.
type numbers map[named]int32

// lookUp reads the numbers of all names in a query.
func (q Query) lookUp(ctx context.Context, tx *database.Tx) (numbers, error) {
	return lookUp(ctx, tx, q.Policy, q.Filter, query.Compare{Column: "verb", Op: query.Equal, Value: q.Verb}, q.lists())
}

func lookUp(ctx context.Context, tx *database.Tx, filters ...query.Node) (numbers, error) {
	names := map[string][]string{}
	note := func(column string, value any) {
		if name, ok := value.(string); ok && (column == "verb" || column == "purpose") {
			names[column] = append(names[column], name)
		}
	}
	for _, f := range filters {
		query.Map(f, func(n query.Node) query.Node {
			switch n := n.(type) {
			case query.Compare:
				note(n.Column, n.Value)
			case query.In:
				for _, v := range n.Values {
					note(n.Column, v)
				}
			}
			return n
		})
	}
	if len(names) == 0 {
		return nil, nil
	}
	var rows []struct {
		named
		Number int32
	}
	err := tx.SelectContext(ctx, &rows, `
SELECT 'verb' AS column, n.name, v.id AS number FROM unnest($2::text[]) AS n(name) CROSS JOIN LATERAL (SELECT id FROM verb WHERE tenant_id = $1 AND iri = n.name LIMIT 1) v
UNION ALL
SELECT 'purpose', n.name, p.id FROM unnest($3::text[]) AS n(name) CROSS JOIN LATERAL (SELECT id FROM purpose WHERE tenant_id = $1 AND name = n.name LIMIT 1) p`,
		tx.Tenant, database.Texts(names["verb"]), database.Texts(names["purpose"]))
	if err != nil {
		return nil, fmt.Errorf("records: look up verbs and purposes: %w", err)
	}
	known := numbers{}
	for _, r := range rows {
		known[r.named] = r.Number
	}
	return known, nil
}

// in writes a filter with the numbers. A name that has none is of no statement.
func (k numbers) in(n query.Node) query.Node {
	if k == nil {
		return n
	}
	return query.Map(n, func(n query.Node) query.Node {
		switch n := n.(type) {
		case query.Compare:
			if n.Op == query.Equal {
				return k.oneOf(n, n.Column, n.Value)
			}
		case query.In:
			return k.oneOf(n, n.Column, n.Values...)
		}
		return n
	})
}

func (k numbers) oneOf(as query.Node, column string, names ...any) query.Node {
	if column != "verb" && column != "purpose" {
		return as
	}
	var list []any
	for _, name := range names {
		text, ok := name.(string)
		if !ok {
			return as // SQL refuses it
		}
		if number, known := k[named{column, text}]; known {
			list = append(list, int64(number))
		}
	}
	switch len(list) {
	case 0:
		return query.False{}
	case 1:
		return query.Compare{Column: column + "_key", Op: query.Equal, Value: list[0]}
	}
	return query.In{Column: column + "_key", Values: list}
}
