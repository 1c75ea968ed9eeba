package connection

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/vault"
)

// SourceRecord is what is known of one record of a source.
type SourceRecord struct {
	Key        []byte // vault.Tenant.RecordKey, 16 bytes
	Revision   int    // counts what was stored for this key; never starts anew
	Generation int64  // last snapshot that had it
	Digest     []byte // keyed digest of the pruned record
	Outputs    []Output
	Subject    uuid.UUID // whose key seals it; Nil: the tenant's
	Sealed     []byte    // pruned record; empty when the source no longer has it
	Stored     bool      // there is a row of it
	Person     []byte    // keyed digest of what it says of a person (Tell of hub/people, Claim of hub/vault), 16 bytes; empty: nothing
	Pushed     bool      // by the source, while or after the snapshot of its generation was read
	Was        Version   // what the writer took for stored, where Stored
}

// Version tells whether a record changed since it was read.
type Version struct {
	Revision int
	Digest   []byte
}

// Version gives the record's.
func (r SourceRecord) Version() Version { return Version{r.Revision, r.Digest} }

// Output is a live statement that a source record gave.
type Output struct {
	Statement uuid.UUID
	Digest    [16]byte // keyed, of the statement as the mapping gave it
}

// Gone tells whether the source no longer has the record.
func (r SourceRecord) Gone() bool { return len(r.Sealed) == 0 }

func packOutputs(list []Output) []byte {
	b := make([]byte, 0, 32*len(list))
	for _, o := range list {
		b = append(append(b, o.Statement[:]...), o.Digest[:]...)
	}
	return b
}

func unpackOutputs(b []byte) ([]Output, error) {
	if len(b)%32 != 0 {
		return nil, fmt.Errorf("connection: outputs of a source record have %d bytes, not a multiple of 32", len(b))
	}
	list := make([]Output, len(b)/32)
	for i := range list {
		copy(list[i].Statement[:], b[32*i:])
		copy(list[i].Digest[:], b[32*i+16:])
	}
	return list, nil
}

// Stream numbers a stream of a connection; the number is for ever. The connection's row lets one after the other number what is new.
func Stream(ctx context.Context, tx *database.Tx, connection uuid.UUID, name string) (int16, error) {
	_, err := tx.ExecContext(ctx, `
SELECT FROM connection WHERE tenant_id = $1 AND id = $2
AND NOT EXISTS (SELECT FROM connection_stream WHERE tenant_id = $1 AND connection_id = $2 AND name = $3) FOR UPDATE`, tx.Tenant, connection, name)
	if err != nil {
		return 0, fmt.Errorf("connection: number stream: %w", err)
	}
	var n int16
	err = tx.GetContext(ctx, &n, `
WITH known AS (SELECT stream FROM connection_stream WHERE tenant_id = $1 AND connection_id = $2 AND name = $3),
made AS (INSERT INTO connection_stream (tenant_id, connection_id, stream, name)
    SELECT $1, $2, (SELECT coalesce(max(stream), 0) + 1 FROM connection_stream WHERE tenant_id = $1 AND connection_id = $2), $3
    WHERE NOT EXISTS (SELECT 1 FROM known) RETURNING stream)
SELECT stream FROM known UNION ALL SELECT stream FROM made`, tx.Tenant, connection, name)
	if err != nil {
		return 0, fmt.Errorf("connection: number stream: %w", err)
	}
	return n, nil
}

// SourceRecords gives what is known of the records with these keys, by key, without their content.
func SourceRecords(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream int16, keys [][]byte) (map[string]SourceRecord, error) {
	rows, err := tx.QueryContext(ctx, `
SELECT r.* FROM unnest($4::bytea[]) AS n(key)
CROSS JOIN LATERAL (SELECT key, revision, generation, digest, outputs, subject_id, length(sealed), pushed, person FROM source_record
    WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND key = n.key LIMIT 1) AS r`, tx.Tenant, connection, stream, database.Byteas(keys))
	if err != nil {
		return nil, fmt.Errorf("connection: source records: %w", err)
	}
	defer rows.Close()
	known := make(map[string]SourceRecord, len(keys))
	for rows.Next() {
		r, err := scanSourceRecord(rows)
		if err != nil {
			return nil, err
		}
		known[string(r.Key)] = r
	}
	return known, rows.Err()
}

// present stands for content that was not read.
var present = []byte{0}

