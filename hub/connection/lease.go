package connection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
)

// ErrLeaseLost: the run may no longer write for its connection: it was ended, another run took over, or the connection was removed.
var ErrLeaseLost = errors.New("connection: this run no longer holds the connection")

// HoldLease renews a run's lease on its connection until then. It belongs into each transaction that writes for the run: it
// locks the lease, so whoever ends the run or removes the connection waits for that transaction, and no later one gets through.
// ErrLeaseLost: the run must stop; what its transaction wrote must be rolled back.
func HoldLease(ctx context.Context, tx *database.Tx, connection, run uuid.UUID, until time.Time) error {
	result, err := tx.ExecContext(ctx, `UPDATE connection_lease SET until = $4 WHERE tenant_id = $1 AND connection_id = $2 AND run_id = $3`,
		tx.Tenant, connection, run, until)
	if err != nil {
		return fmt.Errorf("connection: renew lease: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(ErrLeaseLost, err)
	}
	return nil
}

// takeLease gives a run the lease, if nobody holds it at now, or gives the run that does.
func takeLease(ctx context.Context, tx *database.Tx, connection, run uuid.UUID, now, until time.Time) (holder uuid.UUID, err error) {
	result, err := tx.ExecContext(ctx, `
INSERT INTO connection_lease (tenant_id, connection_id, run_id, until) VALUES ($1, $2, $3, $5)
ON CONFLICT (tenant_id, connection_id) DO UPDATE SET run_id = excluded.run_id, until = excluded.until
WHERE connection_lease.run_id = excluded.run_id OR connection_lease.until <= $4`, tx.Tenant, connection, run, now, until)
	if err != nil {
		return uuid.Nil, fmt.Errorf("connection: take lease: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return run, err
	}
	err = tx.GetContext(ctx, &holder, `SELECT run_id FROM connection_lease WHERE tenant_id = $1 AND connection_id = $2`, tx.Tenant, connection)
	if err != nil {
		return uuid.Nil, fmt.Errorf("connection: read lease: %w", err)
	}
	return holder, nil
}

// ReleaseLease gives the connection free, if the run holds it.
func ReleaseLease(ctx context.Context, tx *database.Tx, connection, run uuid.UUID) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM connection_lease WHERE tenant_id = $1 AND connection_id = $2 AND run_id = $3`, tx.Tenant, connection, run)
	if err != nil {
		return fmt.Errorf("connection: release lease: %w", err)
	}
	return nil
}
