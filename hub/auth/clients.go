package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
)

const columns = "id, name, key, secret_hash, scopes, purpose, created_at, expires_at, revoked_at"

// Client is what is told of a client.
type Client struct {
	ID      uuid.UUID  `json:"id"`
	Name    string     `json:"name"`
	Key     string     `json:"key"`
	Scopes  []string   `json:"scopes"`
	Purpose string     `json:"purpose"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
	Revoked *time.Time `json:"revoked,omitempty"`
}

func (row clientRow) client() Client {
	return Client{
		ID: row.ID, Name: row.Name, Key: row.Key, Scopes: row.Scopes, Purpose: row.Purpose,
		Created: row.CreatedAt.UTC(), Expires: instant(row.ExpiresAt), Revoked: instant(row.RevokedAt),
	}
}

func instant(t sql.NullTime) *time.Time {
	if !t.Valid {
		return nil
	}
	utc := t.Time.UTC()
	return &utc
}

// List gives the tenant's clients, revoked ones too, by name and then by age.
func (c *Clients) List(ctx context.Context, tx *database.Tx) ([]Client, error) {
	var rows []clientRow
	err := tx.SelectContext(ctx, &rows, "SELECT "+columns+" FROM client WHERE tenant_id = $1 ORDER BY name, created_at, id", tx.Tenant)
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", err)
	}
	clients := make([]Client, len(rows))
	for i := range rows {
		clients[i] = rows[i].client()
	}
	return clients, nil
}

// Revoke ends a client, given by its name or id, and tells the audit log; actor is the credential that
// asked. It holds everywhere within a second.
func (c *Clients) Revoke(ctx context.Context, tx *database.Tx, actor, nameOrID string) (Client, error) {
	var row clientRow
	err := tx.GetContext(ctx, &row, `UPDATE client SET revoked_at = $3 WHERE tenant_id = $1 AND revoked_at IS NULL AND (name = $2 OR id::text = $2)
		RETURNING `+columns, tx.Tenant, nameOrID, c.now().UTC())
	if errors.Is(err, sql.ErrNoRows) {
		return Client{}, fmt.Errorf("%w %q; lrshub client list shows those that there are", ErrUnknownClient, nameOrID)
	}
	if err != nil {
		return Client{}, fmt.Errorf("revoke client: %w", err)
	}
	event := audit.Event{Kind: audit.ClientRevoked, Actor: actor, Fields: map[string]any{"client": row.ID, "scopes": []string(row.Scopes)}}
	if err := audit.Record(ctx, tx, c.now(), event); err != nil {
		return Client{}, err
	}
	return row.client(), nil
}
