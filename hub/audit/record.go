package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/lrshub/lrshub/hub/database"
)

// Record writes the event in the caller's transaction: it is told if and only if what it tells of is committed. One
// statement, one round trip. An ErrInvalidEvent is the caller's mistake and sent nothing to the database; after
// any error the caller must give up the transaction: no audit, no answer.
func Record(ctx context.Context, tx *database.Tx, now time.Time, e Event) error {
	if e.ID == uuid.Nil {
		id, err := NewID(now)
		if err != nil {
			return fmt.Errorf("make an audit event's id: %w", err)
		}
		e.ID = id
	}
	canonical, err := e.Encode(tx.Tenant, now)
	if err != nil {
		return fmt.Errorf("record audit event %s: %w", e.Kind, err)
	}
	hash := tlog.RecordHash(canonical)
	_, err = tx.ExecContext(ctx, `
		WITH pending AS (
			INSERT INTO audit_pending (tenant_id, event_id, hash) VALUES ($1, $2, $8)
		)
		INSERT INTO audit_event (tenant_id, id, at, kind, actor, purpose, subjects, canonical)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $9)`,
		tx.Tenant, e.ID[:], now.UTC().Truncate(time.Microsecond), e.Kind, e.Actor, e.Purpose,
		database.UUIDs(sortedSubjects(e.Subjects)), hash[:], canonical)
	if err != nil {
		return fmt.Errorf("record audit event %s: %w", e.Kind, err)
	}
	return nil
}
