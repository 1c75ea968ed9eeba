package auth_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
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

const audience = "https://hub.example/xapi"

// provider is a real OpenID provider in this process. Its machine clients are "sid1", of the library's example storage.
type provider struct {
	*httptest.Server
	*issuance
	asked atomic.Int64 // how often somebody asked for its keys
	down  atomic.Bool  // it answers nothing but 502
	hang  atomic.Bool  // it answers nothing at all
}

// issuance is the example's storage, with keys that rotate, and with tokens that are JWTs for our audience.
type issuance struct {
	*storage.Storage
	mu       sync.Mutex
	key      *signingKey
	audience []string
	claims   map[string]any
	life     time.Duration
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

func (s *issuance) rotate(id string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = &signingKey{id, key}
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
	return request{r, s.audience}, err
}

func (s *issuance) CreateAccessToken(ctx context.Context, r op.TokenRequest) (string, time.Time, error) {
	id, _, err := s.Storage.CreateAccessToken(ctx, r)
	return id, time.Now().Add(s.life), err
}

func (s *issuance) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return s.claims, nil
}

type request struct {
	op.TokenRequest
	audience []string
}

func (r request) GetAudience() []string { return r.audience }

// newProvider starts a provider.
func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{}
	var handler http.Handler
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/keys") {
			p.asked.Add(1)
		}
		if p.hang.Load() {
			<-r.Context().Done()
			return
		}
		if p.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	_, port, err := net.SplitHostPort(p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	issuer := "http://localhost:" + port
	p.issuance = &issuance{Storage: storage.NewStorage(storage.NewUserStore(issuer)), audience: []string{audience}, life: time.Hour}
	p.rotate("first")
	// What it logs are failures that the tests want.
	handler, err = op.NewProvider(&op.Config{AuthMethodPost: true}, p.issuance, op.StaticIssuer(issuer), op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	p.URL = issuer
	t.Cleanup(func() { p.hang.Store(false); p.CloseClientConnections(); p.Close() })
	return p
}

// issue gives an access token of the machine client, with more claims.
func (p *provider) issue(t *testing.T, claims map[string]any) string {
	t.Helper()
	p.claims = claims
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"sid1"}, "client_secret": {"verysecret"}, "scope": {"machine"}}
	response, err := http.PostForm(p.URL+"/oauth/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil || strings.Count(got.Token, ".") != 2 {
		t.Fatal(fmt.Errorf("the provider gives no JWT: %s %w", response.Status, err))
	}
	return got.Token
}
