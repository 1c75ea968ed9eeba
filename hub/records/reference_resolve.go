package records

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/lrshub/lrshub/hub/database"
)

// resolverLock is the class of the advisory locks (class, tenant) that resolvers hold for one transaction.
const resolverLock = 7723020

// resolveBatch is how many references one transaction takes on.
const resolveBatch = 500

// Resolve takes the tenant's pending references one step further, a bounded number of them, and says whether there may be more to do at once. First those that were
// seen before all transactions now open: their chain is followed anew, and either it is complete, or it ends at the statement that it was
// said to await, which nobody can be about to store without having told. Then what is fresh becomes seen. Any number of processes may call it.
func Resolve(ctx context.Context, db *database.DB, tenant database.TenantID) (more bool, err error) {
	var settled, seen int
	if err := db.Tenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
		var err error
		settled, err = settleSeen(ctx, tx)
		return err
	}); err != nil {
		return false, fmt.Errorf("records: settle references: %w", err)
	}
	if err := db.Tenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
		var err error
		seen, err = seeFresh(ctx, tx)
		return err
	}); err != nil {
		return false, fmt.Errorf("records: see references: %w", err)
	}
	return settled == resolveBatch || seen == resolveBatch, nil
}

// leadResolving makes this transaction the tenant's only resolver. It takes no transaction id.
func leadResolving(ctx context.Context, tx *database.Tx) (ok bool, err error) {
	err = tx.GetContext(ctx, &ok, `SELECT pg_try_advisory_xact_lock($1::integer, $2::integer)`, resolverLock, tx.Tenant)
	return ok, err
}

// settleSeen locks rows in one statement and follows their chains in the next: its snapshot has all that was committed before the rows were locked.
func settleSeen(ctx context.Context, tx *database.Tx) (int, error) {
	if ok, err := leadResolving(ctx, tx); err != nil || !ok {
		return 0, err
	}
	var list []reference
	err := tx.SelectContext(ctx, &list, `
SELECT statement_id, target_id, stored, keyed FROM reference_pending
WHERE tenant_id = $1 AND state = 2 AND touched < pg_snapshot_xmin(pg_current_snapshot()) LIMIT $2 FOR UPDATE SKIP LOCKED`, tx.Tenant, resolveBatch)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	complete, err := keep(ctx, tx, list)
	if err != nil || len(complete) == 0 {
		return len(list), err
	}
	_, err = tx.ExecContext(ctx, `
DELETE FROM reference_pending p USING unnest($2::uuid[]) AS n(id) WHERE p.tenant_id = $1 AND p.statement_id = n.id`, tx.Tenant, database.UUIDs(complete))
	return len(list), err
}

// seeFresh must take its transaction's id in the very statement that reads the rows: what a row awaits has been committed before.
func seeFresh(ctx context.Context, tx *database.Tx) (int, error) {
	if ok, err := leadResolving(ctx, tx); err != nil || !ok {
		return 0, err
	}
	result, err := tx.ExecContext(ctx, `
UPDATE reference_pending SET state = 2, touched = pg_current_xact_id() WHERE tenant_id = $1 AND statement_id IN (
    SELECT statement_id FROM reference_pending WHERE tenant_id = $1 AND state = 1 LIMIT $2 FOR UPDATE SKIP LOCKED)`, tx.Tenant, resolveBatch)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// KeepResolving calls Resolve for all tenants until ctx ends: at once again while there is much to do, else after the interval. A tenant in trouble
// does not hold up the others; its error is logged.
func KeepResolving(ctx context.Context, db *database.DB, interval time.Duration, log *slog.Logger) {
	for ctx.Err() == nil {
		tenants, err := db.Tenants(ctx)
		if err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "references are not resolved", "error", err)
		}
		again := false
		for _, t := range tenants {
			more, err := Resolve(ctx, db, t.ID)
			if err != nil && ctx.Err() == nil {
				log.ErrorContext(ctx, "references are not resolved", "tenant", int(t.ID), "error", err)
			}
			again = again || more
		}
		if again {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
}
