package auth

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
)

// Authenticate gives the caller that a credential stands for, or ErrUnauthenticated. Every credential that
// is refused takes the same steps, whether its key exists or not, and a refusal is an audit event: of
// the tenant that the key belongs to, or of the home tenant. Other errors are the database's.
//
// A credential that was good is taken as good for recentLife without asking the database.
func (c *Clients) Authenticate(ctx context.Context, db *database.DB, key, secret string) (access.Caller, error) {
	if !keyShape.MatchString(key) || !secretShape.MatchString(secret) {
		return access.Caller{}, ErrUnauthenticated // we never gave out such a one
	}
	now := c.now()
	mac := c.digest(key, secret)
	if caller, ok := c.recent.find(mac, now); ok {
		return caller, nil
	}
	row, reason, err := c.look(ctx, db, key, mac, now)
	if err != nil {
		return access.Caller{}, err
	}
	if reason != "" {
		return access.Caller{}, c.refuse(ctx, db, row, reason, now)
	}
	caller := access.Caller{Tenant: row.tenant, Client: row.ID, Name: row.Name, Scopes: row.Scopes, Purpose: row.Purpose}
	until := now.Add(recentLife)
	if row.ExpiresAt.Valid && row.ExpiresAt.Time.Before(until) {
		until = row.ExpiresAt.Time
	}
	c.recent.keep(mac, remembered{caller, until}, now)
	return copyOf(caller), nil
}

type clientRow struct {
	ID         uuid.UUID      `db:"id"`
	Name       string         `db:"name"`
	Key        string         `db:"key"`
	SecretHash []byte         `db:"secret_hash"`
	Scopes     pq.StringArray `db:"scopes"`
	Purpose    string         `db:"purpose"`
	CreatedAt  time.Time      `db:"created_at"`
	ExpiresAt  sql.NullTime   `db:"expires_at"`
	RevokedAt  sql.NullTime   `db:"revoked_at"`
	tenant     database.TenantID
}

// look finds the client and says why it is refused; "" is not at all.
func (c *Clients) look(ctx context.Context, db *database.DB, key string, mac digest, now time.Time) (row clientRow, reason string, err error) {
	var found sql.NullInt32
	if err := db.One(ctx, &found, "SELECT client_tenant($1)", key); err != nil {
		return row, "", fmt.Errorf("authenticate: %w", err)
	}
	tenant := c.home
	if found.Valid {
		tenant = database.TenantID(found.Int32)
	}
	err = db.ReadTenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
		row = clientRow{}
		return tx.GetContext(ctx, &row, "SELECT "+columns+" FROM client WHERE tenant_id = $1 AND key = $2", tx.Tenant, key)
	})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return row, "", fmt.Errorf("authenticate: %w", err)
	}
	row.tenant = tenant
	kept := row.SecretHash
	if kept == nil {
		kept = make([]byte, len(mac)) // compare all the same
	}
	same := hmac.Equal(mac[:], kept)
	switch {
	case row.SecretHash == nil:
		return row, "unknown_key", nil
	case !same:
		return row, "wrong_secret", nil
	case row.RevokedAt.Valid:
		return row, "revoked", nil
	case row.ExpiresAt.Valid && !now.Before(row.ExpiresAt.Time):
		return row, "expired", nil
	}
	return row, "", nil
}

// refuse tells the audit log and gives ErrUnauthenticated. The rest of a flood is not told.
func (c *Clients) refuse(ctx context.Context, db *database.DB, row clientRow, reason string, now time.Time) error {
	if !c.refusal.AllowN(now, 1) {
		return ErrUnauthenticated
	}
	event := audit.Event{Kind: audit.AuthRefused, Actor: "lrshub", Fields: map[string]any{"reason": reason}}
	if row.ID != uuid.Nil {
		event.Actor = row.ID.String()
	}
	if err := db.Tenant(ctx, row.tenant, func(ctx context.Context, tx *database.Tx) error { return audit.Record(ctx, tx, now, event) }); err != nil {
		return fmt.Errorf("%w: tell the audit log: %w", ErrUnauthenticated, err)
	}
	return ErrUnauthenticated
}

const (
	// recentLife is how long a good credential is taken as good: a revocation holds within a second.
	recentLife = 800 * time.Millisecond
	// maxRecent bounds what is remembered; beyond it all is forgotten.
	maxRecent = 10_000
)

// recent remembers good credentials for a moment, by the digest of key and secret.
type recent struct {
	mu      sync.Mutex
	callers map[digest]remembered
}

type remembered struct {
	caller access.Caller
	until  time.Time
}

func (r *recent) find(mac digest, now time.Time) (access.Caller, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.callers[mac]
	// A clock that was set back must not lengthen a life.
	if !ok || !now.Before(known.until) || now.Before(known.until.Add(-recentLife)) {
		delete(r.callers, mac)
		return access.Caller{}, false
	}
	return copyOf(known.caller), true
}

func (r *recent) keep(mac digest, what remembered, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.callers) >= maxRecent {
		clear(r.callers)
	}
	r.callers[mac] = what
}

func copyOf(c access.Caller) access.Caller {
	c.Scopes = append([]string(nil), c.Scopes...)
	return c
}
