package access

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/ory/ladon"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/policies"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// newGate makes a gate on a fresh database whose first tenant has its defaults; the other has nothing.
func newGate(t testing.TB) (*Gate, *database.DB, *clock) {
	t.Helper()
	db := databasetest.New(t)
	c := &clock{at: now}
	g, err := New(t.Context(), db, policies.Bundle(), Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	in(t, db, databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		return errors.Join(people.SeedDefault(ctx, tx, now), g.Seed(ctx, tx, now))
	})
	return g, db, c
}

func in(t testing.TB, db *database.DB, tenant database.TenantID, fn func(ctx context.Context, tx *database.Tx) error) {
	t.Helper()
	if err := db.Tenant(t.Context(), tenant, fn); err != nil {
		t.Fatal(err)
	}
}

var authority = uuid.MustParse("0190a1b2-0000-7000-8000-0000000000aa")

func caller(scopes ...string) Caller {
	return Caller{
		Tenant: databasetest.Default, Client: uuid.MustParse("0190a1b2-0000-7000-8000-000000000001"), Name: "reports",
		Scopes: scopes, Purpose: people.DefaultPurpose, Authority: authority,
	}
}

// allowed is the whole of what each scope may do, written down apart from the policy files:
// resource:action, and the form where there are statements.
var allowed = map[string]string{
	"statements/write":              "statements:write",
	"statements/read":               "statements:read=identified statements:export:read=identified activities:read agents:read",
	"statements/read/pseudonymised": "statements:read=pseudonymised statements:export:read=pseudonymised",
	"statements/read/mine":          "statements:read=identified",
	"define":                        "activities:define",
	"statements/import":             "statements:import:write",
	"state":                         "state:read state:write",
	"records/enter":                 "entries:write",
	"persons/read":                  "persons:read",
	"persons/write":                 "persons:read persons:write",
	"provisioning":                  "provisioning:read provisioning:write",
	"state/read":                    "state:read",
	"profile":                       "agent-profiles:read agent-profiles:write activity-profiles:read activity-profiles:write",
	"agents_profile":                "agent-profiles:read agent-profiles:write",
	"agents_profile/read":           "agent-profiles:read",
	"activities_profile":            "activity-profiles:read activity-profiles:write",
	"activities_profile/read":       "activity-profiles:read",
	"all/read": "statements:read=identified statements:export:read=identified activities:read agents:read " +
		"state:read agent-profiles:read activity-profiles:read",
	"all": "statements:read=identified statements:write statements:export:read=identified activities:read activities:define agents:read " +
		"state:read state:write agent-profiles:read agent-profiles:write activity-profiles:read activity-profiles:write",
	"connections/read":  "connections:read mappings:read syncs:read dead-letters:read",
	"connections/write": "connections:read mappings:read syncs:read dead-letters:read connections:write mappings:write syncs:write dead-letters:write",
	"audit/read":        "audit:read",
	"admin": "connections:read mappings:read syncs:read dead-letters:read connections:write mappings:write syncs:write dead-letters:write entries:write " +
		"audit:read clients:read clients:manage tenants:read tenants:manage purposes:read purposes:manage policy:read policy:manage",
}

// matrix asks the gate for every scope, action and resource, and lists what it allows, as allowed does.
func matrix(t *testing.T, g *Gate) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, scope := range append(Scopes(), "", "statements/", "scope:all", "all\n") {
		var cells []string
		for _, resource := range resources {
			for _, action := range actions {
				d, err := g.Decide(t.Context(), Request{caller(scope), action, resource})
				if err != nil {
					if !errors.Is(err, ErrDenied) || !cmp.Equal(d, Decision{}) {
						t.Fatalf("%s %s %s: %+v, %v", scope, action, resource, d, err)
					}
					continue
				}
				cell := resource + ":" + action
				if d.Form != "" {
					cell += "=" + string(d.Form)
				}
				cells = append(cells, cell)
			}
		}
		if cells != nil {
			got[scope] = sorted(cells)
		}
	}
	return got
}

func sorted(cells []string) string {
	slices.Sort(cells)
	return strings.Join(cells, " ")
}

func wanted() map[string]string {
	want := map[string]string{}
	for scope, cells := range allowed {
		want[scope] = sorted(strings.Fields(cells))
	}
	return want
}

func TestMatrix(t *testing.T) {
	g, _, _ := newGate(t)
	if diff := cmp.Diff(wanted(), matrix(t, g)); diff != "" {
		t.Error(diff)
	}
}

// TestBothEnginesMatter: with either engine saying yes to all, the matrix is another: each of the two denies
// something that the other would let through.
func TestBothEnginesMatter(t *testing.T) {
	for name, mutate := range map[string]func(*Gate){
		"grants": func(g *Gate) {
			g.grants = func(context.Context, *snapshot, Request) ([]string, error) { return []string{"anything"}, nil }
		},
		"rules": func(g *Gate) {
			g.ruling = func(context.Context, *rules, *snapshot, Request) (ruling, error) {
				return ruling{form: Identified, filter: query.True{}}, nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, _, _ := newGate(t)
			mutate(g)
			if got := matrix(t, g); cmp.Equal(wanted(), got) {
				t.Errorf("without %s nothing changes", name)
			}
		})
	}
}

