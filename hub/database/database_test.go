package database_test

import (
	"testing"

	"github.com/lrshub/lrshub/hub/database/databasetest"
)

func TestTwoTenants(t *testing.T) {
	db := databasetest.New(t)
	tenants, err := db.Tenants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(tenants) != 2 || tenants[0].ID != databasetest.Default || tenants[0].Name != "default" || tenants[1].ID != databasetest.Other || tenants[1].Name != "other" {
		t.Errorf("tenants: %v", tenants)
	}
}
