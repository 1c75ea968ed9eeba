package records_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/records"
)

// A count that takes too long ends, and says so; one whose reader has gone says that instead.
func TestCountsEndInTime(t *testing.T) {
	t.Parallel()
	db, ownerURL := databasetest.NewWithOwner(t)
	owner, err := sql.Open("postgres", ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	lock, err := owner.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback() }()
	if _, err := lock.Exec("LOCK TABLE statement"); err != nil { // what is counted cannot be read
		t.Fatal(err)
	}
	count := func(ctx context.Context) error {
		return db.ReadTenant(ctx, 1, func(ctx context.Context, tx *database.Tx) error {
			_, err := records.Count(ctx, tx, records.Query{Policy: query.True{}, Filter: query.True{}})
			return err
		})
	}
	registrations := func(ctx context.Context) error {
		return db.ReadTenant(ctx, 1, func(ctx context.Context, tx *database.Tx) error {
			_, err := records.Registrations(ctx, tx, uuid.New(), query.True{}, query.True{})
			return err
		})
	}
	ended := make(chan error, 2)
	for _, f := range []func(context.Context) error{count, registrations} {
		go func() { ended <- f(t.Context()) }()
	}
	gone, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := count(gone); err == nil || errors.Is(err, records.ErrTooMany) {
		t.Errorf("its reader has gone: %v", err)
	}
	for range 2 {
		select {
		case err := <-ended:
			if !errors.Is(err, records.ErrTooMany) {
				t.Errorf("%v", err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("it does not end")
		}
	}
}
