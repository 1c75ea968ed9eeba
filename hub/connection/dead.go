package connection

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// DeadLetter is a record that could not become statements, kept until the mapping or the source is mended.
//
// Its content is sealed under the key of the person it is about. Where nobody knows who that is (the record could not even be
// read), it is in quarantine: sealed by the tenant's key for the month in which it came, and deleted for good by PurgeDeadLetters once
// quarantine is over. The tenant's key outlives the month: it is the deletion that ends quarantine, and a
// backup keeps a quarantined letter as long as the backup is kept.
type DeadLetter struct {
	ID         uuid.UUID
	Connection uuid.UUID
	Run        uuid.UUID
	Stream     string
	Key        []byte // vault.Tenant.RecordKey; of the position where the record has no key
	Position   string // where in the source, as the connector names it; no value of the record
	Code       string // bad_record, too_large, mapping, invalid_statement, missing_lookup, duplicate_key
	Reason     string // what, and what to do; no value of the record
	Mapping    int    // version that was in force
	Generation int64  // of the snapshot that had it; 0 in an incremental stream
	At         time.Time

	// Record is the pruned record, or what was found where none could be read; AddDeadLetters seals it. Empty where it was too large to keep, and when
	// read back after the person it is about was erased.
	Record []byte
	// Subject is whom the record is about, for AddDeadLetters; zero: nobody knows, quarantine.
	Subject xapi.Identifier
	// SubjectID is whom the record is about, when read back.
	SubjectID uuid.NullUUID
}

// DeadState says what became of a dead letter.
type DeadState string

const (
	DeadOpen       DeadState = "open"
	DeadReplayed   DeadState = "replayed"   // mapped at last
	DeadSuperseded DeadState = "superseded" // the source gave the record anew, or has it no more
)

// quarantine numbers the month of an instant: 202611.
func quarantine(at time.Time) int { return at.UTC().Year()*100 + int(at.UTC().Month()) }

// deadContext binds a letter's content to its record. It does not hold the letter's id: a record has one open letter, whose content is replaced.
func deadContext(connection uuid.UUID, stream string, key []byte, epoch int) string {
	return fmt.Sprintf("dead-letter|%s|%s|%x|%d", connection, stream, key, epoch)
}

// sealer is who seals letters: a subject, or the tenant.
type sealer interface {
	Seal(context string, plain []byte) ([]byte, error)
	Open(context string, sealed []byte) ([]byte, error)
}

func (l *DeadLetter) seal(s sealer, epoch int) ([]byte, error) {
	if len(l.Record) == 0 {
		return []byte{}, nil
	}
	sealed, err := s.Seal(deadContext(l.Connection, l.Stream, l.Key, epoch), l.Record)
	if err != nil {
		return nil, fmt.Errorf("connection: seal dead letter: %w", err)
	}
	return sealed, nil
}

// AddDeadLetters keeps letters. A record has at most one open letter: a newer one takes its place and keeps its id. Each letter's Subject must be
// among subjects. A zero ID is made; At is now.
func AddDeadLetters(ctx context.Context, tx *database.Tx, t *vault.Tenant, subjects vault.Subjects, now time.Time, list []DeadLetter) error {
	if len(list) == 0 {
		return nil
	}
	list = onePerRecord(list)
	rows := newDeadRows(len(list))
	for i := range list {
		if err := rows.set(i, list[i], t, subjects, now); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `
INSERT INTO dead_letter (tenant_id, id, connection_id, run_id, stream, key, position, code, reason, mapping, generation, subject_id, epoch, sealed, at)
SELECT $1, n.*, $15 FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bytea[], $7::text[], $8::text[], $9::text[], $10::integer[],
    $11::bigint[], $12::uuid[], $13::integer[], $14::bytea[]) AS n
ON CONFLICT (tenant_id, connection_id, stream, key) WHERE state = 'open' DO UPDATE SET run_id = excluded.run_id, position = excluded.position,
    code = excluded.code, reason = excluded.reason, mapping = excluded.mapping, generation = excluded.generation, subject_id = excluded.subject_id,
    epoch = excluded.epoch, sealed = excluded.sealed, at = excluded.at`,
		tx.Tenant, database.UUIDs(rows.ids), database.UUIDs(rows.connections), database.UUIDs(rows.runs), database.Texts(rows.streams),
		database.Byteas(rows.keys), database.Texts(rows.positions), database.Texts(rows.codes), database.Texts(rows.reasons), database.Int4s(rows.mappings),
		database.Int8s(rows.generations), database.NullUUIDs(rows.subjects), database.Int4s(rows.epochs), database.Byteas(rows.sealed), now)
	if err != nil {
		return fmt.Errorf("connection: add dead letters: %w", err)
	}
	return nil
}

