package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// open makes a key ring with keys for two tenants in a fresh folder.
func open(t testing.TB, dir string) (*vault.Vault, *vault.Keys) {
	t.Helper()
	master, err := vault.MasterKeyFile(filepath.Join(dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := vault.OpenKeys(filepath.Join(dir, "tenants"), master)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []database.TenantID{1, 2} {
		if _, err := keys.Ensure(id); err != nil {
			t.Fatal(err)
		}
	}
	return vault.New(keys), keys
}

func tenant(t testing.TB, v *vault.Vault, id database.TenantID) *vault.Tenant {
	t.Helper()
	tenant, err := v.Tenant(id)
	if err != nil {
		t.Fatal(err)
	}
	return tenant
}

func account(name string) xapi.Identifier {
	return xapi.Identifier{Kind: xapi.Account, HomePage: "https://example.org", Name: name}
}

func TestKeysSurviveRestartAndDifferBetweenTenants(t *testing.T) {
	dir := t.TempDir()
	v, _ := open(t, dir)
	again, _ := open(t, dir)
	one, two, oneAgain := tenant(t, v, 1), tenant(t, v, 2), tenant(t, again, 1)
	iri := "https://example.org/activity"
	if one.ActivityKey(iri) != oneAgain.ActivityKey(iri) {
		t.Error("an activity has another key after a restart")
	}
	if one.ActivityKey(iri) == two.ActivityKey(iri) {
		t.Error("two tenants share an activity key")
	}
	sealed, err := one.Seal("cursor|a", []byte("offset 7"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := oneAgain.Open("cursor|a", sealed); err != nil || string(plain) != "offset 7" {
		t.Errorf("after a restart: %q, %v", plain, err)
	}
	if _, err := one.Open("cursor|b", sealed); !errors.Is(err, vault.ErrSealed) {
		t.Errorf("opened in another place: %v", err)
	}
	if _, err := two.Open("cursor|a", sealed); !errors.Is(err, vault.ErrSealed) {
		t.Errorf("opened by another tenant: %v", err)
	}
}

func TestKeysAreRefusedUnderAnotherMasterKey(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	other, err := vault.MasterKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := vault.OpenKeys(filepath.Join(dir, "tenants"), other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Tenant(1); err == nil {
		t.Error("a key file opened under another master key")
	}
	if _, err := keys.Tenant(9); !errors.Is(err, vault.ErrNoKeys) {
		t.Errorf("a tenant without keys: %v", err)
	}
	if _, err := vault.MasterKey([]byte("short")); err == nil {
		t.Error("a short master key was taken")
	}
}

func TestPseudonymsAreReversibleForOneAudienceOnly(t *testing.T) {
	v, _ := open(t, t.TempDir())
	one := tenant(t, v, 1)
	rapid.Check(t, func(t *rapid.T) {
		var id uuid.UUID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		id[6] = id[6]&0x0f | byte(rapid.IntRange(1, 8).Draw(t, "version"))<<4
		id[8] = id[8]&0x3f | 0x80
		a, err := one.Pseudonym("a", id)
		if err != nil {
			t.Fatal(err)
		}
		b, err := one.Pseudonym("b", id)
		if err != nil {
			t.Fatal(err)
		}
		if a == id || a == b || a.Variant() != uuid.RFC4122 {
			t.Fatalf("id %s: pseudonyms %s and %s", id, a, b)
		}
		if back, err := one.Unpseudonym("a", a); err != nil || back != id {
			t.Fatalf("back: %s, %v", back, err)
		}
		if back, _ := one.Unpseudonym("b", a); back == id {
			t.Fatal("another audience's pseudonym was reversed")
		}
	})
}

// in runs fn in a tenant's transaction.
func in(t testing.TB, db *database.DB, id database.TenantID, fn func(ctx context.Context, tx *database.Tx) error) {
	t.Helper()
	if err := db.Tenant(context.Background(), id, fn); err != nil {
		t.Fatal(err)
	}
}

func TestResolve(t *testing.T) {
	db := databasetest.New(t)
	v, _ := open(t, t.TempDir())
	mbox := xapi.Identifier{Kind: xapi.Mbox, Value: "mailto:ada@example.org"}
	sha1, _ := mbox.MboxSHA1()
	var first uuid.UUID
	var sealed []byte
	in(t, db, 1, func(ctx context.Context, tx *database.Tx) error {
		subjects, err := v.Resolve(ctx, tx, []xapi.Identifier{account("a"), mbox, account("a")})
		if err != nil {
			return err
		}
		if len(subjects) != 2 || subjects.Of(account("a")).ID == subjects.Of(mbox).ID {
			t.Errorf("subjects: %v", subjects)
		}
		first = subjects.Of(mbox).ID
		sealed, err = subjects.Of(mbox).Seal("place", []byte("secret"))
		return err
	})
	in(t, db, 1, func(ctx context.Context, tx *database.Tx) error {
		subjects, err := v.Resolve(ctx, tx, []xapi.Identifier{sha1, account("b")})
		if err != nil {
			return err
		}
		if subjects.Of(sha1).ID != first {
			t.Error("a mailbox and its mbox_sha1sum are two subjects")
		}
		if plain, err := subjects.Of(sha1).Open("place", sealed); err != nil || string(plain) != "secret" {
			t.Errorf("open: %q, %v", plain, err)
		}
		if _, err := subjects.Of(sha1).Open("elsewhere", sealed); !errors.Is(err, vault.ErrSealed) {
			t.Errorf("opened elsewhere: %v", err)
		}
		agents, err := v.Identifiers(ctx, tx, []uuid.UUID{first})
		if err != nil {
			return err
		}
		if diff := cmp.Diff(`{"objectType":"Agent","mbox":"mailto:ada@example.org"}`, string(agents[first])); diff != "" {
			t.Error(diff)
		}
		return nil
	})
	in(t, db, 2, func(ctx context.Context, tx *database.Tx) error {
		if _, err := v.Find(ctx, tx, mbox); !errors.Is(err, vault.ErrUnknownSubject) {
			t.Errorf("tenant 2 finds tenant 1's subject: %v", err)
		}
		keys, err := v.Keys(ctx, tx, []uuid.UUID{first}, vault.Learning)
		if err == nil && len(keys) != 0 {
			t.Error("tenant 2 reads tenant 1's key")
		}
		return err
	})
}

// A mailbox first known by its digest, then by itself, is one subject and found by both.
func TestResolveMailboxAfterItsDigest(t *testing.T) {
	db := databasetest.New(t)
	v, _ := open(t, t.TempDir())
	mbox := xapi.Identifier{Kind: xapi.Mbox, Value: "mailto:ada@example.org"}
	sha1, _ := mbox.MboxSHA1()
	var ids []uuid.UUID
	for _, id := range []xapi.Identifier{sha1, mbox, sha1, mbox} {
		in(t, db, 1, func(ctx context.Context, tx *database.Tx) error {
			subjects, err := v.Resolve(ctx, tx, []xapi.Identifier{id})
			if err == nil {
				ids = append(ids, subjects.Of(id).ID)
			}
			return err
		})
	}
	in(t, db, 1, func(ctx context.Context, tx *database.Tx) error {
		subjects, err := v.Resolve(ctx, tx, []xapi.Identifier{mbox, sha1})
		if err == nil {
			ids = append(ids, subjects.Of(mbox).ID, subjects.Of(sha1).ID)
		}
		return err
	})
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("one address, several subjects: %v", ids)
		}
	}
}

// Many transactions that name the same new people at once agree on their subjects and do not deadlock.
func TestResolveConcurrently(t *testing.T) {
	db := databasetest.New(t)
	v, _ := open(t, t.TempDir())
	const writers, people = 8, 60
	results := make([]vault.Subjects, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var ids []xapi.Identifier
			for i := range people {
				mbox := xapi.Identifier{Kind: xapi.Mbox, Value: fmt.Sprintf("mailto:p%d@example.org", (i*7+w*13)%people)}
				ids = append(ids, mbox)
				if sha1, ok := mbox.MboxSHA1(); ok && (i+w)%3 == 0 {
					ids = append(ids, sha1)
				}
			}
			err := db.Tenant(context.Background(), 1, func(ctx context.Context, tx *database.Tx) error {
				var err error
				results[w], err = v.Resolve(ctx, tx, ids)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range people {
		mbox := xapi.Identifier{Kind: xapi.Mbox, Value: fmt.Sprintf("mailto:p%d@example.org", i)}
		want := results[0].Of(mbox)
		for w := range writers {
			if got := results[w].Of(mbox); got == nil || got.ID != want.ID {
				t.Fatalf("writer %d has another subject for one mailbox", w)
			}
			sealed, _ := want.Seal("x", []byte("y"))
			if _, err := results[w].Of(mbox).Open("x", sealed); err != nil {
				t.Fatalf("writer %d has another key for one mailbox: %v", w, err)
			}
		}
	}
}

func TestAnonymousAndShredded(t *testing.T) {
	db := databasetest.New(t)
	v, _ := open(t, t.TempDir())
	in(t, db, 1, func(ctx context.Context, tx *database.Tx) error {
		recalled, err := v.Recall(ctx, tx, nil, 2)
		if err != nil {
			return err
		}
		if _, err := recalled.Settle(ctx, tx); err != nil {
			return err
		}
		subjects := recalled.Anonymous
		ids := []uuid.UUID{subjects[0].ID, subjects[1].ID}
		if _, err := tx.ExecContext(ctx, `DELETE FROM subject_key WHERE tenant_id = $1 AND subject_id = $2`, tx.Tenant, ids[0]); err != nil {
			return err
		}
		keys, err := v.Keys(ctx, tx, ids, vault.Learning)
		if err != nil {
			return err
		}
		if keys[ids[0]] != nil || keys[ids[1]] == nil {
			t.Errorf("keys: %v", keys)
		}
		agents, err := v.Identifiers(ctx, tx, ids)
		if len(agents) != 0 {
			t.Error("an anonymous subject has an identifier")
		}
		return err
	})
}
