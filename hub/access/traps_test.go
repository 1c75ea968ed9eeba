package access

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/policies"
)

// Each test here is a way in which OPA, used as it comes, opens what should be closed. Those of ladon are in
// traps_grants_test.go.

// bundle is a policy that allows everybody who has a scope, with these rules for the rows and masks.
func bundle(rules string) fstest.MapFS {
	return fstest.MapFS{
		"data.json": {Data: []byte(`{"lrshub": {}}`)},
		"request.rego": {Data: []byte(`package lrshub.request
			allow if count(input.caller.scopes) > 0`)},
		"statements.rego": {Data: []byte(`package lrshub.statements
			some_scope if count(input.caller.scopes) > 0
			form := "identified" if some_scope
			audience := "" if some_scope
			` + rules)},
	}
}

const noMasks = `
			masks := {"statement": {}}`

// rule gives what the policy of these rules says to a read; include must be among them.
func rule(t *testing.T, text string) (ruling, error) {
	t.Helper()
	r, err := loadRules(t.Context(), bundle(text))
	if err != nil {
		return ruling{}, err
	}
	return askRules(t.Context(), r, &snapshot{}, Request{caller("all"), Read, Statements})
}

func TestTrapDenyIsNilAndAllowIsEmpty(t *testing.T) {
	said, err := rule(t, `include if { some_scope; 1 == 2 }`+noMasks)
	if !errors.Is(err, ErrDenied) || said.filter != nil {
		t.Errorf("no row: %+v, %v", said, err)
	}
	said, err = rule(t, `include if some_scope`+noMasks)
	if err != nil || said.filter != (query.True{}) {
		t.Errorf("every row: %+v, %v", said, err)
	}
	if _, err := rule(t, `include := some_scope == "no"`+noMasks); !errors.Is(err, ErrDenied) {
		t.Errorf("a rule that is false: %v", err)
	}
}

func TestTrapMaskRuleUndefinedOrMisspelt(t *testing.T) {
	include := `include if some_scope
			`
	for name, test := range map[string]struct {
		masks string
		want  map[string]bool
	}{
		"undefined":            {`masks := {"statement": {"verb": {}}} if input.caller.purpose == "none"`, map[string]bool{}},
		"does not fire":        {`masks := {"statement": {c: {} | some c in ["verb"]; input.caller.purpose == "none"}}`, map[string]bool{}},
		"other table":          {`masks := {"statements": {"verb": {}}}`, map[string]bool{}},
		"not an object":        {`masks := ["verb"]`, nil},
		"list for columns":     {`masks := {"statement": ["verb"]}`, map[string]bool{}},
		"a column that is set": {`masks := {"statement": {"verb": {}, "actor": {"replace": {"value": "*"}}, "stored": null, "object": true}}`, map[string]bool{"verb": true}},
	} {
		t.Run(name, func(t *testing.T) {
			said, err := rule(t, include+test.masks)
			if test.want == nil && err == nil || test.want != nil && (err != nil || !cmp.Equal(said.columns, test.want)) {
				t.Errorf("columns %v, %v; want %v", said.columns, err, test.want)
			}
		})
	}
	t.Run("misspelt", func(t *testing.T) {
		if _, err := rule(t, include+`mask := {"statement": {"verb": {}}}`); !errors.Is(err, ErrPolicy) {
			t.Errorf("a bundle without the rule masks: %v", err)
		}
	})
	t.Run("unknown column", func(t *testing.T) {
		if _, err := rule(t, include+`masks := {"statement": {"secret": {}}}`); !errors.Is(err, query.ErrUnknownColumn) {
			t.Errorf("a mask for a column that there is not: %v", err)
		}
	})
}

