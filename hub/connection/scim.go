package connection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
)

var (
	// ErrNoResource: there is no such resource.
	ErrNoResource = errors.New("connection: no such resource")
	// ErrNameTaken: another resource of the connection has that name.
	ErrNameTaken = errors.New("connection: another resource has this name")
)

// Resource is what an identity provider put into a connection by SCIM: how it is found again. Its content is the source record with its key.
type Resource struct {
	ID         uuid.UUID `db:"id"`
	Key        []byte    `db:"key"`         // of its source record, vault.Tenant.RecordKey
	Name       []byte    `db:"name"`        // keyed digests of what it is looked for by; nil: it has none
	ExternalID []byte    `db:"external_id"` //
	Label      []byte    `db:"label"`       //
	Version    int       `db:"version"`
	CreatedAt  time.Time `db:"created_at"`
	ModifiedAt time.Time `db:"modified_at"`
}

const resourceColumns = `id, key, name, external_id, label, version, created_at, modified_at`

// GetResource gives a resource of a stream, or ErrNoResource.
func GetResource(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream string, id uuid.UUID) (r Resource, err error) {
	err = tx.GetContext(ctx, &r, `SELECT `+resourceColumns+` FROM scim_resource WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND id = $4`,
		tx.Tenant, connection, stream, id)
	if errors.Is(err, sql.ErrNoRows) {
		return r, ErrNoResource
	}
	if err != nil {
		return r, fmt.Errorf("connection: resource: %w", err)
	}
	return r, nil
}

// Wanted says which resources to list: those with one of these, all if each is nil.
type Wanted struct{ ID, Name, ExternalID, Label []byte }

const resourcesWhere = ` FROM scim_resource WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3
    AND ($4::bytea IS NULL OR id = encode($4::bytea, 'hex')::uuid) AND ($5::bytea IS NULL OR name = $5) AND ($6::bytea IS NULL OR external_id = $6) AND ($7::bytea IS NULL OR label = $7)`

// ListResources gives up to limit resources in the order in which they came, after the first so many, and how many there are in all.
func ListResources(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream string, w Wanted, skip, limit int) (list []Resource, total int, err error) {
	arguments := []any{tx.Tenant, connection, stream, w.ID, w.Name, w.ExternalID, w.Label}
	if err := tx.GetContext(ctx, &total, `SELECT count(*)`+resourcesWhere, arguments...); err != nil {
		return nil, 0, fmt.Errorf("connection: count resources: %w", err)
	}
	if limit == 0 || skip >= total {
		return nil, total, nil
	}
	err = tx.SelectContext(ctx, &list, `SELECT `+resourceColumns+resourcesWhere+` ORDER BY position OFFSET $8 LIMIT $9`, append(arguments, skip, limit)...)
	if err != nil {
		return nil, 0, fmt.Errorf("connection: list resources: %w", err)
	}
	return list, total, nil
}

// AddResource keeps a new resource. ErrNameTaken.
func AddResource(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream string, r Resource) error {
	_, err := tx.ExecContext(ctx, `
INSERT INTO scim_resource (tenant_id, connection_id, stream, id, key, name, external_id, label, created_at, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)`,
		tx.Tenant, connection, stream, r.ID, r.Key, r.Name, r.ExternalID, r.Label, r.CreatedAt)
	return named(err)
}

// ChangeResource makes the next version of a resource. ErrOvertaken when it has another than r.Version by now, ErrNameTaken.
func ChangeResource(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream string, r Resource, now time.Time) error {
	result, err := tx.ExecContext(ctx, `
UPDATE scim_resource SET name = $5, external_id = $6, label = $7, version = version + 1, modified_at = $8
WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND id = $4 AND version = $9`,
		tx.Tenant, connection, stream, r.ID, r.Name, r.ExternalID, r.Label, now, r.Version)
	return changedOne(result, named(err))
}

// RemoveResource forgets a resource. ErrOvertaken when it has another version than r.Version by now.
func RemoveResource(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream string, r Resource) error {
	result, err := tx.ExecContext(ctx, `DELETE FROM scim_resource WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND id = $4 AND version = $5`,
		tx.Tenant, connection, stream, r.ID, r.Version)
	return changedOne(result, named(err))
}

func changedOne(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(ErrOvertaken, err)
	}
	return nil
}

func named(err error) error {
	if database.IsUnique(err, "scim_resource_name") {
		return ErrNameTaken
	}
	if err != nil {
		return fmt.Errorf("connection: resource: %w", err)
	}
	return nil
}

// SubjectsOf gives the subjects that the records with these keys are about.
func SubjectsOf(ctx context.Context, tx *database.Tx, connection uuid.UUID, stream int16, keys [][]byte) (list []uuid.UUID, err error) {
	err = tx.SelectContext(ctx, &list, `
SELECT DISTINCT subject_id FROM source_record WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND key = ANY($4) AND subject_id IS NOT NULL`,
		tx.Tenant, connection, stream, database.Byteas(keys))
	if err != nil {
		return nil, fmt.Errorf("connection: subjects of records: %w", err)
	}
	return list, nil
}
