package auth_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/auth/authtest"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/people"
)

// trusting is a hub that takes the provider's JWTs, with the client that the provider calls sid1.
func trusting(t *testing.T, p *authtest.Provider, scopes ...string) (*hub, access.Caller) {
	t.Helper()
	h := &hub{T: t, clock: &clock{at: time.Now()}}
	issuer, err := auth.NewIssuer(p.URL, authtest.Audience, h.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	made := newHubWith(t, h.clock.now(), auth.Options{})
	made.clock = h.clock
	made.clients = made.node(auth.Options{Issuer: issuer})
	n := asked("analytics")
	n.Scopes, n.JWTSubject = scopes, "sid1"
	c := made.create(databasetest.Other, n)
	if c.Key != "" || c.Secret != "" {
		t.Errorf("a client with JWTs has a secret: %v", c)
	}
	return made, access.Caller{Tenant: databasetest.Other, Client: c.Client, Name: "analytics", Scopes: scopes, Purpose: people.DefaultPurpose}
}

func TestJWT(t *testing.T) {
	p := authtest.New(t)
	h, want := trusting(t, p, "profile", "statements/read", "statements/read/mine")
	for name, test := range map[string]struct {
		claims map[string]any
		scopes string
	}{
		"no scope":                            {nil, "profile statements/read statements/read/mine"},
		"scopes of other services":            {map[string]any{"scope": "openid email admin:all"}, "profile statements/read statements/read/mine"},
		"a scope":                             {map[string]any{"scope": "statements/read"}, "statements/read"},
		"prefixed":                            {map[string]any{"scope": "openid xapi:statements/read/mine"}, "statements/read/mine"},
		"a list":                              {map[string]any{"scope": []string{"statements/read", "x"}}, "statements/read"},
		"scp":                                 {map[string]any{"scp": []string{"xapi:statements/read"}}, "statements/read"},
		"scp, a string":                       {map[string]any{"scp": "statements/read/mine statements/read"}, "statements/read statements/read/mine"},
		"OpenID's profile is not xAPI's":      {map[string]any{"scope": "openid profile email"}, "profile statements/read statements/read/mine"},
		"nor does it add to others":           {map[string]any{"scope": "profile statements/read"}, "statements/read"},
		"xAPI's profile":                      {map[string]any{"scope": "openid xapi:profile"}, "profile"},
		"more than it holds":                  {map[string]any{"scope": "statements/read statements/write admin"}, "statements/read"},
		"only what it does not hold":          {map[string]any{"scope": "statements/write"}, ""},
		"the party comes first":               {map[string]any{"azp": "sid1"}, "profile statements/read statements/read/mine"},
		"another party":                       {map[string]any{"azp": "sid2"}, "refused"},
		"claims that are not what they claim": {map[string]any{"azp": 7}, "refused"},
		"a scope that is none":                {map[string]any{"scope": 7}, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			token := p.Issue(t, test.claims)
			for range 2 { // the second time from memory
				caller, err := h.token(token)
				if test.scopes == "refused" {
					if err != auth.ErrUnauthenticated || !cmp.Equal(caller, access.Caller{}) {
						t.Errorf("%+v, %v", caller, err)
					}
					continue
				}
				want.Scopes = strings.Fields(test.scopes)
				if len(want.Scopes) == 0 {
					want.Scopes = nil
				}
				if diff := cmp.Diff(want, caller); err != nil || diff != "" {
					t.Errorf("%v %s", err, diff)
				}
			}
		})
	}
	if c := h.find(databasetest.Other, "analytics"); c.JWTSubject != "sid1" || c.LastUsed != h.clock.now().UTC().Format("2006-01-02") || len(c.Keys) != 0 {
		t.Errorf("%+v", c)
	}
}

