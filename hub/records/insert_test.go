package records_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// A large batch is first written as if all were new; what is not new, it finds out all the same.
func TestRepeatsInALargeBatch(t *testing.T) {
	db := databasetest.New(t)
	var batch []records.Statement
	want := map[uuid.UUID]bool{}
	for range 60 {
		s := statement(uuid.New())
		s.Activities = []records.ActivityUse{{Key: uuid.New(), Role: xapi.ActivityParent}}
		batch, want[s.ID] = append(batch, s), true
	}
	stored, erased := batch[17], batch[41]
	write(t, db, stored)
	err := db.Tenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO statement_tombstone (tenant_id, id, seq, digest) VALUES ($1, $2, 1, $3)`, tx.Tenant, erased.ID, erased.Digest)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(want, stored.ID)
	delete(want, erased.ID)
	if diff := cmp.Diff(want, write(t, db, batch...)); diff != "" {
		t.Error(diff)
	}
	if n := len(read(t, db, 1, records.Query{Activity: stored.Activities[0].Key, RelatedActivities: true})); n != 1 {
		t.Errorf("the repeat's activity finds %d statements, want 1", n)
	}
	for _, i := range []int{17, 41} {
		conflict := batch[i]
		conflict.Digest = digest("other")
		fresh := statement(uuid.New())
		if _, err := tryWrite(db, 1, append(slices.Clone(batch[:i]), conflict, fresh)...); !errors.Is(err, records.ErrConflict) {
			t.Errorf("statement %d with other content: %v", i, err)
		}
	}
	if n := len(read(t, db, 1, records.Query{})); n != 59 {
		t.Errorf("%d statements, want 59: a conflicting batch stores nothing", n)
	}
}
