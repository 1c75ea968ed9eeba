package connection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/contract"
)

// Reading is where a run stands in a stream.
type Reading struct {
	Cursor     []byte // the connector's own; nil: from the start
	Generation int64  // of the snapshot being read, from 1; 0 for an incremental stream
	Complete   bool   // this run came to the end already
	Again      bool   // this reading began with nothing known: the connector is to bring everything
}

// Start is a stream that a run is about to read.
type Start struct {
	Stream  contract.Stream
	Lookups []string // streams that its records look up
	Mapping int      // version in force
	Full    bool     // begin with nothing
}

// StartStream says where a run begins, or goes on, to read a stream. A snapshot that came to its end starts anew, with the cursor of its end: a connector that sees nothing new brings nothing and
// completes nothing. It starts from nothing where its first part was
// made of other looked-up records, or by another mapping, than its rest would be; one that was broken off goes on in its
// generation. An incremental stream goes on from its cursor: what was read before keeps what it was made of. Full makes both begin with nothing.
// Asked anew by the same run (its worker died), the run goes on where its last page ended, whatever Full says.
func StartStream(ctx context.Context, tx *database.Tx, t *vault.Tenant, connection, run uuid.UUID, s Start, now time.Time) (Reading, error) {
	row, err := readCursor(ctx, tx, connection, s.Stream.Name)
	if err != nil {
		return Reading{}, err
	}
	if row.exists && row.run == run {
		return row.reading(t, connection, s.Stream)
	}
	var changes int64
	err = tx.GetContext(ctx, &changes, `
SELECT coalesce(sum(changes), 0)::bigint FROM connection_cursor WHERE tenant_id = $1 AND connection_id = $2 AND stream = ANY($3) AND stream <> $4`,
		tx.Tenant, connection, database.Texts(s.Lookups), s.Stream.Name)
	if err != nil {
		return Reading{}, fmt.Errorf("connection: changes of lookups: %w", err)
	}
	stale := row.mapping != s.Mapping || row.lookedUp != changes
	snapshot := s.Stream.Mode != contract.Incremental
	if !row.exists || s.Full || snapshot && (stale || row.complete) {
		if !row.exists || s.Full || stale || !s.Stream.Compares {
			row.sealed = []byte{} // else the connector sees at once whether anything changed since it came to the end
		}
		row.mapping, row.lookedUp = s.Mapping, changes
		return row.restart(ctx, tx, t, connection, run, s.Stream, now)
	}
	_, err = tx.ExecContext(ctx, `UPDATE connection_cursor SET run_id = $4, complete = false, updated_at = $5 WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3`,
		tx.Tenant, connection, s.Stream.Name, run, now)
	if err != nil {
		return Reading{}, fmt.Errorf("connection: resume stream: %w", err)
	}
	row.complete, row.run = false, run
	return row.reading(t, connection, s.Stream)
}

// RestartStream forgets the cursor of a stream within a run, because the source no longer knows it.
func RestartStream(ctx context.Context, tx *database.Tx, t *vault.Tenant, connection, run uuid.UUID, stream contract.Stream, now time.Time) (Reading, error) {
	row, err := readCursor(ctx, tx, connection, stream.Name)
	if err != nil {
		return Reading{}, err
	}
	row.sealed = []byte{}
	return row.restart(ctx, tx, t, connection, run, stream, now)
}

// restart begins to read a stream anew, in a new generation if it is a snapshot, with the cursor that row has.
func (row cursorRow) restart(ctx context.Context, tx *database.Tx, t *vault.Tenant, connection, run uuid.UUID, stream contract.Stream, now time.Time) (Reading, error) {
	if stream.Mode != contract.Incremental {
		row.generation++
	}
	_, err := tx.ExecContext(ctx, `
INSERT INTO connection_cursor (tenant_id, connection_id, stream, cursor, generation, run_id, mapping, looked_up, updated_at) VALUES ($1, $2, $3, $9, $4, $5, $6, $7, $8)
ON CONFLICT (tenant_id, connection_id, stream) DO UPDATE SET cursor = excluded.cursor, generation = excluded.generation,
    run_id = excluded.run_id, mapping = excluded.mapping, looked_up = excluded.looked_up, complete = false, updated_at = excluded.updated_at`,
		tx.Tenant, connection, stream.Name, row.generation, run, row.mapping, row.lookedUp, now, row.sealed)
	if err != nil {
		return Reading{}, fmt.Errorf("connection: start stream: %w", err)
	}
	return cursorRow{generation: row.generation, sealed: row.sealed}.reading(t, connection, stream)
}

