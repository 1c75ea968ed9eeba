package connection

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/contract"
)

// Remap checks another mapping for a connection whose configuration stays, against the streams that its connector describes.
func Remap(c Connection, s Settings, document string, streams []contract.Stream) (Checked, error) {
	spec := Spec{Connector: c.Connector, Checksum: c.Checksum, Mapping: document, Params: s.Params, Purpose: c.Purpose}
	mapped, err := checkMapping(spec, streams)
	return Checked{spec: spec, schedule: c.Schedule, streams: mapped}, err
}

// StoredRecord is a source record with its content.
type StoredRecord struct {
	Key  []byte
	JSON []byte // pruned
}

// StoredRecords gives up to limit records of a stream with their content, in the order of key, from the one after the given key (nil: the first).
// Those that the source no longer has, or whose subject was erased, are left out; last is the key to go on from, nil at the end.
func StoredRecords(ctx context.Context, tx *database.Tx, v *vault.Vault, connection uuid.UUID, stream int16, after []byte, limit int) (list []StoredRecord, last []byte, err error) {
	t, err := v.Tenant(tx.Tenant)
	if err != nil {
		return nil, nil, err
	}
	if after == nil {
		after = []byte{}
	}
	rows, err := tx.QueryContext(ctx, `
SELECT r.key, r.sealed, r.subject_id, k.epoch, k.wrapped FROM source_record r
LEFT JOIN LATERAL (SELECT epoch, wrapped FROM subject_key WHERE tenant_id = $1 AND subject_id = r.subject_id AND class = $6 LIMIT 1) AS k ON true
WHERE r.tenant_id = $1 AND r.connection_id = $2 AND r.stream = $3 AND r.key > $4 ORDER BY r.key LIMIT $5`,
		tx.Tenant, connection, stream, after, limit, vault.Learning)
	if err != nil {
		return nil, nil, fmt.Errorf("connection: read source records: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var key, sealed, wrapped []byte
		var subject uuid.UUID
		var epoch sql.NullInt32
		if err := rows.Scan(&key, &sealed, &subject, &epoch, &wrapped); err != nil {
			return nil, nil, err
		}
		last = key
		if len(sealed) == 0 || subject != uuid.Nil && wrapped == nil {
			continue
		}
		plain, err := openRecord(t, subject, int(epoch.Int32), wrapped, RecordContext(connection, stream, key), sealed)
		if err != nil {
			return nil, nil, fmt.Errorf("connection: source record: %w", err)
		}
		list = append(list, StoredRecord{Key: key, JSON: plain})
	}
	return list, last, rows.Err()
}