func scanSourceRecord(rows *sql.Rows) (SourceRecord, error) {
	r := SourceRecord{Stored: true}
	var outputs []byte
	var size int
	if err := rows.Scan(&r.Key, &r.Revision, &r.Generation, &r.Digest, &outputs, &r.Subject, &size, &r.Pushed, &r.Person); err != nil {
		return r, err
	}
	if size > 0 {
		r.Sealed = present
	}
	var err error
	r.Outputs, err = unpackOutputs(outputs)
	return r, err
}

// ErrOvertaken: a record is no longer what it was when its change was made: a push, another worker, or another run was first. Made anew, the change may be stored.
var ErrOvertaken = errors.New("connection: another worker changed these records meanwhile")

// stillStored locks those of the records that are what they were, or already what they are to become: another worker of the same run had the same page.
const stillStored = `
SELECT count(*) FROM unnest($4::bytea[], $5::integer[], $6::bytea[], $7::integer[], $8::bytea[], $9::bytea[]) AS n(key, revision, digest, next_revision, next_digest, next_outputs)
CROSS JOIN LATERAL (SELECT FROM source_record
    WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND key = n.key
        AND (revision = n.revision AND digest = n.digest OR revision = n.next_revision AND digest = n.next_digest AND outputs = n.next_outputs) LIMIT 1 FOR UPDATE) AS r`

const insertSourceRecords = `
INSERT INTO source_record (tenant_id, connection_id, stream, key, revision, generation, digest, outputs, subject_id, sealed, pushed, person)
SELECT $1, $2, $3, n.* FROM unnest($4::bytea[], $5::integer[], $6::bigint[], $7::bytea[], $8::bytea[], $9::uuid[], $10::bytea[], $11::boolean[], $12::bytea[]) AS n
`

// orRevise completes insertSourceRecords for records that are there already.
const orRevise = `
ON CONFLICT (tenant_id, connection_id, stream, key) DO UPDATE SET revision = excluded.revision, generation = excluded.generation,
    digest = excluded.digest, outputs = excluded.outputs, subject_id = excluded.subject_id, sealed = excluded.sealed, pushed = excluded.pushed, person = excluded.person`

// orSame completes insertSourceRecords for records that were new: one that is there by now must be the same.
const orSame = orRevise + `
WHERE source_record.revision = excluded.revision AND source_record.digest = excluded.digest AND source_record.outputs = excluded.outputs`

// SaveSourceRecords writes records with distinct keys, in one order. Each must still be what it was when it was read: a worker that was taken for dead may wake up
// with a page in hand, while another one reads on in the same run, and the source may push a record that a run has in hand. ErrOvertaken: what the transaction wrote
// must be rolled back.
func SaveSourceRecords(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream int16, list []SourceRecord) error {
	slices.SortFunc(list, func(a, b SourceRecord) int { return bytes.Compare(a.Key, b.Key) })
	var fresh, known []SourceRecord
	for _, r := range list {
		if r.Stored {
			known = append(known, r)
		} else {
			fresh = append(fresh, r)
		}
	}
	if err := reviseSourceRecords(ctx, tx, connection, stream, known); err != nil || len(fresh) == 0 {
		return err
	}
	written, err := tx.InsertNew(ctx, "source_record_pkey", insertSourceRecords, orSame, recordColumns(tx, connection, stream, fresh)...)
	return saved(written, len(fresh), err)
}

// reviseSourceRecords writes records that are there.
func reviseSourceRecords(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream int16, list []SourceRecord) error {
	if len(list) == 0 {
		return nil
	}
	n := len(list)
	keys, digests, nextDigests, outputs := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	revisions, nextRevisions := make([]int32, n), make([]int32, n)
	for i, r := range list {
		keys[i], revisions[i], digests[i] = r.Key, int32(r.Was.Revision), r.Was.Digest
		nextRevisions[i], nextDigests[i], outputs[i] = int32(r.Revision), r.Digest, packOutputs(r.Outputs)
	}
	var still int64
	err := tx.GetContext(ctx, &still, stillStored, tx.Tenant, connection, stream, database.Byteas(keys), database.Int4s(revisions), database.Byteas(digests),
		database.Int4s(nextRevisions), database.Byteas(nextDigests), database.Byteas(outputs))
	if err := saved(still, len(list), err); err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, insertSourceRecords+orRevise, recordColumns(tx, connection, stream, list)...)
	if err != nil {
		return saved(0, 0, err)
	}
	written, err := result.RowsAffected()
	return saved(written, len(list), err)
}

func saved(written int64, wanted int, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("connection: save source records: %w", err)
	case written != int64(wanted):
		return ErrOvertaken
	}
	return nil
}

