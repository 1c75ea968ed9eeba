package vault_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

var errUndo = errors.New("undo")

// erase deletes all that the vault has of a subject.
func erase(ctx context.Context, tx *database.Tx, id uuid.UUID) error {
	for _, table := range []string{"subject_index WHERE tenant_id = $1 AND subject_id", "subject_key WHERE tenant_id = $1 AND subject_id", "subject WHERE tenant_id = $1 AND id"} {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" = $2", tx.Tenant, id); err != nil {
			return err
		}
	}
	return nil
}

// check holds what a hub recalls against what one without memory finds. gone are the subjects that were erased or never committed.
func check(ctx context.Context, tx *database.Tx, v, fresh *vault.Vault, people []xapi.Identifier, gone map[uuid.UUID]bool) error {
	recalled, err := v.Recall(ctx, tx, people, 0)
	if err != nil {
		return err
	}
	truth, err := fresh.Recall(ctx, tx, people, 0)
	if err != nil {
		return err
	}
	for _, p := range people {
		got := recalled.Subjects.Of(p)
		if gone[got.ID] {
			return fmt.Errorf("%s: a subject that is gone", p.Name)
		}
		if _, err := fresh.Find(ctx, tx, p); errors.Is(err, vault.ErrUnknownSubject) {
			continue
		} else if err != nil {
			return err
		}
		if got.ID != truth.Subjects.Of(p).ID {
			return fmt.Errorf("%s: another subject than the one in Postgres", p.Name)
		}
		sealed, err := got.Seal("here", []byte("text"))
		if err != nil {
			return err
		}
		if _, err := truth.Subjects.Of(p).Open("here", sealed); err != nil {
			return fmt.Errorf("%s: another key than the one in Postgres: %w", p.Name, err)
		}
	}
	return nil
}

// Whatever transactions of several hubs make, erase, join and undo, a hub recalls what a hub without memory would find.
func TestWhatIsRememberedIsTrue(t *testing.T) {
	db := databasetest.New(t)
	dir := t.TempDir()
	_, keys := open(t, dir)
	hubs := []*vault.Vault{vault.New(keys), vault.New(keys), vault.New(keys)}
	random := rand.New(rand.NewPCG(5, 23))
	gone := map[uuid.UUID]bool{}
	everyone := make([]xapi.Identifier, 7)
	for i := range everyone {
		everyone[i] = account(fmt.Sprint("p", i))
	}
	for step := range 400 {
		tenant := database.TenantID(1 + random.IntN(2))
		undo := random.IntN(4) == 0
		var made, erased []uuid.UUID
		err := db.Tenant(t.Context(), tenant, func(ctx context.Context, tx *database.Tx) error {
			made, erased = nil, nil
			for range 1 + random.IntN(3) {
				v, p := hubs[random.IntN(len(hubs))], everyone[random.IntN(len(everyone))]
				if random.IntN(3) > 0 {
					subjects, err := v.Resolve(ctx, tx, []xapi.Identifier{p})
					if err != nil {
						return err
					}
					made = append(made, subjects.Of(p).ID)
					continue
				}
				id, err := v.Find(ctx, tx, p)
				if errors.Is(err, vault.ErrUnknownSubject) {
					continue
				}
				if err != nil {
					return err
				}
				switch random.IntN(3) {
				case 0: // joined with another
					other, err := v.Find(ctx, tx, everyone[0])
					if err == nil && other != id {
						_, err = tx.ExecContext(ctx, "UPDATE subject_index SET subject_id = $3 WHERE tenant_id = $1 AND subject_id = $2", tx.Tenant, id, other)
						erased = append(erased, id)
					}
					if err != nil && !errors.Is(err, vault.ErrUnknownSubject) {
						return err
					}
				default:
					if err := erase(ctx, tx, id); err != nil {
						return err
					}
					erased = append(erased, id)
				}
			}
			if undo {
				return errUndo
			}
			return nil
		})
		if err != nil && !errors.Is(err, errUndo) {
			t.Fatal(err)
		}
		if !undo {
			for _, id := range erased {
				gone[id] = true
			}
		}
		for _, v := range hubs {
			in(t, db, tenant, func(ctx context.Context, tx *database.Tx) error {
				if undo { // what was made is there only if it was there before
					for _, id := range made {
						var there bool
						if err := tx.GetContext(ctx, &there, "SELECT EXISTS (SELECT FROM subject WHERE tenant_id = $1 AND id = $2)", tx.Tenant, id); err != nil {
							return err
						}
						gone[id] = !there
					}
				}
				if err := check(ctx, tx, v, vault.New(keys), everyone, gone); err != nil {
					return fmt.Errorf("step %d: %w", step, err)
				}
				return nil
			})
		}
	}
	if len(gone) < 50 {
		t.Errorf("only %d subjects were ever gone", len(gone))
	}
}

