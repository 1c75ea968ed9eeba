package query

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
)

// What conditions and rows are drawn from: few values, so that they meet, and hostile ones.
var (
	texts = []any{"", "a", "B", "ab", "a%", "a_b", `a\`, `a'b`, `"`, "é", "ß", "Z", "\x1a", "{a,b}", "NULL", "a b", "💡"}
	ids   = []any{uuid.NewSHA1(uuid.Nil, []byte("1")).String(), uuid.NewSHA1(uuid.Nil, []byte("2")).String(), uuid.NewSHA1(uuid.Nil, []byte("3")).String()}
	times = []any{"0001-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.000001Z", "9999-12-31T23:59:59.999999Z"}
	reals = []any{0.1, 0.30000000000000004, -1.0, 0, 40, 1e-300, -1e300, int64(1) << 60}
	whole = []any{-1, 0, 1, 2, 1<<31 - 1}
	truth = []any{true, false}
)

func values(t Type) []any {
	switch t {
	case UUID:
		return ids
	case TimestampTZ:
		return times
	case Double:
		return reals
	case Integer:
		return whole
	case Boolean:
		return truth
	}
	return texts
}

func drawNode(t *rapid.T, depth int) Node {
	kinds := []string{"compare", "compare", "in", "null"}
	if depth > 0 {
		kinds = append(kinds, "and", "or", "not", "not", "true", "false")
	}
	column := rapid.SampledFrom(Statements.Names()).Draw(t, "column")
	value := rapid.SampledFrom(values(Statements[column].Type))
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "and":
		return And(drawNodes(t, depth))
	case "or":
		return Or(drawNodes(t, depth))
	case "not":
		return Not{drawNode(t, depth-1)}
	case "true":
		return True{}
	case "false":
		return False{}
	case "null":
		return IsNull{column}
	case "in":
		return In{column, rapid.SliceOfN(value, 0, 3).Draw(t, "values")}
	}
	ops := []Op{Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual}
	if Statements[column].Type == Text {
		ops = append(ops, StartsWith, EndsWith, Contains)
	}
	return Compare{column, rapid.SampledFrom(ops).Draw(t, "op"), value.Draw(t, "value")}
}

func drawNodes(t *rapid.T, depth int) []Node {
	nodes := make([]Node, rapid.IntRange(0, 3).Draw(t, "nodes"))
	for i := range nodes {
		nodes[i] = drawNode(t, depth-1)
	}
	return nodes
}

// TestSQLEqualsMatch holds the two evaluations of a filter against each other: Postgres on a statement
// table with rows of two tenants, and Match on the same rows.
func TestSQLEqualsMatch(t *testing.T) {
	db := databasetest.New(t)
	rows := insert(t, db)
	rapid.Check(t, func(t *rapid.T) {
		for range 10 {
			n := drawNode(t, 4)
			text, args, err := SQL(n, Statements, 2)
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
				if want, err := Match(n, Statements, row); err != nil || want != found[row["id"].(string)] {
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
		again, err := Parse(document)
		if err != nil {
			t.Fatalf("%s: %v", document, err)
		}
		if once, err := json.Marshal(again); err != nil || string(once) != string(document) {
			t.Fatalf("%s is written as %s, %v", document, once, err)
		}
		text, args, err := SQL(n, Statements, 1)
		text2, args2, err2 := SQL(again, Statements, 1)
		if err != nil || err2 != nil || text != text2 || !cmp.Equal(args, args2) {
			t.Fatalf("%s: %s %v %v, then %s %v %v", document, text, args, err, text2, args2, err2)
		}
	})
}

// insert fills the statement tables of both tenants with random rows and gives those of the first.
func insert(t *testing.T, db *database.DB) []Row {
	t.Helper()
	var rows []Row
	for _, tenant := range []database.TenantID{databasetest.Default, databasetest.Other} {
		for i := range 60 {
			row := rapid.Custom(func(t *rapid.T) Row { return drawRow(t) }).Example(i)
			row["id"] = uuid.NewSHA1(uuid.Nil, fmt.Append(nil, tenant, i)).String()
			if err := db.Tenant(t.Context(), tenant, func(ctx context.Context, tx *database.Tx) error { return insertRow(ctx, tx, i, row) }); err != nil {
				t.Fatal(err)
			}
			if tenant == databasetest.Default {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

func drawRow(t *rapid.T) Row {
	row := Row{}
	for _, name := range Statements.Names() {
		row[name] = rapid.SampledFrom(values(Statements[name].Type)).Draw(t, name)
		switch name {
		case "object", "registration", "score_scaled", "score_raw", "score_min", "score_max", "success", "completion", "duration", "connection":
			if rapid.Bool().Draw(t, "null") {
				row[name] = nil
			}
		}
	}
	row["object_kind"] = rapid.SampledFrom([]any{0, 1, 2}).Draw(t, "object_kind") // smallint
	return row
}

func insertRow(ctx context.Context, tx *database.Tx, i int, row Row) error {
	keys := map[string]int64{}
	for _, d := range []struct{ column, insert, find string }{
		{"verb", "INSERT INTO verb (tenant_id, iri) VALUES ($1, $2) ON CONFLICT DO NOTHING", "SELECT id FROM verb WHERE tenant_id = $1 AND iri = $2"},
		{"purpose", "INSERT INTO purpose (tenant_id, name, basis) VALUES ($1, $2, 'consent') ON CONFLICT DO NOTHING", "SELECT id FROM purpose WHERE tenant_id = $1 AND name = $2"},
	} {
		if _, err := tx.ExecContext(ctx, d.insert, tx.Tenant, row[d.column]); err != nil {
			return err
		}
		var key int64
		if err := tx.GetContext(ctx, &key, d.find, tx.Tenant, row[d.column]); err != nil {
			return err
		}
		keys[d.column] = key
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO statement (tenant_id, id, seq, stored, "timestamp", actor, authority, verb, object_kind,
			object, registration, score_scaled, score_raw, score_min, score_max, success, completion, duration, version, purpose,
			connection_id, frame, digest)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 1, $19, $20, '', '')`,
		tx.Tenant, row["id"], i, row["stored"], row["timestamp"], row["actor"], row["authority"], keys["verb"], row["object_kind"],
		row["object"], row["registration"], row["score_scaled"], row["score_raw"], row["score_min"], row["score_max"], row["success"],
		row["completion"], row["duration"], keys["purpose"], row["connection"])
	if err != nil || row["voided"] == false {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO voiding (tenant_id, target, statement_id) VALUES ($1, $2, $3)", tx.Tenant, row["id"], uuid.New())
	return err
}

// TestVerbUsesItsIndex: a filter by verb IRI reads the index on (tenant, verb, stored), in its order.
func TestVerbUsesItsIndex(t *testing.T) {
	db := databasetest.New(t)
	insert(t, db)
	text, args, err := SQL(Compare{"verb", Equal, "a"}, Statements, 2)
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
		if a.Compare(b) != strings.Compare(Timestamp(a), Timestamp(b)) {
			t.Fatalf("%v and %v: %s and %s", a, b, Timestamp(a), Timestamp(b))
		}
	})
}
