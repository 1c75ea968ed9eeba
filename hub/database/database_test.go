package database_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lib/pq"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
)

// withNotes is a test database with a table of tenants' rows.
func withNotes(t *testing.T) (*database.DB, *sql.DB) {
	t.Helper()
	db, ownerURL := databasetest.NewWithOwner(t)
	owner, err := sql.Open("postgres", ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Close() })
	if _, err := owner.Exec(`CREATE TABLE note (tenant_id integer NOT NULL, id integer NOT NULL, text text NOT NULL, CONSTRAINT note_id PRIMARY KEY (tenant_id, id));
		SELECT tenant_rows('note', 'SELECT, INSERT, UPDATE, DELETE')`); err != nil {
		t.Fatal(err)
	}
	return db, owner
}

func add(tenant database.TenantID, id int, text string) func(context.Context, *database.Tx) error {
	return func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO note VALUES ($1, $2, $3)", tenant, id, text)
		return err
	}
}

func notes(t *testing.T, db *database.DB, tenant database.TenantID) (texts []string) {
	t.Helper()
	err := db.ReadTenant(t.Context(), tenant, func(ctx context.Context, tx *database.Tx) error {
		return tx.SelectContext(ctx, &texts, "SELECT text FROM note ORDER BY id") // names no tenant: row-level security must hold by itself
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

func TestTenantsAreApart(t *testing.T) {
	db, _ := withNotes(t)
	for tenant, text := range map[database.TenantID]string{databasetest.Default: "mine", databasetest.Other: "theirs"} {
		if err := db.Tenant(t.Context(), tenant, add(tenant, 1, text)); err != nil {
			t.Fatal(err)
		}
	}
	if got := notes(t, db, databasetest.Default); !cmp.Equal(got, []string{"mine"}) {
		t.Errorf("default sees %v", got)
	}
	if got := notes(t, db, databasetest.Other); !cmp.Equal(got, []string{"theirs"}) {
		t.Errorf("other sees %v", got)
	}
	if err := db.Tenant(t.Context(), databasetest.Default, add(databasetest.Other, 2, "smuggled")); err == nil {
		t.Error("wrote a row of another tenant")
	}
	var texts []string
	if err := db.SelectContext(t.Context(), &texts, "SELECT text FROM note"); err == nil {
		t.Errorf("outside a tenant's transaction: %v", texts)
	}
}

func TestTenants(t *testing.T) {
	got, err := databasetest.New(t).Tenants(t.Context())
	want := []database.Tenant{{ID: databasetest.Default, Name: "default"}, {ID: databasetest.Other, Name: "other"}}
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRollback(t *testing.T) {
	db, _ := withNotes(t)
	refused := errors.New("refused")
	err := db.Tenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) error {
		return errors.Join(add(1, 1, "gone")(ctx, tx), refused)
	})
	if !errors.Is(err, refused) {
		t.Errorf("%v", err)
	}
	func() {
		defer func() {
			if recover() != "oh" {
				t.Error("the panic was swallowed")
			}
		}()
		_ = db.Tenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) error {
			_ = add(1, 2, "gone")(ctx, tx)
			panic("oh")
		})
	}()
	if got := notes(t, db, 1); len(got) > 0 {
		t.Errorf("kept %v", got)
	}
	if inUse := db.Stats().InUse; inUse != 0 {
		t.Errorf("%d connections not given back", inUse)
	}
}

