package database

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jmoiron/sqlx"
)

// Tx is a transaction that sees and writes one tenant's rows.
type Tx struct {
	*sqlx.Tx
	Tenant TenantID
}

// InsertNew inserts rows of which most likely none is there: at first as if so, and after a violation of that unique constraint once more with
// onConflict (ON CONFLICT ...) behind. That costs a fifth of an insert when it comes at once: each row is written twice then, the first time on trial.
func (tx *Tx) InsertNew(ctx context.Context, constraint, insert, onConflict string, args ...any) (rows int64, err error) {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT insert_new"); err != nil {
		return 0, err
	}
	result, err := tx.ExecContext(ctx, insert, args...)
	if IsUnique(err, constraint) {
		if _, err := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT insert_new"); err != nil {
			return 0, err
		}
		result, err = tx.ExecContext(ctx, insert+onConflict, args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// attempts bounds how often a transaction runs that Postgres gave up on in favour of another.
const attempts = 5

// Tenant runs fn in one transaction, read committed, whose row-level security is that tenant's. It commits when fn returns nil and
// rolls back when fn fails or panics. After a deadlock, a serialization failure or a migration under its statements it runs fn anew, at most 5 times in all, so fn
// must be repeatable: it sets what it fills, and does nothing outside the transaction. Errors keep what fn returned; see errors.go.
// A commit whose answer was lost is an ErrUnavailable too: only the database knows whether it happened.
func (db *DB) Tenant(ctx context.Context, tenant TenantID, fn func(ctx context.Context, tx *Tx) error) error {
	return db.repeat(ctx, tenant, fmt.Sprintf(keptPlans+"SET LOCAL lrshub.tenant = %d", tenant), fn)
}

// keptPlans keeps the planner to indexes: a plan that is kept, and was made while a table was small, would read all of it when it has grown. And it has plans kept: left to
// itself the planner makes one anew each time for what unnests arrays, since it knows how long they are then, and that takes longer than writing a few rows.
const keptPlans = "SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan; "

// pagePlans keeps the planner to indexes where it reads a page. A table that has just been filled has no statistics yet, and guesses then make a plan that
// reads and sorts a whole tenant for each page (measured: an export 25 times slower until the first autoanalyze).
// Each plan is made anew: which index is the right one depends on the values.
const pagePlans = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_custom_plan; "

// ReadTenant is Tenant for reading: fn sees one snapshot (repeatable read) and cannot write.
func (db *DB) ReadTenant(ctx context.Context, tenant TenantID, fn func(ctx context.Context, tx *Tx) error) error {
	return db.repeat(ctx, tenant, fmt.Sprintf("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; "+pagePlans+"SET LOCAL lrshub.tenant = %d", tenant), fn)
}

func (db *DB) repeat(ctx context.Context, tenant TenantID, opening string, fn func(context.Context, *Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := db.once(ctx, tenant, opening, fn)
		if err == nil {
			return nil
		}
		if attempt == attempts || !isConflict(err) {
			return describe(ctx, err)
		}
		select {
		case <-ctx.Done():
			return describe(ctx, errors.Join(ctx.Err(), err))
		case <-time.After(rand.N(10 * time.Millisecond << attempt)):
		}
	}
}

// once runs one transaction. The connection is taken by itself, so that after a failure its session can be cleaned.
func (db *DB) once(ctx context.Context, tenant TenantID, opening string, fn func(context.Context, *Tx) error) (err error) {
	conn, err := db.connection(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	tx, err := conn.BeginTxx(context.WithValue(ctx, openingKey{}, opening), nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	committed := false
	defer func() {
		if !committed { // also on a panic in fn
			_ = tx.Rollback() // a dead connection has rolled back already
			unlockSession(ctx, conn)
		}
	}()
	if err := fn(ctx, &Tx{Tx: tx, Tenant: tenant}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	committed = true
	return nil
}

// unlockSession gives back session-level advisory locks. A function that takes one for a moment (statement_clock) may be cancelled
// before it lets go; a rollback keeps such a lock, and the pooled connection would hold it for ever.
func unlockSession(ctx context.Context, conn *sqlx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, _ = conn.ExecContext(ctx, "SELECT pg_advisory_unlock_all()") // a broken connection takes its locks with it
}
