package connection

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
)

// ErrUnknownMapping: the connection has no mapping of that version.
var ErrUnknownMapping = errors.New("connection: no such mapping version")

// MappingVersion is one version of a connection's mapping.
type MappingVersion struct {
	Version   int            `json:"version"`
	Document  string         `json:"document"` // YAML
	Streams   []MappedStream `json:"streams"`  // in the order of reading
	CreatedAt time.Time      `json:"created_at"`
}

// MappedStream is a stream that a mapping reads.
type MappedStream struct {
	Name    string   `json:"name"`
	Fields  []string `json:"fields"`            // paths that the mapping names; records are kept pruned to them
	Lookups []string `json:"lookups,omitempty"` // streams that its records look up; they are read before
}

func insertMapping(ctx context.Context, tx *database.Tx, connection uuid.UUID, version int, spec Checked, now time.Time) error {
	streams, err := json.Marshal(spec.streams)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO connection_mapping (tenant_id, connection_id, version, document, streams, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		tx.Tenant, connection, version, spec.spec.Mapping, database.JSON(streams), now)
	if err != nil {
		return fmt.Errorf("connection: add mapping version: %w", err)
	}
	return nil
}

// GetMapping gives a version of a connection's mapping, or ErrUnknownMapping; version 0 is the one in force.
func GetMapping(ctx context.Context, tx *database.Tx, connection uuid.UUID, version int) (MappingVersion, error) {
	var m MappingVersion
	var streams []byte
	err := tx.QueryRowContext(ctx, `
SELECT m.version, m.document, m.streams, m.created_at FROM connection_mapping m JOIN connection c ON c.tenant_id = m.tenant_id AND c.id = m.connection_id
WHERE m.tenant_id = $1 AND m.connection_id = $2 AND m.version = CASE $3::integer WHEN 0 THEN c.mapping ELSE $3 END`,
		tx.Tenant, connection, version).Scan(&m.Version, &m.Document, &streams, &m.CreatedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return m, fmt.Errorf("%w: %d", ErrUnknownMapping, version)
	}
	if err != nil {
		return m, fmt.Errorf("connection: read mapping: %w", err)
	}
	if err := json.Unmarshal(streams, &m.Streams); err != nil {
		return m, fmt.Errorf("connection: streams of mapping version %d: %w", m.Version, err)
	}
	return m, nil
}

// ApplyMapping puts a new version of a connection's mapping into force, for the records that come from now on; a run under way
// keeps the version it began with. It gives the version and the fields, by stream, that the version before did not name: they were pruned
// from every record read so far, so the streams need to be read again (sync run --full) before the new version is
// true of older records too. The same document again changes nothing.
func ApplyMapping(ctx context.Context, tx *database.Tx, act Act, connection uuid.UUID, spec Checked) (version int, unread map[string][]string, err error) {
	c, err := lock(ctx, tx, connection)
	if err != nil {
		return 0, nil, err
	}
	old, err := GetMapping(ctx, tx, connection, 0)
	if err != nil {
		return 0, nil, err
	}
	if old.Document == spec.spec.Mapping {
		return old.Version, nil, nil
	}
	err = tx.GetContext(ctx, &c.Mapping, `SELECT max(version) + 1 FROM connection_mapping WHERE tenant_id = $1 AND connection_id = $2`, tx.Tenant, connection)
	if err != nil {
		return 0, nil, fmt.Errorf("connection: number mapping version: %w", err)
	}
	if err := insertMapping(ctx, tx, connection, c.Mapping, spec, act.Now); err != nil {
		return 0, nil, err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE connection SET mapping = $3 WHERE tenant_id = $1 AND id = $2`, tx.Tenant, connection, c.Mapping); err != nil {
		return 0, nil, fmt.Errorf("connection: apply mapping: %w", err)
	}
	digest := sha256.Sum256([]byte(spec.spec.Mapping))
	return c.Mapping, NewFields(old.Streams, spec.streams), record(ctx, tx, act, audit.MappingApplied, c, map[string]any{"digest": digest[:]})
}

// NewFields gives the fields, by stream, that after names and before does not.
func NewFields(before, after []MappedStream) map[string][]string {
	known := map[string][]string{}
	for _, s := range before {
		known[s.Name] = s.Fields
	}
	added := map[string][]string{}
	for _, s := range after {
		for _, f := range s.Fields {
			if !slices.Contains(known[s.Name], f) {
				added[s.Name] = append(added[s.Name], f)
			}
		}
	}
	return added
}
