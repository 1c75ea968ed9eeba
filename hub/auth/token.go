package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/database"
)

// TokenLife is how long an access token lives, if its client and key do.
const TokenLife = time.Hour

const (
	// ownAlgorithm signs the hub's tokens: whoever checks them has the secret anyway. An issuer's JWT never has it.
	ownAlgorithm = jose.HS256
	ownType      = "at+jwt" // RFC 9068 2.1
	// skew is how far the clocks of two nodes, or of a hub and an issuer, may be apart.
	skew = time.Minute
)

// issuerAlgorithms are those in which an issuer signs: with a key that only it has.
var issuerAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

var knownAlgorithms = append([]jose.SignatureAlgorithm{ownAlgorithm}, issuerAlgorithms...)

// header reads how a token claims to be signed.
func header(token string) (algorithm jose.SignatureAlgorithm, kid string, err error) {
	parsed, err := jwt.ParseSigned(token, knownAlgorithms)
	if err != nil {
		return "", "", err
	}
	return jose.SignatureAlgorithm(parsed.Headers[0].Algorithm), parsed.Headers[0].KeyID, nil
}

// tokens signs and checks the hub's own access tokens.
type tokens struct {
	secret []byte
	kid    string // of the secret, so that one that is replaced can be told apart
	hub    string // issuer and audience
	signer jose.Signer
}

func newTokens(secret []byte, hub string) (*tokens, error) {
	if secret == nil {
		return nil, nil
	}
	if len(secret) < PepperSize || hub == "" {
		return nil, fmt.Errorf("tokens need a secret of at least %d bytes and the hub's URL", PepperSize)
	}
	t := &tokens{secret: slices.Clone(secret), hub: hub}
	h := hmac.New(sha256.New, secret)
	io.WriteString(h, "lrshub token kid")
	t.kid = base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:9])
	var err error
	t.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: ownAlgorithm, Key: t.secret}, (&jose.SignerOptions{}).WithType(ownType).WithHeader("kid", t.kid))
	return t, err
}

// claims are those of the hub's own tokens (RFC 9068 2.2). A token stands and falls with the key that it was got with.
type claims struct {
	jwt.Claims
	Key   string `json:"client_id"`
	Scope string `json:"scope"` // separated by blanks
}

// Token is an access token. Neither formatting nor logging shows it.
type Token struct {
	Secret hidden
	Scopes []string
	Life   time.Duration
}

// hidden is a text that formatting and logging do not show.
type hidden string

// String hides it.
func (hidden) String() string { return "(hidden)" }

// GoString hides it.
func (hidden) GoString() string { return "(hidden)" }

// Grant gives an access token for a key and a secret (RFC 6749 4.4). The scope, words separated by blanks, narrows those of the client: one that it does not hold
// is ErrScope. "" leaves them as they are. Errors are else those of Authenticate.
func (c *Clients) Grant(ctx context.Context, db *database.DB, p Presented, scope string) (Token, error) {
	if c.tokens == nil || p.Token != "" {
		return Token{}, ErrUnauthenticated
	}
	good, err := c.authenticate(ctx, db, p)
	if err != nil {
		return Token{}, err
	}
	scopes := good.whose().Scopes
	if wanted := strings.Fields(scope); len(wanted) > 0 {
		for _, s := range wanted {
			if !slices.Contains(scopes, s) {
				return Token{}, fmt.Errorf("%w: this client holds %s", ErrScope, strings.Join(scopes, " "))
			}
		}
		slices.Sort(wanted)
		scopes = slices.Compact(wanted)
	}
	now := c.now()
	ends := earlier(now.Add(TokenLife), good.ends)
	id := make([]byte, 16)
	if _, err := io.ReadFull(c.random, id); err != nil {
		return Token{}, err
	}
	signed, err := jwt.Signed(c.tokens.signer).Claims(claims{
		Claims: jwt.Claims{
			Issuer: c.tokens.hub, Audience: jwt.Audience{c.tokens.hub}, Subject: good.caller.Client.String(), ID: base64.RawURLEncoding.EncodeToString(id),
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(ends),
		},
		Key: p.Key, Scope: strings.Join(scopes, " "),
	}).Serialize()
	if err != nil {
		return Token{}, fmt.Errorf("sign a token: %w", err)
	}
	return Token{Secret: hidden(signed), Scopes: scopes, Life: ends.Sub(now).Truncate(time.Second)}, nil
}

// check checks a token of the hub's own, but for the key that it was got with. Its error is a refusal.
func (t *tokens) check(token string, now time.Time) (proof, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{ownAlgorithm})
	if err != nil || parsed.Headers[0].KeyID != t.kid || parsed.Headers[0].ExtraHeaders[jose.HeaderType] != ownType {
		return proof{}, refusal("token")
	}
	var said claims
	if parsed.Claims(t.secret, &said) != nil || said.Issuer != t.hub || !said.Audience.Contains(t.hub) || said.Expiry == nil || said.IssuedAt == nil || said.Key == "" {
		return proof{}, refusal("token")
	}
	ends := said.Expiry.Time()
	if !now.Before(ends) || said.IssuedAt.Time().After(now.Add(skew)) {
		return proof{}, refusal("token_expired")
	}
	return proof{kind: secretKey, key: said.Key, narrows: true, scopes: strings.Fields(said.Scope), ends: ends}, nil
}

// TokenScopes are the scopes that tokens may have, those that clients may have; nil: this hub gives none.
func (c *Clients) TokenScopes() []string {
	if c.tokens == nil {
		return nil
	}
	return access.Scopes()
}
