package people_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/people"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// in runs fn in a transaction of the tenant and fails the test if it fails.
func in(t *testing.T, db *database.DB, tenant database.TenantID, fn func(ctx context.Context, tx *database.Tx) error) {
	t.Helper()
	if err := db.Tenant(t.Context(), tenant, fn); err != nil {
		t.Fatal(err)
	}
}

func TestPurposes(t *testing.T) {
	db := databasetest.New(t)
	added := people.Purpose{Name: "accreditation", Basis: people.LegalObligation, Description: "Show it to the board."}
	in(t, db, databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		if err := people.SeedDefault(ctx, tx, now); err != nil {
			return err
		}
		p, err := people.AddPurpose(ctx, tx, now, "client", added)
		added.ID = p.ID
		return err
	})
	in(t, db, databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		p, err := people.FindPurpose(ctx, tx, "accreditation")
		if err != nil || p != added || p.ID == 0 {
			t.Errorf("FindPurpose = %+v, %v; want %+v", p, err, added)
		}
		all, err := people.Purposes(ctx, tx)
		var names []string
		for _, p := range all {
			names = append(names, p.Name)
		}
		if want := []string{"accreditation", "learning-records"}; err != nil || !cmp.Equal(names, want) {
			t.Errorf("Purposes = %v, %v; want %v", names, err, want)
		}
		return nil
	})
	// The other tenant has none of them.
	in(t, db, databasetest.Other, func(ctx context.Context, tx *database.Tx) error {
		_, err := people.FindPurpose(ctx, tx, "accreditation")
		if !errors.Is(err, people.ErrUnknownPurpose) || strings.Contains(err.Error(), "learning-records") {
			t.Errorf("FindPurpose in the other tenant: %v", err)
		}
		return nil
	})
}

func TestUnknownPurposeNamesTheKnown(t *testing.T) {
	db := databasetest.New(t)
	in(t, db, databasetest.Default, func(ctx context.Context, tx *database.Tx) error { return people.SeedDefault(ctx, tx, now) })
	in(t, db, databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		_, err := people.FindPurpose(ctx, tx, "learning-record")
		if !errors.Is(err, people.ErrUnknownPurpose) {
			t.Fatalf("FindPurpose: %v", err)
		}
		for _, part := range []string{`"learning-record"`, "learning-records", "lrshub purpose add"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v: says nothing of %s", err, part)
			}
		}
		return nil
	})
}

func TestAddPurposeRefuses(t *testing.T) {
	db := databasetest.New(t)
	for name, test := range map[string]struct {
		purpose people.Purpose
		want    error
	}{
		"no name":          {people.Purpose{Basis: people.Consent}, people.ErrInvalidPurpose},
		"name in capitals": {people.Purpose{Name: "Research", Basis: people.Consent}, people.ErrInvalidPurpose},
		"long name":        {people.Purpose{Name: strings.Repeat("a", 64), Basis: people.Consent}, people.ErrInvalidPurpose},
		"no basis":         {people.Purpose{Name: "research"}, people.ErrInvalidPurpose},
		"unknown basis":    {people.Purpose{Name: "research", Basis: "curiosity"}, people.ErrInvalidPurpose},
		"a second time":    {people.Purpose{Name: people.DefaultPurpose, Basis: people.Consent}, people.ErrPurposeExists},
	} {
		t.Run(name, func(t *testing.T) {
			err := db.Tenant(t.Context(), databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
				if err := people.SeedDefault(ctx, tx, now); err != nil {
					return err
				}
				_, err := people.AddPurpose(ctx, tx, now, "client", test.purpose)
				return err
			})
			if !errors.Is(err, test.want) {
				t.Errorf("AddPurpose: %v; want %v", err, test.want)
			}
		})
	}
}

func TestSeedDefaultTellsOnce(t *testing.T) {
	db := databasetest.New(t)
	for range 3 {
		in(t, db, databasetest.Default, func(ctx context.Context, tx *database.Tx) error { return people.SeedDefault(ctx, tx, now) })
	}
	in(t, db, databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		var events int
		err := tx.GetContext(ctx, &events, "SELECT count(*) FROM audit_event WHERE tenant_id = $1 AND kind = $2", tx.Tenant, audit.PurposeAdded)
		if events != 1 {
			t.Errorf("%d events tell of the purpose, want 1", events)
		}
		return err
	})
}
