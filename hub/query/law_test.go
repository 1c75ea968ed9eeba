package query_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/query/querytest"
)

func drawNode(t *rapid.T, depth int) query.Node {
	kinds := []string{"compare", "compare", "in", "null"}
	if depth > 0 {
		kinds = append(kinds, "and", "or", "not", "not", "true", "false")
	}
	column := rapid.SampledFrom(query.Statements.Names()).Draw(t, "column")
	value := rapid.SampledFrom(querytest.Values(query.Statements[column].Type))
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "and":
		return query.And(drawNodes(t, depth))
	case "or":
		return query.Or(drawNodes(t, depth))
	case "not":
		return query.Not{Node: drawNode(t, depth-1)}
	case "true":
		return query.True{}
	case "false":
		return query.False{}
	case "null":
		return query.IsNull{Column: column}
	case "in":
		return query.In{Column: column, Values: rapid.SliceOfN(value, 0, 3).Draw(t, "values")}
	}
	ops := []query.Op{query.Equal, query.NotEqual, query.Less, query.LessOrEqual, query.Greater, query.GreaterOrEqual}
	if query.Statements[column].Type == query.Text {
		ops = append(ops, query.StartsWith, query.EndsWith, query.Contains)
	}
	return query.Compare{Column: column, Op: rapid.SampledFrom(ops).Draw(t, "op"), Value: value.Draw(t, "value")}
}

func drawNodes(t *rapid.T, depth int) []query.Node {
	nodes := make([]query.Node, rapid.IntRange(0, 3).Draw(t, "nodes"))
	for i := range nodes {
		nodes[i] = drawNode(t, depth-1)
	}
	return nodes
}

// TestSQLEqualsMatch holds the two evaluations of a filter against each other: Postgres on a statement
// table with rows of two tenants, and Match on the same rows.
func TestSQLEqualsMatch(t *testing.T) {
	db := databasetest.New(t)
	rows := querytest.Insert(t, db, 60)
	rapid.Check(t, func(t *rapid.T) {
		for range 10 {
			n := drawNode(t, 4)
			text, args, err := query.SQL(n, query.Statements, 2)
			if err != nil {
				t.Fatalf("%#v: %v", n, err)
			}
			found := map[string]bool{}
			err = db.ReadTenant(context.Background(), databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
				var matching []string
				err := tx.SelectContext(ctx, &matching, "SELECT s.id FROM statement AS s WHERE s.tenant_id = $1 AND "+text,
					append([]any{tx.Tenant}, args...)...)
				for _, id := range matching {
					found[id] = true
				}
				return err
			})
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			for _, row := range rows {
				if want, err := query.Match(n, query.Statements, row); err != nil || want != found[row["id"].(string)] {
					t.Fatalf("%#v on %v: SQL (%s) says %v, Match %v, %v", n, row, text, found[row["id"].(string)], want, err)
				}
			}
		}
	})
}

// TestJSONRoundTrip: what is written is read again as the same filter, and as the same SQL.
func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := drawNode(t, 5)
		document, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		again, err := query.Parse(document)
		if err != nil {
			t.Fatalf("%s: %v", document, err)
		}
		if once, err := json.Marshal(again); err != nil || string(once) != string(document) {
			t.Fatalf("%s is written as %s, %v", document, once, err)
		}
		text, args, err := query.SQL(n, query.Statements, 1)
		text2, args2, err2 := query.SQL(again, query.Statements, 1)
		if err != nil || err2 != nil || text != text2 || !cmp.Equal(args, args2) {
			t.Fatalf("%s: %s %v %v, then %s %v %v", document, text, args, err, text2, args2, err2)
		}
	})
}

// TestVerbUsesItsIndex: a filter by verb IRI reads the index on (tenant, verb, stored), in its order.
func TestVerbUsesItsIndex(t *testing.T) {
	db := databasetest.New(t)
	querytest.Insert(t, db, 60)
	text, args, err := query.SQL(query.Compare{Column: "verb", Op: query.Equal, Value: "a"}, query.Statements, 2)
	if err != nil {
		t.Fatal(err)
	}
	var plan []struct {
		Plan any `json:"Plan"`
	}
	err = db.Tenant(t.Context(), databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		if _, err := tx.ExecContext(ctx, "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off"); err != nil {
			return err
		}
		var document []byte
		err := tx.GetContext(ctx, &document, "EXPLAIN (FORMAT JSON) SELECT s.id FROM statement AS s WHERE s.tenant_id = $1 AND "+text+
			" ORDER BY s.stored LIMIT 10", append([]any{tx.Tenant}, args...)...)
		if err != nil {
			return err
		}
		return json.Unmarshal(document, &plan)
	})
	if err != nil {
		t.Fatal(err)
	}
	document, _ := json.Marshal(plan)
	nodes := map[string]map[string]any{}
	collect(plan[0].Plan, nodes)
	scan := nodes["statement_verb"]
	if scan == nil || nodes["Sort"] != nil || !cmp.Equal(scan["Node Type"], "Index Scan") {
		t.Fatalf("the plan does not walk statement_verb in order: %s", document)
	}
	if condition := fmt.Sprint(scan["Index Cond"]); !strings.Contains(condition, "verb") || !strings.Contains(condition, "$0") {
		t.Errorf("the verb is no index condition computed once: %s", condition)
	}
}

func collect(node any, found map[string]map[string]any) {
	m, ok := node.(map[string]any)
	if !ok {
		return
	}
	if index, ok := m["Index Name"].(string); ok {
		found[index] = m
	}
	if kind, ok := m["Node Type"].(string); ok {
		found[kind] = m
	}
	below, _ := m["Plans"].([]any)
	for _, b := range below {
		collect(b, found)
	}
}

// TestTimestampIsOrdered: the text of a timestamp has the order of time, as policies rely on.
func TestTimestampIsOrdered(t *testing.T) {
	at := rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMicro(rapid.Int64Range(-62135596800e6, 253402300799e6).Draw(t, "microseconds"))
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := at.Draw(t, "a"), at.Draw(t, "b")
		if a.Compare(b) != strings.Compare(query.Timestamp(a), query.Timestamp(b)) {
			t.Fatalf("%v and %v: %s and %s", a, b, query.Timestamp(a), query.Timestamp(b))
		}
	})
}
