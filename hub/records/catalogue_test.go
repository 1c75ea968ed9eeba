package records_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/pressly/goose/v3"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/migrations"
)

// definitions are what a catalogue may hold, with the type by which its statements are found.
var definitions = map[string]string{
	`{"type":"https://types.example/course"}`:                                        "https://types.example/course",
	`{"type":"https://types.example/caf\u00e9"}`:                                     "https://types.example/café",
	`{"name":{"en":"none"}}`:                                                         "",
	`{"extensions":{"https://x.example/":{"type":"https://types.example/no"}}}`:      "",
	`{"type":"https://types.example/` + strings.Repeat("long", 1000) + `"}`:          "",
	`{"name":{"en":"a \ud800 alone"},"extensions":{"https://x.example/":"\u0000"}}`:  "",
	`{"name":{"en":"{\"type\":\"https://types.example/quoted\"}"},"moreInfo":"x:y"}`: "",
}

func types(t *testing.T, owner *sql.DB) map[string]string {
	t.Helper()
	rows, err := owner.Query(`SELECT definition, coalesce(type, '') FROM activity`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[string]string{}
	for rows.Next() {
		var definition, kind string
		if err := rows.Scan(&definition, &kind); err != nil {
			t.Fatal(err)
		}
		got[definition] = kind
	}
	return got
}

func TestTypeOfAnActivity(t *testing.T) {
	db, ownerURL := databasetest.NewWithOwner(t)
	owner, err := sql.Open("postgres", ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	catalogue := map[uuid.UUID]records.Activity{}
	for definition := range definitions {
		key := uuid.New()
		catalogue[key] = records.Activity{Key: key, IRI: "https://activities.example/" + key.String(), Definition: []byte(definition)}
	}
	err = db.Tenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) error { return records.Catalogue(ctx, tx, catalogue) })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(definitions, types(t, owner)); diff != "" {
		t.Error(diff)
	}
}

// Activities that an earlier version stored get their types.
func TestTypesOfAnEarlierVersion(t *testing.T) {
	owner, err := sql.Open("postgres", databasetest.NewEmpty(t))
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	steps, err := goose.NewProvider(goose.DialectPostgres, owner, migrations.FS, goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := steps.UpTo(t.Context(), 12); err != nil {
		t.Fatal(err)
	}
	for definition := range definitions {
		if _, err := owner.Exec(`INSERT INTO activity (tenant_id, key, iri, definition) VALUES (1, $1, 'https://activities.example/a', $2)`, uuid.New(), definition); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := steps.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(definitions, types(t, owner)); diff != "" {
		t.Error(diff)
	}
}
