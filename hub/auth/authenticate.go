package auth

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
)

// Authenticate gives the caller that a credential stands for, or ErrUnauthenticated. Every secret that
// is refused takes the same steps, whether its key exists or not, and a refusal is an audit event: of
// the tenant that the key belongs to, or of the home tenant. ErrIssuerUnavailable means that a JWT could not be checked. Other errors are the database's.
//
// A credential that was good is taken as good for recentLife without asking the database or checking a signature.
func (c *Clients) Authenticate(ctx context.Context, db *database.DB, p Presented) (access.Caller, error) {
	good, err := c.authenticate(ctx, db, p)
	if err != nil {
		return access.Caller{}, err
	}
	return good.whose(), nil
}

func (c *Clients) authenticate(ctx context.Context, db *database.DB, p Presented) (remembered, error) {
	if p.Token == "" && (!keyShape.MatchString(p.Key) || !secretShape.MatchString(p.Secret)) {
		return remembered{}, ErrUnauthenticated // we never gave out such a one
	}
	now := c.now()
	mac := c.digest(p.Key, p.Secret)
	if p.Token != "" {
		mac = c.digest("", p.Token)
	}
	if good, ok := c.recent.find(mac, now); ok {
		return good, c.located(ctx, db, good, p.Address, now)
	}
	shown, err := c.prove(ctx, p, mac, now)
	var bad refusal
	if errors.As(err, &bad) {
		return remembered{}, c.refuse(ctx, db, access.Caller{Tenant: c.home}, string(bad), now)
	}
	if err != nil {
		return remembered{}, err
	}
	row, reason, err := c.look(ctx, db, shown, now)
	if err != nil {
		return remembered{}, err
	}
	caller := access.Caller{Tenant: row.tenant, Client: row.ID, Name: row.Name, Scopes: row.Scopes, Purpose: row.Purpose}
	if reason != "" {
		return remembered{}, c.refuse(ctx, db, caller, reason, now)
	}
	if shown.narrows {
		caller.Scopes = slices.DeleteFunc(slices.Clone(caller.Scopes), func(s string) bool { return !slices.Contains(shown.scopes, s) })
	}
	good := remembered{caller: caller, ends: earlier(shown.ends, earlier(row.ExpiresAt.Time, row.KeyExpiresAt.Time))}
	if good.networks, err = ParseNetworks(row.Networks); err != nil {
		return remembered{}, fmt.Errorf("authenticate: client %s: %w", row.ID, err)
	}
	if err := c.located(ctx, db, good, p.Address, now); err != nil {
		return remembered{}, err
	}
	c.use(ctx, db, row, shown, now)
	c.recent.keep(mac, good, now)
	return good, nil
}

// located refuses a good credential that comes from where it may not.
func (c *Clients) located(ctx context.Context, db *database.DB, good remembered, from netip.Addr, now time.Time) error {
	if len(good.networks) == 0 || within(good.networks, from) {
		return nil
	}
	return c.refuse(ctx, db, good.caller, "network", now)
}

// Kinds of key.
const (
	secretKey = "secret"
	jwtKey    = "jwt"
)

// proof is what a credential says of itself: the key to look for, and what remains to be compared or narrows it.
type proof struct {
	kind, key string
	secret    *digest  // to compare; nil where a signature was good
	narrows   bool     // the token has scopes of its own
	scopes    []string // these
	ends      time.Time
}

// refusal is why a token is refused, as the audit log is told.
type refusal string

func (r refusal) Error() string { return "token refused: " + string(r) }

// prove checks what can be checked without the database. Its error is a refusal or ErrIssuerUnavailable.
func (c *Clients) prove(ctx context.Context, p Presented, mac digest, now time.Time) (proof, error) {
	if p.Token == "" {
		return proof{kind: secretKey, key: p.Key, secret: &mac}, nil
	}
	algorithm, kid, err := header(p.Token)
	switch {
	case err == nil && algorithm == ownAlgorithm && c.tokens != nil:
		return c.tokens.check(p.Token, now)
	case err == nil && algorithm != ownAlgorithm && c.issuer != nil:
		return c.issuer.check(ctx, p.Token, string(algorithm), kid, now)
	}
	return proof{}, refusal("token")
}

