package records_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// Somebody who stands in several places of each statement must not use up a page's rows: a short page looks like the last one.
func TestAgentInSeveralPlacesFillsItsPages(t *testing.T) {
	db := databasetest.New(t)
	me := uuid.New()
	var want []uuid.UUID
	for range 5 {
		s := statement(uuid.New())
		s.Authority = me // an imported one stands in a slot too
		for slot := range 3 {
			s.Agents = append(s.Agents, records.Agent{Slot: slot, Subject: me, Role: xapi.RoleMember, Direct: slot > 0, Sealed: []byte("sealed")})
		}
		write(t, db, s)
		want = append(want, s.ID)
	}
	for _, related := range []bool{false, true} {
		q := records.Query{Agent: me, RelatedAgents: related, Ascending: true, Limit: 4, Fresh: true}
		rows := read(t, db, 1, q)
		if !slices.Equal(ids(rows), want[:4]) {
			t.Fatalf("related %v: the first page has %d statements, want 4", related, len(rows))
		}
		q.After = rows[3].Position()
		if rows = read(t, db, 1, q); !slices.Equal(ids(rows), want[4:]) {
			t.Errorf("related %v: the second page has %d statements, want the last one", related, len(rows))
		}
	}
}

// So must an activity that stands in several places.
func TestActivityInSeveralPlacesFillsItsPages(t *testing.T) {
	db := databasetest.New(t)
	activity := uuid.New()
	var want []uuid.UUID
	for range 5 {
		s := statement(uuid.New())
		for _, role := range []xapi.ActivityRole{xapi.ActivityParent, xapi.ActivityGrouping, xapi.ActivityCategory} {
			s.Activities = append(s.Activities, records.ActivityUse{Key: activity, Role: role})
		}
		write(t, db, s)
		want = append(want, s.ID)
	}
	q := records.Query{Activity: activity, RelatedActivities: true, Ascending: true, Limit: 4, Fresh: true}
	rows := read(t, db, 1, q)
	if !slices.Equal(ids(rows), want[:4]) {
		t.Fatalf("the first page has %d statements, want 4", len(rows))
	}
	q.After = rows[3].Position()
	if rows = read(t, db, 1, q); !slices.Equal(ids(rows), want[4:]) {
		t.Errorf("the second page has %d statements, want the last one", len(rows))
	}
}
