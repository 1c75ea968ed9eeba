package database_test

import (
	"context"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
)

// A transaction begins with its settings, and what cannot begin leaves nothing behind on its connection.
func TestBegin(t *testing.T) {
	db := databasetest.New(t)
	db.SetMaxOpenConns(1)
	settings := func(begin func(context.Context, database.TenantID, func(context.Context, *database.Tx) error) error) (isolation, tenant string) {
		t.Helper()
		err := begin(t.Context(), databasetest.Other, func(ctx context.Context, tx *database.Tx) error {
			return tx.QueryRowContext(ctx, "SELECT current_setting('transaction_isolation'), current_setting('lrshub.tenant')").Scan(&isolation, &tenant)
		})
		if err != nil {
			t.Fatal(err)
		}
		return isolation, tenant
	}
	for range 2 {
		if isolation, tenant := settings(db.Tenant); isolation != "read committed" || tenant != "2" {
			t.Errorf("to write: %q for tenant %q", isolation, tenant)
		}
		if isolation, tenant := settings(db.ReadTenant); isolation != "repeatable read" || tenant != "2" {
			t.Errorf("to read: %q for tenant %q", isolation, tenant)
		}
		if _, err := db.BeginTxx(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "ReadTenant") {
			t.Errorf("a transaction without a tenant: %v", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := db.Tenant(gone, databasetest.Default, func(context.Context, *database.Tx) error { return nil }); err == nil {
			t.Error("a transaction began for a caller who is gone")
		}
	}
}

// What a transaction keeps planned, it does not plan again, however many rows it unnests.
func TestPlansAreKept(t *testing.T) {
	db := databasetest.New(t)
	db.SetMaxOpenConns(1)
	const text = "SELECT count(*) FROM unnest($1::integer[]) AS n(id) WHERE EXISTS (SELECT FROM tenant t WHERE t.id = n.id OFFSET 0)"
	var generic, custom int
	for range 10 {
		err := db.Tenant(t.Context(), databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
			var n int
			if err := tx.GetContext(ctx, &n, text, database.Int4s([]int32{1, 2, 99})); err != nil || n != 2 {
				t.Errorf("%d rows, %v", n, err)
			}
			return tx.QueryRowContext(ctx, "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = '"+text+"'").Scan(&generic, &custom)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if generic != 10 || custom != 0 {
		t.Errorf("%d executions of a kept plan, %d of others", generic, custom)
	}
}