// TestTrapLiteralsAreParameters: no value of a policy is in the text of the SQL. The law in law_test.go
// sends hostile ones through Postgres.
func TestTrapLiteralsAreParameters(t *testing.T) {
	for _, literal := range []string{`x\u001ay`, `'; DROP TABLE statement; --`, `\\`} {
		said, err := rule(t, `include if { some_scope; input.statement.verb == "`+literal+`" }`+noMasks)
		if err != nil {
			t.Fatal(err)
		}
		text, args, err := query.SQL(said.filter, query.Statements, 1)
		if err != nil || strings.ContainsAny(strings.ReplaceAll(text, "'lrshub.tenant'", ""), `'\`) || len(args) != 1 {
			t.Errorf("%q: %s %q %v", literal, text, args, err)
		}
	}
	if _, err := rule(t, `include if { some_scope; input.statement.verb == "a\u0000b" }`+noMasks); !errors.Is(err, query.ErrType) {
		t.Errorf("a literal with U+0000: %v", err)
	}
	t.Run("column from the input", func(t *testing.T) {
		said, err := rule(t, `include if { some_scope; input.statement[concat("", ["verb) OR (TRUE", input.caller.purpose])] == "x" }`+noMasks)
		if !errors.Is(err, query.ErrUnknownColumn) {
			t.Errorf("%+v, %v", said, err)
		}
	})
	t.Run("unknown on the right", func(t *testing.T) { // was negated, not mirrored, before OPA 1.22
		said, err := rule(t, `include if { some_scope; 5 < input.statement.score_raw }`+noMasks)
		if want := (query.Compare{Column: "score_raw", Op: query.Greater, Value: int64(5)}); err != nil || said.filter != want {
			t.Errorf("%+v, %v; want %+v", said.filter, err, want)
		}
	})
}

func TestTrapBigNumbersAreRounded(t *testing.T) {
	if said, err := rule(t, `include if { some_scope; input.statement.score_raw == 9007199254740993 }`+noMasks); !errors.Is(err, query.ErrType) {
		t.Errorf("%+v, %v", said, err)
	}
}

// TestTrapMissingValues: `not ... == true` holds for a row without the value in Rego; plain SQL drops the row. And
// for `not ... < 5` Rego itself knows two answers, by whether the column is null or left out: it is null.
func TestTrapMissingValues(t *testing.T) {
	for condition, want := range map[string]bool{
		`input.statement.success == true`:       false,
		`not input.statement.success == true`:   true,
		`input.statement.success != true`:       true,
		`not input.statement.success != true`:   false,
		`input.statement.score_raw < 5`:         true,
		`not input.statement.score_raw < 5`:     false,
		`input.statement.score_raw > 5`:         false,
		`not input.statement.score_raw > 5`:     true,
		`input.statement.success in [true]`:     false,
		`not input.statement.success in [true]`: true,
		`input.statement.success == null`:       true,
		`input.statement.success != null`:       false,
		`not input.statement.success != null`:   true,
	} {
		policy := "include if { some_scope; " + condition + " }" + noMasks
		said, err := rule(t, policy)
		if err != nil {
			t.Fatal(condition, err)
		}
		row := query.Row{"id": "row", "success": nil, "score_raw": nil}
		if got, err := query.Match(said.filter, query.Statements, row); err != nil || got != want {
			t.Errorf("%s: Match = %v, %v; want %v", condition, got, err, want)
		}
		input := inputOf(&snapshot{}, Request{caller("all"), Read, Statements})
		if got := rowByRow(t, bundle(policy), input, []query.Row{row}); (len(got) == 1) != want {
			t.Errorf("%s: Rego finds %v; want %v", condition, got, want)
		}
	}
}

// TestTrapBuiltinErrors: a built-in that fails would be undefined, and `not` of it true.
func TestTrapBuiltinErrors(t *testing.T) {
	for name, rules := range map[string]string{
		"rows":  `include if { some_scope; not to_number(input.caller.purpose) == 1 }` + noMasks,
		"deny":  "include if { some_scope; not deny }\n deny if to_number(input.caller.purpose) == 1" + noMasks,
		"masks": "include if some_scope\n masks := {\"statement\": {\"actor\": {} | not to_number(input.caller.purpose) == 1}}",
	} {
		t.Run(name, func(t *testing.T) {
			if said, err := rule(t, rules); err == nil {
				t.Errorf("%+v", said)
			}
		})
	}
	t.Run("request", func(t *testing.T) {
		b := bundle(`include if some_scope` + noMasks)
		b["request.rego"].Data = []byte("package lrshub.request\nallow if not to_number(input.caller.purpose) == 1")
		if _, err := loadRules(t.Context(), b); err == nil {
			t.Error("the bundle is taken")
		}
	})
}

// TestTrapOptionsAreShared: Prepared.Compile appends to the options that it is given, so a list with room to
// spare must not be shared. Decisions side by side must each get their own answer.
func TestTrapOptionsAreShared(t *testing.T) {
	r, err := loadRules(t.Context(), policies.Bundle())
	if err != nil {
		t.Fatal(err)
	}
	s := &snapshot{purposes: []string{"a", "b"}}
	failed := make(chan string, 8)
	for i := range 8 {
		go func() {
			purpose := s.purposes[i%2]
			for range 50 {
				who := caller("statements/read")
				who.Purpose = purpose
				said, err := askRules(context.Background(), r, s, Request{who, Read, Statements})
				if want := (query.In{Column: "purpose", Values: []any{purpose}}); err != nil || !cmp.Equal(said.filter, query.Node(want)) {
					failed <- "another caller's answer"
					return
				}
			}
			failed <- ""
		}()
	}
	for range 8 {
		if problem := <-failed; problem != "" {
			t.Error(problem)
		}
	}
}

// TestTrapIndexedMembership: OPA 1.21 never matched `x in {"a", input.y}`.
func TestTrapIndexedMembership(t *testing.T) {
	said, err := rule(t, `include if { some_scope; input.statement.purpose in {"a", input.caller.purpose} }`+noMasks)
	if want := (query.In{Column: "purpose", Values: []any{"a", "learning-records"}}); err != nil || !cmp.Equal(said.filter, query.Node(want)) {
		t.Errorf("%+v, %v", said.filter, err)
	}
}

// TestTrapUntranslatable: what the fragment cannot say is an error when the bundle is loaded; some of it makes OPA panic
// or, worse, say "every row".
func TestTrapUntranslatable(t *testing.T) {
	for name, include := range map[string]string{
		"regex":                "regex.match(`a`, input.statement.verb)",
		"count":                `count(input.statement.verb) > 3`,
		"bare column":          `input.statement.success`,
		"whole row":            `input.statement == {}`,
		"column of column":     `input.statement.verb.iri == "x"`,
		"another column":       `input.statement.actor == input.statement.authority`,
		"not a rule with <":    `not low`,
		"not a rule with in":   `not listed`,
		"order of null":        `input.statement.success < null`,
		"prefix of a column":   `startswith(input.statement.verb, input.statement.purpose)`,
		"column in a list":     `input.statement.actor in [input.statement.authority]`,
		"not column in a list": `not input.statement.actor in [input.statement.authority]`,
		"in an object":         `input.statement.verb in {"k": "v"}`,
		"a list":               `input.statement.verb == ["x"]`,
		"another type":         `input.statement.verb == 5`,
		"unknown column":       `input.statement.region == "x"`,
		"every":                `every x in input.statement.verb { x == 1 }`,
		"exists":               `_ = input.statement.verb`,
		"with":                 `helper with input.caller.purpose as input.statement.verb`,
		"else":                 `chain`,
		"default":              `fallback`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadRules(t.Context(), bundle("include if { some_scope; "+include+" }"+noMasks+`
			helper if input.caller.purpose == "x"
			low if input.statement.score_raw < 5
			listed if input.statement.verb in ["a"]
			chain if { input.statement.verb == "a" } else if { input.statement.verb == "b" }
			default fallback := true
			fallback := false if input.statement.verb == "a"`))
			if err == nil {
				t.Error("the bundle is taken")
			}
		})
	}
}

// TestTrapConditionLost: the UCAST of "every row" is also what OPA gives when it loses a condition. It is believed
// only if partial evaluation leaves no condition.
func TestTrapConditionLost(t *testing.T) {
	r, err := loadRules(t.Context(), bundle(`include if { some_scope; input.statement.success == true }`+noMasks))
	if err != nil {
		t.Fatal(err)
	}
	input := inputOf(&snapshot{}, Request{caller("all"), Read, Statements})
	if err := r.provesAll(t.Context(), input); err == nil {
		t.Error("a rule with a condition is proved to show every row")
	}
}

func TestTrapWorldIsOutOfReach(t *testing.T) {
	for _, call := range []string{
		`http.send({"method": "GET", "url": "http://127.0.0.1/"}).status_code == 200`,
		`net.lookup_ip_addr("localhost") != set()`, `time.now_ns() > 0`, `rand.intn("x", 2) == 0`, `opa.runtime().env.HOME != ""`, `uuid.rfc4122("x") != ""`,
	} {
		if _, err := rule(t, "include if { some_scope; "+call+" }"+noMasks); !errors.Is(err, ErrPolicy) {
			t.Errorf("%s: %v", call, err)
		}
	}
}

func TestTrapBrokenPolicyKeepsTheWorkingOne(t *testing.T) {
	g, _, _ := newGate(t)
	before := g.Revision()
	whole := bundle("include if some_scope" + noMasks)
	for name, change := range map[string]func(fstest.MapFS){
		"syntax": func(b fstest.MapFS) { b["statements.rego"].Data = []byte("package lrshub.statements\ninclude if {") },
		"unused variable": func(b fstest.MapFS) {
			b["request.rego"].Data = []byte("package lrshub.request\nallow if { x := 1; true }")
		},
		"unknown function": func(b fstest.MapFS) {
			b["request.rego"].Data = []byte("package lrshub.request\nallow if open_sesame(1)")
		},
		"no rule allow":  func(b fstest.MapFS) { b["request.rego"].Data = []byte("package lrshub.request\nallowed := true") },
		"no data":        func(b fstest.MapFS) { delete(b, "data.json") },
		"data is a list": func(b fstest.MapFS) { b["data.json"].Data = []byte("[]") },
		"two forms at once": func(b fstest.MapFS) {
			b["x.rego"] = &fstest.MapFile{Data: []byte("package lrshub.statements\nform := \"pseudonymised\" if some_scope")}
		},
		"open to no scope": func(b fstest.MapFS) {
			b["request.rego"].Data = []byte("package lrshub.request\nallow := true")
			b["statements.rego"].Data = []byte("package lrshub.statements\ninclude := true\nform := \"identified\"\naudience := \"\"\nmasks := {}")
		},
		"too large": func(b fstest.MapFS) {
			b["x.rego"] = &fstest.MapFile{Data: []byte("package x\n#" + strings.Repeat("x", maxBundle))}
		},
		"recursive": func(b fstest.MapFS) { b["x.rego"] = &fstest.MapFile{Data: []byte("package x\na if b\nb if a")} },
	} {
		t.Run(name, func(t *testing.T) {
			b := bundle("include if some_scope" + noMasks)
			change(b)
			if err := g.Load(t.Context(), b); !errors.Is(err, ErrPolicy) {
				t.Errorf("Load: %v", err)
			}
			if d, err := g.Decide(t.Context(), Request{caller("statements/read"), Read, Statements}); err != nil || d.Revision != before {
				t.Errorf("afterwards: %+v, %v", d, err)
			}
		})
	}
	if err := g.Load(t.Context(), whole); err != nil || g.Revision() == before {
		t.Fatalf("a whole bundle: %v", err)
	}
	if d, err := g.Decide(t.Context(), Request{caller("statements/read"), Read, Statements}); err != nil || d.Filter != (query.True{}) || d.Revision == before {
		t.Errorf("with the new policy: %+v, %v", d, err)
	}
}

// TestTrapPartialEvaluationKeepsUnknownsUnknown guards the query that provesAll rests on.
func TestTrapPartialEvaluationKeepsUnknownsUnknown(t *testing.T) {
	r, err := loadRules(t.Context(), bundle(`include if some_scope`+noMasks))
	if err != nil {
		t.Fatal(err)
	}
	left, err := r.partial.Partial(t.Context(), rego.EvalInput(map[string]any{"caller": map[string]any{"scopes": []string{"all"}}}), rego.EvalParsedUnknowns([]*ast.Term{unknown()}))
	if err != nil || len(left.Queries) != 1 || len(left.Queries[0]) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}
