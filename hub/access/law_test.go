package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/ory/ladon"
	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/query/querytest"
	"github.com/lrshub/lrshub/policies"
)

// literal writes a value as Rego does. A whole number from 2^53 on would be refused: see the trap.
func literal(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// drawExpression makes one condition of the fragment that policies may use.
func drawExpression(t *rapid.T) string {
	column := rapid.SampledFrom(query.Statements.Names()).Draw(t, "column")
	kind := query.Statements[column].Type
	values := slices.DeleteFunc(slices.Clone(querytest.Values(kind)), func(v any) bool { n, ok := v.(int64); return ok && n >= 1<<53 })
	values = slices.DeleteFunc(values, func(v any) bool { f, ok := v.(float64); return ok && (f >= 1<<53 || f <= -1<<53) })
	value := rapid.Map(rapid.SampledFrom(values), literal)
	ref := "input.statement." + column
	forms := []string{"compare", "compare", "mirrored", "in", "in set", "exists", "null"}
	if kind == query.Text {
		forms = append(forms, "startswith", "endswith", "contains")
	}
	text := ""
	op := rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "op")
	switch form := rapid.SampledFrom(forms).Draw(t, "form"); form {
	case "compare":
		text = ref + " " + op + " " + value.Draw(t, "value")
	case "mirrored":
		text = value.Draw(t, "value") + " " + op + " " + ref
	case "in":
		text = ref + " in [" + strings.Join(rapid.SliceOfN(value, 0, 3).Draw(t, "values"), ", ") + "]"
	case "in set":
		text = ref + " in {" + strings.Join(rapid.SliceOfN(value, 1, 3).Draw(t, "values"), ", ") + "}"
	case "null":
		text = ref + " == null"
	case "exists":
		text = ref + " != null"
	default:
		text = form + "(" + ref + ", " + value.Draw(t, "value") + ")"
	}
	if rapid.Bool().Draw(t, "not") {
		text = "not " + text
	}
	return text
}

// drawPolicy makes rules for rows: a few alternatives of a few conditions, some through helper rules. The helper that is
// negated has only ==: OPA refuses to translate others (TestTrapUntranslatable).
func drawPolicy(t *rapid.T) string {
	var b strings.Builder
	body := func(head, opening string, draw func(*rapid.T) string) {
		lines := make([]string, rapid.IntRange(1, 3).Draw(t, "conditions"))
		for i := range lines {
			lines[i] = draw(t)
		}
		fmt.Fprintf(&b, "%s if {\n%s%s\n}\n", head, opening, strings.Join(lines, ";\n")) // a line may begin with -
	}
	for range rapid.IntRange(1, 3).Draw(t, "rules") {
		body("include", "some_scope;\n"+rapid.SampledFrom([]string{"", "helper;\n", "not equals;\n"}).Draw(t, "helper"), drawExpression)
	}
	body("helper", "", drawExpression)
	body("helper", "", drawExpression)
	body("equals", "", drawEquality)
	body("equals", "", drawEquality)
	return b.String() + noMasks
}

func drawEquality(t *rapid.T) string {
	column := rapid.SampledFrom([]string{"actor", "success", "object_kind", "voided", "stored"}).Draw(t, "column")
	text := "input.statement." + column + " == " + literal(rapid.SampledFrom(querytest.Values(query.Statements[column].Type)).Draw(t, "value"))
	if rapid.Bool().Draw(t, "not") {
		text = "not " + text
	}
	return text
}

// rowByRow evaluates the rule with each row as known input; a column without a value is null.
func rowByRow(t interface{ Fatal(...any) }, policy fs.FS, input map[string]any, rows []query.Row) []string {
	ctx := context.Background()
	modules, data, _, err := readBundle(policy)
	if err != nil {
		t.Fatal(err)
	}
	c := ast.NewCompiler()
	if c.Compile(modules); c.Failed() {
		t.Fatal(c.Errors)
	}
	q, err := rego.New(rego.Compiler(c), rego.Store(inmem.NewFromObject(data)), rego.Query(includeRule)).PrepareForEval(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var matching []string
	for _, row := range rows {
		input[table] = map[string]any(row)
		results, err := q.Eval(ctx, rego.EvalInput(input))
		if err != nil {
			t.Fatal(err)
		}
		if results.Allowed() {
			matching = append(matching, row["id"].(string))
		}
	}
	delete(input, table)
	slices.Sort(matching)
	return matching
}

// bySQL runs the filter on the statement table.
func bySQL(t interface{ Fatal(...any) }, db *database.DB, filter query.Node) []string {
	text, args, err := query.SQL(filter, query.Statements, 2)
	if err != nil {
		t.Fatal(err)
	}
	var matching []string
	err = db.ReadTenant(context.Background(), databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		matching = nil
		return tx.SelectContext(ctx, &matching, "SELECT s.id FROM statement AS s WHERE s.tenant_id = $1 AND "+text, append([]any{tx.Tenant}, args...)...)
	})
	if err != nil {
		t.Fatal(text, err)
	}
	slices.Sort(matching)
	return matching
}