// recordColumns are the arguments of insertSourceRecords.
func recordColumns(tx *database.Tx, connection uuid.UUID, stream int16, list []SourceRecord) []any {
	n := len(list)
	keys, digests, outputs, sealed, persons := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	revisions, generations, subjects, pushed := make([]int32, n), make([]int64, n), make([]uuid.UUID, n), make([]bool, n)
	for i, r := range list {
		keys[i], digests[i], outputs[i], sealed[i] = r.Key, r.Digest, packOutputs(r.Outputs), r.Sealed
		if sealed[i] == nil {
			sealed[i] = []byte{}
		}
		if persons[i] = r.Person; persons[i] == nil {
			persons[i] = []byte{}
		}
		revisions[i], generations[i], subjects[i], pushed[i] = int32(r.Revision), r.Generation, r.Subject, r.Pushed
	}
	return []any{tx.Tenant, connection, stream, database.Byteas(keys), database.Int4s(revisions), database.Int8s(generations), database.Byteas(digests),
		database.Byteas(outputs), database.NullUUIDs(subjects), database.Byteas(sealed), database.Bools(pushed), database.Byteas(persons)}
}

// TouchSourceRecords says that a snapshot had these records, unchanged, or that they were pushed so.
func TouchSourceRecords(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream int16, generation int64, pushed bool, keys [][]byte) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
UPDATE source_record SET generation = $4, pushed = $6 WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND key = ANY($5) AND generation <> $4`,
		tx.Tenant, connection, stream, generation, database.Byteas(keys), pushed)
	if err != nil {
		return fmt.Errorf("connection: touch source records: %w", err)
	}
	return nil
}

// Absent gives up to limit records that the source had before the snapshot of this generation and has no more.
func Absent(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream int16, generation int64, limit int) ([]SourceRecord, error) {
	rows, err := tx.QueryContext(ctx, `
SELECT key, revision, generation, digest, outputs, subject_id, length(sealed), pushed, person FROM source_record
WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND generation < $4 AND length(sealed) > 0 ORDER BY key LIMIT $5`,
		tx.Tenant, connection, stream, generation, limit)
	if err != nil {
		return nil, fmt.Errorf("connection: absent records: %w", err)
	}
	defer rows.Close()
	var list []SourceRecord
	for rows.Next() {
		r, err := scanSourceRecord(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// RecordContext binds a sealed source record to its place.
func RecordContext(connection uuid.UUID, stream int16, key []byte) string {
	return fmt.Sprintf("source-record|%s|%d|%x", connection, stream, key)
}

// Lookup gives the content of the records with these keys, by key; those that the source no longer has, or whose subject was erased, are absent.
func Lookup(ctx context.Context, tx *database.Tx, v *vault.Vault, connection uuid.UUID, stream int16, keys [][]byte) (map[string][]byte, error) {
	t, err := v.Tenant(tx.Tenant)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `
SELECT n.key, r.sealed, r.subject_id, k.epoch, k.wrapped FROM unnest($4::bytea[]) AS n(key)
CROSS JOIN LATERAL (SELECT sealed, subject_id FROM source_record
    WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND key = n.key AND length(sealed) > 0 LIMIT 1) AS r
LEFT JOIN LATERAL (SELECT epoch, wrapped FROM subject_key WHERE tenant_id = $1 AND subject_id = r.subject_id AND class = $5 LIMIT 1) AS k ON true`,
		tx.Tenant, connection, stream, database.Byteas(keys), vault.Learning)
	if err != nil {
		return nil, fmt.Errorf("connection: look up records: %w", err)
	}
	defer rows.Close()
	found := make(map[string][]byte, len(keys))
	for rows.Next() {
		var key, sealed, wrapped []byte
		var subject uuid.UUID
		var epoch sql.NullInt32
		if err := rows.Scan(&key, &sealed, &subject, &epoch, &wrapped); err != nil {
			return nil, err
		}
		if subject != uuid.Nil && wrapped == nil {
			continue
		}
		plain, err := openRecord(t, subject, int(epoch.Int32), wrapped, RecordContext(connection, stream, key), sealed)
		if err != nil {
			return nil, fmt.Errorf("connection: source record: %w", err)
		}
		found[string(key)] = plain
	}
	return found, rows.Err()
}

func openRecord(t *vault.Tenant, subject uuid.UUID, epoch int, wrapped []byte, context string, sealed []byte) ([]byte, error) {
	if subject == uuid.Nil {
		return t.Open(context, sealed)
	}
	s, err := t.Unwrap(subject, vault.Learning, epoch, wrapped)
	if err != nil {
		return nil, err
	}
	return s.Open(context, sealed)
}
