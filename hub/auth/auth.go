// Package auth says who is calling. A client is a credential of a program: a public key and a secret,
// with scopes and one purpose. The secret is 256 random bits, shown once; only its keyed digest is kept.
//
// Start with Clients.Create and Clients.Authenticate. FromRequest finds the credential in a request.
package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
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
	"golang.org/x/time/rate"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
)

var (
	// ErrUnauthenticated is the one answer to every credential that is not good: unknown, wrong, expired or
	// revoked.
	ErrUnauthenticated = errors.New("the credential is not valid")
	// ErrInvalidClient means that a client cannot be created as asked.
	ErrInvalidClient = errors.New("client not valid")
	// ErrUnknownScope comes with ErrInvalidClient; the text lists the scopes that there are.
	ErrUnknownScope = errors.New("unknown scope")
	// ErrClientExists means that the tenant has a client of that name that is not revoked.
	ErrClientExists = errors.New("client exists")
	// ErrUnknownClient means that the tenant has no client of that name or id that is not revoked.
	ErrUnknownClient = errors.New("unknown client")
)

// PepperSize is the least length of a pepper in bytes.
const PepperSize = 32

// Options of Clients. Zero values are good defaults.
type Options struct {
	Now    func() time.Time // time.Now
	Random io.Reader        // crypto/rand
	// Home is the tenant whose audit log is told of credentials that belong to no tenant; 1, the first.
	Home database.TenantID
}

// Clients makes and checks credentials. It is safe for concurrent use.
type Clients struct {
	pepper  []byte
	now     func() time.Time
	random  io.Reader
	home    database.TenantID
	recent  *recent
	refusal *rate.Limiter // of audit events about refusals: a flood of them must not fill the log
}

// New makes Clients. The pepper is the installation's secret that is kept outside the database: with
// another one no credential is good.
func New(pepper []byte, o Options) (*Clients, error) {
	if len(pepper) < PepperSize {
		return nil, fmt.Errorf("the pepper has %d bytes: it must have at least %d", len(pepper), PepperSize)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Home == 0 {
		o.Home = 1
	}
	return &Clients{
		pepper: slices.Clone(pepper), now: o.Now, random: o.Random, home: o.Home,
		recent: &recent{callers: map[digest]remembered{}}, refusal: rate.NewLimiter(20, 200),
	}, nil
}

// NewClient is what is asked for a client.
type NewClient struct {
	Name    string
	Scopes  []string  // at least one of access.Scopes
	Purpose string    // one that the tenant knows
	Expires time.Time // zero: never
}

// Credential is a new client's. Secret is known only here: it is shown once. Neither formatting nor
// logging a Credential shows it.
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
	tokenPrefix  = "lrshub_"
	keyLength    = 20 // characters of base32 in lower case: 100 bits
	secretLength = 43 // characters of base64url: 256 bits
)

var (
	clientName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$`)
	keyShape    = regexp.MustCompile(`^[a-z2-7]{20}$`)
	secretShape = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
)

// Create makes a client in the tenant and tells the audit log; actor is the credential that asked.
func (c *Clients) Create(ctx context.Context, tx *database.Tx, actor string, n NewClient) (Credential, error) {
	held, err := c.check(ctx, tx, n)
	if err != nil {
		return Credential{}, err
	}
	made, err := c.draw()
	if err != nil {
		return Credential{}, fmt.Errorf("create client: %w", err)
	}
	mac := c.digest(made.Key, made.Secret)
	var expires any
	if !n.Expires.IsZero() {
		expires = n.Expires.UTC()
	}
	result, err := tx.ExecContext(ctx, `INSERT INTO client (tenant_id, id, name, key, secret_hash, scopes, purpose, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id, name) WHERE revoked_at IS NULL DO NOTHING`,
		tx.Tenant, made.Client[:], n.Name, made.Key, mac[:], pq.StringArray(held), n.Purpose, c.now().UTC(), expires)
	if err != nil {
		return Credential{}, fmt.Errorf("create client: %w", err)
	}
	if rows, err := result.RowsAffected(); err != nil || rows == 0 {
		return Credential{}, errors.Join(fmt.Errorf("%w: %s; revoke it first or choose another name", ErrClientExists, n.Name), err)
	}
	event := audit.Event{Kind: audit.ClientCreated, Actor: actor, Purpose: n.Purpose,
		Fields: map[string]any{"client": made.Client, "scopes": held}}
	return made, audit.Record(ctx, tx, c.now(), event)
}

// check gives the scopes, sorted, each once.
func (c *Clients) check(ctx context.Context, tx *database.Tx, n NewClient) ([]string, error) {
	if !clientName.MatchString(n.Name) {
		return nil, fmt.Errorf("%w: a name has letters, digits, blanks and . _ -, at most 63, and begins with a letter or digit", ErrInvalidClient)
	}
	if _, err := uuid.Parse(n.Name); err == nil {
		return nil, fmt.Errorf("%w: a name that is an id could mean another client", ErrInvalidClient)
	}
	known := access.Scopes()
	if len(n.Scopes) == 0 {
		return nil, fmt.Errorf("%w: it needs a scope, one or more of %s", ErrInvalidClient, strings.Join(known, ", "))
	}
	for _, scope := range n.Scopes {
		if !slices.Contains(known, scope) {
			return nil, fmt.Errorf("%w: %w %q: there are %s", ErrInvalidClient, ErrUnknownScope, scope, strings.Join(known, ", "))
		}
	}
	if slices.Contains(n.Scopes, "statements/write") && slices.Contains(n.Scopes, "statements/read/pseudonymised") {
		return nil, fmt.Errorf("%w: a client that writes statements would recognise its own among the pseudonymised ones, and with them the people: make one client for each", ErrInvalidClient)
	}
	if !n.Expires.IsZero() && !n.Expires.After(c.now()) {
		return nil, fmt.Errorf("%w: it would expire in the past", ErrInvalidClient)
	}
	if _, err := people.FindPurpose(ctx, tx, n.Purpose); err != nil {
		return nil, fmt.Errorf("create client: %w", err)
	}
	held := slices.Clone(n.Scopes)
	slices.Sort(held)
	return slices.Compact(held), nil
}

func (c *Clients) draw() (Credential, error) {
	id, err := uuid.NewRandomFromReader(c.random)
	if err != nil {
		return Credential{}, err
	}
	var key [keyLength]byte
	var secret [32]byte
	if _, err := io.ReadFull(c.random, key[:]); err != nil {
		return Credential{}, err
	}
	if _, err := io.ReadFull(c.random, secret[:]); err != nil {
		return Credential{}, err
	}
	for i := range key {
		key[i] = "abcdefghijklmnopqrstuvwxyz234567"[key[i]&31]
	}
	return Credential{Client: id, Key: string(key[:]), Secret: base64.RawURLEncoding.EncodeToString(secret[:])}, nil
}

type digest [sha256.Size]byte

// digest is what is kept of a secret. The key is in it, so that a digest is worth nothing beside another key.
func (c *Clients) digest(key, secret string) digest {
	h := hmac.New(sha256.New, c.pepper)
	fmt.Fprintf(h, "lrshub client %d:%s%d:%s", len(key), key, len(secret), secret)
	return digest(h.Sum(nil))
}
