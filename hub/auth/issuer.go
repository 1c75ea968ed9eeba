package auth

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"github.com/lrshub/lrshub/hub/access"
)

const (
	issuerTime  = 5 * time.Second  // for the issuer to tell its keys
	keysFresh   = 15 * time.Minute // after that they are read again, while they still hold
	keysLast    = 24 * time.Hour   // how long they hold while the issuer does not answer
	keysPause   = 10 * time.Second // between two tries to read them, whatever key a token names
	maxKeys     = 100
	maxDocument = 1 << 20 // bytes of an issuer's answer
)

// Issuer is whose JWTs are taken: an OpenID provider, found by discovery when its keys are first needed, so that a hub starts without it.
// It is safe for concurrent use.
type Issuer struct {
	url, audience string
	now           func() time.Time
	client        *http.Client
	flight        singleflight.Group

	mu     sync.Mutex
	keys   []jose.JSONWebKey
	read   time.Time // when they were
	tried  time.Time // when reading them was
	failed error     // the last try
}

// NewIssuer makes an issuer of its URL, which is its tokens' iss, and of the audience that its tokens for this hub have. now is
// time.Now, but for tests.
func NewIssuer(issuer, audience string, now func() time.Time) (*Issuer, error) {
	if audience == "" {
		return nil, errors.New("an issuer needs the audience that its tokens for this hub have: without it those for other services would be taken")
	}
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !secure(u) {
		return nil, errors.New("an issuer is an address such as https://login.example.org/realm, without user, query and fragment; http:// on this machine only")
	}
	return &Issuer{url: issuer, audience: audience, now: now, client: &http.Client{Timeout: issuerTime, Transport: bounded{http.DefaultTransport}}}, nil
}

// secure tells whether nobody on the way can change what an address answers.
func secure(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// said are the claims that the hub reads of a JWT, beside those that go-oidc checks.
type said struct {
	Party     string       `json:"azp"`
	Client    string       `json:"client_id"`
	Subject   string       `json:"sub"`
	Scope     words        `json:"scope"`
	Scp       words        `json:"scp"`
	NotBefore *json.Number `json:"nbf"`
	IssuedAt  *json.Number `json:"iat"`
}

// words are a string with blanks between them, or a list.
type words []string

// UnmarshalJSON reads either.
func (w *words) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '[' {
		return json.Unmarshal(text, (*[]string)(w))
	}
	var one string
	err := json.Unmarshal(text, &one)
	*w = strings.Fields(one)
	return err
}

// check checks a JWT, but for the client that it names. Its error is a refusal or ErrIssuerUnavailable.
func (i *Issuer) check(ctx context.Context, token, algorithm, kid string, now time.Time) (proof, error) {
	keys, err := i.find(ctx, kid, algorithm)
	if err != nil {
		return proof{}, err
	}
	verifier := oidc.NewVerifier(i.url, &oidc.StaticKeySet{PublicKeys: keys}, &oidc.Config{
		ClientID: i.audience, SupportedSigningAlgs: []string{algorithm}, Now: func() time.Time { return now },
	})
	verified, err := verifier.Verify(ctx, token)
	var late *oidc.TokenExpiredError
	if errors.As(err, &late) {
		return proof{}, refusal("token_expired")
	}
	var s said
	if err != nil || verified.Issuer != i.url || verified.Claims(&s) != nil {
		return proof{}, refusal("token")
	}
	if !now.Before(verified.Expiry) || later(s.NotBefore, now.Add(skew)) || later(s.IssuedAt, now.Add(skew)) {
		return proof{}, refusal("token_expired")
	}
	shown := proof{kind: jwtKey, key: first(s.Party, s.Client, s.Subject), ends: verified.Expiry}
	if !jwtSubject(shown.key) {
		return proof{}, refusal("token")
	}
	shown.scopes = known(append(s.Scope, s.Scp...))
	shown.narrows = len(shown.scopes) > 0
	return shown, nil
}

