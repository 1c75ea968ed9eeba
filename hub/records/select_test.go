package records_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// A page ends when its frames are as large as was asked for, in one row at least, and says that there is more.
func TestPageOfBytes(t *testing.T) {
	db := databasetest.New(t)
	me := uuid.New()
	var want []uuid.UUID
	for i := range 9 {
		s := statement(me)
		if i%2 == 0 { // found by two sources
			s = statement(uuid.New())
			s.Agents = []records.Agent{{Subject: me, Role: xapi.RoleObject, Direct: true, Sealed: []byte("sealed")}}
		}
		s.Frame = make([]byte, 1000)
		if i == 4 {
			s.Frame = make([]byte, 9000)
		}
		write(t, db, s)
		want = append(want, s.ID)
	}
	for _, c := range []struct {
		bytes int
		pages []int // statements in each
	}{{2500, []int{3, 2, 3, 1}}, {1, []int{1, 1, 1, 1, 1, 1, 1, 1, 1}}, {17000, []int{9}}, {0, []int{9}}} {
		for _, agent := range []uuid.UUID{me, uuid.Nil} {
			q := records.Query{Policy: query.True{}, Filter: query.True{}, Agent: agent, Bytes: c.bytes, Limit: 100, Ascending: true, Fresh: true}
			var got []uuid.UUID
			for n, size := range c.pages {
				var rows []records.Row
				var more bool
				err := db.ReadTenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) (err error) {
					rows, more, err = records.Select(ctx, tx, q)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				if len(rows) != size || more != (n < len(c.pages)-1) {
					t.Fatalf("%d bytes, page %d: %d statements, more %v; want %d", c.bytes, n, len(rows), more, size)
				}
				for _, r := range rows {
					if len(r.Frame) < 1000 {
						t.Errorf("statement %s has a frame of %d bytes", r.ID, len(r.Frame))
					}
				}
				got, q.After = append(got, ids(rows)...), rows[len(rows)-1].Position()
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%d bytes: %s", c.bytes, diff)
			}
		}
	}
}