// SaveCursor keeps how far a stream was read. It belongs into the transaction that stores the page before it. ErrLeaseLost
// when that generation is no longer read (0: an incremental stream). A nil cursor (a page that has none) changes nothing.
func SaveCursor(ctx context.Context, tx *database.Tx, t *vault.Tenant, connection uuid.UUID, stream string, cursor []byte, generation int64) error {
	if cursor == nil {
		return nil
	}
	sealed, err := t.Seal(cursorContext(connection, stream), cursor)
	if err != nil {
		return fmt.Errorf("connection: seal cursor: %w", err)
	}
	result, err := tx.ExecContext(ctx, `
UPDATE connection_cursor SET cursor = $5, updated_at = now() WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND (generation = $4 OR $4 = 0)`,
		tx.Tenant, connection, stream, generation, sealed)
	if err != nil {
		return fmt.Errorf("connection: save cursor: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(ErrLeaseLost, err)
	}
	return nil
}

// CompleteStream says that a run read a stream to its end.
func CompleteStream(ctx context.Context, tx *database.Tx, connection, run uuid.UUID, stream string, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
WITH cursor AS (
    UPDATE connection_cursor SET complete = true, updated_at = $5 WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND run_id = $4
), fresh AS (
    INSERT INTO connection_freshness (tenant_id, connection_id, stream, read_at) VALUES ($1, $2, $3, $5)
    ON CONFLICT (tenant_id, connection_id, stream) DO UPDATE SET read_at = excluded.read_at, late_since = NULL, told_at = NULL, told_tries = 0
)
UPDATE sync_run_stream SET ended_at = $5 WHERE tenant_id = $1 AND run_id = $4 AND stream = $3`, tx.Tenant, connection, stream, run, now)
	if err != nil {
		return fmt.Errorf("connection: complete stream: %w", err)
	}
	return nil
}

// Generation gives the generation of a stream's source records: of its newest snapshot, 0 of an incremental stream or one that was never read.
func Generation(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream contract.Stream) (int64, error) {
	row, err := readCursor(ctx, tx, connection, stream.Name)
	if err != nil || stream.Mode == contract.Incremental {
		return 0, err
	}
	return row.generation, nil
}

// cursorRow is a row of connection_cursor.
type cursorRow struct {
	exists     bool
	sealed     []byte // empty: from the start
	generation int64
	run        uuid.UUID
	complete   bool
	mapping    int
	lookedUp   int64
}

// readCursor locks the row: two runs cannot both start a stream.
func readCursor(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream string) (cursorRow, error) {
	var row cursorRow
	err := tx.QueryRowContext(ctx, `
SELECT cursor, generation, run_id, complete, mapping, looked_up FROM connection_cursor WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 FOR UPDATE`,
		tx.Tenant, connection, stream).Scan(&row.sealed, &row.generation, &row.run, &row.complete, &row.mapping, &row.lookedUp)
	if errors.Is(err, sql.ErrNoRows) {
		return row, nil
	}
	if err != nil {
		return row, fmt.Errorf("connection: read cursor: %w", err)
	}
	row.exists = true
	return row, nil
}

func (row cursorRow) reading(t *vault.Tenant, connection uuid.UUID, stream contract.Stream) (Reading, error) {
	r := Reading{Complete: row.complete}
	if stream.Mode != contract.Incremental { // the row keeps the number meanwhile, should the stream become a snapshot again
		r.Generation = row.generation
	}
	if len(row.sealed) == 0 {
		r.Again = true
		return r, nil
	}
	var err error
	if r.Cursor, err = t.Open(cursorContext(connection, stream.Name), row.sealed); err != nil {
		return Reading{}, fmt.Errorf("connection: cursor of stream %s: %w", stream.Name, err)
	}
	return r, nil
}

func cursorContext(connection uuid.UUID, stream string) string {
	return fmt.Sprintf("cursor|%s|%s", connection, stream)
}