// TestBrokenEngineDenies: an engine that fails in whatever way denies.
func TestBrokenEngineDenies(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	good := ruling{form: Identified, filter: query.True{}}
	read := Request{caller("all"), Read, Statements}
	whole, _, _ := newGate(t)
	for name, test := range map[string]struct {
		grants func() ([]string, error)
		ruling func() (ruling, error)
	}{
		"grants: error":       {grants: func() ([]string, error) { return []string{"g"}, errors.New("broken") }},
		"grants: nil":         {grants: func() ([]string, error) { return nil, nil }},
		"grants: empty":       {grants: func() ([]string, error) { return []string{}, nil }},
		"grants: panic":       {grants: func() ([]string, error) { panic("broken") }},
		"grants: timeout":     {grants: func() ([]string, error) { <-hang; return []string{"g"}, nil }},
		"rules: error":        {ruling: func() (ruling, error) { return good, errors.New("broken") }},
		"rules: nil":          {ruling: func() (ruling, error) { return ruling{}, nil }},
		"rules: no filter":    {ruling: func() (ruling, error) { return ruling{form: Identified}, nil }},
		"rules: no form":      {ruling: func() (ruling, error) { return ruling{filter: query.True{}}, nil }},
		"rules: unknown form": {ruling: func() (ruling, error) { return ruling{form: "open", filter: query.True{}}, nil }},
		"rules: no audience":  {ruling: func() (ruling, error) { return ruling{form: Pseudonymised, filter: query.True{}}, nil }},
		"rules: frame pseudonymised": {ruling: func() (ruling, error) {
			return ruling{form: Pseudonymised, filter: query.True{}, audience: "a", columns: map[string]bool{"frame": true}}, nil
		}},
		"rules: panic":   {ruling: func() (ruling, error) { panic("broken") }},
		"rules: timeout": {ruling: func() (ruling, error) { <-hang; return good, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			g := &Gate{timeout: 200 * time.Millisecond, tenants: whole.tenants, grants: whole.grants, ruling: whole.ruling}
			g.rules.Store(whole.rules.Load())
			if test.grants != nil {
				g.grants = func(context.Context, *snapshot, Request) ([]string, error) { return test.grants() }
			}
			if test.ruling != nil {
				g.ruling = func(context.Context, *rules, *snapshot, Request) (ruling, error) { return test.ruling() }
			}
			for range 2 { // the second answer must not come from what was kept of the first
				d, err := g.Decide(t.Context(), read)
				if !errors.Is(err, ErrDenied) || !cmp.Equal(d, Decision{}) {
					t.Errorf("Decide = %+v, %v", d, err)
				}
			}
		})
	}
	if _, err := whole.Decide(t.Context(), read); err != nil { // last, so that nothing was kept of it above
		t.Errorf("with both engines whole: %v", err)
	}
}

func TestDatabaseGoneDenies(t *testing.T) {
	g, db, c := newGate(t)
	read := Request{caller("all"), Read, Statements}
	if _, err := g.Decide(t.Context(), read); err != nil {
		t.Fatal(err)
	}
	db.Close()
	c.pass(time.Hour)
	if _, err := g.Decide(t.Context(), read); !errors.Is(err, ErrDenied) || !errors.Is(err, ErrUndecided) {
		t.Errorf("Decide with old grants and no database: %v", err)
	}
}

func TestDecision(t *testing.T) {
	g, _, _ := newGate(t)
	purpose := query.In{Column: "purpose", Values: []any{people.DefaultPurpose}}
	pseudonymised := []string{"actor", "completion", "id", "object", "object_kind", "registration", "score_max", "score_min",
		"score_raw", "score_scaled", "stored", "success", "timestamp", "verb"}
	for scope, want := range map[string]Decision{
		"statements/read":               {Form: Identified, Filter: purpose, Grants: []string{"statements-read"}},
		"statements/read/pseudonymised": {Form: Pseudonymised, Filter: purpose, Grants: []string{"statements-read"}, Audience: "client:0190a1b2-0000-7000-8000-000000000001"},
		"statements/read/mine": {Form: Identified, Grants: []string{"statements-read"},
			Filter: query.And{query.Compare{Column: "authority", Op: query.Equal, Value: authority.String()}, purpose}},
	} {
		d, err := g.Decide(t.Context(), Request{caller(scope), Read, Statements})
		if err != nil {
			t.Fatalf("%s: %v", scope, err)
		}
		columns := slices.Sorted(maps.Keys(d.Columns))
		if d.Form == Pseudonymised && !cmp.Equal(columns, pseudonymised) {
			t.Errorf("%s shows %v", scope, columns)
		}
		if d.Form == Identified && (!d.Columns["frame"] || len(columns) != len(showable)) {
			t.Errorf("%s shows %v", scope, columns)
		}
		want.Revision, d.Columns = g.Revision(), nil
		if diff := cmp.Diff(want, d); diff != "" {
			t.Errorf("%s: %s", scope, diff)
		}
	}
}

