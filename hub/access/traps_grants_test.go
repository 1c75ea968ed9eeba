package access

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ory/ladon"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
)

// Traps of ladon; those of OPA are in traps_test.go.

// TestTrapGrantsRefused: what ladon would take, and then read otherwise than it looks.
func TestTrapGrantsRefused(t *testing.T) {
	whole := map[string]any{
		"id": "g", "effect": "allow", "subjects": []string{"scope:all"}, "actions": []string{"read"}, "resources": []string{"statements"},
	}
	condition := func(kind string, options map[string]any) map[string]any {
		return map[string]any{"purpose": map[string]any{"type": kind, "options": options}}
	}
	for name, test := range map[string]struct {
		change map[string]any
		ok     bool
	}{
		"as it should be":                       {nil, true},
		"a pattern":                             {map[string]any{"resources": []string{"statements<(:export)?>"}}, true},
		"a purpose":                             {map[string]any{"conditions": condition("StringEqualCondition", map[string]any{"equals": "p"})}, true},
		"a denial":                              {map[string]any{"effect": "deny"}, true},
		"no id":                                 {map[string]any{"id": ""}, false},
		"id with blanks":                        {map[string]any{"id": "a b"}, false},
		"effect misspelt":                       {map[string]any{"effect": "Allow"}, false},
		"unknown member":                        {map[string]any{"resource": "statements"}, false},
		"no subjects":                           {map[string]any{"subjects": []string{}}, false},
		"pattern that does not compile":         {map[string]any{"resources": []string{"<(>"}}, false},
		"pattern that is not closed":            {map[string]any{"resources": []string{"statements<"}}, false},
		"resource that there is not":            {map[string]any{"resources": []string{"statement"}}, false},
		"action that there is not":              {map[string]any{"actions": []string{"red"}}, false},
		"scope that there is not":               {map[string]any{"subjects": []string{"scope:al"}}, false},
		"subject without kind":                  {map[string]any{"subjects": []string{"<.*>"}}, false},
		"client by name":                        {map[string]any{"subjects": []string{"client:reports"}}, false},
		"condition that ladon matches anywhere": {map[string]any{"conditions": condition("StringMatchCondition", map[string]any{"matches": "p"})}, false},
		"condition that is not known":           {map[string]any{"conditions": condition("TimeCondition", nil)}, false},
		"condition that always fails":           {map[string]any{"conditions": map[string]any{"ip": map[string]any{"type": "CIDRCondition", "options": map[string]any{"cidr": "x"}}}}, false},
		"condition on what is not given":        {map[string]any{"conditions": map[string]any{"unit": map[string]any{"type": "StringEqualCondition", "options": map[string]any{"equals": "p"}}}}, false},
		"denial with a condition":               {map[string]any{"effect": "deny", "conditions": condition("StringEqualCondition", map[string]any{"equals": "p"})}, false},
		"long pattern":                          {map[string]any{"subjects": []string{"scope:" + strings.Repeat("a", 300)}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			document := map[string]any{}
			for k, v := range whole {
				document[k] = v
			}
			for k, v := range test.change {
				document[k] = v
			}
			text, err := json.Marshal(document)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parseGrant(text); (err == nil) != test.ok || err != nil && !errors.Is(err, ErrInvalidGrant) {
				t.Errorf("parseGrant: %v", err)
			}
		})
	}
}

// TestTrapDenyBeatsAllow: a denial to one of the caller's scopes beats an allowance to another.
func TestTrapDenyBeatsAllow(t *testing.T) {
	policy := func(id, effect, scope string) ladon.Policy {
		return &ladon.DefaultPolicy{ID: id, Effect: effect, Subjects: []string{"scope:" + scope}, Actions: []string{Read}, Resources: []string{Statements}}
	}
	for _, held := range [][]string{{"all", "define"}, {"define", "all"}} {
		for _, order := range [][2]int{{0, 1}, {1, 0}} {
			both := ladon.Policies{policy("yes", "allow", "all"), policy("no", "deny", "define")}
			s := &snapshot{policies: ladon.Policies{both[order[0]], both[order[1]]}}
			ids, err := askGrants(t.Context(), s, Request{caller(held...), Read, Statements})
			if !errors.Is(err, ErrDenied) || ids != nil || !strings.Contains(err.Error(), "no") {
				t.Errorf("%v: %v, %v", held, ids, err)
			}
		}
	}
}

// TestTrapGrantThatCannotBeRead: one that a denial may have stood in denies all.
func TestTrapGrantThatCannotBeRead(t *testing.T) {
	g, db, c := newGate(t)
	in(t, db, databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO grant_policy (tenant_id, id, document) VALUES ($1, 'odd', '{"id": "odd", "effect": "deny", "subjects": ["<("]}')`, tx.Tenant)
		return err
	})
	c.pass(time.Second)
	if d, err := g.Decide(t.Context(), Request{caller("all"), Read, Statements}); !errors.Is(err, ErrDenied) || !errors.Is(err, ErrUndecided) {
		t.Errorf("Decide = %+v, %v", d, err)
	}
}