// Without the trigger the deleted row is remembered: so memory is used at all, and it is the trigger that makes a hub look again.
func TestRememberedUntilToldOtherwise(t *testing.T) {
	db, ownerURL := databasetest.NewWithOwner(t)
	owner, err := sql.Open("postgres", ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Close() })
	v, _ := open(t, t.TempDir())
	people := []xapi.Identifier{account("a")}
	recall := func() (id uuid.UUID) {
		in(t, db, 1, func(ctx context.Context, tx *database.Tx) error {
			r, err := v.Recall(ctx, tx, people, 0)
			if err == nil {
				id = r.Subjects.Of(people[0]).ID
			}
			return err
		})
		return id
	}
	in(t, db, 1, func(ctx context.Context, tx *database.Tx) error {
		_, err := v.Resolve(ctx, tx, people)
		return err
	})
	first := recall() // finds it, and remembers
	for _, c := range []struct {
		statement string
		same      bool
	}{
		{"ALTER TABLE subject_index DISABLE TRIGGER USER; DELETE FROM subject_index; ALTER TABLE subject_index ENABLE TRIGGER USER", true},
		{"DELETE FROM subject_key WHERE tenant_id = 2", true}, // there are none
		{"INSERT INTO subject_key VALUES (2, gen_random_uuid(), 1, 1, 'x'); UPDATE subject_key SET epoch = 1 WHERE tenant_id = 2", true},
		{"TRUNCATE subject_index", false},
	} {
		if _, err := owner.Exec(c.statement); err != nil {
			t.Fatal(err)
		}
		if same := recall() == first; same != c.same {
			t.Errorf("after %s: the same subject: %t, want %t", c.statement, same, c.same)
		}
	}
}

// Another database with the same tenants, such as one restored from a backup, is not taken for the one before.
func TestMemoryIsOfOneDatabase(t *testing.T) {
	v, _ := open(t, t.TempDir())
	people := []xapi.Identifier{account("a")}
	var ids [2]uuid.UUID
	for i := range ids {
		db := databasetest.New(t)
		for range 2 {
			in(t, db, 1, func(ctx context.Context, tx *database.Tx) error {
				subjects, err := v.Resolve(ctx, tx, people)
				if err == nil {
					ids[i] = subjects.Of(people[0]).ID
				}
				return err
			})
		}
	}
	if ids[0] == ids[1] {
		t.Error("a subject of one database was recalled in another")
	}
}

// BenchmarkRecall recalls 500 people among 20,000, by memory and by looking; the ratio is that of their times.
func BenchmarkRecall(b *testing.B) {
	db := databasetest.New(b)
	dir := b.TempDir()
	v, keys := open(b, dir)
	people := make([]xapi.Identifier, 20_000)
	for i := range people {
		people[i] = account(fmt.Sprint("p", i))
	}
	recall := func(v *vault.Vault, list []xapi.Identifier, settle bool) {
		err := db.Tenant(b.Context(), 1, func(ctx context.Context, tx *database.Tx) error {
			r, err := v.Recall(ctx, tx, list, 0)
			if err == nil && settle {
				_, err = r.Settle(ctx, tx)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	recall(v, people, true)
	recall(v, people, false)
	random := rand.New(rand.NewPCG(1, 1))
	var by, without float64
	for b.Loop() {
		list := make([]xapi.Identifier, 500)
		for i := range list {
			list[i] = people[random.IntN(len(people))]
		}
		start := b.Elapsed()
		recall(v, list, false)
		middle := b.Elapsed()
		recall(vault.New(keys), list, false)
		by, without = by+(middle-start).Seconds(), without+(b.Elapsed()-middle).Seconds()
	}
	b.ReportMetric(by/without, "ratio-to-looking")
}
