// Package auth says who is calling. A client is a program that signs in, with scopes, one purpose, and perhaps the networks that it may come
// from. It signs in with one of
//
//   - a key and a secret of 256 random bits, shown once; only its keyed digest is kept. Rotate makes another while the one before stays good
//     for a while;
//   - an access token of this hub (RFC 6749 4.4), which Grant gives for a key and secret and which lives an hour. Any node takes it: it is
//     signed with a secret of the installation;
//   - a JWT of the installation's issuer, if it has one (LRSHUB_JWT_ISSUER), for a client that was registered with the name that the issuer's tokens have
//     for it. Such a client has no secret.
//
// Whichever it is, a caller is looked up in the database: what a revoked or expired client holds stops with it, a token's scopes only narrow the client's,
// and the client, not the key, is whom the road in names as authority.
//
// Start with Clients.Request, which is all that a face needs. Then: request.go (the credential in a request, and the address it comes from), authenticate.go,
// token.go (the hub's own tokens), issuer.go (JWTs), create.go, change.go and clients.go (what administrators do).
package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/lrshub/lrshub/hub/database"
)

var (
	// ErrUnauthenticated is the one answer to every credential that is not good: unknown, wrong, expired,
	// revoked, or from a network that it may not come from.
	ErrUnauthenticated = errors.New("the credential is not valid")
	// ErrIssuerUnavailable means that a JWT cannot be checked, since its issuer gives no keys. Trying again later may help.
	ErrIssuerUnavailable = errors.New("the issuer of tokens does not answer")
	// ErrScope means that a token is asked for with a scope that the client does not hold.
	ErrScope = errors.New("scope not held")
	// ErrInvalidClient means that a client cannot be created or changed as asked.
	ErrInvalidClient = errors.New("client not valid")
	// ErrUnknownScope comes with ErrInvalidClient; the text lists the scopes that there are.
	ErrUnknownScope = errors.New("unknown scope")
	// ErrClientExists means that the tenant has a client of that name that is not revoked, or the installation one with that JWT subject.
	ErrClientExists = errors.New("client exists")
	// ErrUnknownClient means that the tenant has no client of that name or id that is not revoked.
	ErrUnknownClient = errors.New("unknown client")
)

// PepperSize is the least length of a pepper, and of the secret that signs tokens, in bytes.
const PepperSize = 32

// Options of Clients. Zero values are good defaults.
type Options struct {
	Now    func() time.Time // time.Now
	Random io.Reader        // crypto/rand
	// Home is the tenant whose audit log is told of credentials that belong to no tenant; 1, the first.
	Home database.TenantID
	// TokenSecret signs the hub's access tokens, on every node the same; nil: the hub gives and takes none.
	TokenSecret []byte
	// PublicURL is the issuer and the audience of the hub's access tokens.
	PublicURL string
	// Issuer is whose JWTs are taken; nil: nobody's.
	Issuer *Issuer
	// Proxies are the networks of those whose X-Forwarded-For is believed; none: nobody's.
	Proxies []netip.Prefix
}

// Clients makes and checks credentials. It is safe for concurrent use.
type Clients struct {
	pepper  []byte
	now     func() time.Time
	random  io.Reader
	home    database.TenantID
	tokens  *tokens // nil: none
	issuer  *Issuer // nil: none
	proxies []netip.Prefix
	recent  *recent
	refusal *rate.Limiter // of audit events about refusals: a flood of them must not fill the log
}

// New makes Clients. The pepper is the installation's secret that is kept outside the database: with
// another one no secret is good.
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
	signer, err := newTokens(o.TokenSecret, o.PublicURL)
	if err != nil {
		return nil, err
	}
	return &Clients{
		pepper: slices.Clone(pepper), now: o.Now, random: o.Random, home: o.Home, tokens: signer, issuer: o.Issuer, proxies: slices.Clone(o.Proxies),
		recent: &recent{good: map[digest]remembered{}}, refusal: rate.NewLimiter(20, 200),
	}, nil
}
