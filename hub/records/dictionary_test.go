package records_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/records"
)

func TestDictionary(t *testing.T) {
	db := databasetest.New(t)
	ctx := context.Background()
	iris := []string{"https://example.org/b", "https://example.org/a", "https://example.org/b"}
	one, err := records.NewDictionary(db).Verbs(ctx, 1, iris)
	if err != nil {
		t.Fatal(err)
	}
	again, err := records.NewDictionary(db).Verbs(ctx, 1, iris[:2])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(one, again); diff != "" || len(one) != 2 {
		t.Errorf("numbers changed: %s", diff)
	}
	third := "https://example.org/c" // one more, when there are some
	more, err := records.NewDictionary(db).Verbs(ctx, 1, []string{iris[0], third})
	if err != nil || more[iris[0]] != one[iris[0]] || more[third] == 0 || more[third] == one[iris[1]] {
		t.Errorf("a new verb beside a known one: %v, %v", more, err)
	}
	fresh := records.NewDictionary(db)
	err = db.ReadTenant(ctx, 1, func(ctx context.Context, tx *database.Tx) error {
		for iri, id := range one {
			got, err := fresh.VerbIRI(ctx, tx, id)
			if err != nil || got != iri {
				return fmt.Errorf("verb %d is %q, want %q: %w", id, got, iri, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCatalogueMergesDefinitions(t *testing.T) {
	db := databasetest.New(t)
	key := uuid.New()
	put := func(definition string) {
		t.Helper()
		a := records.Activity{Key: key, IRI: "https://example.org/course"}
		if definition != "" {
			a.Definition = []byte(definition)
		}
		err := db.Tenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) error {
			return records.Catalogue(ctx, tx, map[uuid.UUID]records.Activity{key: a})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put("")
	put(`{"name":{"en":"One \u0000"}}`)
	put(`{"name":{"de":"Zwei"}}`)
	put(`{"name":{"en":"Two"},"type":"https://example.org/t"}`)
	put("") // says nothing of the definition
	var definition, kind string
	err := db.ReadTenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT definition, type FROM activity WHERE tenant_id = $1 AND key = $2`, tx.Tenant, key).Scan(&definition, &kind)
	})
	if kind != "https://example.org/t" {
		t.Errorf("type %q", kind)
	}
	if err != nil || definition != `{"name":{"en":"Two","de":"Zwei"},"type":"https://example.org/t"}` {
		t.Errorf("definition %q, %v", definition, err)
	}
}
