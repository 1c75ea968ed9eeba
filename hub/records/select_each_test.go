package records_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// several is a store of statements at random, and what lists may ask of it.
type several struct {
	random        *rand.Rand
	all           []records.Statement
	verbs         []string
	verb          map[string]int32
	activities    []uuid.UUID
	kinds         map[uuid.UUID]string
	registrations []uuid.UUID
	actors        []uuid.UUID
}

const kinds = 3

func newSeveral(t *testing.T, db *database.DB) *several {
	t.Helper()
	s := &several{random: rand.New(rand.NewPCG(7, 7)), kinds: map[uuid.UUID]string{}}
	catalogue := map[uuid.UUID]records.Activity{}
	for i := range 12 {
		s.verbs = append(s.verbs, fmt.Sprintf("https://verbs.example/%d", i))
		key := uuid.New()
		s.activities, s.registrations, s.actors = append(s.activities, key), append(s.registrations, uuid.New()), append(s.actors, uuid.New())
		if i < 9 {
			s.kinds[key] = fmt.Sprintf("https://types.example/%d", i%kinds)
			catalogue[key] = records.Activity{Key: key, IRI: fmt.Sprintf("https://activities.example/%d", i), Definition: []byte(`{"type":"` + s.kinds[key] + `"}`)}
		}
	}
	var err error
	if s.verb, err = records.NewDictionary(db).Verbs(t.Context(), 1, s.verbs); err != nil {
		t.Fatal(err)
	}
	err = db.Tenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) error { return records.Catalogue(ctx, tx, catalogue) })
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		st := statement(s.actors[s.random.IntN(12)])
		st.Verb, st.Object, st.Registration = s.verb[s.verbs[s.random.IntN(12)]], s.activities[s.random.IntN(12)], s.registrations[s.random.IntN(12)]
		if s.random.IntN(20) == 0 {
			st.ObjectKind = xapi.ObjectAgent // its object is no activity, whatever its key
		}
		for range s.random.IntN(4) {
			st.Activities = append(st.Activities, records.ActivityUse{Key: s.activities[s.random.IntN(12)], Role: xapi.ActivityRole(1 + s.random.IntN(3))})
		}
		s.all = append(s.all, st)
	}
	write(t, db, s.all...)
	databasetest.Settle(t, db)
	return s
}

// question is a query at random.
func (s *several) question() (q records.Query) {
	pick := func(n int) (some []int) { // one may come twice
		for range 1 + s.random.IntN(n) {
			some = append(some, s.random.IntN(12))
		}
		return some
	}
	if s.random.IntN(2) == 0 {
		for _, i := range pick(5) {
			q.Verbs = append(q.Verbs, s.verbs[i])
		}
		q.Verbs = append(q.Verbs, "https://verbs.example/unknown")
	}
	if s.random.IntN(3) == 0 {
		for _, i := range pick(8) {
			q.Activities = append(q.Activities, s.activities[i])
		}
		q.RelatedActivities = s.random.IntN(2) == 0
	}
	if s.random.IntN(3) == 0 {
		for range 1 + s.random.IntN(2) {
			q.Types = append(q.Types, fmt.Sprintf("https://types.example/%d", s.random.IntN(kinds)))
		}
	}
	if s.random.IntN(3) == 0 {
		for _, i := range pick(8) {
			q.Registrations = append(q.Registrations, s.registrations[i])
		}
	}
	if s.random.IntN(3) == 0 {
		q.Agent = s.actors[s.random.IntN(12)]
	}
	q.Ascending = s.random.IntN(2) == 0
	return q
}

// meets is what a list asks, said in Go.
func (s *several) meets(q records.Query, st records.Statement) bool {
	object := st.ObjectKind == xapi.ObjectActivity
	return (q.Verbs == nil || slices.ContainsFunc(q.Verbs, func(iri string) bool { return s.verb[iri] == st.Verb })) &&
		(q.Registrations == nil || slices.Contains(q.Registrations, st.Registration)) &&
		(q.Types == nil || object && s.kinds[st.Object] != "" && slices.Contains(q.Types, s.kinds[st.Object])) &&
		(q.Agent == uuid.Nil || q.Agent == st.Actor) &&
		(q.Activities == nil || object && slices.Contains(q.Activities, st.Object) ||
			q.RelatedActivities && slices.ContainsFunc(st.Activities, func(a records.ActivityUse) bool { return slices.Contains(q.Activities, a.Key) }))
}

