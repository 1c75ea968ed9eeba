package records

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
)

// ErrNotNew: a statement of a batch that was to be new is stored or was erased. The transaction must be given up.
var ErrNotNew = errors.New("records: not all statements are new")

// insertNew writes a batch and the audit event that tells of it in one round trip, of which most of the time goes that a small transaction takes. The rows of
// agents and activities come after those of their statements, as in Insert: whole is not known before. See insertStatements for the order of parameters.
const insertNew = "WITH new AS (" + insertStatements + "RETURNING 1), whole AS MATERIALIZED (SELECT count(*) = cardinality($3::uuid[]) AS all_new FROM new)" + `,
agents AS (
    INSERT INTO statement_agent (tenant_id, statement_id, slot, subject_id, role, direct, stored, sealed)
    SELECT $1, n.* FROM unnest($25::uuid[], $26::smallint[], $27::uuid[], $28::smallint[], $29::boolean[], $30::timestamptz[], $31::bytea[]) AS n
    WHERE (SELECT all_new FROM whole)
), activities AS (
    INSERT INTO statement_activity (tenant_id, statement_id, key, role, stored)
    SELECT $1, n.* FROM unnest($32::uuid[], $33::uuid[], $34::smallint[], $35::timestamptz[]) AS n WHERE (SELECT all_new FROM whole)
), pending AS (
    INSERT INTO audit_pending (tenant_id, event_id, hash) SELECT $1, $36, $42 WHERE (SELECT all_new FROM whole)
), event AS (
    INSERT INTO audit_event (tenant_id, id, at, kind, actor, purpose, subjects, canonical) SELECT $1, $36, $37, $38, $39, $40, $41, $43 WHERE (SELECT all_new FROM whole)
)
SELECT all_new, ` + someAwait + " FROM whole"

// InsertNew is Insert for a batch of which all is new, and records the event that tells of it: event must say that all were stored. It is meant for
// few statements. ErrNotNew where one of them is not new.
func InsertNew(ctx context.Context, tx *database.Tx, list []Statement, event audit.Row) error {
	batch := inOrder(list)
	stored := make(map[uuid.UUID]bool, len(batch))
	for _, s := range batch {
		stored[s.ID] = true
	}
	_, agents := agentArguments(batch, stored)
	_, activities := activityArguments(batch, stored)
	arguments := append(append(insertArguments(tx.Tenant, batch), agents...), activities...)
	arguments = append(arguments, event.ID[:], event.At, event.Event.Kind, event.Event.Actor, event.Event.Purpose, database.UUIDs(event.Subjects), event.Hash, event.Canonical)
	var whole, await bool
	err := tx.QueryRowContext(ctx, insertNew, arguments...).Scan(&whole, &await)
	if database.IsUnique(err, "statement_pkey") || err == nil && !whole {
		return ErrNotNew
	}
	if err != nil {
		return fmt.Errorf("records: insert new statements: %w", err)
	}
	if await {
		if err := wakeThose(ctx, tx, batch); err != nil {
			return err
		}
	}
	if err := insertAttachments(ctx, tx, batch, stored); err != nil {
		return err
	}
	if err := insertVoidings(ctx, tx, batch, stored); err != nil {
		return err
	}
	return insertReferences(ctx, tx, batch, stored)
}