// TestDecisionIsACopy: what a reader does to a decision changes nobody else's.
func TestDecisionIsACopy(t *testing.T) {
	g, _, _ := newGate(t)
	read := Request{caller("statements/read/pseudonymised"), Read, Statements}
	for range 3 {
		d, err := g.Decide(t.Context(), read)
		if err != nil || d.Columns["frame"] || d.Grants[0] == "mine" {
			t.Fatalf("%+v, %v", d, err)
		}
		d.Columns["frame"], d.Grants[0] = true, "mine"
	}
}

func TestDeniedWithoutPurposeOrTenant(t *testing.T) {
	g, _, _ := newGate(t)
	for name, change := range map[string]func(*Caller){
		"no purpose":                  func(c *Caller) { c.Purpose = "" },
		"unknown purpose":             func(c *Caller) { c.Purpose = "curiosity" },
		"no scope":                    func(c *Caller) { c.Scopes = nil },
		"a tenant without grants":     func(c *Caller) { c.Tenant = databasetest.Other },
		"a tenant that is not there":  func(c *Caller) { c.Tenant = 77 },
		"no tenant":                   func(c *Caller) { c.Tenant = 0 },
		"mine, and nothing is theirs": func(c *Caller) { c.Scopes, c.Authority = []string{"statements/read/mine"}, uuid.Nil },
		"more scopes than there are":  func(c *Caller) { c.Scopes = slices.Repeat([]string{"all"}, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			who := caller("all")
			change(&who)
			if d, err := g.Decide(t.Context(), Request{who, Read, Statements}); !errors.Is(err, ErrDenied) {
				t.Errorf("Decide = %+v, %v", d, err)
			}
		})
	}
	for _, r := range []Request{{caller("all"), "", Statements}, {caller("all"), Read, ""}, {caller("all"), "<.*>", Statements}} {
		if d, err := g.Decide(t.Context(), r); !errors.Is(err, ErrDenied) {
			t.Errorf("Decide(%q, %q) = %+v, %v", r.Action, r.Resource, d, err)
		}
	}
}

func TestGrantsTakeEffect(t *testing.T) {
	g, db, c := newGate(t)
	read := Request{caller("statements/read"), Read, Statements}
	check := func(step string, want bool) {
		t.Helper()
		if _, err := g.Decide(t.Context(), read); (err == nil) != want || err != nil && errors.Is(err, ErrUndecided) {
			t.Errorf("%s: %v", step, err)
		}
	}
	check("with the defaults", true)
	deny := ladon.DefaultPolicy{ID: "no-reports", Effect: ladon.DenyAccess, Subjects: []string{"client:" + read.Caller.Client.String()},
		Actions: []string{Read}, Resources: []string{"<.*>"}}
	in(t, db, databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		return SetGrant(ctx, tx, now, "client", Grant{Policy: deny})
	})
	c.pass(time.Second)
	check("with a denial beside", false)
	in(t, db, databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		return RemoveGrant(ctx, tx, now, "client", deny.ID)
	})
	c.pass(time.Second)
	check("without the denial", true)
	in(t, db, databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		return RemoveGrant(ctx, tx, now, "client", "statements-read")
	})
	c.pass(time.Second)
	check("without the grant", false)
	in(t, db, databasetest.Default, func(ctx context.Context, tx *database.Tx) error { return g.Seed(ctx, tx, now) })
	c.pass(time.Second)
	check("seeded again: what was removed stays removed", false)
}

func TestConcurrentDecisions(t *testing.T) {
	g, _, c := newGate(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				r := Request{caller(scopes[(i+j)%len(scopes)]), Read, Statements}
				d, err := g.Decide(t.Context(), r)
				if want := strings.Contains(allowed[r.Caller.Scopes[0]], "statements:read="+string(d.Form)) && d.Form != ""; want != (err == nil) {
					t.Errorf("%v: %+v, %v", r.Caller.Scopes, d, err)
				}
				c.pass(100 * time.Millisecond)
			}
		})
	}
	all.Wait()
}

func TestErrorsSayWhat(t *testing.T) {
	g, _, _ := newGate(t)
	_, err := g.Decide(t.Context(), Request{caller("define"), Read, Audit})
	for _, part := range []string{Read, Audit, "grant"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v: says nothing of %s", err, part)
		}
	}
	if strings.Contains(fmt.Sprint(err), authority.String()) {
		t.Errorf("%v: names a subject", err)
	}
}