// keyRow is a key and its client.
type keyRow struct {
	ID           uuid.UUID      `db:"id"`
	Name         string         `db:"name"`
	Scopes       pq.StringArray `db:"scopes"`
	Purpose      string         `db:"purpose"`
	Networks     pq.StringArray `db:"networks"`
	ExpiresAt    sql.NullTime   `db:"expires_at"`
	RevokedAt    sql.NullTime   `db:"revoked_at"`
	SecretHash   []byte         `db:"secret_hash"`
	KeyExpiresAt sql.NullTime   `db:"key_expires_at"`
	KeyRevokedAt sql.NullTime   `db:"key_revoked_at"`
	UsedOn       sql.NullTime   `db:"used_on"`
	tenant       database.TenantID
}

// look finds the key and its client, and says why it is refused; "" is not at all.
func (c *Clients) look(ctx context.Context, db *database.DB, shown proof, now time.Time) (row keyRow, reason string, err error) {
	var found sql.NullInt32
	if err := db.One(ctx, &found, "SELECT key_tenant($1, $2)", shown.kind, shown.key); err != nil {
		return row, "", fmt.Errorf("authenticate: %w", err)
	}
	tenant := c.home
	if found.Valid {
		tenant = database.TenantID(found.Int32)
	}
	err = db.ReadTenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
		row = keyRow{}
		err := tx.GetContext(ctx, &row, `SELECT client AS id, secret_hash, expires_at AS key_expires_at, revoked_at AS key_revoked_at, used_on FROM client_key
			WHERE tenant_id = $1 AND kind = $2 AND key = $3 ORDER BY revoked_at DESC NULLS FIRST LIMIT 1`, tx.Tenant, shown.kind, shown.key)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		// A join takes longer to plan than both together; and this is asked for an unknown key too.
		return tx.GetContext(ctx, &row, "SELECT name, scopes, purpose, networks, expires_at, revoked_at FROM client WHERE tenant_id = $1 AND id = $2", tx.Tenant, row.ID[:])
	})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return row, "", fmt.Errorf("authenticate: %w", err)
	}
	row.tenant = tenant
	same := true
	if shown.secret != nil {
		kept := row.SecretHash
		if kept == nil {
			kept = make([]byte, len(shown.secret)) // compare all the same
		}
		same = hmac.Equal(shown.secret[:], kept)
	}
	switch {
	case row.ID == uuid.Nil:
		return row, "unknown_key", nil
	case !same:
		return row, "wrong_secret", nil
	case row.RevokedAt.Valid || row.KeyRevokedAt.Valid:
		return row, "revoked", nil
	case ended(row.ExpiresAt, now) || ended(row.KeyExpiresAt, now):
		return row, "expired", nil
	}
	return row, "", nil
}

func ended(t sql.NullTime, now time.Time) bool { return t.Valid && !now.Before(t.Time) }

// dayFormat is how Postgres takes and JSON shows a day.
const dayFormat = "2006-01-02"

// use keeps on which day a key was last good: one write a key and day. It is no reason to refuse anybody that this fails.
func (c *Clients) use(ctx context.Context, db *database.DB, row keyRow, shown proof, now time.Time) {
	today := now.UTC().Format(dayFormat)
	if row.UsedOn.Valid && row.UsedOn.Time.Format(dayFormat) >= today {
		return
	}
	err := db.Tenant(ctx, row.tenant, func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE client_key SET used_on = $5 WHERE tenant_id = $1 AND client = $2 AND kind = $3 AND key = $4
			AND revoked_at IS NULL AND (used_on IS NULL OR used_on < $5)`, tx.Tenant, row.ID, shown.kind, shown.key, today)
		return err
	})
	if err != nil {
		slog.Warn("the day on which a client was last used is not kept", "client", row.ID, "error", err)
	}
}

// refuse tells the audit log and gives ErrUnauthenticated. The rest of a flood is not told.
func (c *Clients) refuse(ctx context.Context, db *database.DB, whom access.Caller, reason string, now time.Time) error {
	if !c.refusal.AllowN(now, 1) {
		return ErrUnauthenticated
	}
	event := audit.Event{Kind: audit.AuthRefused, Actor: "lrshub", Fields: map[string]any{"reason": reason}}
	if whom.Client != uuid.Nil {
		event.Actor = whom.Client.String()
	}
	if err := db.Tenant(ctx, whom.Tenant, func(ctx context.Context, tx *database.Tx) error { return audit.Record(ctx, tx, now, event) }); err != nil {
		return fmt.Errorf("%w: tell the audit log: %w", ErrUnauthenticated, err)
	}
	return ErrUnauthenticated
}
