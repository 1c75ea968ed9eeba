package auth

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
)

// Client is what is told of a client.
type Client struct {
	ID         uuid.UUID  `json:"id"`
	Name       string     `json:"name"`
	Key        string     `json:"key,omitempty" doc:"the newest of its keys"`
	JWTSubject string     `json:"jwt_subject,omitempty" doc:"its name in the tokens of the issuer; it has no key then"`
	Scopes     []string   `json:"scopes"`
	Purpose    string     `json:"purpose"`
	Networks   []string   `json:"networks,omitempty" doc:"from which it may come; absent: from anywhere"`
	Keys       []Key      `json:"keys,omitempty" doc:"newest first"`
	Created    time.Time  `json:"created"`
	Expires    *time.Time `json:"expires,omitempty"`
	Revoked    *time.Time `json:"revoked,omitempty"`
	LastUsed   string     `json:"last_used,omitempty" doc:"the last day (UTC) on which it signed in, as 2026-01-31"`
}

// Key is what is told of a client's key.
type Key struct {
	Key      string     `json:"key"`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires,omitempty"`
	Revoked  *time.Time `json:"revoked,omitempty"`
	LastUsed string     `json:"last_used,omitempty"`
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
	if err := tx.SelectContext(ctx, &rows, "SELECT "+columns+" FROM client WHERE tenant_id = $1 ORDER BY name, created_at, id", tx.Tenant); err != nil {
		return nil, fmt.Errorf("list clients: %w", err)
	}
	return withKeys(ctx, tx, rows, uuid.Nil)
}

// Find gives a client by its name or id; by its id a revoked one too.
func (c *Clients) Find(ctx context.Context, tx *database.Tx, nameOrID string) (Client, error) {
	var rows []clientRow
	err := tx.SelectContext(ctx, &rows, "SELECT "+columns+" FROM client WHERE tenant_id = $1 AND (name = $2 AND revoked_at IS NULL OR id::text = $2)", tx.Tenant, nameOrID)
	if err != nil {
		return Client{}, fmt.Errorf("find client: %w", err)
	}
	if len(rows) == 0 {
		return Client{}, unknownClient(nameOrID)
	}
	found, err := withKeys(ctx, tx, rows, rows[0].ID)
	if err != nil {
		return Client{}, err
	}
	return found[0], nil
}

// withKeys gives clients with their keys; only is the one client that there is, or Nil.
func withKeys(ctx context.Context, tx *database.Tx, rows []clientRow, only uuid.UUID) ([]Client, error) {
	var keys []struct {
		Client    uuid.UUID    `db:"client"`
		Kind      string       `db:"kind"`
		Key       string       `db:"key"`
		CreatedAt time.Time    `db:"created_at"`
		ExpiresAt sql.NullTime `db:"expires_at"`
		RevokedAt sql.NullTime `db:"revoked_at"`
		UsedOn    sql.NullTime `db:"used_on"`
	}
	err := tx.SelectContext(ctx, &keys, `SELECT client, kind, key, created_at, expires_at, revoked_at, used_on FROM client_key
		WHERE tenant_id = $1 AND ($2 OR client = $3) ORDER BY client, created_at DESC, key`, tx.Tenant, only == uuid.Nil, only[:])
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	clients := make([]Client, len(rows))
	place := make(map[uuid.UUID]*Client, len(rows))
	for i, row := range rows {
		clients[i] = Client{
			ID: row.ID, Name: row.Name, Scopes: row.Scopes, Purpose: row.Purpose, Networks: row.Networks,
			Created: row.CreatedAt.UTC(), Expires: instant(row.ExpiresAt), Revoked: instant(row.RevokedAt),
		}
		place[row.ID] = &clients[i]
	}
	for _, k := range keys {
		client := place[k.Client]
		if client == nil {
			continue // made since the clients were read
		}
		used := ""
		if k.UsedOn.Valid {
			used = k.UsedOn.Time.Format(dayFormat)
		}
		client.LastUsed = max(client.LastUsed, used)
		if k.Kind == jwtKey {
			client.JWTSubject = k.Key
			continue
		}
		if client.Key == "" {
			client.Key = k.Key
		}
		client.Keys = append(client.Keys, Key{Key: k.Key, Created: k.CreatedAt.UTC(), Expires: instant(k.ExpiresAt), Revoked: instant(k.RevokedAt), LastUsed: used})
	}
	return clients, nil
}
