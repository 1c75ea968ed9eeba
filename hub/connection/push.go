package connection

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/contract"
)

// ErrDelivered: a delivery of that key was taken by another request meanwhile; FindDelivery has its answer.
var ErrDelivered = errors.New("connection: this delivery was taken before")

// Answer is what the sender of a push was answered.
type Answer struct {
	Status int         `json:"status"`
	Header http.Header `json:"header,omitempty"`
	Body   []byte      `json:"body,omitempty"`
}

// DeliveryWindow is how long a delivery is known again, and MaxDeliveries how many of a connection are, the newest.
const (
	DeliveryWindow = 24 * time.Hour
	MaxDeliveries  = 50_000
)

// DeliveryKey is the key of a delivery that is named so: by the sender's own id of it, or by its content.
func DeliveryKey(t *vault.Tenant, connection uuid.UUID, name []byte) []byte {
	return t.Digest("delivery", connection[:], name)[:16]
}

func answerContext(connection uuid.UUID, key []byte) string {
	return fmt.Sprintf("push-answer|%s|%x", connection, key)
}

// FindDelivery tells whether a delivery was taken within the window before now, and how it was answered.
func FindDelivery(ctx context.Context, tx *database.Tx, t *vault.Tenant, connection uuid.UUID, key []byte, now time.Time) (answer Answer, taken bool, err error) {
	var sealed []byte
	err = tx.GetContext(ctx, &sealed, `SELECT answer FROM push_delivery WHERE tenant_id = $1 AND connection_id = $2 AND key = $3 AND at > $4`,
		tx.Tenant, connection, key, now.Add(-DeliveryWindow))
	if errors.Is(err, sql.ErrNoRows) {
		return answer, false, nil
	}
	if err != nil {
		return answer, false, fmt.Errorf("connection: find delivery: %w", err)
	}
	text, err := t.Open(answerContext(connection, key), sealed)
	if err != nil {
		return answer, false, fmt.Errorf("connection: answer of a delivery: %w", err)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, false, errors.New("connection: answer of a delivery: it is not what was sealed")
	}
	return answer, true, nil
}