func TestReadTenantIsASnapshotAndReadOnly(t *testing.T) {
	db, _ := withNotes(t)
	err := db.ReadTenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) error {
		var before, after int
		if err := tx.GetContext(ctx, &before, "SELECT count(*) FROM note"); err != nil {
			return err
		}
		if err := db.Tenant(ctx, 1, add(1, 1, "late")); err != nil {
			return err
		}
		if err := tx.GetContext(ctx, &after, "SELECT count(*) FROM note"); err != nil {
			return err
		}
		if before != after {
			t.Errorf("saw %d notes, then %d", before, after)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.ReadTenant(t.Context(), 1, add(1, 2, "x")); pq.As(err, "25006") == nil { // read_only_sql_transaction
		t.Errorf("wrote while reading: %v", err)
	}
}

func TestConflictsAreRepeated(t *testing.T) {
	db, _ := withNotes(t)
	for id := range 2 {
		if err := db.Tenant(t.Context(), 1, add(1, id, "")); err != nil {
			t.Fatal(err)
		}
	}
	// Two transactions lock two rows in opposite order, and wait for each other to have the first lock.
	var both, group sync.WaitGroup
	both.Add(2)
	var mu sync.Mutex
	runs := 0
	for first := range 2 {
		var once sync.Once
		group.Go(func() {
			err := db.Tenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) error {
				mu.Lock()
				runs++
				mu.Unlock()
				const update = "UPDATE note SET text = text || 'x' WHERE tenant_id = 1 AND id = $1"
				if _, err := tx.ExecContext(ctx, update, first); err != nil {
					return err
				}
				once.Do(func() { both.Done(); both.Wait() })
				_, err := tx.ExecContext(ctx, update, 1-first)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := notes(t, db, 1); !cmp.Equal(got, []string{"xx", "xx"}) {
		t.Errorf("each of both must have happened once: %v", got)
	}
	if runs < 3 {
		t.Errorf("%d runs: there was no deadlock", runs)
	}
}

func TestConflictsEnd(t *testing.T) {
	db := databasetest.New(t)
	runs := 0
	err := db.Tenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) error {
		runs++
		_, err := tx.ExecContext(ctx, "DO $$ BEGIN RAISE serialization_failure; END $$")
		return err
	})
	if pq.As(err, "40001") == nil || runs != 5 {
		t.Errorf("%d runs, %v", runs, err)
	}
}

// A cancelled function may leave a session-level lock; the pooled connection must not keep it.
func TestFailureReleasesAdvisoryLocks(t *testing.T) {
	db := databasetest.New(t)
	db.SetMaxOpenConns(1)
	lock := func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, "SELECT pg_advisory_lock(42), 1 / 0")
		return err
	}
	if err := db.Tenant(t.Context(), 1, lock); err == nil {
		t.Fatal("no error")
	}
	var held int
	if err := db.GetContext(t.Context(), &held, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"); err != nil || held != 0 {
		t.Errorf("%d locks held, %v", held, err)
	}
}

func TestErrorsNameConstraintsNotValues(t *testing.T) {
	db, _ := withNotes(t)
	if err := db.Tenant(t.Context(), 1, add(1, 1, "token-1")); err != nil {
		t.Fatal(err)
	}
	err := db.Tenant(t.Context(), 1, add(1, 1, "token-1"))
	if !database.IsUnique(err, "note_id") || !database.IsUnique(err, "") || database.IsUnique(err, "other_id") || strings.Contains(err.Error(), "token") {
		t.Errorf("%v", err)
	}
	err = db.Tenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, "SELECT $1::text::uuid", "token-2")
		return errors.Join(errors.New("write note"), err)
	})
	if pq.As(err, "22P02") == nil || strings.Contains(err.Error(), "token") || !strings.Contains(err.Error(), "invalid_text_representation") {
		t.Errorf("%v", err)
	}
	if database.IsUnique(nil, "") || database.IsUnique(errors.New("x"), "") {
		t.Error("no violation, yet IsUnique")
	}
}

