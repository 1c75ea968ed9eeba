package main

import (
	"database/sql"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	_ "github.com/lib/pq"

	"github.com/lrshub/lrshub/hub/database/databasetest"
)

// A blob that any tenant's row names is known; the sweep may take no other for lost.
func TestKnownBlobs(t *testing.T) {
	db, ownerURL := databasetest.NewWithOwner(t)
	owner, err := sql.Open("postgres", ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	names, want := make([]uuid.UUID, 5), map[uuid.UUID]bool{}
	for i := range names {
		names[i] = uuid.New()
	}
	for tenant, named := range map[int32][]uuid.UUID{int32(databasetest.Default): names[:2], int32(databasetest.Other): names[1:3]} {
		for _, name := range named {
			want[name] = true
			_, err := owner.Exec("INSERT INTO statement_attachment (tenant_id, statement_id, key, size, header, blob) VALUES ($1, $2, $2, 1, '', $3)", tenant, uuid.NewString(), name.String())
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	known, err := (&rooms{db: db}).knownBlobs(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, known); diff != "" {
		t.Error(diff)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := (&rooms{db: db}).knownBlobs(t.Context(), names); err == nil {
		t.Error("without a database nothing is known to be lost")
	}
}