// deadRows are letters by column.
type deadRows struct {
	ids, connections, runs, subjects   []uuid.UUID
	streams, positions, codes, reasons []string
	keys, sealed                       [][]byte
	mappings, epochs                   []int32
	generations                        []int64
}

func newDeadRows(n int) deadRows {
	ids, texts, bytes, numbers := func() []uuid.UUID { return make([]uuid.UUID, n) }, func() []string { return make([]string, n) },
		func() [][]byte { return make([][]byte, n) }, func() []int32 { return make([]int32, n) }
	return deadRows{ids(), ids(), ids(), ids(), texts(), texts(), texts(), texts(), bytes(), bytes(), numbers(), numbers(), make([]int64, n)}
}

func (r deadRows) set(i int, l DeadLetter, t *vault.Tenant, subjects vault.Subjects, now time.Time) error {
	var holder sealer
	if l.Subject.IsZero() {
		holder, r.epochs[i] = t, int32(quarantine(now))
	} else {
		subject := subjects.Of(l.Subject)
		if subject == nil {
			return fmt.Errorf("connection: the subject of a dead letter of stream %s was not resolved", l.Stream)
		}
		holder, r.subjects[i] = subject, subject.ID
	}
	var err error
	if r.sealed[i], err = l.seal(holder, int(r.epochs[i])); err != nil {
		return err
	}
	if r.ids[i] = l.ID; l.ID == uuid.Nil {
		if r.ids[i], err = uuid.NewV7(); err != nil {
			return err
		}
	}
	r.connections[i], r.runs[i], r.streams[i], r.keys[i] = l.Connection, l.Run, l.Stream, l.Key
	r.positions[i], r.codes[i], r.reasons[i] = storable(l.Position), storable(l.Code), storable(l.Reason)
	r.mappings[i], r.generations[i] = int32(l.Mapping), l.Generation
	return nil
}

// storable takes out what a text column refuses. Positions and reasons come from connectors.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// onePerRecord sorts by record, as every writer does, and keeps each record's last letter.
func onePerRecord(list []DeadLetter) []DeadLetter {
	list = slices.Clone(list)
	order := func(a, b DeadLetter) int {
		if c := bytes.Compare(a.Connection[:], b.Connection[:]); c != 0 {
			return c
		}
		if c := bytes.Compare([]byte(a.Stream), []byte(b.Stream)); c != 0 {
			return c
		}
		return bytes.Compare(a.Key, b.Key)
	}
	slices.SortStableFunc(list, order)
	kept := list[:0]
	for i, l := range list {
		if i+1 < len(list) && order(l, list[i+1]) == 0 {
			continue
		}
		kept = append(kept, l)
	}
	return kept
}

const readDeadLetters = `
SELECT l.id, l.connection_id, l.run_id, l.stream, l.key, l.position, l.code, l.reason, l.mapping, l.generation, l.subject_id, l.epoch, l.sealed, l.at
FROM dead_letter l WHERE l.tenant_id = $1 AND l.connection_id = $2 AND l.id > $3 AND l.state = 'open' ORDER BY l.id LIMIT $4`

// OpenDeadLetters gives up to limit open letters with their content, in the order of id, from the one after the given id (uuid.Nil: the first).
func OpenDeadLetters(ctx context.Context, tx *database.Tx, v *vault.Vault, connection, after uuid.UUID, limit int) ([]DeadLetter, error) {
	t, err := v.Tenant(tx.Tenant)
	if err != nil {
		return nil, err
	}
	list, sealed, epochs, err := scanDeadLetters(ctx, tx, connection, after, limit)
	if err != nil {
		return nil, err
	}
	var subjects []uuid.UUID
	for _, l := range list {
		if l.SubjectID.Valid {
			subjects = append(subjects, l.SubjectID.UUID)
		}
	}
	keys, err := v.Keys(ctx, tx, subjects, vault.Learning)
	if err != nil {
		return nil, err
	}
	for i := range list {
		l := &list[i]
		if len(sealed[i]) == 0 {
			continue
		}
		var holder sealer = t
		if l.SubjectID.Valid {
			key := keys[l.SubjectID.UUID]
			if key == nil {
				continue
			}
			holder = key
		}
		if l.Record, err = holder.Open(deadContext(l.Connection, l.Stream, l.Key, epochs[i]), sealed[i]); err != nil {
			return nil, fmt.Errorf("connection: dead letter %s: %w", l.ID, err)
		}
	}
	return list, nil
}

