package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
)

// NewClient is what is asked for a client.
type NewClient struct {
	Name     string
	Scopes   []string  // at least one of access.Scopes
	Purpose  string    // one that the tenant knows
	Expires  time.Time // zero: never
	Networks []string  // from which it may come (see ParseNetworks); none: from anywhere
	// JWTSubject is the client's name in the tokens of the installation's issuer (azp, client_id or sub); the client has no secret then.
	JWTSubject string
}

// Credential is a client's new key. Secret is known only here: it is shown once. A client that signs in with its issuer's tokens
// has neither. Neither formatting nor logging a Credential shows the secret.
type Credential struct {
	Client uuid.UUID
	Key    string
	Secret string
}

// Token is the credential as one bearer token.
func (c Credential) Token() string { return tokenPrefix + c.Key + "_" + c.Secret }

// String hides the secret.
func (c Credential) String() string { return "credential " + c.Key }

// GoString hides the secret.
func (c Credential) GoString() string { return c.String() }

// LogValue hides the secret.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

const (
	tokenPrefix = "lrshub_"
	keyLength   = 20 // characters of base32 in lower case: 100 bits
)

var (
	clientName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$`)
	keyShape    = regexp.MustCompile(`^[a-z2-7]{20}$`)
	secretShape = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`) // 256 bits
)

// jwtSubject tells whether a text can be a client's name in a JWT.
func jwtSubject(text string) bool {
	return text != "" && len(text) <= 255 && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd })
}

// Create makes a client in the tenant and tells the audit log; actor is the credential that asked.
func (c *Clients) Create(ctx context.Context, tx *database.Tx, actor string, n NewClient) (Credential, error) {
	if err := c.checkName(n); err != nil {
		return Credential{}, err
	}
	t, err := c.check(ctx, tx, terms{n.Scopes, n.Purpose, n.Expires, n.Networks})
	if err != nil {
		return Credential{}, err
	}
	id, err := uuid.NewRandomFromReader(c.random)
	if err != nil {
		return Credential{}, fmt.Errorf("create client: %w", err)
	}
	result, err := tx.ExecContext(ctx, `INSERT INTO client (tenant_id, id, name, scopes, purpose, networks, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant_id, name) WHERE revoked_at IS NULL DO NOTHING`,
		tx.Tenant, id[:], n.Name, pq.StringArray(t.scopes), t.purpose, pq.StringArray(t.networks), c.now().UTC(), orNull(t.expires))
	if err != nil {
		return Credential{}, fmt.Errorf("create client: %w", err)
	}
	if rows, err := result.RowsAffected(); err != nil || rows == 0 {
		return Credential{}, errors.Join(fmt.Errorf("%w: %s; revoke it first or choose another name", ErrClientExists, n.Name), err)
	}
	made := Credential{Client: id}
	if n.JWTSubject != "" {
		err = c.bind(ctx, tx, id, n.JWTSubject)
	} else {
		made, err = c.newKey(ctx, tx, id)
	}
	if err != nil {
		return Credential{}, err
	}
	event := audit.Event{Kind: audit.ClientCreated, Actor: actor, Purpose: t.purpose,
		Fields: map[string]any{"client": id, "scopes": t.scopes, "networks": t.networks, "jwt": n.JWTSubject != ""}}
	return made, audit.Record(ctx, tx, c.now(), event)
}

func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC()
}

func (c *Clients) checkName(n NewClient) error {
	if !clientName.MatchString(n.Name) {
		return fmt.Errorf("%w: a name has letters, digits, blanks and . _ -, at most 63, and begins with a letter or digit", ErrInvalidClient)
	}
	if _, err := uuid.Parse(n.Name); err == nil {
		return fmt.Errorf("%w: a name that is an id could mean another client", ErrInvalidClient)
	}
	if n.JWTSubject == "" {
		return nil
	}
	if c.issuer == nil {
		return fmt.Errorf("%w: this hub takes no JWTs; set LRSHUB_JWT_ISSUER and LRSHUB_JWT_AUDIENCE (lrshub up: --jwt-issuer, --jwt-audience) first", ErrInvalidClient)
	}
	if !jwtSubject(n.JWTSubject) {
		return fmt.Errorf("%w: a JWT subject has at most 255 bytes and no control characters", ErrInvalidClient)
	}
	return nil
}

