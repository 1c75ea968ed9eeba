package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
)

// count gives how many statements the connection of a transaction keeps, and how many of them are this one.
func count(t *testing.T, db *database.DB, text string) (all, same int) {
	t.Helper()
	err := db.Tenant(t.Context(), databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT count(*), count(*) FILTER (WHERE statement = '"+text+"') FROM pg_prepared_statements").Scan(&all, &same)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, same
}

func TestStatementsAreKept(t *testing.T) {
	db := databasetest.New(t)
	db.SetMaxOpenConns(1)
	const text = "SELECT $1::integer + 1"
	for i := range 10 {
		err := db.Tenant(t.Context(), databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
			var n int
			if err := tx.GetContext(ctx, &n, text, i); err != nil || n != i+1 {
				return fmt.Errorf("%d: %w", n, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, same := count(t, db, text); same != 1 {
		t.Errorf("%d of the statement", same)
	}
	err := db.Tenant(t.Context(), databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		for i := range 1000 {
			var n int
			if err := tx.GetContext(ctx, &n, fmt.Sprintf("SELECT $1::integer + %d", i), 1); err != nil || n != i+1 {
				return fmt.Errorf("%d: %w", n, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if all, same := count(t, db, text); all > 128 || same != 0 {
		t.Errorf("%d are kept, %d of the first", all, same)
	}
}

// A hub goes on while its tables change: the transaction that finds a plan out of date runs anew.
func TestTablesChangeUnderStatements(t *testing.T) {
	db, owner := databasetest.NewWithOwner(t)
	db.SetMaxOpenConns(1)
	tables, err := sql.Open("postgres", owner)
	if err != nil {
		t.Fatal(err)
	}
	defer tables.Close()
	migrate := func(text string) {
		t.Helper()
		if _, err := tables.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	migrate("CREATE TABLE thing (id integer); GRANT SELECT ON thing TO PUBLIC; INSERT INTO thing VALUES (1)")
	columns := func() (n, runs int) {
		t.Helper()
		err := db.Tenant(t.Context(), databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
			runs++
			rows, err := tx.QueryContext(ctx, "SELECT t.* FROM thing t WHERE id = $1", 1)
			if err != nil {
				return err
			}
			defer rows.Close()
			names, err := rows.Columns()
			if err != nil {
				return err
			}
			n = len(names)
			for rows.Next() {
			}
			return rows.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		return n, runs
	}
	for range 8 {
		if n, runs := columns(); n != 1 || runs != 1 {
			t.Fatalf("%d columns, %d runs", n, runs)
		}
	}
	migrate("ALTER TABLE thing ADD COLUMN more integer")
	if n, _ := columns(); n != 2 {
		t.Errorf("%d columns", n)
	}
	if n, runs := columns(); n != 2 || runs != 1 {
		t.Errorf("then %d columns, %d runs", n, runs)
	}
}

// An error of a kept statement is as good as of one that is not: the connection goes on.
func TestKeptStatementFails(t *testing.T) {
	db := databasetest.New(t)
	db.SetMaxOpenConns(1)
	divide := func(by int) (n int, err error) {
		err = db.Tenant(t.Context(), databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
			return tx.GetContext(ctx, &n, "SELECT 10 / $1::integer", by)
		})
		return n, err
	}
	for range 3 {
		if n, err := divide(5); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		if _, err := divide(0); err == nil {
			t.Fatal("no error")
		}
	}
}

// A connection whose statement was given up is not used again: what Postgres is told of that may arrive during the next one.
func TestGivenUp(t *testing.T) {
	db := databasetest.New(t)
	db.SetMaxOpenConns(1)
	backend := func() (pid int) {
		t.Helper()
		err := db.Tenant(t.Context(), databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
			return tx.GetContext(ctx, &pid, "SELECT pg_backend_pid() + $1::integer", 0)
		})
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	first := backend()
	if again := backend(); again != first {
		t.Errorf("another connection for nothing")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := db.Tenant(ctx, databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, "SELECT pg_sleep($1::float8)", 10.0)
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, database.ErrUnavailable) {
		t.Error(err)
	}
	if again := backend(); again == first {
		t.Error("the same connection goes on")
	}
}
