package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/lrshub/lrshub/hub/database"
)

// Row is an event as the tables hold it, for whoever writes it in one statement with what it tells of (records.InsertNew). All others call Record.
type Row struct {
	ID        uuid.UUID
	At        time.Time // UTC, microseconds
	Event     Event
	Subjects  []uuid.UUID // sorted, each once
	Canonical []byte
	Hash      []byte // of the leaf
}

// Prepare makes an event's row. An ErrInvalidEvent is the caller's mistake.
func Prepare(tenant database.TenantID, now time.Time, e Event) (Row, error) {
	if e.ID == uuid.Nil {
		id, err := NewID(now)
		if err != nil {
			return Row{}, fmt.Errorf("make an audit event's id: %w", err)
		}
		e.ID = id
	}
	canonical, err := e.Encode(tenant, now)
	if err != nil {
		return Row{}, fmt.Errorf("record audit event %s: %w", e.Kind, err)
	}
	hash := tlog.RecordHash(canonical)
	return Row{ID: e.ID, At: now.UTC().Truncate(time.Microsecond), Event: e, Subjects: sortedSubjects(e.Subjects), Canonical: canonical, Hash: hash[:]}, nil
}

// Record writes the event in the caller's transaction: it is told if and only if what it tells of is committed. One
// statement, one round trip. An ErrInvalidEvent sent nothing to the database; after
// any error the caller must give up the transaction: no audit, no answer.
func Record(ctx context.Context, tx *database.Tx, now time.Time, e Event) error {
	row, err := Prepare(tx.Tenant, now, e)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		WITH pending AS (
			INSERT INTO audit_pending (tenant_id, event_id, hash) VALUES ($1, $2, $8)
		)
		INSERT INTO audit_event (tenant_id, id, at, kind, actor, purpose, subjects, canonical)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $9)`,
		tx.Tenant, row.ID[:], row.At, e.Kind, e.Actor, e.Purpose, database.UUIDs(row.Subjects), row.Hash, row.Canonical)
	if err != nil {
		return fmt.Errorf("record audit event %s: %w", e.Kind, err)
	}
	return nil
}