// terms are what a client may do, and until when and from where.
type terms struct {
	scopes   []string
	purpose  string
	expires  time.Time
	networks []string
}

// check gives the terms with scopes and networks sorted, each once.
func (c *Clients) check(ctx context.Context, tx *database.Tx, t terms) (terms, error) {
	known := access.Scopes()
	if len(t.scopes) == 0 {
		return t, fmt.Errorf("%w: it needs a scope, one or more of %s", ErrInvalidClient, strings.Join(known, ", "))
	}
	for _, scope := range t.scopes {
		if !slices.Contains(known, scope) {
			return t, fmt.Errorf("%w: %w %q: there are %s", ErrInvalidClient, ErrUnknownScope, scope, strings.Join(known, ", "))
		}
	}
	writes := slices.Contains(t.scopes, "statements/write") || slices.Contains(t.scopes, "statements/import")
	if writes && slices.Contains(t.scopes, pseudonymised) {
		return t, fmt.Errorf("%w: a client that writes statements would recognise its own among the pseudonymised ones, and with them the people: make one client for each", ErrInvalidClient)
	}
	if !t.expires.IsZero() && !t.expires.After(c.now()) {
		return t, fmt.Errorf("%w: it would expire in the past", ErrInvalidClient)
	}
	networks, err := ParseNetworks(t.networks)
	if err != nil {
		return t, fmt.Errorf("%w: %w", ErrInvalidClient, err)
	}
	if _, err := people.FindPurpose(ctx, tx, t.purpose); err != nil {
		return t, fmt.Errorf("client: %w", err)
	}
	t.scopes = slices.Compact(slices.Sorted(slices.Values(t.scopes)))
	t.networks = make([]string, len(networks))
	for i, n := range networks {
		t.networks[i] = n.String()
	}
	return t, nil
}

// newKey draws a key and a secret for a client, and keeps the key and the secret's digest.
func (c *Clients) newKey(ctx context.Context, tx *database.Tx, client uuid.UUID) (Credential, error) {
	var key [keyLength]byte
	var secret [32]byte
	for _, random := range [][]byte{key[:], secret[:]} {
		if _, err := io.ReadFull(c.random, random); err != nil {
			return Credential{}, fmt.Errorf("make a key: %w", err)
		}
	}
	for i := range key {
		key[i] = "abcdefghijklmnopqrstuvwxyz234567"[key[i]&31]
	}
	made := Credential{Client: client, Key: string(key[:]), Secret: base64.RawURLEncoding.EncodeToString(secret[:])}
	mac := c.digest(made.Key, made.Secret)
	_, err := tx.ExecContext(ctx, `INSERT INTO client_key (tenant_id, client, kind, key, secret_hash, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		tx.Tenant, client[:], secretKey, made.Key, mac[:], c.now().UTC())
	if err != nil {
		return Credential{}, fmt.Errorf("make a key: %w", err)
	}
	return made, nil
}

// bind keeps that a client is the one that the issuer's tokens call so. One name is one client of the installation, the first that has it.
func (c *Clients) bind(ctx context.Context, tx *database.Tx, client uuid.UUID, subject string) error {
	result, err := tx.ExecContext(ctx, `INSERT INTO client_key (tenant_id, client, kind, key, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (kind, key) WHERE revoked_at IS NULL DO NOTHING`, tx.Tenant, client[:], jwtKey, subject, c.now().UTC())
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	if rows, err := result.RowsAffected(); err != nil || rows == 0 {
		return errors.Join(fmt.Errorf("%w: another client has that JWT subject; revoke it first", ErrClientExists), err)
	}
	return nil
}

type digest [sha256.Size]byte

// digest is what is kept of a secret. The key is in it, so that a digest is worth nothing beside another key.
func (c *Clients) digest(key, secret string) digest {
	h := hmac.New(sha256.New, c.pepper)
	fmt.Fprintf(h, "lrshub client %d:%s%d:%s", len(key), key, len(secret), secret)
	return digest(h.Sum(nil))
}
