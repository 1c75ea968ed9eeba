// Package databasetest gives each test a fresh, migrated Postgres database within milliseconds.
//
// All test binaries of a user share one cluster in the temporary folder (cluster.go): the first test that needs it starts it, and
// it ends by itself a while after the last test process has gone. New copies a template database that was migrated once
// for these migrations (template.go). The test then holds two tenants: Default and Other.
package databasetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lib/pq"

	"github.com/lrshub/lrshub/hub/database"
)

// The tenants of every test database.
const (
	Default database.TenantID = 1 // named default
	Other   database.TenantID = 2 // named other
)

// The login that tests use; Postgres listens on loopback only and holds nothing but test rows.
var app = database.AppRole{Name: "lrshub_test_app", Password: "lrshub_test_app"}

// New gives a fresh database, opened as the application's role. It is dropped when the test ends.
func New(t testing.TB) *database.DB {
	t.Helper()
	db, _ := NewWithOwner(t)
	return db
}

// NewWithOwner is New, with the URL of the owner of the same database: a superuser, past row-level security.
func NewWithOwner(t testing.TB) (*database.DB, string) {
	t.Helper()
	ownerURL := NewOwner(t)
	db, err := database.Open(t.Context(), AppURL(t, ownerURL))
	if err != nil {
		t.Fatalf("open the test database: %v", err)
	}
	t.Cleanup(func() { db.Close() })
	return db, ownerURL
}

// NewOwner gives the owner's URL of a fresh database and opens nothing.
func NewOwner(t testing.TB) string {
	t.Helper()
	return fresh(t, func(ctx context.Context, c *cluster) (string, error) { return c.template(ctx) })
}

// NewEmpty gives the owner's URL of a fresh database without any schema.
func NewEmpty(t testing.TB) string {
	t.Helper()
	return fresh(t, func(context.Context, *cluster) (string, error) { return "template0", nil })
}

// AppURL turns an owner's URL of a test database into the application's.
func AppURL(t testing.TB, ownerURL string) string {
	t.Helper()
	u, err := url.Parse(ownerURL)
	if err != nil {
		t.Fatalf("owner URL: %v", err)
	}
	u.User = url.UserPassword(app.Name, app.Password)
	return u.String()
}

// Settle waits until the transactions that run now, in this database or in any other of the cluster, have ended. Statements are listed
// only below the snapshot's xmin, and the transactions of other tests hold that back: a test that lists what it has just
// written calls Settle first.
func Settle(t testing.TB, db *database.DB) {
	t.Helper()
	var next string
	if err := db.GetContext(t.Context(), &next, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var settled bool
		if err := db.GetContext(t.Context(), &settled, "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8", next); err != nil {
			t.Fatal(err)
		}
		if settled {
			return
		}
	}
	t.Fatal("a transaction of the cluster has been open for a minute")
}

// fresh copies a template into a database of the test's own.
func fresh(t testing.TB, template func(context.Context, *cluster) (string, error)) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c, err := shared()
	if err != nil {
		t.Fatalf("these tests need Postgres: %v", err)
	}
	from, err := template(ctx, c)
	if err != nil {
		t.Fatalf("make the template database: %v", err)
	}
	name := "test_" + strings.ToLower(rand.Text()[:16])
	if _, err := c.admin.ExecContext(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s %s", pq.QuoteIdentifier(name), pq.QuoteIdentifier(from), c.strategy)); err != nil {
		t.Fatalf("copy the template database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := c.admin.ExecContext(ctx, "DROP DATABASE "+pq.QuoteIdentifier(name)+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test database: %v", err)
		}
	})
	return c.url(name)
}

// cluster is this process' hold on the shared cluster.
type cluster struct {
	users    *os.File // open, and so locked, until the process ends
	owner    *url.URL // of the database postgres
	admin    *sql.DB
	strategy string // how CREATE DATABASE copies: files are twice as fast as the default, without fsync
}

func (c *cluster) url(database string) string {
	u := *c.owner
	u.Path = "/" + database
	return u.String()
}

// shared joins the cluster once a process.
var shared = sync.OnceValues(func() (*cluster, error) {
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	ownerURL, users, err := join(dir, idleTime)
	if err != nil {
		return nil, err
	}
	owner, err := url.Parse(ownerURL)
	if err != nil {
		return nil, err
	}
	admin, err := sql.Open("postgres", ownerURL)
	if err != nil {
		return nil, err
	}
	admin.SetMaxOpenConns(4)
	c := &cluster{users: users, owner: owner, admin: admin}
	var version int
	if err := admin.QueryRow("SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return nil, err
	}
	if version >= 150000 { // before, it was the only way
		c.strategy = "STRATEGY FILE_COPY"
	}
	return c, nil
})
