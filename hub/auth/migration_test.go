package auth_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/lib/pq"
	"github.com/pressly/goose/v3"

	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/migrations"
)

// TestClientsFromBeforeKeys: clients that were made when each had one key, in its own row, sign in as before.
func TestClientsFromBeforeKeys(t *testing.T) {
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
	if _, err := steps.UpTo(t.Context(), 9); err != nil {
		t.Fatal(err)
	}
	key, shown, revoked := strings.Repeat("k", 20), strings.Repeat("S", 43), strings.Repeat("r", 20)
	id := uuid.New()
	for name, row := range map[string]struct {
		id      uuid.UUID
		key     string
		revoked any
	}{"canvas": {id, key, nil}, "moodle": {uuid.New(), revoked, start}} {
		mac := hmac.New(sha256.New, pepper)
		fmt.Fprintf(mac, "lrshub client 20:%s43:%s", row.key, shown)
		if _, err := owner.ExecContext(t.Context(), `INSERT INTO client (tenant_id, id, name, key, secret_hash, scopes, purpose, created_at, revoked_at)
			VALUES (1, $1, $2, $3, $4, '{define,statements/write}', 'learning-records', $5, $6)`, row.id, name, row.key, mac.Sum(nil), start, row.revoked); err != nil {
			t.Fatal(err)
		}
	}

	const role = "lrshub_auth_migration_test"
	if err := database.Migrate(t.Context(), ownerURL, database.AppRole{Name: role, Password: "only here"}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := owner.Exec("DROP ROLE " + role); err != nil {
			t.Error(err)
		}
	}()
	u, err := url.Parse(ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "only here")
	h := &hub{T: t, clock: &clock{at: start.Add(time.Hour)}}
	if h.db, err = database.Open(t.Context(), u.String()); err != nil {
		t.Fatal(err)
	}
	defer h.db.Close()
	h.clients = h.node(auth.Options{})
	caller, err := h.authenticate(key, shown)
	if err != nil || caller.Client != id || caller.Name != "canvas" || strings.Join(caller.Scopes, " ") != "define statements/write" {
		t.Errorf("%+v, %v", caller, err)
	}
	h.good(false, "revoked before", auth.Credential{Key: revoked, Secret: shown})
	h.in(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		list, err := h.clients.List(ctx, tx)
		if len(list) != 2 || list[0].Key != key || !list[0].Created.Equal(start) || list[1].Key != revoked || list[1].Revoked == nil || list[1].Keys[0].Revoked == nil {
			t.Errorf("%+v", list)
		}
		return err
	})
}