func TestOpen(t *testing.T) {
	db, ownerURL := databasetest.NewWithOwner(t)
	if _, err := database.Open(t.Context(), ownerURL); !errors.Is(err, database.ErrPrivileged) {
		t.Errorf("opened as a superuser: %v", err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if _, err := database.Open(t.Context(), "postgres://a:secret@"+closed.Addr().String()+"/x?sslmode=disable"); !errors.Is(err, database.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody answers: %v", err)
	}
	for _, bad := range []string{"host=localhost password=secret", "http://a:secret@b/", "postgres://a:secret@b:port/x", "postgres://a:secret@b/x?sslmode=sometimes"} {
		if _, err := database.Open(t.Context(), bad); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
	}
	for setting, want := range map[string]string{"statement_timeout": "1min", "application_name": "lrshub", "TimeZone": "UTC"} {
		var got string
		if err := db.GetContext(t.Context(), &got, "SELECT current_setting($1)", setting); err != nil || got != want {
			t.Errorf("%s is %q, %v", setting, got, err)
		}
	}
}

// A statement that takes longer than it may can succeed when there is less to do; one whose caller is gone is nobody's failure.
func TestStatementTimeout(t *testing.T) {
	db := databasetest.New(t)
	sleep := func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, "SET LOCAL statement_timeout = '50ms'; SELECT pg_sleep(20)")
		return err
	}
	if err := db.Tenant(t.Context(), databasetest.Default, sleep); !errors.Is(err, database.ErrUnavailable) || pq.As(err, "57014") == nil {
		t.Errorf("out of time: %v", err)
	}
	for want, gone := range map[error]func() (context.Context, context.CancelFunc){
		context.Canceled: func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			return ctx, cancel
		},
		context.DeadlineExceeded: func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 50*time.Millisecond)
		},
	} {
		ctx, cancel := gone()
		err := db.Tenant(ctx, databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
			_, err := tx.ExecContext(ctx, "SELECT pg_sleep(20)")
			return err
		})
		if cancel(); !errors.Is(err, want) || errors.Is(err, database.ErrUnavailable) {
			t.Errorf("the caller is gone: %v, want %v", err, want)
		}
	}
}

func TestConnectionLost(t *testing.T) {
	db, owner := withNotes(t)
	lose := func() error {
		return db.Tenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) error {
			var pid int
			if err := tx.GetContext(ctx, &pid, "SELECT pg_backend_pid()"); err != nil {
				return err
			}
			if _, err := owner.ExecContext(ctx, "SELECT pg_terminate_backend($1, 5000)", pid); err != nil {
				return err
			}
			return add(1, 1, "lost")(ctx, tx)
		})
	}
	if err := lose(); !errors.Is(err, database.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if err := db.Tenant(t.Context(), 1, add(1, 2, "after")); err != nil {
		t.Errorf("the pool did not recover: %v", err)
	}
	if got := notes(t, db, 1); !cmp.Equal(got, []string{"after"}) {
		t.Errorf("%v", got)
	}
}

func TestCancel(t *testing.T) {
	db := databasetest.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := db.Tenant(ctx, 1, func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, "SELECT pg_sleep(30)")
		return err
	})
	if err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestListen(t *testing.T) {
	db, owner := withNotes(t)
	ctx, cancel := context.WithCancel(t.Context())
	news, err := db.Listen(ctx, "audit")
	if err != nil {
		t.Fatal(err)
	}
	notify := func(payload string) {
		t.Helper()
		err := db.Tenant(t.Context(), 1, func(ctx context.Context, tx *database.Tx) error {
			_, err := tx.ExecContext(ctx, "SELECT pg_notify('audit', $1)", payload)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want string) {
		t.Helper()
		select {
		case got, open := <-news:
			if got != want || !open {
				t.Errorf("got %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no news of %q", want)
		}
	}
	notify("1")
	expect("1")
	if _, err := owner.Exec("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"); err != nil {
		t.Fatal(err)
	}
	expect("") // reconnected, something may have been missed
	notify("2")
	expect("2")
	cancel()
	select {
	case _, open := <-news:
		if open {
			t.Error("news after the end")
		}
	case <-time.After(10 * time.Second):
		t.Error("not closed")
	}
}
