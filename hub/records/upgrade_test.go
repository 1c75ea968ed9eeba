package records_test

import (
	"database/sql"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/pressly/goose/v3"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
	"github.com/lrshub/lrshub/migrations"
)

// References and voidings that an earlier version stored are found as if they were stored by this one, before they are resolved and after.
func TestReferencesOfAnEarlierVersion(t *testing.T) {
	ownerURL := databasetest.NewEmpty(t)
	owner, err := sql.Open("postgres", ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	steps, err := goose.NewProvider(goose.DialectPostgres, owner, migrations.FS, goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := steps.UpTo(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	target, actor := uuid.New(), uuid.New()
	voiding, again, third := uuid.New(), uuid.New(), uuid.New()
	for i, s := range []struct{ id, actor, refers uuid.UUID }{{target, actor, uuid.Nil}, {voiding, uuid.New(), target}, {again, uuid.New(), target}, {third, uuid.New(), again}} {
		kind, object := xapi.ObjectActivity, uuid.New()
		if s.refers != uuid.Nil {
			kind, object = xapi.ObjectStatementRef, s.refers
		}
		_, err := owner.Exec(`
WITH v AS (INSERT INTO verb (tenant_id, iri) VALUES (1, $6) ON CONFLICT (tenant_id, iri) DO UPDATE SET iri = excluded.iri RETURNING id)
INSERT INTO statement (tenant_id, id, seq, stored, "timestamp", actor, authority, verb, object_kind, object, version, purpose, frame, digest)
SELECT 1, $1, $2::bigint, to_timestamp($2::bigint), now(), $3, $3, v.id, $4, $5, 1, 1, 'sealed', 'digest' FROM v`, s.id, i+1, s.actor, kind, object, xapi.VerbVoided)
		if err != nil {
			t.Fatal(err)
		}
	}
	// The second voiding of a target left no row, and the voiding of that one was taken for a real one.
	if _, err := owner.Exec(`INSERT INTO voiding (tenant_id, target, statement_id) VALUES (1, $1, $2), (1, $3, $4)`, target, voiding, again, third); err != nil {
		t.Fatal(err)
	}
	if _, err := steps.UpTo(t.Context(), 15); err != nil { // which left references of which only some keys were kept to the readers
		t.Fatal(err)
	}
	if _, err := owner.Exec(`
WITH w AS (UPDATE reference_pending SET state = 4, keyed = 2 WHERE statement_id = $1 RETURNING stored)
INSERT INTO reference_key (tenant_id, key, statement_id, target_id, places, stored) SELECT 1, $2, $1, $3, 3, stored FROM w`, third, actor, again); err != nil {
		t.Fatal(err)
	}
	app, err := url.Parse(databasetest.AppURL(t, ownerURL))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := app.User.Password()
	if err := database.Migrate(t.Context(), ownerURL, database.AppRole{Name: app.User.Username(), Password: password}); err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(t.Context(), app.String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, when := range []string{"at once", "resolved"} {
		found := ids(read(t, db, 1, records.Query{Agent: actor, Targets: true, Filter: query.Compare{Column: "voided", Op: query.Equal, Value: false}}))
		if diff := cmp.Diff([]uuid.UUID{third, again, voiding}, found); diff != "" {
			t.Errorf("%s: %s", when, diff)
		}
		resolveAll(t, db)
	}
	if n := count(t, db, pendingRows); n != 0 {
		t.Errorf("%d references are pending, want 0", n)
	}
}
