package records

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
)

// insertStatements writes a batch in one statement: COPY does not work under row-level security. OFFSET 0 keeps the planner to one probe
// of the tombstones' primary key for each id, where it might read them all. The largest parameter is first: lib/pq makes room for it at once.
const insertStatements = `
INSERT INTO statement (tenant_id, id, seq, stored, "timestamp", actor, authority, verb, object_kind, object, registration,
    score_scaled, score_raw, score_min, score_max, success, completion, duration, version, purpose, connection_id, frame, digest, imported)
SELECT $1, n.id, n.seq, n.stored, n.at, n.actor, n.authority, n.verb, n.object_kind, n.object, n.registration,
    n.score_scaled, n.score_raw, n.score_min, n.score_max, n.success, n.completion, n.duration, n.version, n.purpose, n.connection_id, n.frame, n.digest, n.imported
FROM unnest($2::bytea[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::timestamptz[], $7::uuid[], $8::uuid[], $9::integer[], $10::smallint[], $11::uuid[], $12::uuid[],
    $13::float8[], $14::float8[], $15::float8[], $16::float8[], $17::boolean[], $18::boolean[], $19::float8[], $20::smallint[], $21::integer[], $22::uuid[], $23::bytea[], $24::boolean[])
    AS n(frame, id, seq, stored, at, actor, authority, verb, object_kind, object, registration,
    score_scaled, score_raw, score_min, score_max, success, completion, duration, version, purpose, connection_id, digest, imported)
WHERE NOT EXISTS (SELECT 1 FROM statement_tombstone t WHERE t.tenant_id = $1 AND t.id = n.id OFFSET 0)
`

// leaveStored completes insertStatements where ids may be stored already.
const leaveStored = "ON CONFLICT (tenant_id, id) DO NOTHING"

// hopeful is from how many statements on a batch is first inserted as if all were new.
const hopeful = 16

// Insert stores a batch of statements with distinct ids, their agents, activities, attachments and voidings. Ids that are already
// stored, or that were erased, are left alone: if such a statement's digest differs, the whole batch fails with ErrConflict, else it is counted
// as a repeat. It gives the ids that were really stored.
func Insert(ctx context.Context, tx *database.Tx, list []Statement) (stored map[uuid.UUID]bool, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	batch := inOrder(list)
	n, err := insert(ctx, tx, batch)
	if err != nil {
		return nil, fmt.Errorf("records: insert statements: %w", err)
	}
	stored = make(map[uuid.UUID]bool, len(batch))
	if int(n) == len(batch) {
		for i := range batch {
			stored[batch[i].ID] = true
		}
	} else if stored, err = repeats(ctx, tx, batch); err != nil {
		return nil, err
	}
	if err := insertAgents(ctx, tx, batch, stored); err != nil {
		return nil, err
	}
	if err := insertActivities(ctx, tx, batch, stored); err != nil {
		return nil, err
	}
	if err := insertAttachments(ctx, tx, batch, stored); err != nil {
		return nil, err
	}
	if err := insertVoidings(ctx, tx, batch, stored); err != nil {
		return nil, err
	}
	if err := wake(ctx, tx, batch); err != nil {
		return nil, err
	}
	return stored, insertReferences(ctx, tx, batch, stored)
}