func scanDeadLetters(ctx context.Context, tx *database.Tx, connection, after uuid.UUID, limit int) (list []DeadLetter, sealed [][]byte, epochs []int, err error) {
	rows, err := tx.QueryContext(ctx, readDeadLetters, tx.Tenant, connection, after, limit)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("connection: read dead letters: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var l DeadLetter
		var body []byte
		var epoch int
		err := rows.Scan(&l.ID, &l.Connection, &l.Run, &l.Stream, &l.Key, &l.Position, &l.Code, &l.Reason, &l.Mapping, &l.Generation, &l.SubjectID, &epoch, &body, &l.At)
		if err != nil {
			return nil, nil, nil, err
		}
		list, sealed, epochs = append(list, l), append(sealed, body), append(epochs, epoch)
	}
	return list, sealed, epochs, rows.Err()
}

// CloseDeadLetters closes the open letters of records with these keys, and drops what they held: the record is stored as itself now, or gone.
func CloseDeadLetters(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream string, keys [][]byte, state DeadState) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
UPDATE dead_letter SET state = $5, sealed = '' WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND key = ANY($4) AND state = 'open'`,
		tx.Tenant, connection, stream, database.Byteas(keys), string(state))
	if err != nil {
		return fmt.Errorf("connection: close dead letters: %w", err)
	}
	return nil
}

// HasDeadLetter tells which of the records with these keys have an open letter of a snapshot's generation.
func HasDeadLetter(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream string, generation int64, keys [][]byte) (map[string]bool, error) {
	var found [][]byte
	err := tx.SelectContext(ctx, &found, `
SELECT l.key FROM unnest($5::bytea[]) AS n(key)
CROSS JOIN LATERAL (SELECT key FROM dead_letter
    WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND key = n.key AND generation = $4 AND state = 'open' LIMIT 1) AS l`,
		tx.Tenant, connection, stream, generation, database.Byteas(keys))
	if err != nil {
		return nil, fmt.Errorf("connection: find dead letters: %w", err)
	}
	has := make(map[string]bool, len(found))
	for _, key := range found {
		has[string(key)] = true
	}
	return has, nil
}

// HasCode tells whether a snapshot has an open dead letter of one of the codes.
func HasCode(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream string, generation int64, codes ...string) (has bool, err error) {
	err = tx.GetContext(ctx, &has, `
SELECT EXISTS (SELECT FROM dead_letter WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND generation = $4 AND code = ANY($5::text[]) AND state = 'open')`,
		tx.Tenant, connection, stream, generation, database.Texts(codes))
	if err != nil {
		return false, fmt.Errorf("connection: find dead letters: %w", err)
	}
	return has, nil
}

// SupersedeDeadLetters closes the open letters of a stream's earlier snapshots, once the one of this generation is complete: what it has and cannot be
// mapped has a letter of its own.
func SupersedeDeadLetters(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream string, generation int64) error {
	_, err := tx.ExecContext(ctx, `
UPDATE dead_letter SET state = $5, sealed = '' WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND generation < $4 AND state = 'open'`,
		tx.Tenant, connection, stream, generation, string(DeadSuperseded))
	if err != nil {
		return fmt.Errorf("connection: close dead letters: %w", err)
	}
	return nil
}

// DeadCount is how many open letters have one code.
type DeadCount struct {
	Stream string `db:"stream" json:"stream"`
	Code   string `db:"code" json:"code"`
	Count  int64  `db:"count" json:"count"`
}

// CountDeadLetters counts a connection's open letters by stream and code.
func CountDeadLetters(ctx context.Context, tx *database.Tx, connection uuid.UUID) ([]DeadCount, error) {
	counts := []DeadCount{}
	err := tx.SelectContext(ctx, &counts, `
SELECT stream, code, count(*) AS count FROM dead_letter WHERE tenant_id = $1 AND connection_id = $2 AND state = 'open' GROUP BY stream, code ORDER BY stream, code`,
		tx.Tenant, connection)
	if err != nil {
		return nil, fmt.Errorf("connection: count dead letters: %w", err)
	}
	return counts, nil
}

// ListDeadLetters gives up to limit open letters without their content, after the given id (uuid.Nil: the first).
func ListDeadLetters(ctx context.Context, tx *database.Tx, connection, after uuid.UUID, limit int) ([]DeadLetter, error) {
	list, _, _, err := scanDeadLetters(ctx, tx, connection, after, limit)
	return list, err
}

// PurgeDeadLetters deletes letters whose quarantine is over or that nobody mended, older than before, whatever their state; it gives how many.
func PurgeDeadLetters(ctx context.Context, tx *database.Tx, before time.Time) (int64, error) {
	result, err := tx.ExecContext(ctx, `DELETE FROM dead_letter WHERE tenant_id = $1 AND at < $2`, tx.Tenant, before)
	if err != nil {
		return 0, fmt.Errorf("connection: purge dead letters: %w", err)
	}
	return result.RowsAffected()
}
