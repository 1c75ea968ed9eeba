// Package authtest runs a real OpenID provider in the process of a test: zitadel's library, with the example storage that comes with it.
//
// Start with New; Provider.Issue gives a JWT of its machine client.
package authtest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Audience and Client are of the tokens that Issue gives.
const (
	Audience = "https://hub.example/xapi"
	Client   = "sid1" // the machine client of the example storage
)

// Provider is an OpenID provider.
type Provider struct {
	URL   string        // the issuer
	Life  time.Duration // of its tokens; an hour
	Asked atomic.Int64  // how often somebody asked for its keys
	Down  atomic.Bool   // it answers nothing but 502
	Hang  atomic.Bool   // it answers nothing at all

	*issuance
	server *httptest.Server
}

// issuance is the example's storage, with keys that rotate, and with tokens that are JWTs for our audience.
type issuance struct {
	*storage.Storage
	provider *Provider
	mu       sync.Mutex
	key      *signingKey
	claims   map[string]any
}

type signingKey struct {
	id  string
	key *rsa.PrivateKey
}

func (k *signingKey) ID() string                                  { return k.id }
func (k *signingKey) Key() any                                    { return k.key }
func (k *signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }

type publicKey struct{ *signingKey }

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return &k.key.PublicKey }

// machine is a client that gets JWTs.
type machine struct{ op.Client }

func (machine) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// Rotate replaces the key that tokens are signed with.
func (s *issuance) Rotate(id string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = &signingKey{id, key}
}

// Private is the key that tokens are signed with.
func (s *issuance) Private() *rsa.PrivateKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key.key
}

func (s *issuance) SigningKey(context.Context) (op.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key, nil
}

func (s *issuance) KeySet(context.Context) ([]op.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []op.Key{publicKey{s.key}}, nil
}

func (s *issuance) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	c, err := s.Storage.ClientCredentials(ctx, id, secret)
	return machine{c}, err
}

func (s *issuance) ClientCredentialsTokenRequest(ctx context.Context, id string, scopes []string) (op.TokenRequest, error) {
	r, err := s.Storage.ClientCredentialsTokenRequest(ctx, id, scopes)
	return request{r}, err
}

func (s *issuance) CreateAccessToken(ctx context.Context, r op.TokenRequest) (string, time.Time, error) {
	id, _, err := s.Storage.CreateAccessToken(ctx, r)
	return id, time.Now().Add(s.provider.Life), err
}

func (s *issuance) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return s.claims, nil
}

type request struct{ op.TokenRequest }

func (request) GetAudience() []string { return []string{Audience} }

// New starts a provider that ends with the test. Its first key is called first.
func New(t *testing.T) *Provider {
	t.Helper()
	p := &Provider{Life: time.Hour}
	var handler http.Handler
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/keys") {
			p.Asked.Add(1)
		}
		if p.Hang.Load() {
			<-r.Context().Done()
			return
		}
		if p.Down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	p.URL = "http://" + p.server.Listener.Addr().String()
	p.issuance = &issuance{Storage: storage.NewStorage(storage.NewUserStore(p.URL)), provider: p}
	p.Rotate("first")
	// What it logs are failures that the tests want.
	made, err := op.NewProvider(&op.Config{AuthMethodPost: true}, p.issuance, op.StaticIssuer(p.URL), op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	handler = made
	p.server.Start()
	t.Cleanup(func() { p.server.CloseClientConnections(); p.server.Close() })
	return p
}

// Issue gives an access token of the machine client, with more claims.
func (p *Provider) Issue(t *testing.T, claims map[string]any) string {
	t.Helper()
	p.claims = claims
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {Client}, "client_secret": {"verysecret"}, "scope": {"machine"}}
	response, err := http.PostForm(p.URL+"/oauth/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil || strings.Count(got.Token, ".") != 2 {
		t.Fatalf("the provider gives no JWT: %s %v", response.Status, err)
	}
	return got.Token
}