// later tells whether a NumericDate is after t, or is none; an absent one is not.
func later(date *json.Number, t time.Time) bool {
	if date == nil {
		return false
	}
	seconds, err := date.Float64()
	return err != nil || seconds > float64(t.Unix())
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// scopePrefix may stand before a scope in a JWT, for issuers whose scopes are those of many services.
const scopePrefix = "xapi:"

// openIDScopes mean something else without the prefix: a person's profile, not xAPI's (OpenID Connect Core 5.4).
var openIDScopes = []string{"profile"}

// known gives those of a JWT's scopes that are the hub's.
func known(named []string) []string {
	all := access.Scopes()
	var scopes []string
	for _, n := range named {
		s, prefixed := strings.CutPrefix(n, scopePrefix)
		if slices.Contains(all, s) && (prefixed || !slices.Contains(openIDScopes, s)) {
			scopes = append(scopes, s)
		}
	}
	return scopes
}

// find gives the keys that a token may be signed with: those of the kid, or all if it names none. No keys: the issuer has none such.
func (i *Issuer) find(ctx context.Context, kid, algorithm string) ([]crypto.PublicKey, error) {
	keys, fresh := i.have(kid, algorithm)
	if len(keys) > 0 && fresh {
		return keys, nil
	}
	read := i.flight.DoChan("", func() (any, error) { return nil, i.fetch() })
	if len(keys) > 0 { // they hold still
		return keys, nil
	}
	select {
	case done := <-read:
		keys, _ = i.have(kid, algorithm)
		if len(keys) == 0 && done.Err != nil {
			return nil, ErrIssuerUnavailable // why is in the log, and nothing for whoever sent the token
		}
		return keys, nil
	case <-ctx.Done():
		return nil, ErrIssuerUnavailable
	}
}

// have gives the keys that hold, and whether they are fresh.
func (i *Issuer) have(kid, algorithm string) (keys []crypto.PublicKey, fresh bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	age := i.now().Sub(i.read)
	if age < 0 || age >= keysLast {
		return nil, false
	}
	for _, k := range i.keys {
		if (kid == "" || k.KeyID == kid) && (k.Algorithm == "" || k.Algorithm == algorithm) {
			keys = append(keys, k.Key)
		}
	}
	return keys, age < keysFresh
}

// fetch reads the keys, unless that was just tried: then the outcome was the same.
func (i *Issuer) fetch() error {
	now := i.now()
	i.mu.Lock()
	if since := now.Sub(i.tried); since >= 0 && since < keysPause {
		defer i.mu.Unlock()
		return i.failed
	}
	i.tried = now
	i.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), issuerTime) // whoever waits for it may go away, others come
	defer cancel()
	keys, err := i.request(ctx)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.failed = err; err != nil {
		slog.Warn("the issuer of tokens gives no keys", "error", fmt.Sprintf("%.300v", err))
		return err
	}
	i.keys, i.read = keys, now
	return nil
}

// request asks the issuer for its keys.
func (i *Issuer) request(ctx context.Context) ([]jose.JSONWebKey, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, i.client), i.url)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	var place struct {
		URL string `json:"jwks_uri"`
	}
	if err := provider.Claims(&place); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	u, err := url.Parse(place.URL)
	if err != nil || !secure(u) {
		return nil, errors.New("discovery: its jwks_uri is no https:// address")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, place.URL, nil)
	if err != nil {
		return nil, err
	}
	response, err := i.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("keys: %s", response.Status)
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return signing(set.Keys)
}

// signing gives the keys that sign, of those that an issuer tells; one of a kind that is not known is passed over (RFC 7517 5).
func signing(set []json.RawMessage) (keys []jose.JSONWebKey, err error) {
	for _, text := range set {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(text) == nil && k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("keys: %d that sign, want 1 to %d", len(keys), maxKeys)
	}
	return keys, nil
}

// Check asks the issuer for its keys now, for an operator who wants to know whether it answers.
func (i *Issuer) Check(ctx context.Context) (keys int, err error) {
	ctx, cancel := context.WithTimeout(ctx, issuerTime)
	defer cancel()
	found, err := i.request(ctx)
	return len(found), err
}

// bounded is a transport whose answers end at maxDocument.
type bounded struct{ http.RoundTripper }

// RoundTrip sends a request.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxDocument)
	}
	return response, err
}
