package database

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/lrshub/lrshub/migrations"
)

// emptyDatabase gives the owner's URL of an empty database; harness_test.go sets it, since the harness imports this package.
var emptyDatabase func(t testing.TB) string

func SetEmptyDatabase(make func(t testing.TB) string) { emptyDatabase = make }

// nextAfter is the real migrations and one more, as a newer binary has them.
func nextAfter(t *testing.T) fs.FS {
	t.Helper()
	next := fstest.MapFS{"99999_next.sql": {Data: []byte("-- +goose Up\nCREATE TABLE next (id int);\n")}}
	entries, err := fs.ReadDir(migrations.FS, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		text, err := fs.ReadFile(migrations.FS, entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		next[entry.Name()] = &fstest.MapFile{Data: text}
	}
	return next
}

func TestMigrate(t *testing.T) {
	ctx := t.Context()
	ownerURL := emptyDatabase(t)
	if version, err := Version(ctx, ownerURL); err != nil || version != 0 {
		t.Errorf("new database: version %d, %v", version, err)
	}
	// Several starts at once.
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if err := Migrate(ctx, ownerURL, AppRole{Name: "lrshub_migrate_test", Password: "first"}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	t.Cleanup(func() { dropRole(t, ownerURL, "lrshub_migrate_test") })
	version, err := Version(ctx, ownerURL)
	if err != nil || version == 0 {
		t.Errorf("version %d, %v", version, err)
	}

	// A changed password is set; an empty one leaves it.
	for _, password := range []string{"second", ""} {
		if err := Migrate(ctx, ownerURL, AppRole{Name: "lrshub_migrate_test", Password: password}); err != nil {
			t.Fatal(err)
		}
		if err := openAs(ctx, ownerURL, "lrshub_migrate_test", "second"); err != nil {
			t.Error(err)
		}
	}
	if err := openAs(ctx, ownerURL, "lrshub_migrate_test", "first"); err == nil {
		t.Error("the old password still opens")
	}

	// A newer binary was here.
	if err := migrate(ctx, ownerURL, nextAfter(t), AppRole{}); err != nil {
		t.Fatal(err)
	}
	err = Migrate(ctx, ownerURL, AppRole{})
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "99999") {
		t.Errorf("%v", err)
	}
}

// A step that fails must leave the database at the step before, and say which it was.
func TestMigrateFails(t *testing.T) {
	ownerURL := emptyDatabase(t)
	steps := fstest.MapFS{
		"00001_one.sql": {Data: []byte("-- +goose Up\nCREATE TABLE one (id int);\n")},
		"00002_two.sql": {Data: []byte("-- +goose Up\nCREATE TABLE two (id int);\nSELECT 1 / 0;\n")},
	}
	err := migrate(t.Context(), ownerURL, steps, AppRole{})
	if err == nil || !strings.Contains(err.Error(), "00002_two.sql") {
		t.Errorf("%v", err)
	}
	if version, err := Version(t.Context(), ownerURL); err != nil || version != 1 {
		t.Errorf("version %d, %v", version, err)
	}
	steps["00002_two.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE two (id int);\n")}
	if err := migrate(t.Context(), ownerURL, steps, AppRole{}); err != nil {
		t.Errorf("mended: %v", err)
	}
}

func dropRole(t *testing.T, ownerURL, name string) {
	t.Helper()
	db, err := sql.Open("postgres", ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("DROP ROLE " + name); err != nil {
		t.Error(err)
	}
}

func openAs(ctx context.Context, ownerURL, name, password string) error {
	u, err := url.Parse(ownerURL)
	if err != nil {
		return err
	}
	u.User = url.UserPassword(name, password)
	db, err := Open(ctx, u.String())
	if err != nil {
		return err
	}
	_, err = db.Tenants(ctx)
	return errors.Join(err, db.Close())
}
