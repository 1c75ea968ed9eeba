package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
)

// pseudonymised is the scope that nobody who writes may have.
const pseudonymised = "statements/read/pseudonymised"

const (
	// MaxOverlap is how long a key may be good beside the one that takes over.
	MaxOverlap = 90 * 24 * time.Hour
	// maxGood bounds how many keys of a client are good at once.
	maxGood = 5
)

// clientRow is a row of the table client.
type clientRow struct {
	ID        uuid.UUID      `db:"id"`
	Name      string         `db:"name"`
	Scopes    pq.StringArray `db:"scopes"`
	Purpose   string         `db:"purpose"`
	Networks  pq.StringArray `db:"networks"`
	CreatedAt time.Time      `db:"created_at"`
	ExpiresAt sql.NullTime   `db:"expires_at"`
	RevokedAt sql.NullTime   `db:"revoked_at"`
}

const columns = "id, name, scopes, purpose, networks, created_at, expires_at, revoked_at"

// lock finds a client that is not revoked by its name or id, for changing it.
func lock(ctx context.Context, tx *database.Tx, nameOrID string) (clientRow, error) {
	var row clientRow
	err := tx.GetContext(ctx, &row, "SELECT "+columns+" FROM client WHERE tenant_id = $1 AND revoked_at IS NULL AND (name = $2 OR id::text = $2) FOR UPDATE", tx.Tenant, nameOrID)
	if errors.Is(err, sql.ErrNoRows) {
		return row, unknownClient(nameOrID)
	}
	if err != nil {
		return row, fmt.Errorf("find client: %w", err)
	}
	return row, nil
}

func unknownClient(nameOrID string) error {
	return fmt.Errorf("%w %q; lrshub client list shows those that there are", ErrUnknownClient, nameOrID)
}

// Rotate makes another key and secret for a client, given by its name or id, and ends its earlier ones after the overlap, from 0 (at once) to MaxOverlap.
// It tells the audit log; actor is the credential that asked.
func (c *Clients) Rotate(ctx context.Context, tx *database.Tx, actor, nameOrID string, overlap time.Duration) (Credential, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return Credential{}, fmt.Errorf("%w: the overlap is from 0 to %d days", ErrInvalidClient, MaxOverlap/(24*time.Hour))
	}
	row, err := lock(ctx, tx, nameOrID)
	if err != nil {
		return Credential{}, err
	}
	now := c.now().UTC()
	if ended(row.ExpiresAt, now) {
		return Credential{}, fmt.Errorf("%w: it has expired, and so would a new key; lrshub client update --expires first", ErrInvalidClient)
	}
	ends := now.Add(overlap)
	if _, err := tx.ExecContext(ctx, `UPDATE client_key SET expires_at = $3 WHERE tenant_id = $1 AND client = $2 AND kind = 'secret'
		AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)`, tx.Tenant, row.ID[:], ends); err != nil {
		return Credential{}, fmt.Errorf("rotate client: %w", err)
	}
	var have struct{ Good, Tokens int }
	if err := tx.GetContext(ctx, &have, `SELECT count(*) FILTER (WHERE kind = 'secret' AND expires_at > $3) AS good, count(*) FILTER (WHERE kind = 'jwt') AS tokens
		FROM client_key WHERE tenant_id = $1 AND client = $2 AND revoked_at IS NULL`, tx.Tenant, row.ID[:], now); err != nil {
		return Credential{}, fmt.Errorf("rotate client: %w", err)
	}
	if have.Tokens > 0 {
		return Credential{}, fmt.Errorf("%w: it signs in with tokens of the issuer, and has no secret", ErrInvalidClient)
	}
	if have.Good >= maxGood {
		return Credential{}, fmt.Errorf("%w: %d keys of it are good still; wait until one ends, or end them with --overlap 0", ErrInvalidClient, have.Good)
	}
	made, err := c.newKey(ctx, tx, row.ID)
	if err != nil {
		return Credential{}, err
	}
	return made, audit.Record(ctx, tx, now, audit.Event{Kind: audit.ClientRotated, Actor: actor, Purpose: row.Purpose,
		Fields: map[string]any{"client": row.ID, "until": ends}})
}

// Change is what is to be changed of a client; what is nil or empty stays.
type Change struct {
	Scopes   []string
	Purpose  string
	Expires  *time.Time // zero: never
	Networks *[]string  // empty: from anywhere
}

// Update changes a client, given by its name or id, and tells the audit log; actor is the credential that asked. It holds everywhere within a second, for
// tokens that are out too.
func (c *Clients) Update(ctx context.Context, tx *database.Tx, actor, nameOrID string, change Change) (Client, error) {
	row, err := lock(ctx, tx, nameOrID)
	if err != nil {
		return Client{}, err
	}
	t := terms{row.Scopes, row.Purpose, time.Time{}, row.Networks} // an expiry that stays may be past
	if len(change.Scopes) > 0 {
		t.scopes = change.Scopes
	}
	if change.Purpose != "" {
		t.purpose = change.Purpose
	}
	if change.Networks != nil {
		t.networks = *change.Networks
	}
	if change.Expires != nil {
		t.expires = *change.Expires
	}
	if t, err = c.check(ctx, tx, t); err != nil {
		return Client{}, err
	}
	if slices.Contains(t.scopes, pseudonymised) && !slices.Contains(row.Scopes, pseudonymised) {
		return Client{}, fmt.Errorf("%w: a client cannot get %s afterwards: it may have written or read what it would recognise; make another client", ErrInvalidClient, pseudonymised)
	}
	if change.Expires == nil {
		t.expires = row.ExpiresAt.Time
	}
	if _, err := tx.ExecContext(ctx, "UPDATE client SET scopes = $3, purpose = $4, networks = $5, expires_at = $6 WHERE tenant_id = $1 AND id = $2",
		tx.Tenant, row.ID[:], pq.StringArray(t.scopes), t.purpose, pq.StringArray(t.networks), orNull(t.expires)); err != nil {
		return Client{}, fmt.Errorf("update client: %w", err)
	}
	fields := map[string]any{"client": row.ID, "scopes": t.scopes, "networks": t.networks}
	if !t.expires.IsZero() {
		fields["expires"] = t.expires
	}
	if err := audit.Record(ctx, tx, c.now(), audit.Event{Kind: audit.ClientChanged, Actor: actor, Purpose: t.purpose, Fields: fields}); err != nil {
		return Client{}, err
	}
	return c.Find(ctx, tx, row.ID.String())
}

// Revoke ends a client, given by its name or id, with all its keys, and tells the audit log; actor is the credential that
// asked. It holds everywhere within a second.
func (c *Clients) Revoke(ctx context.Context, tx *database.Tx, actor, nameOrID string) (Client, error) {
	row, err := lock(ctx, tx, nameOrID)
	if err != nil {
		return Client{}, err
	}
	now := c.now().UTC()
	for _, end := range []string{
		"UPDATE client SET revoked_at = $3 WHERE tenant_id = $1 AND id = $2",
		"UPDATE client_key SET revoked_at = $3 WHERE tenant_id = $1 AND client = $2 AND revoked_at IS NULL",
	} {
		if _, err := tx.ExecContext(ctx, end, tx.Tenant, row.ID[:], now); err != nil {
			return Client{}, fmt.Errorf("revoke client: %w", err)
		}
	}
	event := audit.Event{Kind: audit.ClientRevoked, Actor: actor, Fields: map[string]any{"client": row.ID, "scopes": []string(row.Scopes)}}
	if err := audit.Record(ctx, tx, now, event); err != nil {
		return Client{}, err
	}
	return c.Find(ctx, tx, row.ID.String())
}
