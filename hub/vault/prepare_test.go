package vault_test

import (
	"context"
	"errors"
	"testing"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/vault"
)

func TestPrepareHoldsTheKeyFolderAgainstTheDatabase(t *testing.T) {
	db := databasetest.New(t)
	master, err := vault.MasterKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	prepare := func(dir string, tenant database.TenantID) error {
		t.Helper()
		keys, err := vault.OpenKeys(dir, master)
		if err != nil {
			t.Fatal(err)
		}
		return db.Tenant(t.Context(), tenant, func(ctx context.Context, tx *database.Tx) error { return vault.New(keys).Prepare(ctx, tx) })
	}
	good, empty, other := t.TempDir(), t.TempDir(), t.TempDir()
	for range 2 { // makes them, and takes them up
		if err := prepare(good, databasetest.Default); err != nil {
			t.Fatal(err)
		}
	}
	if err := prepare(empty, databasetest.Default); !errors.Is(err, vault.ErrNoKeys) {
		t.Errorf("an empty folder: %v, want ErrNoKeys", err)
	}
	if err := prepare(empty, databasetest.Default); !errors.Is(err, vault.ErrNoKeys) {
		t.Errorf("the empty folder again: %v: the first refusal must have made nothing", err)
	}
	keys, err := vault.OpenKeys(other, master)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Ensure(databasetest.Default); err != nil {
		t.Fatal(err)
	}
	if err := prepare(other, databasetest.Default); !errors.Is(err, vault.ErrOtherKeys) {
		t.Errorf("another folder: %v, want ErrOtherKeys", err)
	}
	if err := prepare(empty, databasetest.Other); err != nil { // nothing is there of this tenant yet
		t.Error(err)
	}
}
