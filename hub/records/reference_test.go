package records_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// reference refers to a statement, which need not be there.
func reference(target uuid.UUID) records.Statement {
	s := statement(uuid.New())
	s.ObjectKind, s.Object = xapi.ObjectStatementRef, target
	return s
}

// resolveAll resolves until no reference waits to be looked at.
func resolveAll(t testing.TB, db *database.DB) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := records.Resolve(context.Background(), db, 1); err != nil {
			t.Fatal(err)
		}
		if count(t, db, `SELECT count(*) FROM reference_pending WHERE tenant_id = 1 AND state < 3`) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("references are not resolved within a minute")
		}
	}
}

func count(t testing.TB, db *database.DB, query string) (n int) {
	t.Helper()
	err := db.Tenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) error { return tx.GetContext(ctx, &n, query) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// world is what a rapid test has written, and the model that says what a query must find.
type world struct {
	ids, subjects, activities, registrations []uuid.UUID
	verbs                                    []string
	numbers                                  map[string]int32
	stored                                   []records.Statement // in the order of stored
}

func newWorld(t testing.TB, db *database.DB) *world {
	w := &world{}
	for range 9 {
		w.ids = append(w.ids, uuid.New())
	}
	for i := range 3 {
		w.subjects, w.activities, w.registrations = append(w.subjects, uuid.New()), append(w.activities, uuid.New()), append(w.registrations, uuid.New())
		w.verbs = append(w.verbs, fmt.Sprintf("https://example.org/%s/%d", uuid.New(), i))
	}
	var err error
	if w.numbers, err = records.NewDictionary(db).Verbs(context.Background(), 1, w.verbs); err != nil {
		t.Fatal(err)
	}
	return w
}

// statement draws one that is not stored yet. Every third refers to another of the world, to itself, or to none; the last verb voids.
func (w *world) statement(t *rapid.T, id uuid.UUID) records.Statement {
	s := statement(rapid.SampledFrom(w.subjects).Draw(t, "actor"))
	s.ID, s.Authority = id, rapid.SampledFrom(w.subjects).Draw(t, "authority")
	s.Verb = w.numbers[rapid.SampledFrom(w.verbs[:2]).Draw(t, "verb")]
	s.Object = rapid.SampledFrom(w.activities).Draw(t, "object")
	s.Registration = rapid.SampledFrom(append(w.registrations, uuid.Nil)).Draw(t, "registration")
	if rapid.Bool().Draw(t, "refers") {
		s.ObjectKind, s.Object = xapi.ObjectStatementRef, rapid.SampledFrom(w.ids).Draw(t, "target")
		if rapid.Bool().Draw(t, "voids") {
			s.Voids, s.Verb = s.Object, w.numbers[w.verbs[2]]
		}
	}
	for slot := range rapid.IntRange(0, 2).Draw(t, "agents") {
		s.Agents = append(s.Agents, records.Agent{Slot: slot, Subject: rapid.SampledFrom(w.subjects).Draw(t, "agent"), Role: xapi.RoleMember,
			Direct: rapid.Bool().Draw(t, "direct"), Sealed: []byte("sealed")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "activities") {
		s.Activities = append(s.Activities, records.ActivityUse{Key: rapid.SampledFrom(w.activities).Draw(t, "activity"), Role: xapi.ActivityParent})
	}
	return s
}

// everything asks for all that is not voided.
func (w *world) everything() records.Query {
	return records.Query{Targets: true, Ascending: true, Limit: 1000, Fresh: true, Policy: query.True{}, Filter: query.Compare{Column: "voided", Op: query.Equal, Value: false}}
}

func (w *world) query(t *rapid.T) records.Query {
	q := w.everything()
	q.Ascending, q.Limit = rapid.Bool().Draw(t, "ascending"), rapid.IntRange(1, 4).Draw(t, "limit")
	if rapid.Bool().Draw(t, "by policy") {
		q.Policy = query.Not{Node: query.Compare{Column: "authority", Op: query.Equal, Value: w.subjects[0]}}
	}
	switch rapid.IntRange(0, 4).Draw(t, "first filter") { // at least one: other worlds are in the same tenant
	case 0, 1:
		q.Agent = rapid.SampledFrom(w.subjects).Draw(t, "by agent")
	case 2:
		q.Verb = rapid.SampledFrom(w.verbs).Draw(t, "by verb")
	case 3:
		q.Activity = rapid.SampledFrom(w.activities).Draw(t, "by activity")
	case 4:
		q.Registration = rapid.SampledFrom(w.registrations).Draw(t, "by registration")
	}
	if rapid.IntRange(0, 2).Draw(t, "and verb") == 0 {
		q.Verb = rapid.SampledFrom(w.verbs).Draw(t, "by verb")
	}
	if rapid.IntRange(0, 3).Draw(t, "and activity") == 0 {
		q.Activity = rapid.SampledFrom(w.activities).Draw(t, "by activity")
	}
	if rapid.IntRange(0, 5).Draw(t, "and registration") == 0 {
		q.Registration = rapid.SampledFrom(w.registrations).Draw(t, "by registration")
	}
	q.RelatedAgents = q.Agent != uuid.Nil && rapid.Bool().Draw(t, "related agents")
	q.RelatedActivities = q.Activity != uuid.Nil && rapid.Bool().Draw(t, "related activities")
	if len(w.stored) > 0 && rapid.IntRange(0, 3).Draw(t, "since") == 0 {
		q.Since = rapid.SampledFrom(w.stored).Draw(t, "since").Stored
	}
	if len(w.stored) > 0 && rapid.IntRange(0, 3).Draw(t, "until") == 0 {
		q.Until = rapid.SampledFrom(w.stored).Draw(t, "until").Stored
	}
	return q
}

// find is the model: it reads everything, and follows each chain.
func (w *world) find(q records.Query) (found []uuid.UUID) {
	byID := map[uuid.UUID]records.Statement{}
	for _, s := range w.stored {
		byID[s.ID] = s
	}
	for _, s := range w.stored {
		voided := s.Voids == uuid.Nil && slices.ContainsFunc(w.stored, func(v records.Statement) bool { return v.Voids == s.ID })
		if voided || !w.allowed(q, s) || !q.Since.IsZero() && !s.Stored.After(q.Since) || !q.Until.IsZero() && s.Stored.After(q.Until) {
			continue
		}
		seen, at, there := map[uuid.UUID]bool{}, s, true
		for there && !seen[at.ID] {
			if w.allowed(q, at) && w.meets(q, at) {
				found = append(found, s.ID)
				break
			}
			seen[at.ID] = true
			if at.ObjectKind != xapi.ObjectStatementRef {
				break
			}
			at, there = byID[at.Object]
		}
	}
	if !q.Ascending {
		slices.Reverse(found)
	}
	return found
}

func (w *world) allowed(q records.Query, s records.Statement) bool {
	return q.Policy == query.Node(query.True{}) || s.Authority != w.subjects[0]
}

func (w *world) meets(q records.Query, s records.Statement) bool {
	agent := q.Agent == uuid.Nil || s.Actor == q.Agent || q.RelatedAgents && s.Authority == q.Agent ||
		slices.ContainsFunc(s.Agents, func(a records.Agent) bool { return a.Subject == q.Agent && (a.Direct || q.RelatedAgents) })
	activity := q.Activity == uuid.Nil || s.ObjectKind == xapi.ObjectActivity && s.Object == q.Activity ||
		q.RelatedActivities && slices.ContainsFunc(s.Activities, func(u records.ActivityUse) bool { return u.Key == q.Activity })
	return agent && activity && (q.Verb == "" || s.Verb == w.numbers[q.Verb]) && (q.Registration == uuid.Nil || s.Registration == q.Registration)
}

// keepBounds sets the bounds that a test changes back when it ends.
func keepBounds(t *testing.T) {
	keys, each, meet := *records.MaxKeys, *records.MaxEach, *records.MaxMeet
	t.Cleanup(func() { *records.MaxKeys, *records.MaxEach, *records.MaxMeet = keys, each, meet })
}

// Whatever refers to whatever, in whatever order it arrives, and however far the resolver is: a query finds what the model finds, page by page.
func TestReferencesAreFoundAsTheModelSays(t *testing.T) {
	db := databasetest.New(t)
	keepBounds(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, db)
		*records.MaxKeys = rapid.SampledFrom([]int{0, 6, 12, 32}).Draw(rt, "keys")
		*records.MaxEach, *records.MaxMeet = rapid.SampledFrom([]int{0, 1, 200}).Draw(rt, "each"), rapid.SampledFrom([]int{1, 3, 5000}).Draw(rt, "meet")
		waiting := rapid.Permutation(w.ids).Draw(rt, "order")
		for len(waiting) > 0 {
			n := rapid.IntRange(1, min(4, len(waiting))).Draw(rt, "batch")
			batch := make([]records.Statement, n)
			for i := range batch {
				batch[i] = w.statement(rt, waiting[i])
			}
			waiting = waiting[n:]
			write(t, db, batch...)
			w.stored = append(w.stored, batch...)
			switch rapid.IntRange(0, 5).Draw(rt, "resolve") {
			case 0:
				resolveAll(t, db)
			case 1, 2:
				if _, err := records.Resolve(context.Background(), db, 1); err != nil {
					t.Fatal(err)
				}
			}
			w.check(t, rt, db, w.query(rt))
		}
		for range 3 {
			w.check(t, rt, db, w.query(rt))
		}
	})
}

func (w *world) check(t *testing.T, rt *rapid.T, db *database.DB, q records.Query) {
	var found []uuid.UUID
	for {
		rows := read(t, db, 1, q)
		found = append(found, ids(rows)...)
		if len(rows) < q.Limit {
			break
		}
		q.After = rows[len(rows)-1].Position()
	}
	if diff := cmp.Diff(w.find(q), found); diff != "" {
		rt.Fatalf("query %+v: %s", q, diff)
	}
}

// The keys of a target with many agents are kept once, and not for each statement that refers to it, which is found all the same, also behind others.
func TestReferencesToAWideTarget(t *testing.T) {
	db := databasetest.New(t)
	target := statement(uuid.New())
	var last uuid.UUID
	for slot := range 300 {
		last = uuid.New()
		target.Agents = append(target.Agents, records.Agent{Slot: slot, Subject: last, Role: xapi.RoleMember, Direct: true, Sealed: []byte("sealed")})
	}
	first := reference(target.ID)
	second := reference(first.ID)
	write(t, db, target, first, second)
	late := reference(target.ID)
	lateTarget := reference(late.ID)
	write(t, db, lateTarget)
	write(t, db, late)
	for range 2 {
		want := []uuid.UUID{late.ID, lateTarget.ID, second.ID, first.ID, target.ID}
		got := ids(read(t, db, 1, records.Query{Agent: last, Targets: true}))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		resolveAll(t, db)
	}
	for query, want := range map[string]int{
		pendingRows: 0, // readers with other keys have nothing to look at
		`SELECT count(*) FROM reference_wide_key WHERE tenant_id = 1 AND target_id = '` + target.ID.String() + `'`: 304, // once, of 4 references
		`SELECT count(*) FROM reference_wide WHERE tenant_id = 1 AND target_id = '` + target.ID.String() + `'`:     4,
		`SELECT count(*) FROM reference_key WHERE tenant_id = 1 AND target_id = '` + target.ID.String() + `'`:      0,
	} {
		if n := count(t, db, query); n != want {
			t.Errorf("%s: %d, want %d", query, n, want)
		}
	}
}

// What refers to several wide targets must not use up a page's rows, whether the targets are looked up one by one or not.
func TestReferencesToSeveralWideTargetsFillTheirPages(t *testing.T) {
	keepBounds(t)
	*records.MaxKeys = 0
	db := databasetest.New(t)
	me := uuid.New()
	chain := []records.Statement{statement(me)}
	for range 3 {
		next := reference(chain[len(chain)-1].ID)
		next.Actor = me
		write(t, db, chain[len(chain)-1])
		chain = append(chain, next)
	}
	write(t, db, chain[3])
	var want []uuid.UUID
	for _, s := range chain {
		want = append(want, s.ID)
	}
	for range 7 {
		s := reference(chain[3].ID)
		write(t, db, s)
		want = append(want, s.ID)
	}
	for _, *records.MaxEach = range []int{0, 3, 4} {
		q := records.Query{Agent: me, Targets: true, Ascending: true, Limit: 4, Fresh: true}
		for from := 0; from < len(want); from += q.Limit {
			rows := read(t, db, 1, q)
			if diff := cmp.Diff(want[from:min(from+q.Limit, len(want))], ids(rows)); diff != "" {
				t.Fatalf("%d one by one, page from %d: %s", *records.MaxEach, from, diff)
			}
			q.After = rows[len(rows)-1].Position()
		}
	}
}

// A chain is followed 100 statements far, whether its keys are kept or it is followed by the reader.
func TestLongChain(t *testing.T) {
	db := databasetest.New(t)
	chain := []records.Statement{statement(uuid.New())}
	for range 130 {
		chain = append(chain, reference(chain[len(chain)-1].ID))
	}
	for rest := chain; len(rest) > 0; { // its end comes last: no reference is complete when it is written
		n := min(len(rest), 50)
		write(t, db, rest[len(rest)-n:]...)
		rest = rest[:len(rest)-n]
	}
	for range 2 {
		q := records.Query{Agent: chain[0].Actor, Targets: true, Fresh: true, Limit: 1000}
		found := ids(read(t, db, 1, q))
		for i, s := range chain {
			if got, want := slices.Contains(found, s.ID), i <= 100; got != want {
				t.Errorf("%d statements before the end of the chain: found %v, want %v", i, got, want)
			}
		}
		resolveAll(t, db)
	}
}

// In the index as in the statement: what stands in the context of a target is found only by the related filters.
func TestReferencesByThePlacesOfATarget(t *testing.T) {
	db := databasetest.New(t)
	instructor, member, parent := uuid.New(), uuid.New(), uuid.New()
	target := statement(uuid.New())
	target.Agents = []records.Agent{{Slot: 0, Subject: instructor, Role: xapi.RoleInstructor, Sealed: []byte("a")}, {Slot: 1, Subject: member, Role: xapi.RoleMember, Direct: true, Sealed: []byte("b")}}
	target.Activities = []records.ActivityUse{{Key: parent, Role: xapi.ActivityParent}}
	ref := reference(target.ID)
	write(t, db, target, ref)
	for what, c := range map[string]struct {
		q    records.Query
		want int
	}{
		"actor": {records.Query{Agent: target.Actor}, 2}, "member": {records.Query{Agent: member}, 2}, "instructor": {records.Query{Agent: instructor}, 0},
		"related instructor": {records.Query{Agent: instructor, RelatedAgents: true}, 2}, "related actor": {records.Query{Agent: target.Actor, RelatedAgents: true}, 2},
		"authority": {records.Query{Agent: target.Authority}, 0}, "related authority": {records.Query{Agent: target.Authority, RelatedAgents: true}, 2},
		"object": {records.Query{Activity: target.Object}, 2}, "parent": {records.Query{Activity: parent}, 0},
		"related parent": {records.Query{Activity: parent, RelatedActivities: true}, 2}, "related object": {records.Query{Activity: target.Object, RelatedActivities: true}, 2},
	} {
		c.q.Targets = true
		if got := len(read(t, db, 1, c.q)); got != c.want {
			t.Errorf("by %s: %d statements, want %d", what, got, c.want)
		}
	}
}