// TestForgedJWTs: one claim of a good token is changed and it is signed again with the issuer's own key, or the signature is another.
func TestForgedJWTs(t *testing.T) {
	p := authtest.New(t)
	h, _ := trusting(t, p, "statements/read")
	good := p.Issue(t, nil)
	if _, err := h.token(good); err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	parsed, err := jwt.ParseSigned(good, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	sign := func(key any, kid string, algorithm jose.SignatureAlgorithm, change map[string]any) string {
		changed := map[string]any{}
		for _, m := range []map[string]any{claims, change} {
			for k, v := range m {
				if changed[k] = v; v == nil {
					delete(changed, k)
				}
			}
		}
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", kid))
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.Signed(s).Claims(changed).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	own := p.Private()
	with := func(change map[string]any) string { return sign(own, "first", jose.RS256, change) }
	if _, err := h.token(with(map[string]any{"jti": "again"})); err != nil {
		t.Fatalf("what the table changes is not good itself: %v", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&own.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	strange, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := h.clock.now()
	parts := strings.Split(good, ".")
	for name, forged := range map[string]string{
		"another key":                   sign(strange, "first", jose.RS256, nil),
		"another kind of key":           sign(curve, "first", jose.ES256, nil),
		"another algorithm for the key": sign(own, "first", jose.PS256, nil),
		"unknown kid":                   sign(own, "none", jose.RS256, nil),
		"HMAC with the public key":      sign(public, "first", jose.HS256, nil),
		"HMAC with our secret":          sign(secret, "first", jose.HS256, nil),
		"algorithm none":                "eyJhbGciOiJub25lIiwia2lkIjoiZmlyc3QifQ." + parts[1] + ".AA",
		"signature cut":                 good[:len(good)-4],
		"another issuer":                with(map[string]any{"iss": "https://other.example"}),
		"no issuer":                     with(map[string]any{"iss": nil}),
		"another audience":              with(map[string]any{"aud": []string{"https://other.example", hubURL}}),
		"no audience":                   with(map[string]any{"aud": nil}),
		"ended":                         with(map[string]any{"exp": now.Add(-time.Second).Unix()}),
		"no end":                        with(map[string]any{"exp": nil}),
		"not yet":                       with(map[string]any{"nbf": now.Add(2 * time.Minute).Unix()}),
		"issued tomorrow":               with(map[string]any{"iat": now.Add(24 * time.Hour).Unix()}),
		"nobody":                        with(map[string]any{"client_id": nil, "sub": nil}),
		"a stranger":                    with(map[string]any{"client_id": "sid2"}),
		"the key of a client":           with(map[string]any{"client_id": h.create(databasetest.Default, asked("with secret")).Key}),
		"a name that is too long":       with(map[string]any{"client_id": strings.Repeat("x", 256)}),
	} {
		if caller, err := h.token(forged); err != auth.ErrUnauthenticated || !cmp.Equal(caller, access.Caller{}) {
			t.Errorf("%s: %+v, %v", name, caller, err)
		}
	}
	if _, err := h.clients.Grant(t.Context(), h.db, auth.Presented{Token: good}, ""); err != auth.ErrUnauthenticated {
		t.Errorf("a JWT for an access token: %v", err)
	}
	if _, err := h.node(auth.Options{}).Authenticate(t.Context(), h.db, auth.Presented{Token: good}); err != auth.ErrUnauthenticated {
		t.Errorf("a hub without that issuer: %v", err)
	}
	h.clock.pass(2 * time.Hour)
	if _, err := h.token(good); err != auth.ErrUnauthenticated {
		t.Errorf("later: %v", err)
	}
}

// TestIssuerKeys: read once, again after a while or for a new kid, and not more often than every ten seconds whatever is sent.
func TestIssuerKeys(t *testing.T) {
	p := authtest.New(t)
	h, _ := trusting(t, p, "statements/read")
	p.Life = 72 * time.Hour
	want := func(what string, token string, err error, asked int64) {
		t.Helper()
		if _, got := h.token(token); !errors.Is(got, err) {
			t.Errorf("%s: %v, want %v", what, got, err)
		}
		if n := p.Asked.Load(); n != asked {
			t.Errorf("%s: asked %d times for keys, want %d", what, n, asked)
		}
	}
	first := p.Issue(t, nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := h.token(first); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	want("many at first", first, nil, 1)
	p.Rotate("second")
	second := p.Issue(t, nil)
	want("a new key at once", second, auth.ErrUnauthenticated, 1)
	h.clock.pass(10 * time.Second)
	want("a new key", second, nil, 2)
	want("the key before", first, auth.ErrUnauthenticated, 2)
	for range 50 {
		want("a flood", first, auth.ErrUnauthenticated, 2)
	}
	h.clock.pass(16 * time.Minute)
	p.Hang.Store(true)
	began := time.Now()
	want("known keys while the issuer hangs", second, nil, 2)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("waited %v for keys that are there", took)
	}
}

// TestIssuerUnavailable: its tokens cannot be checked, and are refused as such; nobody else notices.
func TestIssuerUnavailable(t *testing.T) {
	p := authtest.New(t)
	h, _ := trusting(t, p, "statements/read")
	p.Life = 72 * time.Hour
	token, made := p.Issue(t, nil), h.create(databasetest.Default, asked("canvas"))
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	p.Down.Store(true)
	for range 3 {
		caller, err := h.token(token)
		if err != auth.ErrIssuerUnavailable || !cmp.Equal(caller, access.Caller{}) {
			t.Errorf("down: %+v, %v", caller, err)
		}
	}
	if n := strings.Count(log.String(), "gives no keys"); n != 1 || strings.Contains(log.String(), token[:40]) {
		t.Errorf("%d lines in the log: %s", n, log.String())
	}
	h.good(true, "another client", made)
	if _, err := h.token(h.grant(made, "")); err != nil {
		t.Errorf("our own token: %v", err)
	}
	if got := h.events(databasetest.Default, audit.AuthRefused); len(got) != 0 {
		t.Errorf("told as refused: %v", got)
	}
	p.Down.Store(false)
	h.clock.pass(10 * time.Second)
	if _, err := h.token(token); err != nil {
		t.Errorf("up again: %v", err)
	}
	// It is gone for good: what is known of it holds a day.
	p.Down.Store(true)
	for hour := 1; hour <= 30; hour++ {
		h.clock.pass(time.Hour)
		if _, err := h.token(token); hour < 24 && err != nil || hour >= 24 && err != auth.ErrIssuerUnavailable {
			t.Errorf("%d hours later: %v", hour, err)
		}
	}
}

// TestJWTClients: one subject is one client of the installation.
func TestJWTClients(t *testing.T) {
	p := authtest.New(t)
	h, _ := trusting(t, p, "statements/read")
	create := func(n auth.NewClient) error {
		return h.db.Tenant(t.Context(), databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
			_, err := h.clients.Create(ctx, tx, "admin", n)
			return err
		})
	}
	again := asked("again")
	again.JWTSubject = "sid1"
	if err := create(again); !errors.Is(err, auth.ErrClientExists) || strings.Contains(err.Error(), "analytics") {
		t.Errorf("a subject that another tenant's client has: %v", err)
	}
	both := asked("both")
	both.JWTSubject, both.Scopes = "sid3", []string{"statements/write", "statements/read/pseudonymised"}
	if err := create(both); !errors.Is(err, auth.ErrInvalidClient) {
		t.Errorf("writes and reads pseudonymised: %v", err)
	}
	odd := asked("odd")
	odd.JWTSubject = "a\nb"
	if err := create(odd); !errors.Is(err, auth.ErrInvalidClient) {
		t.Errorf("control characters: %v", err)
	}
	if _, err := h.rotate(databasetest.Other, "analytics", 0); !errors.Is(err, auth.ErrInvalidClient) {
		t.Errorf("rotate: %v", err)
	}
	token := p.Issue(t, nil)
	if _, err := h.token(token); err != nil {
		t.Fatal(err)
	}
	if err := h.db.Tenant(t.Context(), databasetest.Other, func(ctx context.Context, tx *database.Tx) error {
		_, err := h.clients.Revoke(ctx, tx, "admin", "analytics")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	h.clock.pass(time.Second)
	if _, err := h.token(token); err != auth.ErrUnauthenticated {
		t.Errorf("revoked: %v", err)
	}
	if err := create(again); err != nil {
		t.Errorf("after it was revoked: %v", err)
	}
	h.clock.pass(time.Second)
	if caller, err := h.token(token); err != nil || caller.Tenant != databasetest.Default || caller.Name != "again" {
		t.Errorf("the other tenant's: %+v, %v", caller, err)
	}
}

func TestNewIssuer(t *testing.T) {
	for url, good := range map[string]bool{
		"https://login.example.org/realm": true, "http://localhost:8080": true, "http://127.0.0.1:8080": true,
		"http://login.example.org": false, "login.example.org": false, "": false, "https://me:secret@login.example.org": false, "https://login.example.org?x=1": false,
	} {
		if _, err := auth.NewIssuer(url, authtest.Audience, time.Now); (err == nil) != good || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := auth.NewIssuer("https://login.example.org", "", time.Now); err == nil {
		t.Error("without an audience")
	}
}