// inOrder gives the statements in the one order in which all transactions write theirs: so none waits for one that waits for it.
func inOrder(list []Statement) []*Statement {
	batch := make([]*Statement, len(list))
	for i := range list {
		batch[i] = &list[i]
	}
	slices.SortFunc(batch, func(a, b *Statement) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return batch
}

// insert gives how many rows it wrote: those whose ids are neither stored nor erased.
func insert(ctx context.Context, tx *database.Tx, batch []*Statement) (int64, error) {
	arguments := insertArguments(tx.Tenant, batch)
	if len(batch) >= hopeful {
		return tx.InsertNew(ctx, "statement_pkey", insertStatements, leaveStored, arguments...)
	}
	result, err := tx.ExecContext(ctx, insertStatements+leaveStored, arguments...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func insertArguments(tenant database.TenantID, batch []*Statement) []any {
	n := len(batch)
	ids, actors, authorities := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	objects, registrations, connections := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	seqs, stored, at := make([]int64, n), make([]time.Time, n), make([]time.Time, n)
	verbs, purposes := make([]int32, n), make([]int32, n)
	kinds, versions := make([]int16, n), make([]int16, n)
	scaled, raw, lowest, highest, durations := make([]*float64, n), make([]*float64, n), make([]*float64, n), make([]*float64, n), make([]*float64, n)
	success, completion := make([]*bool, n), make([]*bool, n)
	frames, digests, imported := make([][]byte, n), make([][]byte, n), make([]bool, n)
	for i := range batch {
		s := batch[i]
		ids[i], actors[i], authorities[i] = s.ID, s.Actor, s.Authority
		objects[i], registrations[i], connections[i] = s.Object, s.Registration, s.Connection
		seqs[i], stored[i], at[i] = s.Seq, s.Stored, s.Timestamp
		verbs[i], purposes[i] = s.Verb, s.Purpose
		kinds[i], versions[i] = int16(s.ObjectKind), int16(s.Version)
		scaled[i], raw[i], lowest[i], highest[i], durations[i] = s.Scaled, s.Raw, s.Min, s.Max, s.Duration
		success[i], completion[i] = s.Success, s.Completion
		frames[i], digests[i], imported[i] = s.Frame, s.Digest, s.Imported
	}
	return []any{tenant, database.Byteas(frames), database.UUIDs(ids), database.Int8s(seqs), database.Times(stored), database.Times(at), database.UUIDs(actors), database.UUIDs(authorities),
		database.Int4s(verbs), database.Int2s(kinds), database.NullUUIDs(objects), database.NullUUIDs(registrations),
		database.NullFloat8s(scaled), database.NullFloat8s(raw), database.NullFloat8s(lowest), database.NullFloat8s(highest),
		database.NullBools(success), database.NullBools(completion), database.NullFloat8s(durations), database.Int2s(versions), database.Int4s(purposes),
		database.NullUUIDs(connections), database.Byteas(digests), database.Bools(imported)}
}

// repeats tells, after some ids were not stored, which were, and whether the others are equal to what is there.
func repeats(ctx context.Context, tx *database.Tx, batch []*Statement) (map[uuid.UUID]bool, error) {
	ids := make([]uuid.UUID, len(batch))
	ours := make(map[uuid.UUID]*Statement, len(batch))
	for i, s := range batch {
		ids[i], ours[s.ID] = s.ID, s
	}
	var rows []struct {
		ID      uuid.UUID
		Digest  Digest
		Purpose int32
		Ours    bool
	}
	err := tx.SelectContext(ctx, &rows, `
SELECT s.* FROM unnest($2::uuid[]) AS n(id)
CROSS JOIN LATERAL (SELECT id, digest, purpose, xid = pg_current_xact_id() AS ours FROM statement WHERE tenant_id = $1 AND id = n.id LIMIT 1) AS s
UNION ALL
SELECT id, digest, 0, false FROM statement_tombstone WHERE tenant_id = $1 AND id = ANY($2::uuid[])`, tx.Tenant, database.UUIDs(ids))
	if err != nil {
		return nil, fmt.Errorf("records: look for repeats: %w", err)
	}
	stored := make(map[uuid.UUID]bool, len(batch))
	for _, r := range rows {
		s := ours[r.ID]
		switch {
		case r.Ours:
			stored[r.ID] = true
		case !r.Digest.Same(s.Digest), r.Purpose != 0 && r.Purpose != s.Purpose: // of another purpose: it would be acknowledged, and not be found for this one
			return nil, fmt.Errorf("%w: %s", ErrConflict, r.ID)
		}
	}
	return stored, nil
}

// agentArguments are the columns of the stored statements' agents; none where they have none.
func agentArguments(batch []*Statement, stored map[uuid.UUID]bool) (n int, arguments []any) {
	var ids, subjects []uuid.UUID
	var slots, roles []int16
	var direct []bool
	var at []time.Time
	var sealed [][]byte
	for i := range batch {
		if !stored[batch[i].ID] {
			continue
		}
		for _, a := range batch[i].Agents {
			ids, subjects = append(ids, batch[i].ID), append(subjects, a.Subject)
			slots, roles = append(slots, int16(a.Slot)), append(roles, int16(a.Role))
			direct, at, sealed = append(direct, a.Direct), append(at, batch[i].Stored), append(sealed, a.Sealed)
		}
	}
	return len(ids), []any{database.UUIDs(ids), database.Int2s(slots), database.UUIDs(subjects), database.Int2s(roles), database.Bools(direct), database.Times(at), database.Byteas(sealed)}
}

func insertAgents(ctx context.Context, tx *database.Tx, batch []*Statement, stored map[uuid.UUID]bool) error {
	n, arguments := agentArguments(batch, stored)
	if n == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
INSERT INTO statement_agent (tenant_id, statement_id, slot, subject_id, role, direct, stored, sealed)
SELECT $1, n.* FROM unnest($2::uuid[], $3::smallint[], $4::uuid[], $5::smallint[], $6::boolean[], $7::timestamptz[], $8::bytea[]) AS n`,
		append([]any{tx.Tenant}, arguments...)...)
	if err != nil {
		return fmt.Errorf("records: insert agents: %w", err)
	}
	return nil
}

// activityArguments are the columns of the stored statements' activities other than the object.
func activityArguments(batch []*Statement, stored map[uuid.UUID]bool) (n int, arguments []any) {
	var ids, keys []uuid.UUID
	var roles []int16
	var at []time.Time
	for i := range batch {
		if !stored[batch[i].ID] {
			continue
		}
		for _, a := range distinct(batch[i].Activities) {
			ids, keys = append(ids, batch[i].ID), append(keys, a.Key)
			roles, at = append(roles, int16(a.Role)), append(at, batch[i].Stored)
		}
	}
	return len(ids), []any{database.UUIDs(ids), database.UUIDs(keys), database.Int2s(roles), database.Times(at)}
}

func insertActivities(ctx context.Context, tx *database.Tx, batch []*Statement, stored map[uuid.UUID]bool) error {
	n, arguments := activityArguments(batch, stored)
	if n == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
INSERT INTO statement_activity (tenant_id, statement_id, key, role, stored)
SELECT $1, n.* FROM unnest($2::uuid[], $3::uuid[], $4::smallint[], $5::timestamptz[]) AS n`,
		append([]any{tx.Tenant}, arguments...)...)
	if err != nil {
		return fmt.Errorf("records: insert activities: %w", err)
	}
	return nil
}

// distinct gives each use once.
func distinct(uses []ActivityUse) []ActivityUse {
	if len(uses) < 2 {
		return uses
	}
	sorted := slices.Clone(uses)
	slices.SortFunc(sorted, func(a, b ActivityUse) int {
		return cmp.Or(bytes.Compare(a.Key[:], b.Key[:]), cmp.Compare(a.Role, b.Role))
	})
	return slices.Compact(sorted)
}

// insertVoidings records what was voided, whether or not it is there (Data 2.3.2: it need not be). That a voiding statement cannot be voided, and no statement by one of another purpose, is
// decided when it is read (query.Statements, voided): here, the order of arrival would count.
func insertVoidings(ctx context.Context, tx *database.Tx, batch []*Statement, stored map[uuid.UUID]bool) error {
	var ids, targets []uuid.UUID
	var purposes []int32
	for i := range batch {
		if stored[batch[i].ID] && batch[i].Voids != uuid.Nil {
			ids, targets, purposes = append(ids, batch[i].ID), append(targets, batch[i].Voids), append(purposes, batch[i].Purpose)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
INSERT INTO voiding (tenant_id, statement_id, target, purpose) SELECT $1, n.* FROM unnest($2::uuid[], $3::uuid[], $4::integer[]) AS n`,
		tx.Tenant, database.UUIDs(ids), database.UUIDs(targets), database.Int4s(purposes))
	if err != nil {
		return fmt.Errorf("records: insert voidings: %w", err)
	}
	return nil
}