// AddDelivery says that a delivery is taken. It belongs into the transaction that stores what was pushed. ErrDelivered: another was first.
func AddDelivery(ctx context.Context, tx *database.Tx, t *vault.Tenant, connection, id uuid.UUID, key []byte, answer Answer, now time.Time) error {
	text, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("connection: answer of a delivery: %w", err)
	}
	sealed, err := t.Seal(answerContext(connection, key), text)
	if err != nil {
		return fmt.Errorf("connection: seal answer of a delivery: %w", err)
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM push_delivery WHERE tenant_id = $1 AND connection_id = $2 AND key = $3 AND at <= $4`,
		tx.Tenant, connection, key, now.Add(-DeliveryWindow))
	if err != nil {
		return fmt.Errorf("connection: add delivery: %w", err)
	}
	result, err := tx.ExecContext(ctx, `INSERT INTO push_delivery (tenant_id, connection_id, key, id, answer, at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		tx.Tenant, connection, key, id, sealed, now)
	if err != nil {
		return fmt.Errorf("connection: add delivery: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(ErrDelivered, err)
	}
	if key[0] == 0 { // one of 256
		return boundDeliveries(ctx, tx, connection, MaxDeliveries)
	}
	return nil
}

// boundDeliveries deletes the oldest deliveries of a connection beyond so many.
func boundDeliveries(ctx context.Context, tx *database.Tx, connection uuid.UUID, most int) error {
	_, err := tx.ExecContext(ctx, `
DELETE FROM push_delivery WHERE tenant_id = $1 AND connection_id = $2
    AND at < (SELECT at FROM push_delivery WHERE tenant_id = $1 AND connection_id = $2 ORDER BY at DESC OFFSET $3 LIMIT 1)`, tx.Tenant, connection, most-1)
	if err != nil {
		return fmt.Errorf("connection: bound deliveries: %w", err)
	}
	return nil
}

// PurgeDeliveries deletes deliveries older than before, and gives how many.
func PurgeDeliveries(ctx context.Context, tx *database.Tx, before time.Time) (int64, error) {
	result, err := tx.ExecContext(ctx, `DELETE FROM push_delivery WHERE tenant_id = $1 AND at < $2`, tx.Tenant, before)
	if err != nil {
		return 0, fmt.Errorf("connection: purge deliveries: %w", err)
	}
	return result.RowsAffected()
}

// HoldOpen keeps a connection as it is until the transaction ends: neither paused nor removed, and with this mapping version in force. It belongs into each
// transaction that stores what was pushed, as HoldLease into each of a run: whoever removes the connection waits for it, and no later one gets through. A push
// needs no lease, so it waits for no run; SaveSourceRecords sees to it that neither takes back what the other stored. Errors: ErrUnknown, ErrPaused, and ErrOvertaken when another
// mapping is in force.
func HoldOpen(ctx context.Context, tx *database.Tx, id uuid.UUID, mapping int) error {
	c, err := scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM connection WHERE tenant_id = $1 AND id = $2 AND state <> 'removed' FOR SHARE`, tx.Tenant, id))
	if errors.Is(err, sql.ErrNoRows) {
		return unknown(ctx, tx, id.String())
	}
	if err != nil {
		return fmt.Errorf("connection: hold open: %w", err)
	}
	if err := c.Startable(); err != nil {
		return err
	}
	if c.Mapping != mapping {
		return fmt.Errorf("%w: another mapping is in force", ErrOvertaken)
	}
	return nil
}

// PushGeneration is the generation that pushed records of a stream belong to: that of the snapshot that is being, or was last, read. The next snapshot
// takes them back if it does not have them.
func PushGeneration(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream contract.Stream) (generation int64, err error) {
	if stream.Mode == contract.Incremental {
		return 0, nil
	}
	err = tx.GetContext(ctx, &generation, `SELECT generation FROM connection_cursor WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3`, tx.Tenant, connection, stream.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("connection: generation: %w", err)
	}
	return generation, nil
}

// NotePush says that a delivery with records of a stream was stored. It belongs into the transaction that stores them. One that changed anything makes the snapshots
// that look this stream up start anew, as AddProgress does.
func NotePush(ctx context.Context, tx *database.Tx, connection, delivery uuid.UUID, stream string, mapping int, changed bool, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
INSERT INTO connection_freshness AS f (tenant_id, connection_id, stream, pushed_at, changed_at) VALUES ($1, $2, $3, $4, CASE WHEN $5::boolean THEN $4::timestamptz END)
ON CONFLICT (tenant_id, connection_id, stream) DO UPDATE SET pushed_at = excluded.pushed_at, changed_at = coalesce(excluded.changed_at, f.changed_at),
    late_since = NULL, told_at = NULL, told_tries = 0
WHERE f.pushed_at IS NULL OR f.pushed_at < excluded.pushed_at - interval '1 second' OR f.late_since IS NOT NULL`, // a flood of pushes need not queue for this row
		tx.Tenant, connection, stream, now, changed)
	if err != nil {
		return fmt.Errorf("connection: note push: %w", err)
	}
	if !changed {
		return nil
	}
	// A stream that was never read has no row: one of a reading that is complete, so that the first run begins at the start.
	_, err = tx.ExecContext(ctx, `
INSERT INTO connection_cursor AS c (tenant_id, connection_id, stream, cursor, run_id, complete, mapping, changes) VALUES ($1, $2, $3, '', $4, true, $5, 1)
ON CONFLICT (tenant_id, connection_id, stream) DO UPDATE SET changes = c.changes + 1`, tx.Tenant, connection, stream, delivery, mapping)
	if err != nil {
		return fmt.Errorf("connection: count changes: %w", err)
	}
	return nil
}