// Lists find what meets them, in pages of any size and in both orders, and count it.
func TestListsFindWhatMeetsThem(t *testing.T) {
	db := databasetest.New(t)
	s := newSeveral(t, db)
	found := 0
	for range 250 {
		q := s.question()
		want := []uuid.UUID{}
		for _, st := range s.all {
			if s.meets(q, st) {
				want = append(want, st.ID)
			}
		}
		if !q.Ascending {
			slices.Reverse(want)
		}
		found += len(want)
		q.Limit = 1 + s.random.IntN(40)
		q.Policy, q.Filter = query.True{}, query.True{}
		got := []uuid.UUID{}
		var counted int64
		err := db.ReadTenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) error {
			for more := true; more; {
				var rows []records.Row
				var err error
				if rows, more, err = records.Select(ctx, tx, q); err != nil {
					return err
				}
				if more && len(rows) != q.Limit {
					t.Errorf("%+v: a page of %d that is not the last", q, len(rows))
				}
				if got = append(got, ids(rows)...); len(rows) > 0 {
					q.After = rows[len(rows)-1].Position()
				}
			}
			q.After = records.Position{}
			var err error
			counted, err = records.Count(ctx, tx, q)
			return err
		})
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%+v: %s", q, diff)
		}
		if int(counted) != len(want) {
			t.Fatalf("%+v: counted %d, not %d", q, counted, len(want))
		}
	}
	if found < 1000 {
		t.Errorf("only %d statements were found in all", found)
	}
}

// A type of very many activities is found all the same.
func TestCommonType(t *testing.T) {
	db := databasetest.New(t)
	catalogue := map[uuid.UUID]records.Activity{}
	for range 1001 {
		key := uuid.New()
		catalogue[key] = records.Activity{Key: key, IRI: "https://activities.example/" + key.String(), Definition: []byte(`{"type":"https://types.example/common"}`)}
	}
	s := statement(uuid.New())
	for key := range catalogue {
		s.Object = key
		break
	}
	other := statement(uuid.New())
	err := db.Tenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) error { return records.Catalogue(ctx, tx, catalogue) })
	if err != nil {
		t.Fatal(err)
	}
	write(t, db, s, other)
	if got := ids(read(t, db, 1, records.Query{Types: []string{"https://types.example/common"}})); !slices.Equal(got, []uuid.UUID{s.ID}) {
		t.Errorf("found %v", got)
	}
}

func TestRegistrationsOfALearner(t *testing.T) {
	db := databasetest.New(t)
	s := newSeveral(t, db)
	me := s.actors[3]
	want := map[uuid.UUID]records.Registered{}
	for _, st := range s.all {
		if st.Actor == me {
			r, there := want[st.Registration]
			if !there {
				r = records.Registered{Registration: st.Registration, First: st.Stored}
			}
			r.Statements++
			r.Last = st.Stored
			want[st.Registration] = r
		}
	}
	var list []records.Registered
	err := db.ReadTenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) (err error) {
		list, err = records.Registrations(ctx, tx, me, query.True{}, query.True{})
		return err
	})
	if err != nil || len(list) != len(want) || len(list) < 3 {
		t.Fatalf("%d of %d registrations, %v", len(list), len(want), err)
	}
	for i, r := range list {
		if r != want[r.Registration] || i > 0 && list[i-1].Last.Before(r.Last) {
			t.Errorf("%d: %+v, want %+v", i, r, want[r.Registration])
		}
	}
	err = db.ReadTenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) (err error) {
		list, err = records.Registrations(ctx, tx, me, query.False{}, query.True{})
		return err
	})
	if err != nil || len(list) > 0 {
		t.Errorf("what the policy hides: %v, %v", list, err)
	}
}