// TestLawRegoEqualsSQL: for random policies and rows, the rows that Rego includes when it is given each of them
// are those that the SQL of the partially evaluated policy finds. Run it after an upgrade of OPA with
// -rapid.checks=10000 (a check is 3 policies on 100 rows).
func TestLawRegoEqualsSQL(t *testing.T) {
	db := databasetest.New(t)
	rows := querytest.Insert(t, db, 100)
	found, others := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range 3 {
			policy := drawPolicy(t)
			request := Request{caller("all"), Read, Statements}
			r, err := loadRules(context.Background(), bundle(policy))
			if err != nil {
				t.Fatalf("%s\n%v", policy, err)
			}
			input := inputOf(&snapshot{}, request)
			want := rowByRow(t, bundle(policy), input, rows)
			var got []string
			switch said, err := askRules(context.Background(), r, &snapshot{}, request); {
			case err == nil:
				got = bySQL(t, db, said.filter)
			case !errors.Is(err, ErrDenied):
				t.Fatalf("%s\n%v", policy, err)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s\nSQL finds %d rows, Rego %d: %v", policy, len(got), len(want), cmp.Diff(want, got))
			}
			if len(got) > 0 && len(got) < len(rows) {
				found++
			} else {
				others++
			}
		}
	})
	if found < others {
		t.Errorf("%d policies found some of the rows, %d none or all: the law says little", found, others)
	}
}

// TestLawOfOurPolicy holds the policy that is shipped to the same law, for random callers.
func TestLawOfOurPolicy(t *testing.T) {
	db := databasetest.New(t)
	rows := querytest.Insert(t, db, 100)
	r, err := loadRules(t.Context(), policies.Bundle())
	if err != nil {
		t.Fatal(err)
	}
	authorities := querytest.Values(query.UUID)
	rapid.Check(t, func(t *rapid.T) {
		who := caller(rapid.SliceOfNDistinct(rapid.SampledFrom(scopes), 0, 4, rapid.ID).Draw(t, "scopes")...)
		who.Purpose = rapid.SampledFrom(querytest.Values(query.Text)).Draw(t, "purpose").(string)
		known := rapid.SampledFrom([][]string{nil, {who.Purpose}, {"a", "B", who.Purpose}}).Draw(t, "known")
		who.Authority = uuid.MustParse(rapid.SampledFrom(authorities).Draw(t, "authority").(string))
		s, request := &snapshot{purposes: known}, Request{who, Read, Statements}
		var want, got []string
		if allowed, err := value(context.Background(), r.allow, inputOf(s, request)); err != nil {
			t.Fatal(err)
		} else if allowed == true {
			want = rowByRow(t, policies.Bundle(), inputOf(s, request), rows)
		}
		said, err := askRules(context.Background(), r, s, request)
		if err == nil {
			got = bySQL(t, db, said.filter)
		} else if !errors.Is(err, ErrDenied) {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v: SQL finds %v, Rego %v", who, got, want)
		}
	})
}

// TestLawGrantsRevealNoColumn: whatever grants are added, a caller that may read sees the same rows, columns and form:
// grants open resources, never data.
func TestLawGrantsRevealNoColumn(t *testing.T) {
	g, db, _ := newGate(t)
	s, err := newTenants(db, 0, g.tenants.now).snapshot(t.Context(), databasetest.Default)
	if err != nil {
		t.Fatal(err)
	}
	subjects := []string{"scope:<.*>"}
	for _, scope := range scopes {
		subjects = append(subjects, "scope:"+scope)
	}
	some := func(t *rapid.T, name string, of []string) []string {
		return rapid.SliceOfN(rapid.SampledFrom(append(of, "<.*>")), 1, 4).Draw(t, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		r := Request{caller(some(t, "scopes", scopes)...), Read, rapid.SampledFrom([]string{Statements, Export}).Draw(t, "resource")}
		before, deniedBefore := g.both(context.Background(), g.rules.Load(), s, r)
		more := &snapshot{purposes: s.purposes, policies: append(slices.Clone(s.policies), &ladon.DefaultPolicy{
			ID: "more", Effect: ladon.AllowAccess, Subjects: rapid.SliceOfN(rapid.SampledFrom(subjects), 1, 4).Draw(t, "subjects"),
			Actions: some(t, "actions", actions), Resources: some(t, "resources", resources),
		})}
		after, deniedAfter := g.both(context.Background(), g.rules.Load(), more, r)
		if deniedBefore == nil && (deniedAfter != nil || !cmp.Equal(before.Columns, after.Columns) || before.Form != after.Form || !cmp.Equal(before.Filter, after.Filter)) {
			t.Fatalf("%v: %+v, then %+v (%v)", r.Caller.Scopes, before, after, deniedAfter)
		}
		if deniedBefore != nil && deniedAfter == nil && after.Form == Identified && !mayIdentify(r.Caller.Scopes) {
			t.Fatalf("%v: a grant shows identities: %+v", r.Caller.Scopes, after)
		}
	})
}

func mayIdentify(held []string) bool {
	return slices.ContainsFunc(held, func(s string) bool {
		return s == "statements/read" || s == "statements/read/mine" || s == "all/read" || s == "all"
	})
}
