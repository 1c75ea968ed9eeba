package main_test

import (
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/lib/pq" // as whoever owns the machine reads the database

	"github.com/lrshub/lrshub/cmd/internal/trial"
	"github.com/lrshub/lrshub/hub/embedded/postgres"
)

// owner opens a database of a running hub as its owner does: past every rule of the hub.
func owner(t *testing.T, hub *trial.Hub, database string) *sql.DB {
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(hub.Data, "postgres", name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(postgres.Owner, read("password")), Host: "127.0.0.1:" + read("port"), Path: database, RawQuery: "sslmode=disable"}
	db, err := sql.Open("postgres", u.String())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1) // settings of a session hold for all that follows
	t.Cleanup(func() { db.Close() })
	return db
}

// ask gives the one value of a query.
func ask[T any](t *testing.T, db *sql.DB, query string, args ...any) (value T) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

// do runs a statement and gives how many rows it touched.
func do(t *testing.T, db *sql.DB, query string, args ...any) int64 {
	t.Helper()
	result, err := db.ExecContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		t.Fatal(err)
	}
	return n
}
